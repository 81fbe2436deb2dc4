"""Work on points tile by tile, where a row needs its neighbours: each tile with a halo that is wide enough, widened where it was not.

A tile is done when the neighbours of all its rows are certain: a k-th neighbour nearer than the border of the halo cannot be beaten by a
point outside. Tiles that are not done come again with a wider halo. What is computed of a row depends on the row and its neighbours
alone, so neither tiles nor partitions show in the result.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.mining.ground.metres import XY
from transforms.mining.shelf.frames import INDEX, OWNED, TILE, per_tile, tiled
from transforms.mining.weights.weights import Kernel, Knn, Rule, neighbours, reach

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
ROWS_PER_TILE = 40_000
WIDER = 3.0
UNDONE = -1

# (tile's rows with halo, positions of the owned, starts, positions of neighbours, distances, weights) → columns of the owned rows
TileKernel = Callable[[pa.Table, Ints, Ints, Ints, Floats, Floats], dict[str, Any]]


def tile_rows(indexed: DataFrame, rule: Rule, kernel: TileKernel, schema: str, rows: int) -> DataFrame:
    """Return what `kernel` gives for every row of a frame with `index`, `x_m`, `y_m`; `schema` is its DDL and begins with `index`.

    The rounds' rows are kept on the executors (local checkpoint).
    """
    size, halo, widest = _extent(indexed, rule, rows)
    done: list[DataFrame] = []
    pending: list[tuple[int, int]] | None = None
    while pending is None or pending:
        copies = tiled(indexed, size, halo)
        if pending is not None:
            copies = copies.where(_in_tiles(pending))
        run = functools.partial(_run, rule=rule, kernel=kernel, size=size, halo=halo, is_whole=halo >= widest)
        found = per_tile(copies, run, f"{schema}, tile_x long, tile_y long").localCheckpoint(eager=True)
        pending = [(r["tile_x"], r["tile_y"]) for r in found.where(f"{INDEX} = {UNDONE}").select(*TILE).collect()]
        done.append(found.where(f"{INDEX} <> {UNDONE}").drop(*TILE))
        halo *= WIDER
    return functools.reduce(lambda a, b: a.unionByName(b), done)


def _in_tiles(tiles: list[tuple[int, int]]) -> Any:
    from pyspark.sql import functions as F

    return F.concat_ws(" ", *TILE).isin([f"{x} {y}" for x, y in tiles])


def _extent(indexed: DataFrame, rule: Rule, rows: int) -> tuple[float, float, float]:
    """Return the width of a tile, the first halo, and the one that holds everything; metres."""
    from pyspark.sql import functions as F

    ends = indexed.agg(*(f(c) for c in XY for f in (F.min, F.max))).head()
    assert ends is not None
    wide, high = max(ends[1] - ends[0], 1.0), max(ends[3] - ends[2], 1.0)
    widest = wide + high
    size = min(math.sqrt(wide * high * min(1.0, ROWS_PER_TILE / rows)), widest)
    k = rule.k if isinstance(rule, Knn | Kernel) else None
    if k is None:
        radius = reach(rule)
        assert radius is not None
        return max(size, radius), radius, 0.0
    return size, min(3.0 * math.sqrt(wide * high * (k + 1) / rows / math.pi), widest), widest


def _run(table: pa.Table, rule: Rule, kernel: TileKernel, size: float, halo: float, is_whole: bool) -> pa.Table:
    import numba

    numba.set_num_threads(1)  # Spark runs one task per core
    x, y = (table.column(name).to_numpy() for name in XY)
    owned = np.flatnonzero(table.column(OWNED).to_numpy(zero_copy_only=False))
    tile = [table.column(name)[0].as_py() for name in TILE]
    k = rule.k if isinstance(rule, Knn | Kernel) else None
    if len(owned) == 0:
        return _empty(kernel, table)
    if k is not None and k >= len(x) and not is_whole:
        return _undone(kernel, table, tile)
    starts, positions, distance, weights = neighbours(rule if not isinstance(rule, Kernel) or k is None else Knn(k), x, y, owned)
    if k is not None and not is_whole:
        margin = np.minimum.reduce(
            [
                x[owned] - (tile[0] * size - halo),
                (tile[0] + 1) * size + halo - x[owned],
                y[owned] - (tile[1] * size - halo),
                (tile[1] + 1) * size + halo - y[owned],
            ]
        )
        if (distance.reshape(-1, k).max(axis=1) >= margin * (1 - 1e-9)).any():
            return _undone(kernel, table, tile)
    if isinstance(rule, Kernel) and k is not None:
        starts, positions, distance, weights = neighbours(rule, x, y, owned)
    return _tagged(kernel(table, owned, starts, positions, distance, weights), tile)


def _tagged(columns: dict[str, Any], tile: list[int]) -> pa.Table:
    count = len(columns[INDEX])
    return pa.table({**columns, TILE[0]: np.full(count, tile[0]), TILE[1]: np.full(count, tile[1])})


def _sample(kernel: TileKernel, table: pa.Table) -> pa.Table:
    none = np.zeros(0, dtype=np.int64)
    columns = kernel(table, none, np.zeros(1, dtype=np.int64), none, np.zeros(0), np.zeros(0))
    return _tagged(columns, [0, 0])


def _empty(kernel: TileKernel, table: pa.Table) -> pa.Table:
    return _sample(kernel, table).slice(0, 0)


def _undone(kernel: TileKernel, table: pa.Table, tile: list[int]) -> pa.Table:
    """Return one row that says that the tile has to come again."""
    schema = _sample(kernel, table).schema
    known = {INDEX: UNDONE, TILE[0]: tile[0], TILE[1]: tile[1]}
    return pa.table([pa.array([known.get(f.name)], type=f.type) for f in schema], schema=schema)
