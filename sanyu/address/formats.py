"""Results of the engine in other forms: records for JSON, GeoJSON features, Arrow tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import shapely

from schemas.messages import catalogue
from transforms.address.compare import Sameness
from transforms.address.extracting import Extract
from transforms.address.model import Match, Parsed

# Precisions that are a point, although the row may have the outline of a house.
POINT_PRECISIONS = frozenset({"door", "unit", "floor", "room", "crossing", "interpolated", "offset"})
KINDS = {0: "point", 4: "point", 1: "line", 5: "line", 3: "area", 6: "area"}
RESULT = pa.schema(
    [
        ("status", pa.string()),
        ("score", pa.float64()),
        ("standard", pa.string()),
        ("division_code", pa.string()),
        ("precision", pa.string()),
        ("lon", pa.float64()),
        ("lat", pa.float64()),
        ("grid_code", pa.string()),
        ("entity_id", pa.string()),
        ("code", pa.string()),
        ("message", pa.string()),
        ("message_zh", pa.string()),
        ("reasons", pa.string()),
        ("candidates", pa.string()),
        ("geom", pa.binary()),
    ]
)


def geometry(match: Match) -> shapely.Geometry | None:
    """Return the geometry for the precision (EPSG:4490): a door is a point, a road a line, an estate or division a polygon."""
    if match.lon is None or match.lat is None:
        return None
    if match.geom is not None and match.precision not in POINT_PRECISIONS:
        return shapely.from_wkb(match.geom)
    return shapely.Point(match.lon, match.lat)


def feature(match: Match) -> dict[str, Any]:
    """Return the match as a GeoJSON feature; without a location the geometry is null."""
    shape = geometry(match)
    record = {key: value for key, value in match_record(match, with_geometry=False).items() if key not in ("lon", "lat")}
    return {"type": "Feature", "geometry": None if shape is None else shapely.geometry.mapping(shape), "properties": record}


def match_record(match: Match, *, with_geometry: bool = True) -> dict[str, Any]:
    """Return the match as plain values; `geometry` is GeoJSON and `geometry_kind` point, line or area."""
    shape = geometry(match) if with_geometry else None
    record: dict[str, Any] = {
        "query": match.query,
        "status": str(match.status),
        "score": match.score,
        **{name: getattr(match, name) for name in ("standard", "division_code", "precision", "lon", "lat", "grid_code", "entity_id")},
        **{name: getattr(match, name) for name in ("code", "message", "message_zh")},
        "reasons": [asdict(reason) for reason in match.reasons],
        "candidates": [
            {"standard": c.standard, "division_code": c.division_code, "precision": c.precision, "score": c.score} for c in match.candidates
        ],
    }
    if with_geometry:
        record["geometry_kind"] = None if shape is None else KINDS.get(shapely.get_type_id(shape), "area")
        record["geometry"] = None if shape is None else shapely.geometry.mapping(shape)
    return record


def parsed_record(parsed: Parsed) -> dict[str, Any]:
    """Return a parsed text as plain values."""
    return asdict(parsed)


def extract_record(found: Extract) -> dict[str, Any]:
    """Return a toponym in running text with its offsets as plain values."""
    return {"text": found.text, "start": found.start, "end": found.end, "match": match_record(found.match)}


def same_record(said: Sameness) -> dict[str, Any]:
    """Return a same-address decision as plain values."""
    return {
        "relation": str(said.relation),
        "reasons": [asdict(reason) for reason in said.reasons],
        "first": match_record(said.first, with_geometry=False),
        "second": match_record(said.second, with_geometry=False),
    }


def reverse_record(found: Any, lon: float, lat: float) -> dict[str, Any]:
    """Return a reverse answer as plain values, with the message of its code in both languages."""
    record = asdict(found)
    record["chain"] = [{"code": code, "name": name} for code, name in found.chain]
    message = catalogue().get(found.code) if found.code else None
    record["message"] = message and message.en.format(lon=lon, lat=lat)
    record["message_zh"] = message and message.zh.format(lon=lon, lat=lat)
    return record


def result_table(matches: Sequence[Match], prefix: str = "match_") -> pa.Table:
    """Return one row per match in order, the columns of `RESULT` under the prefix.

    `reasons` and `candidates` are JSON, `geom` is ISO WKB, EPSG:4490.
    """
    shapes = [geometry(match) for match in matches]
    columns: list[Any] = []
    for field in RESULT:
        if field.name == "geom":
            values: Any = list(shapely.to_wkb(shapes, flavor="iso")) if shapes else []
        elif field.name == "reasons":
            values = [reasons_json(match) for match in matches]
        elif field.name == "candidates":
            values = [json.dumps([c.standard for c in m.candidates], ensure_ascii=False) if m.candidates else None for m in matches]
        elif field.name == "status":
            values = [str(match.status) for match in matches]
        else:
            values = [getattr(match, field.name) for match in matches]
        columns.append(pa.array(values, field.type))
    return pa.table(columns, names=[prefix + name for name in RESULT.names])


def reasons_json(match: Match) -> str:
    """Return the explanation per element as JSON: `[[level, code, asked, found], …]`."""
    return json.dumps([(r.level, r.code, r.asked, r.found) for r in match.reasons], ensure_ascii=False)


def query_of(row: Mapping[str, Any], columns: Mapping[str, str] | str) -> str | dict[str, object] | None:
    """Return a row's query: the text of one column, or its fields by level; values other than text are converted."""
    if isinstance(columns, str):
        value = row.get(columns)
        return None if value is None else str(value)
    fields: dict[str, object] = {level: row[name] for level, name in columns.items() if row.get(name) not in (None, "")}
    return fields or None
