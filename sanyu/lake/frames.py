"""Arrow tables of the lake as (Geo)DataFrames, exact windows on them, and file statistics against a window."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sanyu.lake.query import BBox


def meeting(rows: pa.Table, window: BBox) -> pa.Table:
    """Keep the rows whose `geom` (WKB) meets the window, borders included; a row whose `bbox` lies within needs no look at its geometry."""
    import shapely

    if rows.num_rows == 0:
        return rows
    xmin, ymin, xmax, ymax = window
    bounds = {n: pc.struct_field(rows["bbox"], n).to_numpy(zero_copy_only=False) for n in ("xmin", "ymin", "xmax", "ymax")}
    keep = (bounds["xmin"] >= xmin) & (bounds["ymin"] >= ymin) & (bounds["xmax"] <= xmax) & (bounds["ymax"] <= ymax)
    unsure = np.flatnonzero(~keep)
    geometry = shapely.from_wkb(rows["geom"].take(pa.array(unsure)).to_numpy(zero_copy_only=False))
    keep[unsure] = shapely.intersects(geometry, shapely.box(*window))
    return rows.filter(pa.array(keep))


def to_frame(rows: pa.Table, crs: str | None) -> Any:
    """Return a GeoDataFrame with active geometry `geom`, or a DataFrame where there is no `geom`.

    Without a `crs` the rows' own column `crs` counts, where all rows agree on an EPSG code.
    """
    import pandas as pd

    nullable = {
        pa.int8(): pd.Int8Dtype(),
        pa.int16(): pd.Int16Dtype(),
        pa.int32(): pd.Int32Dtype(),
        pa.int64(): pd.Int64Dtype(),
        pa.bool_(): pd.BooleanDtype(),
    }
    has_geometry = "geom" in rows.column_names
    attributes = rows.drop_columns(["geom"]) if has_geometry else rows
    frame = attributes.to_pandas(types_mapper=nullable.get, maps_as_pydicts="strict")
    if not has_geometry:
        return frame
    import geopandas as gpd

    geometry = gpd.GeoSeries.from_wkb(rows["geom"].to_pandas(), crs=crs or _own_crs(rows), index=frame.index)
    frame.insert(rows.column_names.index("geom"), "geom", geometry)
    return gpd.GeoDataFrame(frame, geometry="geom")


def _own_crs(rows: pa.Table) -> str | None:
    if "crs" not in rows.column_names:
        return None
    named = pc.unique(rows["crs"]).to_pylist()
    return named[0] if len(named) == 1 and str(named[0]).startswith("EPSG:") else None


def files_touched(files: pa.Table, window: BBox) -> tuple[int, int]:
    """Return how many files of a Delta table may hold rows of the window, and how many there are; a file without statistics may.

    `files` has one row per file and `min.bbox.xmin`-like columns, as delta-rs gives them.
    """
    xmin, ymin, xmax, ymax = window
    touched = np.ones(files.num_rows, dtype=bool)
    for column, limit, sign in (
        ("min.bbox.xmin", xmax, 1),
        ("min.bbox.ymin", ymax, 1),
        ("max.bbox.xmax", xmin, -1),
        ("max.bbox.ymax", ymin, -1),
    ):
        if column in files.column_names:
            bound = files[column].to_numpy(zero_copy_only=False).astype(float)
            touched &= ~(sign * bound > sign * limit)
    return int(touched.sum()), files.num_rows
