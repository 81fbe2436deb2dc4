"""Points to cells: how many rows, or what sum, lie in each square of a lattice; the ground for Gi* and LISA of events and places."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from schemas.messages import SanyuError
from transforms.mining.frames import column_names, floats, id_column_of, like, note
from transforms.mining.metres import LAKE_CRS, metric_crs_of, points
from transforms.mining.tool import tool
from transforms.space.coords import transform_geometries

MOST_CELLS = 4_000_000


@tool("Counts by cell", "单元计数", result="mart.mining__cell_count", grain="own", columns=("weight",))
def cell_count(frame: Any, *, size_m: float, weight: str | None = None, empty: bool = True, id_column: str | None = None) -> Any:
    """Return the squares of `size_m` metres with their `row_count` and `cell_sum` (of `weight`, else the number), outlines as `geom`.

    The lattice's origin is 0, 0 of the frame's metric system, so two tables of one city share their cells. With `empty` the cells without
    a row are there too, with 0, as far as the rows' bounding box goes. SY-N014 a size that is not above 0, SY-N015 too many cells.
    """
    if not 0 < size_m < np.inf:
        raise SanyuError("SY-N014", name="size_m", value=size_m)
    crs = metric_crs_of(frame)
    if crs is None:  # metres of nowhere have no outlines
        raise SanyuError("SY-N010", known=", ".join(column_names(frame)))
    table = points(frame, [weight] if weight else [], id_column_of(frame, id_column), crs=crs)
    column, row = (np.floor(table.column(name).to_numpy() / size_m).astype(np.int64) for name in ("x_m", "y_m"))
    if len(column) == 0:
        return like(
            frame, _cells(np.zeros((0, 2), dtype=np.int64), np.zeros(0, np.int64), np.zeros(0), size_m, crs), geometry="geom", crs=LAKE_CRS
        )
    values = floats(table, weight) if weight else np.ones(len(column))
    west, south, wide, high = column.min(), row.min(), int(np.ptp(column)) + 1, int(np.ptp(row)) + 1
    if wide * high > MOST_CELLS and empty:
        raise SanyuError("SY-N015", radius_m=size_m, count=wide * high, rows=len(column))
    place = (row - south) * wide + (column - west)
    numbers = np.arange(wide * high) if empty else np.unique(place)
    at = np.searchsorted(numbers, place)
    counts = np.bincount(at, minlength=len(numbers))
    # Rows are in canonical order, so the sums are added in one order everywhere.
    sums = np.bincount(at, weights=values, minlength=len(numbers))
    note(cell_count=len(numbers), filled_count=int((counts > 0).sum()))
    lattice = np.stack([numbers % wide + west, numbers // wide + south], axis=1)
    return like(frame, _cells(lattice, counts, sums, size_m, crs), geometry="geom", crs=LAKE_CRS)


def _cells(lattice: Any, counts: Any, sums: Any, size_m: float, crs: str) -> pa.Table:
    corner = lattice * size_m
    squares = shapely.box(corner[:, 0], corner[:, 1], corner[:, 0] + size_m, corner[:, 1] + size_m)
    ids = [f"{size_m:g}m-{crs}-{x}-{y}" for x, y in lattice]
    outlines = shapely.to_wkb(transform_geometries(squares, crs, LAKE_CRS), flavor="iso") if ids else []
    names = pa.array(ids, pa.string())
    table = pa.table(
        {
            "lattice_id": names,
            "row_count": pa.array(counts, pa.int64()),
            "cell_sum": pa.array(sums, pa.float64()),
            "geom": pa.array(outlines, pa.binary()),
        }
    )
    return table.take(pc.sort_indices(names))
