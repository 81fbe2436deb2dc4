"""The cube's tools after a change of their table: bins are aggregated anew in the cells of changed events only, and the rest follows.

The events of these cells are read again, all others are not. A step after the last one extends the cube; where the steps or the metric
system would be others than those of the last run, only a run over all rows gives the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from transforms.mining.cube.cell_tables import LAKE_CRS
from transforms.mining.cube.cells import PLANAR, Ints, lattice_cells, locate
from transforms.mining.cube.cube import Bins, Cube, CubeRule, bins_of_events
from transforms.mining.cube.cube_frames import cube_rule, events_of_frame
from transforms.mining.cube.cube_kept import LATTICES, Kept, crs_of
from transforms.mining.cube.cube_time import Instants, as_instants, step_edges, steps_of
from transforms.mining.cube.hot_spots_update import equal_rows, origins, updated_cube
from transforms.mining.ground import metres
from transforms.mining.shelf.update import MOST_SHARE, Change, Updated, windows
from transforms.space.coords import transform_geometries


@dataclass(frozen=True)
class Renewed:
    """The cube before and after a change, and its metric system."""

    before: Kept
    cube: Cube
    crs: str | None


def renewed(change: Change, asked: Mapping[str, Any]) -> Renewed | str:
    """Return the cube after the change; a text says why it cannot follow from the one before."""
    if change.kept is None or asked["cell"] not in LATTICES or change.period is None:
        return "the last run left no cube of a lattice"
    crs = None
    if asked["cell"] in PLANAR:
        west, south, east, north = change.extent
        crs = asked["crs"] or metres.belt([west, east], [south, north])
    if crs != crs_of(change.kept):
        return f"the metric system of the extent is now {crs}"
    rule = cube_rule(asked, crs)
    edges = step_edges(rule.steps, *as_instants(list(change.period)))
    before = Kept.from_arrow(change.kept, rule)
    old = before.cube
    if not np.array_equal(edges[: len(old.edges)], old.edges):
        return "the first and last event give other time steps"
    places = changed_places(change, rule, asked)
    if len(places) > MOST_SHARE * len(old.cells):
        return f"{len(places):,} of {len(old.cells):,} cells have changed"
    cells = lattice_cells(rule.cells, places[:, 0], places[:, 1])
    fresh = fresh_bins(change.near(windows(shapely.bounds(_outlines(cells.polygons(), crs)))), rule, asked, places, edges)
    if fresh is None and len(places) == len(old.cells):
        return "no event is left in any cell"
    return Renewed(before, updated_cube(old, cells.ids, fresh, edges), crs)


def changed_places(change: Change, rule: CubeRule, asked: Mapping[str, Any]) -> Ints:
    """Return column and row of the cells that lost or got an event, ascending."""
    found = [np.empty((0, 2), np.int64)]
    for frame in (change.removed, change.added):
        if len(frame):
            _, _, place = events_of_frame(_unnamed(frame), rule, asked)
            found.append(np.stack(locate(rule.cells, place["x"], place["y"]), axis=1))
    return np.unique(np.concatenate(found), axis=0)


def fresh_bins(frame: Any, rule: CubeRule, asked: Mapping[str, Any], places: Ints, edges: Instants) -> Bins | None:
    """Return the bins of the events of a frame that lie in the given cells and within the steps; None for no event."""
    if not len(frame):
        return None
    at, amounts, place = events_of_frame(_unnamed(frame), rule, asked)
    x, y = place["x"], place["y"]
    wanted = set(map(tuple, places.tolist()))
    inside = np.array([p in wanted for p in zip(*(part.tolist() for part in locate(rule.cells, x, y)), strict=True)], dtype=bool)
    inside &= steps_of(edges, at, rule.steps.closed) >= 0
    if not inside.any():
        return None
    chosen = None if amounts is None else amounts[inside]
    return bins_of_events(rule, at[inside], x=x[inside], y=y[inside], values=chosen, edges=edges)[1]


def cellwise(
    change: Change,
    asked: Mapping[str, Any],
    table_of: Callable[[Cube, str | None], pa.Table],
    facts: Callable[[Cube, pa.Table], dict[str, Any]],
) -> Updated | str:
    """Return the result of a tool whose rows of a cell depend on the bins of that cell alone, for cells whose bins are others than before.

    `table_of` makes the rows of a cube with their `cell_id`, `facts` the metrics of the new cube and the whole table.
    """
    new = renewed(change, asked)
    if isinstance(new, str):
        return new
    old, cube = new.before.cube, new.cube
    origin = origins(old, cube)
    same = (origin >= 0) & (cube.shape[1] == old.shape[1])
    for part, other in ((cube.values, old.values), (cube.counts, old.counts)) if same.any() else ():
        same[same] = equal_rows(part[same], other[origin[same]])
    kept = change.result(None)
    kept = kept.filter(pc.is_in(kept.column("cell_id"), value_set=pa.array(cube.cells.ids[same], pa.string())))
    if not same.all():
        made = table_of(cube.take(~same), new.crs)
        kept = pa.concat_tables([kept.select(made.column_names).cast(made.schema), made])
    return Updated(kept, int((~same).sum()), len(same), "cells", Kept(cube).to_arrow(), facts(cube, kept))


def _outlines(shapes: npt.NDArray[np.object_], crs: str | None) -> npt.NDArray[np.object_]:
    return shapes if crs is None else transform_geometries(shapes, crs, LAKE_CRS)


def _unnamed(frame: Any) -> Any:
    """Return the frame without ids: the rows of a change are known by their place in it, and one thing may be there twice."""
    return frame.drop(columns=[c for c in ("entity_id",) if c in frame.columns]).reset_index(drop=True)
