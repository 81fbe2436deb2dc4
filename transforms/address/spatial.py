"""Places given relative to others: crossings of two roads, distances from a place, doors between known doors."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import shapely

from transforms.address.answer import refusal
from transforms.address.crossings import CrossingText, crossing_points, crossing_readings
from transforms.address.divisions import Reading
from transforms.address.interpolation import interpolate_door
from transforms.address.matcher import Matcher
from transforms.address.model import Match, Reason, Status
from transforms.address.numbers import number_code
from transforms.address.offsets import find_offset, moved
from transforms.address.outcome import Found, Outcome
from transforms.address.text import is_mostly_latin, key_of

_MAY_OFFSET = re.compile(
    "[东南西北](?:方向|侧|面|边|部|方|[^路街]{0,5}(?:米|里|[mM]))|以[东南西北]|(?i:(?:north|south|east|west)\\s+of\\s)"
)
_MAY_CROSS = re.compile("[口处角交叉/×@&＆]")
_HASHED = 1 << 40  # codes from here on are not plain numbers


def by_offset(text: str, anchor_of: Callable[[str], Match]) -> Match | None:
    """Return the match of a text such as 人民医院北侧100米, None if it has no offset or its anchor has no point.

    `anchor_of` matches the anchor. The standard text is the anchor's followed by direction and distance, and the reason `offset` has
    both, because the anchor's own address is not the place. Without a distance, the answer is the anchor's point with precision `area`.
    """
    told = find_offset(text) if _MAY_OFFSET.search(text) else None
    if told is None:
        return None
    anchor = anchor_of(told.anchor)
    if anchor.status is not Status.MATCHED or anchor.lon is None or anchor.lat is None:
        return replace(anchor, query=text) if anchor.status is not Status.MATCHED else None
    lon, lat = moved(anchor.lon, anchor.lat, told.azimuth_deg, told.distance_m or 0.0)
    name = anchor.standard or told.anchor
    standard = told.standard(name, is_latin=is_mostly_latin(name))
    return replace(
        anchor,
        query=text,
        score=max(anchor.score - 10.0, 1.0),
        standard=standard,
        precision="offset" if told.distance_m is not None else "area",
        lon=lon,
        lat=lat,
        geom=None,
        grid_code=None,
        entity_id=None,
        reasons=(*anchor.reasons, Reason("offset", "offset", standard.replace(name, "").strip() or None, name, 1.0)),
    )


def by_crossing(matcher: Matcher, text: str) -> Match | None:
    """Return the match of a text such as 解放路与中山路交叉口, None if it names fewer than two roads. SY-A052: roads that do not cross."""
    if not _MAY_CROSS.search(text):
        return None
    refused: Match | None = None
    for told in crossing_readings(text):
        met = _crossing(matcher, text, told)
        if met is not None and met.status is Status.MATCHED:
            return met
        refused = refused or met
    return refused


def _crossing(matcher: Matcher, text: str, told: CrossingText) -> Match | None:
    first, reading, name = _lines(matcher, told.first, None)
    second, _, other = _lines(matcher, told.second, reading)
    if not len(first) or not len(second):
        return refusal(text, "SY-A017", value=told.first if not len(first) else told.second)
    points = crossing_points(shapely.union_all(first), shapely.union_all(second))
    if not len(points):
        return refusal(text, "SY-A052", value=text, first=told.first, second=told.second, parent=told.first)
    if len(points) > 1:
        return refusal(text, "SY-A016", value=text, count=len(points))
    division = matcher.table.settle(reading, matcher.home)
    lon, lat = (float(v) for v in points[0])
    return Match(
        text,
        Status.MATCHED,
        95.0,
        standard=f"{name}与{other}交叉口",
        division_code=matcher.table.codes[division] if division is not None else None,
        precision="crossing",
        lon=lon,
        lat=lat,
        reasons=(Reason("road", "same", told.first, name, 1.0), Reason("road", "same", told.second, other, 1.0)),
    )


def _lines(matcher: Matcher, text: str, within: Reading | None) -> tuple[Any, Reading, str]:
    """Return the lines of the road named by a text, the divisions before it, and the road's name."""
    key = key_of(text)
    catalog = matcher.catalog
    for faulty in (False, True):
        asked = matcher.ask(key, faulty=faulty)
        reading = asked.reading if asked.reading.candidates or within is None else within
        roads = [n for p in asked.named for n, _ in p.names[:1] if p.end == len(key) and catalog.names[n].level == "road"]
        if not roads:
            continue
        name = catalog.names[roads[-1]]
        scope = set(matcher.scope(reading.candidates, None))
        found = []
        for shard, (_, rows) in name.where.items():
            if shard in scope:
                found += _line_geometries(matcher, shard, rows)
        return np.array(found, dtype=object), reading, name.text
    return np.zeros(0, dtype=object), asked.reading, ""


def _line_geometries(matcher: Matcher, number: int, rows: Any) -> list[Any]:
    shard = matcher.catalog.shards[number]
    plain = rows[(shard.ids["place"][rows] < 0) & (shard.numbers["door"][rows] == 0)]
    geoms = [shapely.from_wkb(geom) for row in plain.tolist() if (geom := shard.cell("geom", row)) is not None]
    return [geom for geom in geoms if shapely.get_dimensions(geom) == 1]


def by_interpolation(matcher: Matcher, text: str, found: Found) -> Match | None:
    """Return the location of a door missing from the gazetteer, between its neighbours on the same side, flagged `interpolated`."""
    failed = found.failed
    if failed is None or failed.missing is None or failed.missing[0] != "door" or failed.level != "road":
        return None
    if not failed.missing[1].isdigit() or len(found.asked.numbers) > 1:
        return None
    shard = matcher.catalog.shards[failed.shard]
    rows, codes = failed.rows, shard.numbers["door"][failed.rows]
    rows = rows[(codes > 0) & (codes < _HASHED) & (shard.ids["place"][rows] < 0) & (shard.numbers["building"][rows] == 0)]
    if len(rows) < 2:
        return None
    columns = shard.columns
    lon, lat = (columns[name].take(rows).to_numpy(zero_copy_only=False) for name in ("lon", "lat"))
    numbers = shard.numbers["door"][rows] - 1
    line = _road_line(matcher, failed)
    placed = interpolate_door(number_code(failed.missing[1]) - 1, numbers, lon, lat, line)
    if placed is None:
        return None
    low = int(rows[int(np.flatnonzero(numbers == placed.low)[0])])
    neighbour = str(shard.cell("standard", low) or "")
    return Match(
        text,
        Status.MATCHED,
        60.0,
        standard=neighbour.replace(f"{placed.low}号", f"{failed.missing[1]}号") or None,
        division_code=shard.cell("division_code", low),
        precision="interpolated",
        lon=placed.lon,
        lat=placed.lat,
        reasons=(Reason("door", "interpolated", failed.missing[1], f"{placed.low}–{placed.high}", 0.6),),
    )


def _road_line(matcher: Matcher, failed: Outcome) -> Any:
    names = matcher.catalog.names
    roads = [number for _, number, _ in failed.names if names[number].level == "road"]
    found = [
        geom for number in roads for shard, (_, rows) in names[number].where.items() for geom in _line_geometries(matcher, shard, rows)
    ]
    return shapely.union_all(np.array(found, dtype=object)) if found else None
