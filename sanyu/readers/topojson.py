"""TopoJSON 1.0: geometries as references to shared, often quantised arcs (github.com/topojson/topojson-specification, 2.1).

Decoded here instead of with GDAL, so that a collapsed ring rejects one row with its reason, and numbers keep their text.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from sanyu.readers import geometry as wkb
from sanyu.readers import jsontext
from sanyu.readers.archive import Staged
from sanyu.readers.geometry import Floats, positions
from sanyu.readers.model import RAW_TEXT, RAW_TEXT_LIMIT, ReadOptions, RowError
from sanyu.readers.sink import RawSink
from schemas.messages import SanyuError


def read_topojson(staged: Staged, options: ReadOptions, sink: RawSink) -> str:
    """Read one object of a topology, named by `layer` if there are several; each geometry of a collection is a row. No CRS is declared."""
    topology = jsontext.load(staged.path, options, sink)
    objects = topology.get("objects") if isinstance(topology, dict) else None
    if not isinstance(objects, dict) or not isinstance(topology.get("arcs"), list):
        raise SanyuError("SY-R023", file=staged.file, format="topojson", detail="it has no `objects` and `arcs`")
    chosen = _choose(objects, staged)
    features = chosen.get("geometries") if chosen.get("type") == "GeometryCollection" else [chosen]
    arcs = Arcs(topology, sink.writer)
    for row, feature in enumerate(features if isinstance(features, list) else [], start=1):
        _add(feature, row, arcs, sink, options)
    return "sanyu TopoJSON 1.0"


def _choose(objects: dict[str, Any], staged: Staged) -> dict[str, Any]:
    choices = ", ".join(objects)
    if staged.layer is not None and staged.layer not in objects:
        raise SanyuError("SY-R015", file=staged.file, layer=staged.layer, choices=choices)
    if staged.layer is None and len(objects) > 1:
        raise SanyuError("SY-R014", file=staged.file, choices=choices)
    chosen = objects[staged.layer] if staged.layer is not None else next(iter(objects.values()), None)
    if not isinstance(chosen, dict):
        raise SanyuError("SY-R023", file=staged.file, format="topojson", detail="it has no object")
    return chosen


def _add(feature: Any, row: int, arcs: Arcs, sink: RawSink, options: ReadOptions) -> None:
    if not isinstance(feature, dict):
        sink.add(row, {RAW_TEXT: jsontext.exact(feature)[:RAW_TEXT_LIMIT]}, error=RowError("SY-R058", detail="it is not an object"))
        return
    properties = feature.get("properties")
    attributes = jsontext.attributes_of(properties) if isinstance(properties, dict) else {}
    identity = jsontext.attribute_text(feature.get("id"))
    try:
        sink.add(row, attributes, arcs.geometry(feature, options.limits.max_wkb_depth), identity)
    except RowError as error:
        sink.add(row, {**attributes, RAW_TEXT: arcs.text(feature)[:RAW_TEXT_LIMIT]}, None, identity, error)


class Arcs:
    """The arcs of a topology in coordinates, and the geometries built from them."""

    def __init__(self, topology: dict[str, Any], writer: wkb.WkbWriter) -> None:
        transform = topology.get("transform")
        self._scale: Floats | None = None
        self._translate: Floats = np.zeros(2)
        if isinstance(transform, dict):
            self._scale = np.asarray(transform["scale"], dtype=np.float64)
            self._translate = np.asarray(transform["translate"], dtype=np.float64)
        self._raw: list[Any] = topology["arcs"]
        self._decoded: dict[int, Floats] = {}
        self._writer = writer

    def _arc(self, reference: Any) -> Floats:
        if not isinstance(reference, int):
            raise RowError("SY-R055", detail=f"arc {str(reference)[:40]!r}")
        index = ~reference if reference < 0 else reference
        if index not in self._decoded:
            if index >= len(self._raw):
                raise RowError("SY-R055", detail=f"arc {reference} does not exist")
            arc = positions(self._raw[index])[:, :2]
            self._decoded[index] = arc if self._scale is None else np.cumsum(arc, axis=0) * self._scale + self._translate
        arc = self._decoded[index]
        return arc[::-1] if reference < 0 else arc

    def _line(self, references: Any) -> Floats:
        if not isinstance(references, list):
            raise RowError("SY-R055", detail="arcs are not a list")
        parts = [self._arc(reference) for reference in references]
        return np.vstack([part if i == 0 else part[1:] for i, part in enumerate(parts)]) if parts else np.empty((0, 2))

    def _position(self, position: Any) -> Floats:
        array = positions([position])[:, :2]
        return array if self._scale is None else array * self._scale + self._translate

    def geometry(self, feature: dict[str, Any], max_depth: int) -> bytes | None:
        """Return the WKB of a TopoJSON geometry object; RowError if it is broken."""
        if max_depth < 0:
            raise RowError("SY-R056", limit=max_depth)
        kind = feature.get("type")
        arcs: Any = feature.get("arcs", [])
        points: Any = feature.get("coordinates", [])
        if not isinstance(arcs, list) or not isinstance(points, list):
            raise RowError("SY-R055", detail="arcs or coordinates are not a list")
        write = self._writer
        match kind:
            case None:
                return None
            case "Point":
                return write.point(self._position(points))
            case "MultiPoint":
                return write.collection(wkb.MULTIPOINT, [write.point(self._position(point)) for point in points])
            case "LineString":
                return write.line(self._line(arcs))
            case "MultiLineString":
                return write.collection(wkb.MULTILINE, [write.line(self._line(line)) for line in arcs])
            case "Polygon":
                return write.polygon(map(self._line, arcs))
            case "MultiPolygon":
                return write.collection(wkb.MULTIPOLYGON, [write.polygon(map(self._line, rings)) for rings in arcs])
            case "GeometryCollection":
                members = [part for item in feature.get("geometries", []) if (part := self.geometry(item, max_depth - 1)) is not None]
                return write.collection(wkb.COLLECTION, members)
            case _:
                raise RowError("SY-R055", detail=f"geometry type {str(kind)[:40]!r}")

    def text(self, feature: dict[str, Any]) -> str:
        """Return the feature's text with the arcs of its outermost rings."""
        references: list[int] = []
        pending: list[Any] = [feature.get("arcs", [])]
        while pending and len(references) < 100:
            item = pending.pop()
            if isinstance(item, list):
                pending.extend(reversed(item))
            elif isinstance(item, int):
                references.append(~item if item < 0 else item)
        used = {str(index): self._raw[index] for index in references if index < len(self._raw)}
        return jsontext.exact({**feature, "@arcs": used})
