"""OpenStreetMap PBF extracts, read with pyosmium: tagged nodes, ways as lines or polygons, multipolygon relations as areas."""

from __future__ import annotations

from typing import Any

import osmium
import osmium.geom
import osmium.version

from sanyu.readers import osm
from sanyu.readers.archive import Staged
from sanyu.readers.model import RAW_TEXT, RAW_TEXT_LIMIT, ReadOptions, RowError
from sanyu.readers.sink import RawSink
from schemas.messages import SanyuError


def read_osm_pbf(staged: Staged, options: ReadOptions, sink: RawSink) -> str:
    """Read all elements with tags; `feature_id` is n/w/r + id, `row_number` counts them in the file's order, area relations last.

    Relations other than areas (routes, sites) are kept with their tags and members but without geometry.
    """
    sink.encoding = "utf-8"
    sink.declared_crs = "EPSG:4326"
    reader = _Reader(sink)
    try:
        for element in osmium.FileProcessor(str(staged.path)).with_locations().with_areas():
            reader.take(element)
    except (RuntimeError, OSError, ValueError) as error:
        raise SanyuError("SY-R020", file=staged.file, format="osm_pbf", detail=str(error)[:200]) from None
    reader.finish()
    return f"pyosmium {osmium.version.pyosmium_release}"


class _Reader:
    """Turn elements into rows, and remember area relations until their area has been assembled."""

    def __init__(self, sink: RawSink) -> None:
        self._sink = sink
        self._wkb = osmium.geom.WKBFactory()
        self._row = 0
        self._areas: dict[int, dict[str, str]] = {}

    def take(self, element: Any) -> None:
        """Process the next element of the stream."""
        if element.is_area():
            if not element.from_way() and (attributes := self._areas.pop(element.orig_id(), None)) is not None:
                self._add(attributes, f"r{element.orig_id()}", lambda: self._area(element))
        elif not element.tags:
            return
        elif element.is_node():
            self._add(_attributes(element, "node"), f"n{element.id}", lambda: self._wkb.create_point(element))
        elif element.is_way():
            self._add(_attributes(element, "way"), f"w{element.id}", lambda: self._way(element))
        elif element.is_relation():
            attributes = _attributes(element, "relation")
            members = ",".join(f"{member.type}{member.ref}:{member.role}" for member in element.members)
            attributes[RAW_TEXT] = members[:RAW_TEXT_LIMIT]
            if element.tags.get("type") in osm.AREA_RELATIONS:
                self._areas[element.id] = attributes
            else:
                self._add(attributes, f"r{element.id}", lambda: None)

    def finish(self) -> None:
        """Reject the relations for which no area could be assembled."""
        for number, attributes in self._areas.items():
            self._row += 1
            name = f"r{number}"
            self._sink.add(self._row, attributes, None, name, RowError("SY-R060", feature=name))

    def _area(self, area: Any) -> str:
        try:
            return str(self._wkb.create_multipolygon(area))
        except RuntimeError:
            raise RowError("SY-R060", feature=f"r{area.orig_id()}") from None

    def _way(self, way: Any) -> str:
        missing = [f"n{node.ref}" for node in way.nodes if not node.location.valid()]
        if missing:
            raise RowError("SY-R059", feature=f"w{way.id}", missing=", ".join(missing[:5]))
        if len(way.nodes) < 2:
            raise RowError("SY-R055", detail="a line needs two positions")
        is_closed = way.is_closed() and len(way.nodes) >= 4
        if is_closed and osm.is_area({tag.k: tag.v for tag in way.tags}):
            line = bytes.fromhex(self._wkb.create_linestring(way, osmium.geom.use_nodes.ALL))
            # little-endian line string → polygon of one ring: the positions are the same
            return (b"\x01\x03\0\0\0\x01\0\0\0" + line[5:]).hex()
        return str(self._wkb.create_linestring(way, osmium.geom.use_nodes.ALL))

    def _add(self, attributes: dict[str, str], name: str, make: Any) -> None:
        self._row += 1
        try:
            made = make()
        except RowError as error:
            self._sink.add(self._row, attributes, None, name, error)
            return
        self._sink.add(self._row, attributes, None if made is None else bytes.fromhex(made), name)


def _attributes(element: Any, kind: str) -> dict[str, str]:
    attributes = {tag.k: tag.v for tag in element.tags}
    attributes |= {"@id": str(element.id), "@type": kind}
    if element.version:
        attributes["@version"] = str(element.version)
    if element.timestamp.timestamp() > 0:
        attributes["@timestamp"] = element.timestamp.strftime("%Y-%m-%dT%H:%M:%SZ")
    return attributes
