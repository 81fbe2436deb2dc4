"""Detect what a file is from its first bytes; names and extensions are only a second opinion."""

from __future__ import annotations

import gzip
import re
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from sanyu.readers.model import ReadOptions
from schemas.messages import SanyuError

_HEAD = 65_536
_PARQUET_TAIL = 1 << 20
_BY_KIND = {"sqlite": "gpkg", "flatgeobuf": "flatgeobuf", "shapefile": "shapefile", "gml": "gml", "pbf": "osm_pbf", "dxf": "dxf"}
_BY_SUFFIX = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".shp": "shapefile",
    ".gpkg": "gpkg",
    ".fgb": "flatgeobuf",
    ".gml": "gml",
    ".dxf": "dxf",
    ".pbf": "osm_pbf",
    ".parquet": "parquet",
    ".geojson": "geojson",
    ".topojson": "topojson",
    ".json": "geojson",
}
_EXPECTED = {
    "shapefile": {"shapefile"},
    "gpkg": {"sqlite"},
    "geojson": {"json"},
    "topojson": {"json"},
    "overpass": {"json"},
    "nominatim": {"json"},
    "geoparquet": {"parquet"},
    "parquet": {"parquet"},
    "flatgeobuf": {"flatgeobuf"},
    "gml": {"gml", "xml"},
    "dxf": {"dxf", "text"},
    "osm_pbf": {"pbf"},
    "csv": {"text", "json", "utf-16"},
    "gtfs": {"text"},
    "xlsx": {"zip"},
}
_VRT = re.compile(rb"<\s*(OGRVRTDataSource|VRTDataset|OGRVRTLayer|GDALTileIndexDataset)", re.IGNORECASE)
_NAMES = {"html": "HTML", "xml": "XML", "gml": "GML", "zip": "ZIP", "gzip": "GZIP", "json": "JSON", "sqlite": "SQLite", "pbf": "OSM PBF"}


def sniff(head: bytes) -> str:
    """Return the kind of content: empty, vrt, html, gml, xml, json, text, utf-16, binary or the name of a binary format."""
    if not head:
        return "empty"
    magic = {
        b"PK\x03\x04": "zip",
        b"PK\x05\x06": "zip",
        b"\x1f\x8b": "gzip",
        b"SQLite format 3\0": "sqlite",
        b"fgb\x03": "flatgeobuf",
        b"PAR1": "parquet",
        b"\0\0\x27\x0a": "shapefile",
        b"AutoCAD Binary DXF": "dxf",
    }
    for start, kind in magic.items():
        if head.startswith(start):
            return kind
    if b"OSMHeader" in head[:64]:
        return "pbf"
    if head[:2] in (b"\xff\xfe", b"\xfe\xff"):
        narrow = head.decode("utf-16", "replace").encode("utf-8")
        kind = _sniff_text(narrow)
        return "utf-16" if kind == "text" else kind
    return _sniff_text(head)


def _sniff_text(head: bytes) -> str:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\x1e \t\r\n")
    if _VRT.search(text[:8192]) and text.startswith(b"<"):
        return "vrt"
    if text.startswith(b"<"):
        start = text[:8192].lower()
        if b"<html" in start or b"<!doctype html" in start:
            return "html"
        return "gml" if b"opengis.net/gml" in text or b"<gml:" in text else "xml"
    if text[:1] in (b"{", b"["):
        return "json"
    if re.match(rb"(999\s*\r?\n[^\n]*\n\s*)*0\s*\r?\nSECTION", text):
        return "dxf"
    return "binary" if b"\0" in head else "text"


def detect_format(path: Path) -> str | None:
    """Return the format of a file or `.gdb` folder, None if it can't be read.

    Looks at the first 64 KB, at a zip's member names and at a Parquet file's footer; parses nothing.
    """
    if path.is_dir():
        return "filegdb" if path.suffix.lower() == ".gdb" else None
    try:
        head = _head_of(path)
        if sniff(head) == "gzip":
            head = _gunzipped_head(path)
            return _from_head(head, PurePosixPath(path.stem))
        if sniff(head) == "zip":
            return _from_zip(path)
        if sniff(head) == "parquet":
            return _from_parquet(path)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile, NotImplementedError, ValueError):
        return None
    return _from_head(head, PurePosixPath(path.name))


def check_content(path: Path, file: str, options: ReadOptions) -> None:
    """Refuse a file whose content does not match the format: empty (SY-R002), virtual (SY-R005), anything else (SY-R004)."""
    kind = sniff(_head_of(path))
    if kind == "empty":
        raise SanyuError("SY-R002", file=file)
    if kind == "vrt":
        raise SanyuError("SY-R005", file=file)
    if kind not in _EXPECTED[options.format]:
        raise SanyuError("SY-R004", file=file, format=options.format, found=_NAMES.get(kind, kind))


def _head_of(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(_HEAD)


def _gunzipped_head(path: Path) -> bytes:
    with gzip.open(path) as stream:
        return stream.read(_HEAD)


def _from_head(head: bytes, name: PurePosixPath) -> str | None:
    kind = sniff(head)
    if kind in _BY_KIND:
        return _BY_KIND[kind]
    if kind == "parquet":
        return "parquet"
    if kind == "json":
        return _from_json(head)
    by_name = _BY_SUFFIX.get(name.suffix.lower())
    if kind in ("text", "utf-16") and by_name in ("csv", "dxf"):
        return by_name
    return None


def _from_json(head: bytes) -> str | None:
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\x1e \t\r\n")
    if text.startswith(b"["):
        return "nominatim" if b'"osm_type"' in text or b'"geojson"' in text else None
    if re.search(rb'"type"\s*:\s*"Topology"', text) or (b'"arcs"' in text and b'"objects"' in text):
        return "topojson"
    if b'"osm3s"' in text or (b'"elements"' in text and b'"generator"' in text):
        return "overpass"
    if re.search(rb'"type"\s*:\s*"(Feature|FeatureCollection|GeometryCollection|(Multi)?(Point|LineString|Polygon))"', text):
        return "geojson"
    return "geojson" if re.search(rb'"features"\s*:', text) else None


def _from_zip(path: Path) -> str | None:
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.endswith("/")]
    lower = [name.lower() for name in names]
    if "xl/workbook.xml" in lower:
        return "xlsx"
    if any(".gdb/" in name for name in lower):
        return "filegdb"
    bare = {PurePosixPath(name).name for name in lower}
    if {"stops.txt", "routes.txt"} <= bare or {"stops.txt", "trips.txt"} <= bare:
        return "gtfs"
    found = {_BY_SUFFIX[suffix] for name in lower if (suffix := PurePosixPath(name).suffix) in _BY_SUFFIX and suffix != ".txt"}
    if "shapefile" in found:
        return "shapefile"
    return found.pop() if len(found) == 1 else None


def _from_parquet(path: Path) -> str:
    with path.open("rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(max(0, size - _PARQUET_TAIL))
        return "geoparquet" if b'"primary_column"' in stream.read() else "parquet"
