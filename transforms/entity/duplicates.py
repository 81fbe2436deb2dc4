"""Near-duplicates: the same thing delivered twice, by neighbouring tiles or overlapping extracts, with slightly different vertices.

Two polygons are near-duplicates if their intersection is at least `iou` of their union. The larger of a pair is kept; for equal areas, the
one with the smaller source key. A row is dropped only in favour of a kept row that it overlaps by `iou` itself. In a chain A~B~C in which A
and C are different things, nothing is lost, whereas merging whole connected components would lose one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.messages import SanyuError
from transforms.entity.cells import box_array, grid_for, in_cells, owned

Array = npt.NDArray[Any]

MAX_PAIRS: Final = 5_000_000
_PAIR_DDL: Final = "winner string, loser string, winner_area double, iou double"
_PAIR_SCHEMA: Final = pa.schema([("winner", pa.string()), ("loser", pa.string()), ("winner_area", pa.float64()), ("iou", pa.float64())])


@dataclass(frozen=True)
class Pairs:
    """Near-duplicate pairs: positions of the row that is kept and of the other, ordered by the module's rule, and their IoU."""

    winner: Array
    loser: Array
    iou: Array


def near_duplicate_pairs(geoms: Array, ids: Array, iou: float) -> Pairs:
    """Return all pairs of polygons with intersection over union ≥ `iou`.

    `geoms`: (n,) valid polygons in any CRS (the ratio does not depend on it), None is skipped; `ids`: (n,) unique texts. The pairs come in
    no particular order. Pairs are first bounded by their boxes and areas, so that most neighbours are never intersected.
    """
    tree = shapely.STRtree(geoms)
    left, right = tree.query(geoms)
    keep = left < right
    left, right = left[keep], right[keep]
    areas, boxes = shapely.area(geoms), shapely.bounds(geoms)
    sides = np.minimum(boxes[left, 2:], boxes[right, 2:]) - np.maximum(boxes[left, :2], boxes[right, :2])
    smaller = np.minimum(areas[left], areas[right])
    both = areas[left] + areas[right]
    most = np.minimum(smaller, np.prod(np.maximum(sides, 0), axis=1))
    # The bound may come out a rounding error below the exact ratio.
    near = (most > 0) & (most >= (iou - 1e-9) * (both - most))
    left, right, both = left[near], right[near], both[near]
    common = shapely.area(shapely.intersection(geoms[left], geoms[right]))
    ratio = common / (both - common)
    near = ratio >= iou
    left, right = left[near], right[near]
    first = (areas[left] > areas[right]) | ((areas[left] == areas[right]) & (ids[left] < ids[right]))
    return Pairs(np.where(first, left, right), np.where(first, right, left), ratio[near])


def settle(winners: Array, losers: Array, winner_areas: Array) -> dict[str, str]:
    """Return, from all pairs of ids, which row replaces each duplicate.

    Larger rows are settled first; a dropped row does not drop others. If several kept rows apply, the largest, then the
    smallest id, is named.
    """
    gives_way: dict[str, str] = {}
    # A row's own pairs as loser all come before its pairs as winner, because the winner of those is larger, or equal with a smaller id.
    for i in np.lexsort([losers.astype(str), winners.astype(str), -winner_areas]):
        if winners[i] not in gives_way:
            gives_way.setdefault(losers[i], winners[i])
    return gives_way


def near_duplicates(frame: DataFrame, iou: float, *, key: str = "source_key") -> DataFrame:
    """Return the rows with `duplicate_of`: the key of the row that is kept, null for kept rows.

    `frame` has `key` (unique among good rows), `bbox` and `geom` (polygons, EPSG:4490). Rows with `errors` take no part (a good
    row is never dropped for a rejected one), nor do those already marked by `is_duplicate`. Runs jobs on the frame (persist it). The result
    does not depend on partitioning. Raises SY-C120 for more than five million pairs, because the layer then does not just contain
    duplicates.
    """
    rows = frame.where(F.size("errors") == 0) if "errors" in frame.columns else frame
    rows = rows.where("not is_duplicate") if "is_duplicate" in frame.columns else rows
    rows = rows.where(F.col(key).isNotNull() & F.col("geom").isNotNull()).select(F.col(key).alias("id"), "bbox", "geom")
    grid = grid_for(rows)
    if grid is None:
        return frame.withColumn("duplicate_of", F.lit(None).cast("string"))
    pairs = in_cells(rows, grid).groupBy("grid_cell").applyInArrow(_pairs_in_cell(grid.size_deg, iou), _PAIR_DDL)
    found = pairs.limit(MAX_PAIRS + 1).toArrow()
    if found.num_rows > MAX_PAIRS:
        raise SanyuError("SY-C120", limit=MAX_PAIRS, iou=iou)
    settled = settle(*(found[name].to_numpy() for name in ("winner", "loser", "winner_area")))
    losers = pa.table({key: pa.array(list(settled), pa.string()), "duplicate_of": pa.array(list(settled.values()), pa.string())})
    marks = frame.sparkSession.createDataFrame(losers)
    marked = frame.join(F.broadcast(marks), key, "left").select(*frame.columns, "duplicate_of")
    if "errors" in frame.columns:
        marked = marked.withColumn("duplicate_of", F.when(F.size("errors") == 0, F.col("duplicate_of")))
    return marked


def _pairs_in_cell(size_deg: float, iou: float) -> Callable[..., pa.Table]:
    """Return the function that finds the pairs belonging to one cell."""

    def run(cell: tuple[Any, ...], table: pa.Table) -> pa.Table:
        geoms = shapely.from_wkb(table["geom"].to_numpy())
        ids, boxes = table["id"].to_numpy(), box_array(table["bbox"])
        pairs = near_duplicate_pairs(geoms, ids, iou)
        mine = owned(boxes[pairs.winner], boxes[pairs.loser], cell[0].as_py(), size_deg)
        winner, loser = pairs.winner[mine], pairs.loser[mine]
        return pa.table([ids[winner], ids[loser], shapely.area(geoms[winner]), pairs.iou[mine]], schema=_PAIR_SCHEMA)

    return run
