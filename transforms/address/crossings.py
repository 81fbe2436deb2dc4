"""Crossings of two roads: found in a text (解放路与中山路交叉口), and computed from the roads' lines."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

_CLASS = "高架|大道|路|街|道|巷|弄|里|线|桥"
_JOIN = re.compile(r"\s*(?:——|与|和|跟|及|到|至|同|/|、|×|[xX]|@|&|＆|-|—)\s*")
_TAIL = re.compile(
    r"\s*的?(?:交叉路口|十字路口|丁字路口|三岔路口|交叉口|交叉处|交汇处|交汇口|交界处|相交处|转角|交口|路口|口|交叉)(?:处|附近|旁)?\s*$"
)
_MARKS = re.compile("[/×@&＆]")
_MARK_BREAK = re.compile("[，,。；;]")
_ENGLISH = re.compile(r"^(?P<a>.+?)\s+(?:and|&|at|@|/)\s+(?P<b>.+)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CrossingText:
    """Two roads in a text, `first` and `second` as written; `start` and `end` are the offsets of the whole expression."""

    first: str
    second: str
    start: int
    end: int


def crossing_readings(text: str) -> list[CrossingText]:
    """Return the possible readings of a Chinese text as the crossing of two roads, most likely first; None if it names none.

    Divisions before the first road belong to it: 西湖区解放路与中山路交叉口 gives 西湖区解放路 and 中山路. A joining character may
    be part of a name (和平路, 兴亭弄和湖中路路口), so each place where a road can end is a reading; the caller knows the roads and decides.
    """
    tail = _TAIL.search(text)
    if not tail and not _MARKS.search(text):
        return []
    stop = tail.start() if tail else len(text.rstrip())
    # 中山路口 takes 路 from the name: if the road's own type precedes 口, only 口 is the tail.
    if tail and tail[0].strip().startswith("路口") and not re.search(f"(?:{_CLASS})$", text[:stop]):
        stop += len(tail[0]) - len(tail[0].lstrip()) + 1
    begin = max((m.end() for m in _MARK_BREAK.finditer(text, 0, stop)), default=0)
    readings = []
    for join in _JOIN.finditer(text, begin, stop):
        if _is_road(text[begin : join.start()]) and _is_road(text[join.end() : stop]):
            readings.append(CrossingText(text[begin : join.start()], text[join.end() : stop], begin, len(text)))
    if tail:
        for end in (m.end() for m in re.finditer(_CLASS, text[:stop])):
            if begin < end < stop and _is_road(text[begin:end]) and _is_road(text[end:stop]) and not _JOIN.match(text[end]):
                readings.append(CrossingText(text[begin:end], text[end:stop], begin, len(text)))
        # A road whose name begins with a joining character follows the first directly.
        readings += [
            CrossingText(r.first, text[begin + len(r.first) : stop], begin, len(text))
            for r in readings
            if text[begin + len(r.first)] in "和同及"
        ]
    return readings


def _is_road(text: str) -> bool:
    return bool(re.search(f".(?:{_CLASS})$", text))


def find_crossing(text: str) -> CrossingText | None:
    """Return the most likely of `crossing_readings`, None where there is none."""
    readings = crossing_readings(text)
    return readings[0] if readings else None


def find_crossing_latin(text: str) -> CrossingText | None:
    """Return the crossing named by an English text: `A St and B St`, `A & B`, `A at B`, `A / B`."""
    found = _ENGLISH.match(text.strip())
    if not found or re.match(r"\d+\s+\w", found["a"]):
        return None
    return CrossingText(found["a"], found["b"], 0, len(text))


def crossing_points(first: Any, second: Any, *, snap_m: float = 25.0, merge_m: float = 80.0) -> npt.NDArray[np.float64]:
    """Return where two roads cross, shape (n, 2): lon, lat in degrees; empty where they don't.

    `first` and `second` are lines in degrees (shapely). Roads up to `snap_m` apart are treated as meeting; meeting points
    within `merge_m` of one another (dual carriageways, roundabouts) are merged into one crossing in the middle. Distances on a local plane
    (GRS 80).
    """
    scale = metres_per_degree(float(shapely.bounds(first)[1] + shapely.bounds(first)[3]) / 2)
    a, b = (shapely.transform(line, lambda xy: xy * scale) for line in (first, second))
    shared = shapely.intersection(a, b)
    if shapely.is_empty(shared):
        if shapely.distance(a, b) > snap_m:
            return np.empty((0, 2))
        shared = shapely.line_interpolate_point(shapely.shortest_line(a, b), 0.5, normalized=True)
    spots = shapely.get_coordinates(shapely.point_on_surface(shapely.get_parts(shared)))
    merged = shapely.get_parts(shapely.union_all(shapely.buffer(shapely.points(spots), merge_m / 2)))
    held = shapely.STRtree(merged).query(shapely.points(spots), predicate="intersects")[1]
    centres = np.array([spots[held == k].mean(axis=0) for k in np.unique(held)])
    return np.asarray(centres / scale)


def metres_per_degree(lat: float) -> npt.NDArray[np.float64]:
    """Return metres per degree of longitude and of latitude at a latitude."""
    ellipsoid = pyproj.Geod(ellps="GRS80")
    sine = np.sin(np.radians(lat))
    root = 1 - ellipsoid.es * sine**2
    prime, meridian = ellipsoid.a / np.sqrt(root), ellipsoid.a * (1 - ellipsoid.es) / root**1.5
    return np.asarray(np.radians([prime * np.cos(np.radians(lat)), meridian]), dtype=np.float64)
