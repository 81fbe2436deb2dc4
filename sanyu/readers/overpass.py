"""Overpass API responses in JSON: nodes, ways and relations with tags become rows; untagged ones only provide geometry for others."""

from __future__ import annotations

from typing import Any

import numpy as np

from sanyu.readers import geometry as wkb
from sanyu.readers import jsontext, osm
from sanyu.readers.archive import Staged
from sanyu.readers.geojson import escaped, is_readable, readable
from sanyu.readers.geometry import Floats, positions
from sanyu.readers.model import RAW_TEXT, RAW_TEXT_LIMIT, ReadOptions, RowError
from sanyu.readers.sink import RawSink
from schemas.messages import SanyuError

_META = ("id", "type", "timestamp", "version", "changeset", "user", "uid")
_MAX_PARENTS = 8


def read_overpass(staged: Staged, options: ReadOptions, sink: RawSink) -> str:
    """Read a response of `out body`, `out geom`, `out center` or `out meta`.

    `row_number` is the position in `elements`, `feature_id` n, w or r and the id.
    Attributes are the tags, and `@id`, `@type`, `@timestamp`, `@version` … where given. Coordinates are EPSG:4326.
    """
    answer = jsontext.load(staged.path, options, sink)
    elements = answer.get("elements") if isinstance(answer, dict) else None
    if not isinstance(elements, list):
        raise SanyuError("SY-R023", file=staged.file, format="overpass", detail="it has no `elements`")
    remark = answer.get("remark")
    if remark:
        # the server ran out of time or memory, and the response is incomplete
        sink.note("SY-R088", detail=str(remark)[:200])
    extract = _Extract(elements, sink.writer)
    for row, element in enumerate(elements, start=1):
        if not isinstance(element, dict) or element.get("type") not in ("node", "way", "relation"):
            error = RowError("SY-R058", detail="it is no node, way or relation")
            sink.add(row, {RAW_TEXT: escaped(jsontext.exact(element)[:RAW_TEXT_LIMIT])}, error=error)
        elif isinstance(element.get("tags"), dict) and element["tags"]:
            _add(element, row, extract, sink)
    sink.declared_crs = "EPSG:4326"
    return f"sanyu Overpass ({escaped(str(answer.get('generator', '')))[:60]})"


def _add(element: dict[str, Any], row: int, extract: _Extract, sink: RawSink) -> None:
    attributes = jsontext.attributes_of(element["tags"])
    attributes |= {f"@{name}": text for name in _META if (text := jsontext.attribute_text(element.get(name))) is not None}
    identity = name_of(element["type"], element.get("id"))
    try:
        shape = extract.geometry(element, identity)
        damaged = next((name for name, text in attributes.items() if not is_readable(text)), None)
        if damaged:
            raise RowError("SY-R051", field=damaged, encoding=sink.encoding)
    except RowError as error:
        raw = escaped(jsontext.exact({name: value for name, value in element.items() if name != "tags"})[:RAW_TEXT_LIMIT])
        sink.add(row, {**readable(attributes), RAW_TEXT: raw}, None, identity, error)
        return
    sink.add(row, attributes, shape, identity)


def name_of(kind: str, number: Any) -> str:
    """Return n123, w123 or r123."""
    return f"{kind[:1]}{number}"


class _Extract:
    """The elements by id, used to build ways and relations."""

    def __init__(self, elements: list[Any], writer: wkb.WkbWriter) -> None:
        self._writer = writer
        self._nodes: dict[int, tuple[Any, Any]] = {}
        self._ways: dict[int, dict[str, Any]] = {}
        self._relations: dict[int, dict[str, Any]] = {}
        for element in elements:
            if not isinstance(element, dict) or not isinstance(element.get("id"), int):
                continue
            match element.get("type"):
                case "node" if "lon" in element and "lat" in element:
                    self._nodes[element["id"]] = (element["lon"], element["lat"])
                case "way" if "nodes" in element or "geometry" in element:
                    self._ways[element["id"]] = element
                case "relation":
                    self._relations[element["id"]] = element

    def geometry(self, element: dict[str, Any], feature: str) -> bytes | None:
        match element["type"]:
            case "node":
                if "lon" not in element or "lat" not in element:
                    raise RowError("SY-R059", feature=feature, missing="lon, lat")
                return self._writer.point(positions([[element["lon"], element["lat"]]]))
            case "way":
                return self._way(element, feature)
            case _:
                return self._relation(element, feature)

    def _way(self, way: dict[str, Any], feature: str) -> bytes:
        if "nodes" not in way and "geometry" not in way:
            return self._center(way, feature)
        line = self._line(way, feature)
        nodes = way.get("nodes")
        is_closed = len(line) >= 4 and (nodes[0] == nodes[-1] if nodes else bool(np.array_equal(line[0], line[-1])))
        return self._writer.polygon([line]) if is_closed and osm.is_area(way["tags"]) else self._writer.line(line)

    def _line(self, way: dict[str, Any], feature: str) -> Floats:
        """Return the positions of a way, from its own `geometry` (`out geom`) or from its nodes."""
        if isinstance(way.get("geometry"), list):
            if any(not isinstance(point, dict) for point in way["geometry"]):
                raise RowError("SY-R059", feature=feature, missing="geometry (clipped)")
            return positions([[point["lon"], point["lat"]] for point in way["geometry"]])
        missing = [node for node in way["nodes"] if node not in self._nodes]
        if missing:
            raise RowError("SY-R059", feature=feature, missing=", ".join(f"n{node}" for node in missing[:5]))
        return positions([self._nodes[node] for node in way["nodes"]])

    def _center(self, element: dict[str, Any], feature: str) -> bytes:
        center = element.get("center")
        if not isinstance(center, dict):
            raise RowError("SY-R059", feature=feature, missing="nodes")
        return self._writer.point(positions([[center.get("lon"), center.get("lat")]]))

    def _relation(self, relation: dict[str, Any], feature: str) -> bytes | None:
        members = relation.get("members")
        if not isinstance(members, list):
            return self._center(relation, feature)
        lines = [(str(member.get("role", "")), self._member_line(member, feature)) for member in members if member.get("type") == "way"]
        missing = [member for member, (_, line) in zip((m for m in members if m.get("type") == "way"), lines, strict=True) if line is None]
        if missing and isinstance(relation.get("center"), dict):
            return self._center(relation, feature)
        if relation["tags"].get("type") in osm.AREA_RELATIONS:
            if missing:
                raise RowError("SY-R059", feature=feature, missing=", ".join(f"w{member.get('ref')}" for member in missing[:5]))
            return self._area([(role, line) for role, line in lines if line is not None], feature)
        return self._collected(relation, feature, 0)

    def _member_line(self, member: dict[str, Any], feature: str) -> Floats | None:
        way = member if isinstance(member.get("geometry"), list) else self._ways.get(member.get("ref", 0))
        return None if way is None else self._line(way, feature)

    def _area(self, lines: list[tuple[str, Floats]], feature: str) -> bytes:
        outer = osm.rings_of([line for role, line in lines if role != "inner"])
        inner = osm.rings_of([line for role, line in lines if role == "inner"])
        polygons = osm.polygons_of(outer, inner) if outer and inner is not None else None
        if polygons is None:
            raise RowError("SY-R060", feature=feature)
        parts = [self._writer.polygon(rings) for rings in polygons]
        return parts[0] if len(parts) == 1 else self._writer.collection(wkb.MULTIPOLYGON, parts)

    def _collected(self, relation: dict[str, Any], feature: str, depth: int) -> bytes | None:
        """Return the geometry of a relation other than an area (a route, a site); members outside the extract are left out."""
        parts: list[bytes] = []
        only_lines = True
        for member in relation.get("members", []):
            number = member.get("ref")
            if member.get("type") == "way" and (line := self._member_line(member, feature)) is not None:
                parts.append(self._writer.line(line))
            elif member.get("type") == "node" and ("lon" in member or number in self._nodes):
                lon, lat = (member["lon"], member["lat"]) if "lon" in member else self._nodes[number]
                parts.append(self._writer.point(positions([[lon, lat]])))
                only_lines = False
            elif member.get("type") == "relation" and number in self._relations and depth < _MAX_PARENTS:
                part = self._collected(self._relations[number], feature, depth + 1)
                only_lines = False
                parts += [part] if part is not None else []
        if not parts:
            return None
        return self._writer.collection(wkb.MULTILINE if only_lines else wkb.COLLECTION, parts)
