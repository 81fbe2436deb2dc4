"""Work by neighbourhood: rows go to the cells of a degree grid that their boxes touch, and each pair of neighbours is met in one cell only.

A row is sent to every cell that its box (with a margin) touches. A pair belongs to the cell that holds the lower left corner of the two
boxes' intersection: both rows are in that cell, and it is one cell, so that no pair is found twice and none is missed, however Spark
partitions the rows (the reference-point rule of Dittrich and Seeger, ICDE 2000).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

Array = npt.NDArray[Any]

METRES_PER_DEGREE = 110_574.0  # of latitude at the equator, the least on the ellipsoid: margins come out too wide, never too narrow
ROWS_PER_CELL = 2_000
_FINEST_DEG = 1e-4
_ROW_STRIDE = 1 << 32


@dataclass(frozen=True)
class Grid:
    """A grid of square cells in degrees, and the middle of the rows that it was made for."""

    size_deg: float
    lon: float
    lat: float
    reach_lat: float  # largest |latitude| of the rows

    def margin_deg(self, distance_m: float) -> tuple[float, float]:
        """Return degrees of longitude and latitude that are at least `distance_m` everywhere among the rows."""
        lat = distance_m / METRES_PER_DEGREE
        return lat / max(math.cos(math.radians(min(self.reach_lat + lat, 89.9))), 1e-3), lat


def grid_for(boxes: DataFrame) -> Grid | None:
    """Return a grid with about `ROWS_PER_CELL` rows in a cell for rows with column `bbox`, None if there are none; runs one aggregation.

    Cells are at least four mean boxes wide, so that copies stay few.
    """
    box = F.col("bbox")
    row = boxes.agg(
        F.count("bbox").alias("n"),
        *(F.min(box[k]).alias(k) for k in ("xmin", "ymin")),
        *(F.max(box[k]).alias(k) for k in ("xmax", "ymax")),
        F.avg(F.greatest(box["xmax"] - box["xmin"], box["ymax"] - box["ymin"])).alias("side"),
    ).first()
    if row is None or not row["n"]:
        return None
    area = max(row["xmax"] - row["xmin"], _FINEST_DEG) * max(row["ymax"] - row["ymin"], _FINEST_DEG)
    size = max(math.sqrt(area * ROWS_PER_CELL / row["n"]), 4 * row["side"], _FINEST_DEG)
    return Grid(size, (row["xmin"] + row["xmax"]) / 2, (row["ymin"] + row["ymax"]) / 2, max(abs(row["ymin"]), abs(row["ymax"])))


def in_cells(rows: DataFrame, grid: Grid) -> DataFrame:
    """Return the rows once per cell that their `bbox` touches, with `grid_cell` (bigint)."""

    def numbers(low: Column, high: Column) -> Column:
        return F.sequence(F.floor(low / grid.size_deg), F.floor(high / grid.size_deg))

    box = F.col("bbox")
    cells = F.flatten(
        F.transform(
            numbers(box["xmin"], box["xmax"]),
            lambda x: F.transform(numbers(box["ymin"], box["ymax"]), lambda y: x * F.lit(_ROW_STRIDE) + y),
        )
    )
    return rows.withColumn("grid_cell", F.explode(cells))


def cell_of(x: Array, y: Array, size_deg: float) -> Array:
    """Return the cells of points, as `in_cells` numbers them."""
    return (np.floor(x / size_deg) * _ROW_STRIDE + np.floor(y / size_deg)).astype(np.int64)


def owned(first: Array, second: Array, cell: int, size_deg: float) -> Array:
    """Tell which pairs of boxes, (n, 4) each and intersecting, belong to the cell."""
    corner = np.maximum(first[:, :2], second[:, :2])
    found: Array = cell_of(corner[:, 0], corner[:, 1], size_deg) == cell
    return found


def box_array(bbox: Any) -> Array:
    """Return an Arrow column of bbox structs as (n, 4): xmin, ymin, xmax, ymax."""
    flat = bbox.combine_chunks()
    return np.column_stack([flat.field(k).to_numpy(zero_copy_only=False) for k in ("xmin", "ymin", "xmax", "ymax")])
