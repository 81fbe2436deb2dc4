"""What the tests of space-time interaction share: columns of a frame, permuted times, and pair counts by tiles.

The times are permuted over the places (keyed by seed, permutation and the row's place among the sorted ids), which leaves the pattern in
space and the pattern in time as they are and takes away what ties the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.messages import SanyuError
from transforms.mining.ground.metres import points, with_metres
from transforms.mining.ground.permute import permutations as keyed
from transforms.mining.ground.row_time import spark_times, times
from transforms.mining.ground.tiles import TILE_ROWS, tile_side
from transforms.mining.interaction.interaction_kernel import LANES, counts
from transforms.mining.shelf.frames import OWNED, Way, floats, frame_kind, in_process, note, per_tile, require_columns, tiled

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def events(frame: Any, time: str | None, id_column: str | None, tool: str, least: int) -> tuple[Floats, Floats, Floats, float]:
    """Return x, y (m), t of the rows sorted by id and the factor of a lag; without a time column t is 0. SY-N032 for too few rows."""
    if time is not None:
        require_columns(frame, [time])
    table = points(frame, [] if time is None else [time], id_column)
    if table.num_rows < least:
        raise SanyuError("SY-N032", tool=tool, least=least, count=table.num_rows)
    x, y = floats(table, "x_m"), floats(table, "y_m")
    t, factor = (np.zeros(len(x)), 1.0) if time is None else times(table, time)
    return x, y, t, factor


def is_here(frame: Any, tile_m: float | None) -> bool:
    """Tell whether pairs are to be counted in this process: not where Spark's frame is large or a tile is asked for."""
    here = frame_kind(frame) != "spark" or (tile_m is None and in_process(frame))
    note(way=Way.IN_PROCESS if here else Way.DISTRIBUTED)
    return here


def images(size: int, count: int, seed: int) -> Iterator[Ints]:
    """Yield the images of 0 … size-1 under the permutations 0 … count-1, up to LANES rows at a time."""
    for first in range(0, count, LANES):
        yield keyed(seed, np.arange(first, min(first + LANES, count)), size)


def batches(t: Floats, order: Ints, count: int, seed: int, *, given: bool = False) -> Iterator[Floats]:
    """Yield permuted times, points in `order` × up to LANES permutations, for all `count`; with `given` the times as they are first."""
    head = np.arange(len(t))[None, :]
    if given and not count:
        yield np.ascontiguousarray(t[head[:, order]].T)
    for number, image in enumerate(images(len(t), count, seed)):
        rows = np.concatenate([head, image]) if given and number == 0 else image
        yield np.ascontiguousarray(t[rows[:, order]].T)


def upper_p(simulated: Any, statistic: float) -> float | None:
    """Return (1 + how many simulated are at least the statistic) / (1 + simulations); None where nothing was simulated."""
    return (1 + int(np.sum(np.asarray(simulated) >= statistic))) / (1 + len(simulated)) if len(simulated) else None


def tile_counts(frame: DataFrame, time: str | None, id_column: str | None, distances: Floats, lags: Floats, tile_m: float | None) -> Ints:
    """Return the pair counts of `interaction_kernel.counts` for a Spark frame, tile by tile; the lags are in the unit of the column."""
    from pyspark.sql import functions as F

    placed, factor = with_metres(frame, id_column=id_column), 1.0
    if time is None:
        rows = placed.select("x_m", "y_m", F.lit(0.0).alias("t"))
    else:
        placed, factor = spark_times(placed, time)
        rows = placed.select("x_m", "y_m", "t")
    rows = rows.localCheckpoint(eager=True)
    halo = float(distances[-1])
    size = tile_side(rows, halo, TILE_ROWS // 4) if tile_m is None else max(tile_m, halo)
    shape = (len(distances), len(lags) + 1)

    def kernel(table: pa.Table) -> pa.Table:
        x, y, t = (table.column(c).to_numpy() for c in ("x_m", "y_m", "t"))
        found = counts(x, y, t, table.column(OWNED).to_numpy(zero_copy_only=False), distances, lags * factor)
        return pa.table([np.arange(found.size), found.ravel()], names=["slot", "pairs"])

    # The halo is a hair wider, so that rounding in the tiles' borders leaves out no neighbour.
    parts = per_tile(tiled(rows, size, halo * (1 + 1e-9) + 1e-6), kernel, "slot long, pairs long", order="x_m")
    total = np.zeros(shape[0] * shape[1], np.int64)
    for row in parts.groupBy("slot").agg(F.sum("pairs").alias("pairs")).collect():
        total[row["slot"]] = row["pairs"]
    return (total // 2).reshape(shape)
