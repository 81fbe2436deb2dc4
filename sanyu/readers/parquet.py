"""Parquet, plain and GeoParquet 1.0/1.1 (geoparquet.org), streamed by row group."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sanyu.readers.archive import Staged
from sanyu.readers.arrowtext import as_text
from sanyu.readers.model import ReadOptions, RowError
from sanyu.readers.sink import RawSink, text_map
from sanyu.readers.table import coordinate_geometry, geometry_columns
from schemas.messages import SanyuError

_BATCH_ROWS = 20_000
_WGS84 = "EPSG:4326"


@dataclass(frozen=True)
class _Layout:
    """Which columns are attributes, which one is the geometry, and which ones contain coordinates."""

    names: list[str]
    primary: str | None
    chosen: tuple[str, ...]


def read_parquet(staged: Staged, options: ReadOptions, sink: RawSink) -> str:
    """Read a file; `geom` is the primary geometry column or, for a plain file, is built from the columns named by `x`, `y` or `wkt`."""
    try:
        source = pq.ParquetFile(staged.path)
        geo = json.loads((source.schema_arrow.metadata or {}).get(b"geo", b"null"))
    except (pa.ArrowException, OSError, ValueError) as error:
        raise SanyuError("SY-R020", file=staged.file, format=options.format, detail=str(error)[:300]) from None
    schema = source.schema_arrow
    primary = None
    if isinstance(geo, dict):
        primary = _primary(geo, schema, sink)
    elif options.format == "geoparquet":
        raise SanyuError("SY-R020", file=staged.file, format=options.format, detail="no `geo` metadata")
    names = [name for name in schema.names if name != primary]
    for name in names:
        sink.columns[name] = str(schema.field(name).type)
    layout = _Layout(names, primary, () if primary else geometry_columns(names, options, staged.file))
    row = 0
    try:
        for batch in source.iter_batches(_BATCH_ROWS, use_threads=False):
            _add(batch, row, layout, sink)
            row += len(batch)
    except (pa.ArrowException, OSError) as error:
        raise SanyuError("SY-R020", file=staged.file, format=options.format, detail=str(error)[:300]) from None
    return f"pyarrow {pa.__version__}"


def _add(batch: pa.RecordBatch, row: int, layout: _Layout, sink: RawSink) -> None:
    texts = {name: as_text(batch.column(batch.schema.get_field_index(name))) for name in layout.names}
    wkbs: npt.NDArray[np.object_] = np.full(len(batch), None, dtype=object)
    errors: dict[int, RowError] = {}
    if layout.primary is not None:
        wkbs[:] = batch.column(batch.schema.get_field_index(layout.primary)).to_pylist()
    elif layout.chosen:
        wkbs, errors = coordinate_geometry([texts[name].to_pylist() for name in layout.chosen], layout.chosen, sink.limits)
    attributes = text_map(layout.names, [texts[name] for name in layout.names], len(batch))
    sink.add_arrays(np.arange(row + 1, row + 1 + len(batch)), None, attributes, wkbs, errors)


def _primary(geo: dict[str, Any], schema: pa.Schema, sink: RawSink) -> str:
    """Return the primary geometry column and record its CRS; SY-R030 if it is not WKB, SY-R026 if it is missing."""
    name = str(geo.get("primary_column"))
    columns = geo.get("columns")
    described = columns.get(name) if isinstance(columns, dict) else None
    if not isinstance(described, dict) or name not in schema.names:
        raise SanyuError("SY-R026", file=sink.file, field=name, choices=", ".join(schema.names))
    kind = schema.field(name).type
    if described.get("encoding") != "WKB" or not (pa.types.is_binary(kind) or pa.types.is_large_binary(kind)):
        raise SanyuError("SY-R030", file=sink.file, field=name, value=str(described.get("encoding"))[:40])
    # a missing `crs` means OGC:CRS84, a null one means unknown
    sink.declared_crs = _crs(described["crs"]) if "crs" in described else _WGS84
    return name


def _crs(projjson: Any) -> str | None:
    if projjson is None:
        return None
    import pyproj

    identity = projjson.get("id") if isinstance(projjson, dict) else None
    if isinstance(identity, dict):
        if str(identity.get("code")) == "CRS84":
            return _WGS84
        if identity.get("authority") == "EPSG":
            return f"EPSG:{identity.get('code')}"
    try:
        crs = pyproj.CRS.from_user_input(projjson)
    except (pyproj.exceptions.CRSError, TypeError):
        return None
    code = crs.to_epsg()
    return f"EPSG:{code}" if code else str(crs.to_wkt())
