"""The formats read with GDAL: GeoPackage, FlatGeobuf, GML, File Geodatabase, DXF, and the geometries of shapefiles.

The child's environment makes GDAL register one driver (`GDAL_SKIP`); this is verified before a file is opened. Rows are streamed as Arrow
batches (RFC 86).
"""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.parsers import expat

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyogrio
import pyogrio.raw

from sanyu.readers import geometry
from sanyu.readers.archive import Staged
from sanyu.readers.arrowtext import as_text
from sanyu.readers.model import ReadOptions, RowError
from sanyu.readers.sink import RawSink, text_map
from schemas.messages import SanyuError

_BATCH_ROWS = 20_000
_SURE = 70  # minimum confidence in per cent when pyproj identifies a WKT
_OPEN_OPTIONS: dict[str, dict[str, str]] = {
    "gml": {"DOWNLOAD_SCHEMA": "NO", "WRITE_GFS": "NO", "INVERT_AXIS_ORDER_IF_LAT_LONG": "YES"},
    "gpkg": {"IMMUTABLE": "YES"},
}


def read_gdal(staged: Staged, options: ReadOptions, sink: RawSink) -> str:
    """Read one layer; `feature_id` is the FID, numbers are in their shortest exact form (the formats hold them in binary)."""
    if options.format == "gml":
        refuse_doctype(staged.path, staged.file)
    check_driver(staged.file)
    if options.encoding:
        pyogrio.set_gdal_config_options({"DXF_ENCODING": options.encoding})
    layer = choose_layer(staged)
    info = guarded(staged, options, lambda: pyogrio.read_info(staged.path, layer=layer, **_OPEN_OPTIONS.get(options.format, {})))
    sink.declared_crs = crs_name(info["crs"])
    names = [str(name) for name in info["fields"]]
    for name, kind in zip(names, info["ogr_types"], strict=True):
        sink.columns[name] = str(kind).removeprefix("OFT").lower()
    row = 0
    for batch in batches(staged, options, layer=layer):
        ids, attributes, wkbs = _columns(batch, names)
        wkbs = _straightened(staged, layer, ids, wkbs, sink)
        numbers = np.arange(row + 1, row + 1 + len(ids))
        row += len(ids)
        sink.add_arrays(numbers, as_text(ids), attributes, wkbs, {})
    return parser_name()


def parser_name() -> str:
    """Return pyogrio's and GDAL's versions and the driver."""
    return f"pyogrio {pyogrio.__version__} / GDAL {pyogrio.__gdal_version_string__} {os.environ['SANYU_GDAL_DRIVER']}"


def check_driver(file: str) -> None:
    """Raise SY-R031 unless GDAL has registered exactly the one wanted driver."""
    registered = set(pyogrio.list_drivers())
    if registered != {os.environ["SANYU_GDAL_DRIVER"]}:
        raise SanyuError("SY-R031", file=file, detail=f"drivers {', '.join(sorted(registered))[:200]}")


def guarded(staged: Staged, options: ReadOptions, call: Any) -> Any:
    """Call the function and return its result; a failure of GDAL becomes SY-R020."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return call()
    except (
        pyogrio.errors.DataSourceError,
        pyogrio.errors.DataLayerError,
        pyogrio.errors.FeatureError,
        RuntimeError,
        ValueError,
        OSError,
    ) as error:
        detail = re.sub(r"\S*/\.work/\S*", staged.file, str(error))[:300]
        raise SanyuError("SY-R020", file=staged.file, format=options.format, detail=detail) from None


def choose_layer(staged: Staged) -> str:
    """Return the requested layer or the only one; otherwise SY-R015 or SY-R014."""
    options = ReadOptions(format=os.environ["SANYU_GDAL_DRIVER"])
    layers = [str(name) for name, _ in guarded(staged, options, lambda: pyogrio.list_layers(staged.path))]
    choices = ", ".join(layers[:30])
    if staged.layer is not None:
        if staged.layer not in layers:
            raise SanyuError("SY-R015", file=staged.file, layer=staged.layer, choices=choices)
        return staged.layer
    if not layers:
        raise SanyuError("SY-R020", file=staged.file, format=options.format, detail="it has no layer")
    if len(layers) != 1:
        raise SanyuError("SY-R014", file=staged.file, choices=choices)
    return layers[0]


def batches(staged: Staged, options: ReadOptions, **arguments: Any) -> Iterator[pa.RecordBatch]:
    """Yield Arrow batches of a layer with the FIDs in the first column and the WKB in the last; failures become SY-R020."""
    opening = {**_OPEN_OPTIONS.get(options.format, {}), **arguments}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        source = pyogrio.open_arrow(staged.path, use_pyarrow=True, return_fids=True, batch_size=_BATCH_ROWS, **opening)
        meta, reader = guarded(staged, options, source.__enter__)
        try:
            while True:
                batch = guarded(staged, options, lambda: next(reader, None))
                if batch is None:
                    return
                yield batch.rename_columns(_renamed(batch, meta))
        finally:
            source.__exit__(None, None, None)


def _renamed(batch: pa.RecordBatch, meta: dict[str, Any]) -> list[str]:
    """Return the column names, with the FID and the geometry under names that no field can have."""
    fid, shape = meta["fid_column"] or "OGC_FID", meta["geometry_name"] or "wkb_geometry"
    return ["\0fid" if i == 0 and name == fid else "\0geom" if name == shape else name for i, name in enumerate(batch.schema.names)]


def _columns(batch: pa.RecordBatch, names: list[str]) -> tuple[pa.Array, pa.MapArray, npt.NDArray[np.object_]]:
    present = [name for name in names if name in batch.schema.names]
    attributes = text_map(present, [as_text(batch.column(name)) for name in present], batch.num_rows)
    return batch.column("\0fid"), attributes, shapes(batch)


def shapes(batch: pa.RecordBatch) -> npt.NDArray[np.object_]:
    """Return the WKB of a batch as objects, None for missing geometries."""
    wkbs = np.full(batch.num_rows, None, dtype=object)
    if "\0geom" in batch.schema.names:
        wkbs[:] = batch.column("\0geom").to_pylist()
    return wkbs


def _straightened(staged: Staged, layer: str, ids: pa.Array, wkbs: npt.NDArray[np.object_], sink: RawSink) -> npt.NDArray[np.object_]:
    """Replace curves, which Arrow batches contain unchanged, by GDAL's line strings."""
    curved = [index for index, wkb in enumerate(wkbs) if geometry.is_curve(wkb)]
    if not curved:
        return wkbs
    for index in curved:
        try:
            geometry.structure(wkbs[index], sink.limits)
        except RowError:
            continue
        straight = pyogrio.raw.read(staged.path, layer=layer, columns=[], fids=[ids[index].as_py()])[2]
        wkbs[index] = straight[0]
    sink.note("SY-R089", found=len(curved))
    return wkbs


def crs_name(text: str | None) -> str | None:
    """Return "EPSG:n" for a CRS that can be identified with certainty, otherwise its WKT; None for None."""
    if not text or re.fullmatch(r"EPSG:\d+", text):
        return text or None
    import pyproj

    try:
        crs = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError:
        return text
    code = crs.to_epsg(min_confidence=_SURE)
    return f"EPSG:{code}" if code else text


def refuse_doctype(path: Path, file: str) -> None:
    """Raise SY-R007 if an XML document has a DOCTYPE, the only place where entities can be declared. Reads only up to the root element."""

    class _RootReachedError(Exception):
        pass

    def root(*_: object) -> None:
        raise _RootReachedError

    def doctype(*_: object) -> None:
        raise SanyuError("SY-R007", file=file)

    parser = expat.ParserCreate()
    parser.StartElementHandler = root
    parser.StartDoctypeDeclHandler = doctype
    try:
        with path.open("rb") as stream:
            parser.ParseFile(stream)
    except _RootReachedError:
        return
    except expat.ExpatError as error:
        raise SanyuError("SY-R020", file=file, format="gml", detail=str(error)) from None
