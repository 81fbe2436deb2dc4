"""GeoParquet 1.1 files: `geom` as ISO WKB, PROJJSON CRS EPSG:4490, the `bbox` struct as covering, zstd, small row groups in layout order.

Written with pyarrow, because Sedona 1.8's GeoParquet writer writes EWKB for geometries with Z, where the specification (GeoParquet 1.1.0,
section "WKB") requires ISO WKB. Here the bytes of the lake pass
through unchanged. `bbox` and `geometry_types` of the metadata are per file.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from schemas.model import Frozen

VERSION = "1.1.0"
CRS = "EPSG:4490"
GEOMETRY = "geom"
COVERING = "bbox"
ROW_GROUP_ROWS = 20_000  # so that a window reads about 20,000 rows per file instead of the whole file
ZSTD_LEVEL = 6
_TYPES = ("Point", "LineString", "LinearRing", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection")


class Part(Frozen):
    """One written file of a published table; `stats` are Delta's statistics as JSON."""

    name: str
    rows: int
    size: int
    sha256: str
    stats: str = ""


class Extent:
    """Geometry types and bounds of the rows of one file, collected batch by batch."""

    def __init__(self) -> None:
        self.types: set[str] = set()
        self._low = np.full(3, np.inf)
        self._high = np.full(3, -np.inf)

    def add(self, wkb: pa.Array) -> None:
        """Add a column of ISO WKB; nulls and empty geometries have no bounds."""
        shapes = shapely.from_wkb(wkb.to_numpy(zero_copy_only=False))
        shapes = shapes[~shapely.is_missing(shapes)]
        kinds, has_z = shapely.get_type_id(shapes), shapely.has_z(shapes)
        self.types |= {_TYPES[kind] + (" Z" if z else "") for kind, z in set(zip(kinds.tolist(), has_z.tolist(), strict=True))}
        xyz = shapely.get_coordinates(shapes, include_z=True)
        if len(xyz):
            self._low, self._high = (
                np.fmin(self._low, np.nanmin(_or_inf(xyz), axis=0)),
                np.fmax(self._high, np.nanmax(_or_inf(xyz, -1), axis=0)),
            )

    @property
    def bbox(self) -> list[float] | None:
        """Return `[xmin, ymin, xmax, ymax]`, or with z in third and sixth place if a geometry has it; None without coordinates."""
        if not np.isfinite(self._low[0]):
            return None
        axes = 3 if np.isfinite(self._low[2]) else 2
        return [*map(float, self._low[:axes]), *map(float, self._high[:axes])]


def _or_inf(xyz: np.ndarray, sign: int = 1) -> np.ndarray:
    """Replace NaN, so that the minimum (or maximum) of a column without any z is infinite and raises no warning."""
    return np.where(np.isnan(xyz), sign * np.inf, xyz)


@functools.cache
def projjson() -> dict[str, Any]:
    """Return CGCS2000 (EPSG:4490) as PROJJSON. GeoParquet coordinates are x, y regardless of the axis order of the CRS."""
    import pyproj

    return dict(pyproj.CRS.from_user_input(CRS).to_json_dict())


def geo_metadata(extent: Extent) -> dict[str, Any]:
    """Return the file metadata `geo` of a file with this extent."""
    column: dict[str, Any] = {
        "encoding": "WKB",
        "geometry_types": sorted(extent.types),
        "crs": projjson(),
        "covering": {"bbox": {edge: [COVERING, edge] for edge in ("xmin", "ymin", "xmax", "ymax")}},
    }
    if extent.bbox is not None:
        column["bbox"] = extent.bbox
    return {"version": VERSION, "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}


def write_part(batches: Iterable[pa.RecordBatch], schema: pa.Schema, path: Path) -> Part:
    """Write batches, in their order, as one file; a schema with `geom` gives GeoParquet, one without plain Parquet.

    One row group is in memory at a time. Column statistics are kept for all columns except `geom`.
    """
    extent = Extent() if GEOMETRY in schema.names else None
    waiting: list[pa.RecordBatch] = []
    total = 0
    with pq.ParquetWriter(
        path,
        schema,
        compression="zstd",
        compression_level=ZSTD_LEVEL,
        write_statistics=_leaves(schema),
        write_page_index=True,
        store_schema=False,
    ) as writer:
        for batch in batches:
            rows = batch.cast(schema)
            if extent is not None:
                extent.add(rows.column(schema.get_field_index(GEOMETRY)))
            waiting.append(rows)
            total += rows.num_rows
            if sum(b.num_rows for b in waiting) >= ROW_GROUP_ROWS:
                waiting = _flush(writer, waiting, schema, whole=False)
        _flush(writer, waiting, schema, whole=True)
        if extent is not None:
            writer.add_key_value_metadata({"geo": json.dumps(geo_metadata(extent), separators=(",", ":"))})
    return Part(name=path.name, rows=total, size=path.stat().st_size, sha256=file_sha256(path))


def file_sha256(path: Path) -> str:
    """Return the digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _flush(writer: pq.ParquetWriter, waiting: list[pa.RecordBatch], schema: pa.Schema, *, whole: bool) -> list[pa.RecordBatch]:
    table = pa.Table.from_batches(waiting, schema)
    ready = table.num_rows if whole else table.num_rows - table.num_rows % ROW_GROUP_ROWS
    if ready:
        writer.write_table(table.slice(0, ready), row_group_size=ROW_GROUP_ROWS)
    return list(table.slice(ready).to_batches())


def _leaves(schema: pa.Schema) -> list[str]:
    """Return the Parquet paths of the columns that get statistics."""
    paths: list[str] = []
    for field in schema:
        if pa.types.is_struct(field.type):
            paths += [f"{field.name}.{child.name}" for child in field.type]
        elif field.name != GEOMETRY and not pa.types.is_nested(field.type):
            paths.append(field.name)
    return paths
