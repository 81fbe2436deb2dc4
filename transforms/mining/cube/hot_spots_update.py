"""Emerging hot spots after a change: only what a changed event can have touched is computed again, and the result is that of a full run.

The change feed of the events gives the cells to which changed events belong now or belonged before. Their bins are aggregated anew; all
other bins are taken over. The sums of neighbourhoods are added up again for the cells around a bin that is not what it was; the others keep
theirs. What depends on the whole cube by definition is not local and is redone for all, in one pass over the bins: mean, standard
deviation, the rank that limits the false discovery rate, and so z, signs, trend and category.

The steps must stay the same, but for new ones after the last: their bins and sums are made for all cells, those of the older steps stay.
A cube whose older steps have other borders is refused with SY-N063.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from schemas.messages import SanyuError
from transforms.mining.cube.cells import Ints
from transforms.mining.cube.cube import Bins, Cube, cube_of_bins
from transforms.mining.cube.cube_time import Instants
from transforms.mining.cube.hot_spots import HotSpotRule, HotSpots, LocalSums, judged, local_sums


def updated_cube(cube: Cube, changed: npt.NDArray[Any], fresh: Bins | None, edges: Instants, borders: Any = None) -> Cube:
    """Return the cube in which the cells with the ids `changed` have the bins `fresh` (None: no event is left in them).

    `fresh` are all bins of these cells, from `cube.bins_of_events` over their events with the same `edges`: those of the cube, and after
    them those of newer steps. For divisions `borders` as for a new cube. SY-N063 for other edges, SY-N064 where nothing is left.
    """
    if not np.array_equal(edges[: len(cube.edges)], cube.edges):
        raise SanyuError("SY-N063", argument="edges", value=f"{edges[0]} … {edges[-1]}", expected="the steps of the cube; run it anew")
    kept = ~np.isin(cube.cells.ids.astype(str), np.asarray(changed).astype(str))
    row, step = np.nonzero((cube.counts > 0) & kept[:, None])
    old = (step, cube.values[row, step], cube.counts[row, step])
    new = (fresh.steps, fresh.values, fresh.counts) if fresh else (step[:0], old[1][:0], old[2][:0])
    steps, values, counts = (np.concatenate(pair) for pair in zip(old, new, strict=True))
    cells = cube.cells
    if not cells.columns.size:
        codes = np.concatenate([cells.ids[row], fresh.codes if fresh and fresh.codes is not None else cells.ids[:0]])
        return cube_of_bins(cube.rule, edges, Bins(steps, values, counts, codes=codes), borders)
    columns, rows = cells.columns[row], cells.rows[row]
    if fresh and fresh.columns is not None and fresh.rows is not None:
        columns, rows = np.concatenate([columns, fresh.columns]), np.concatenate([rows, fresh.rows])
    return cube_of_bins(cube.rule, edges, Bins(steps, values, counts, columns, rows))


def updated_hot_spots(before: HotSpots, cube: Cube) -> tuple[HotSpots, int]:
    """Return the hot spots of the new cube, and the number of cells whose neighbourhood sums were computed again."""
    local, summed = updated_sums(before.cube, before.local, cube, before.rule)
    return judged(cube, before.rule, local), summed


def updated_sums(old: Cube, sums: LocalSums, cube: Cube, rule: HotSpotRule) -> tuple[LocalSums, int]:
    """Return the neighbourhood sums of the new cube from those of the old one, and the number of cells that were summed again."""
    origin = origins(old, cube)
    steps, common = cube.shape[1], old.shape[1]
    starts, others = rule.around(cube)
    same = origin >= 0
    same[same] = equal_rows(cube.values[same, :common], old.values[origin[same]])
    dirty = _around(~same, starts, others)
    gone = np.ones(len(old.cells), dtype=bool)
    gone[origin[origin >= 0]] = False
    if gone.any():
        once = _around(gone, *rule.around(old))
        dirty |= np.where(origin >= 0, once[np.maximum(origin, 0)], True)
    rows = np.flatnonzero(dirty)
    totals, sizes = np.zeros(cube.shape), np.zeros(cube.shape, np.int32)
    totals[:, :common], sizes[:, :common] = sums.totals[np.maximum(origin, 0)], sums.sizes[np.maximum(origin, 0)]
    if steps > common:  # a new step looks back at the last of the old ones
        first = max(0, common - rule.steps_back)
        late = local_sums(cube.values[:, first:], starts, others, rule.steps_back)
        totals[:, common:], sizes[:, common:] = late.totals[:, common - first :], late.sizes[:, common - first :]
    anew = local_sums(cube.values, starts, others, rule.steps_back, rows)
    totals[rows], sizes[rows] = anew.totals, anew.sizes
    return LocalSums(totals, sizes), len(cube.cells) if steps > common else len(rows)


def origins(old: Cube, cube: Cube) -> Ints:
    """Return for each cell of the new cube its place in the old one, −1 for a new cell."""
    known = {cell: n for n, cell in enumerate(old.cells.ids.tolist())}
    return np.array([known.get(cell, -1) for cell in cube.cells.ids.tolist()], dtype=np.int64)


def equal_rows(a: Any, b: Any) -> npt.NDArray[np.bool_]:
    """Tell which rows are equal, NaN counting as equal to NaN."""
    equal: npt.NDArray[np.bool_] = ((a == b) | (np.isnan(a) & np.isnan(b))).all(axis=1)
    return equal


def _around(marked: npt.NDArray[np.bool_], starts: Ints, others: Ints) -> npt.NDArray[np.bool_]:
    """Return the cells that have a marked one in their neighbourhood."""
    owner = np.repeat(np.arange(len(starts) - 1), np.diff(starts))
    near = np.zeros(len(starts) - 1, dtype=bool)
    near[owner[marked[others]]] = True
    return near
