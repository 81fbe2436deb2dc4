"""GeoJSON (RFC 7946 and the older 2008 specification with `crs`), text sequences (RFC 8142), and Nominatim result lists.

Read feature by feature with Python's decoder instead of GDAL: a broken feature is one rejected row, and numbers keep their text.
"""

from __future__ import annotations

import re
from typing import Any

from sanyu.readers import jsontext
from sanyu.readers.archive import Staged
from sanyu.readers.model import RAW_TEXT, RAW_TEXT_LIMIT, ReadOptions, RowError
from sanyu.readers.sink import RawSink
from schemas.messages import SanyuError

_GEOMETRIES = {"Point", "LineString", "Polygon", "MultiPoint", "MultiLineString", "MultiPolygon", "GeometryCollection"}
_WGS84 = "EPSG:4326"
_PARSER = "sanyu GeoJSON (RFC 7946)"


def read_geojson(staged: Staged, options: ReadOptions, sink: RawSink) -> str:
    """Read a feature collection, a feature, a bare geometry, or a sequence of features; `feature_id` is the member `id`."""
    stream = jsontext.Stream(staged.path, jsontext.file_encoding(staged.path, options, sink), staged.file)
    members: dict[str, Any] = {}
    row = 0
    try:
        if stream.peek() == "[":
            raise SanyuError("SY-R023", file=staged.file, format="geojson", detail="it is a list")
        first = True
        while stream.peek():
            members, row = _read_object(stream, sink, row, collects=first)
            first = False
    finally:
        stream.close()
    sink.declared_crs = _declared_crs(members)
    return _PARSER


def _read_object(stream: jsontext.Stream, sink: RawSink, row: int, *, collects: bool) -> tuple[dict[str, Any], int]:
    """Read one top-level object; return its members except `features`, and the last row number."""
    if not collects:
        _add_feature(stream.value(), row + 1, sink)
        return {}, row + 1
    members: dict[str, Any] = {}
    is_collection = False
    stream.expect("{")
    while not stream.take("}"):
        name = stream.value()
        stream.expect(":")
        if name == "features" and stream.peek() == "[":
            is_collection = True
            for feature in stream.items():
                row += 1
                _add_feature(feature, row, sink)
        else:
            members[str(name)] = stream.value()
        if stream.peek() != "}":
            stream.expect(",")
    kind = members.get("type")
    if is_collection:
        return members, row
    if kind in _GEOMETRIES:
        members = {**members, "type": "Feature", "geometry": dict(members), "properties": {}}
    elif kind != "Feature":
        raise SanyuError("SY-R023", file=sink.file, format="geojson", detail="it has no `features`")
    _add_feature(members, row + 1, sink)
    return members, row + 1


def _add_feature(feature: Any, row: int, sink: RawSink) -> None:
    if not isinstance(feature, dict) or ("geometry" not in feature and "properties" not in feature):
        error = RowError("SY-R058", detail="it has neither geometry nor properties")
        sink.add(row, {RAW_TEXT: jsontext.exact(feature)[:RAW_TEXT_LIMIT]}, error=error)
        return
    properties = feature.get("properties")
    attributes = jsontext.attributes_of(properties) if isinstance(properties, dict) else {}
    identity = jsontext.attribute_text(feature.get("id"))
    add_with_geometry(sink, row, attributes, feature.get("geometry"), identity)


def add_with_geometry(sink: RawSink, row: int, attributes: dict[str, str], geometry: Any, identity: str | None) -> None:
    """Add a row with a GeoJSON geometry; if the geometry is broken, its text is kept in `_raw`."""
    damaged = _undecoded(attributes)
    try:
        wkb = sink.writer.from_geojson(geometry, sink.limits.max_wkb_depth)
        if damaged:
            raise RowError("SY-R051", field=damaged, encoding=sink.encoding)
    except RowError as error:
        raw = {RAW_TEXT: jsontext.exact(geometry)[:RAW_TEXT_LIMIT]}
        sink.add(row, {**readable(attributes), **raw}, None, identity, error)
        return
    sink.add(row, attributes, wkb, identity)


def _undecoded(attributes: dict[str, str]) -> str | None:
    return next((name for name, text in attributes.items() if not is_readable(text) or not is_readable(name)), None)


def is_readable(text: str) -> bool:
    """Return whether all bytes of the text could be decoded (undecodable ones appear as lone surrogates)."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def readable(attributes: dict[str, str]) -> dict[str, str]:
    """Return the attributes with undecoded bytes written as \\xNN."""
    return {escaped(name): escaped(text) for name, text in attributes.items()}


def escaped(text: str) -> str:
    """Return the text with undecoded bytes written as \\xNN."""
    if is_readable(text):
        return text
    return re.sub("[\udc80-\udcff]", lambda match: f"\\x{ord(match[0]) - 0xDC00:02x}", text).encode("utf-8", "replace").decode()


def _declared_crs(members: dict[str, Any]) -> str:
    """Return the CRS of the 2008 `crs` member, otherwise WGS 84, as RFC 7946 (4) prescribes."""
    crs = members.get("crs")
    properties = crs.get("properties") if isinstance(crs, dict) else None
    name = str(properties.get("name", "")) if isinstance(properties, dict) else ""
    if match := re.search(r"EPSG:(?:[\d.]*:)?(\d+)\s*$", name, re.IGNORECASE):
        return f"EPSG:{match[1]}"
    return _WGS84


def read_nominatim(staged: Staged, options: ReadOptions, sink: RawSink) -> str:
    """Read a Nominatim result list: geometry from `geojson`, otherwise from `lat` and `lon`; `feature_id` is the OSM element."""
    places = jsontext.load(staged.path, options, sink)
    if isinstance(places, dict):
        places = [places]
    if not isinstance(places, list):
        raise SanyuError("SY-R023", file=staged.file, format="nominatim", detail="it is not a list")
    for row, place in enumerate(places, start=1):
        if not isinstance(place, dict):
            sink.add(row, {RAW_TEXT: jsontext.exact(place)[:RAW_TEXT_LIMIT]}, error=RowError("SY-R058", detail="it is not an object"))
            continue
        geometry = place.pop("geojson", None)
        if geometry is None and "lon" in place and "lat" in place:
            geometry = {"type": "Point", "coordinates": [place["lon"], place["lat"]]}
        kind, number = str(place.get("osm_type", ""))[:1].lower(), place.get("osm_id")
        identity = f"{kind}{number}" if kind in ("n", "w", "r") and number is not None else None
        add_with_geometry(sink, row, jsontext.attributes_of(place), geometry, identity)
    sink.declared_crs = _WGS84
    return "sanyu Nominatim"
