"""Semantics of OpenStreetMap elements: when a closed way is an area, and how member ways become rings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import shapely

from sanyu.readers.geometry import Floats

# wiki.openstreetmap.org/wiki/Overpass_turbo/Polygon_Features: None = any value, a set after "only" or "not"
_ANY: tuple[str, frozenset[str]] = ("not", frozenset())
_AREA_RULES: dict[str, tuple[str, frozenset[str]]] = {
    "building": _ANY,
    "building:part": _ANY,
    "landuse": _ANY,
    "amenity": _ANY,
    "leisure": ("not", frozenset({"track", "slipway"})),
    "shop": _ANY,
    "tourism": _ANY,
    "historic": _ANY,
    "public_transport": _ANY,
    "office": _ANY,
    "military": _ANY,
    "ruins": _ANY,
    "area:highway": _ANY,
    "craft": _ANY,
    "golf": _ANY,
    "healthcare": _ANY,
    "boundary": _ANY,
    "place": _ANY,
    "indoor": _ANY,
    "natural": ("not", frozenset({"coastline", "cliff", "ridge", "arete", "tree_row"})),
    "man_made": ("not", frozenset({"cutline", "embankment", "pipeline"})),
    "aeroway": ("not", frozenset({"taxiway"})),
    "waterway": ("only", frozenset({"riverbank", "dock", "boatyard", "dam"})),
    "power": ("only", frozenset({"plant", "substation", "generator", "transformer"})),
    "highway": ("only", frozenset({"services", "rest_area", "escape", "elevator"})),
    "railway": ("only", frozenset({"station", "turntable", "roundhouse", "platform"})),
    "barrier": ("only", frozenset({"city_wall", "ditch", "hedge", "retaining_wall", "wall", "spikes"})),
}
AREA_RELATIONS = frozenset({"multipolygon", "boundary"})


def is_area(tags: Mapping[str, str]) -> bool:
    """Return whether a closed way with these tags is a polygon; `area=yes|no` takes precedence."""
    if (stated := tags.get("area")) is not None and stated in ("yes", "no"):
        return stated == "yes"
    for key, (mode, values) in _AREA_RULES.items():
        value = tags.get(key)
        if value is not None and value != "no" and (value in values) == (mode == "only"):
            return True
    return False


def rings_of(lines: Sequence[Floats]) -> list[Floats] | None:
    """Join lines end to end into closed rings; None if a line is left over.

    Lines are joined at their end points (exact coordinates); where more than two ends meet, the first unused line is taken.
    """
    rings: list[Floats] = []
    ends: dict[tuple[float, float], list[int]] = {}
    for index, line in enumerate(lines):
        if len(line) < 2:
            return None
        for end in (line[0], line[-1]):
            ends.setdefault((float(end[0]), float(end[1])), []).append(index)
    unused = set(range(len(lines)))
    while unused:
        first = min(unused)
        unused.discard(first)
        parts = [lines[first]]
        start = (float(lines[first][0][0]), float(lines[first][0][1]))
        at = (float(lines[first][-1][0]), float(lines[first][-1][1]))
        while at != start:
            following = next((index for index in ends[at] if index in unused), None)
            if following is None:
                return None
            unused.discard(following)
            line = lines[following]
            if (float(line[0][0]), float(line[0][1])) != at:
                line = line[::-1]
            parts.append(line[1:])
            at = (float(line[-1][0]), float(line[-1][1]))
        rings.append(np.vstack(parts))
    return rings if all(len(ring) >= 4 for ring in rings) else None


def polygons_of(outer: Sequence[Floats], inner: Sequence[Floats]) -> list[list[Floats]] | None:
    """Assign each inner ring to the smallest outer ring around it; None if one lies in none."""
    shells = shapely.polygons([shapely.linearrings(ring) for ring in outer])
    areas = shapely.area(shells)
    polygons = [[ring] for ring in outer]
    for ring in inner:
        inside = shapely.polygons(shapely.linearrings(ring))
        around = np.flatnonzero(shapely.covers(shells, shapely.point_on_surface(inside)) & (areas >= shapely.area(inside)))
        if len(around) == 0:
            return None
        polygons[int(around[np.argmin(areas[around])])].append(ring)
    return polygons
