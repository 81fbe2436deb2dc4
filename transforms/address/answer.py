"""Turns the matcher's verdict into the user's answer: standard text, code, point, grid code, and a reason per element."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from schemas.messages import catalogue
from transforms.address.catalog import ENTITY
from transforms.address.divisions import LEVEL_NAMES
from transforms.address.matcher import Matcher
from transforms.address.model import LEVELS, Match, Reason, Status
from transforms.address.outcome import Found, Outcome
from transforms.space import beidou

GRID_LEVEL = 9  # 1/256 second and 8 cm would suggest false precision: level 8 is 4 m at the equator, 9 is 0.5 m

_DEPTH = {level: depth for depth, level in enumerate(LEVELS)}
Elements = dict[str, str | None]


def answer(matcher: Matcher, query: str, found: Found, near: tuple[float, float] | None = None, limit: int = 5) -> Match:
    """Return the match of a verdict, without the grid code yet; `near` (lon, lat in degrees) chooses between equals, `limit` limits the
    candidates."""
    outcomes = found.outcomes
    if found.code == "SY-A016" and near is not None:
        outcomes = [_nearest(matcher, outcomes, near)]
        found = Found(found.asked, outcomes, None, {}, found.division)
    if found.code is not None:
        return _refused(matcher, query, found, limit)
    if not outcomes:
        return _division_only(matcher, query, found)
    return _matched(matcher, query, found, outcomes[0])


def refusal(query: str, code: str, candidates: tuple[Match, ...] = (), **params: Any) -> Match:
    """Return an answer without a location: tied for SY-A016, else unmatched."""
    message = catalogue()[code]
    status = Status.TIED if code == "SY-A016" else Status.UNMATCHED
    return Match(
        query,
        status,
        0.0,
        code=code,
        message=message.en.format(**params),
        message_zh=message.zh.format(**params),
        reasons=(Reason(str(params.get("level", "")), code, str(params["value"]) if "value" in params else None, None, 0.0),),
        candidates=candidates,
    )


def _refused(matcher: Matcher, query: str, found: Found, limit: int) -> Match:
    candidates = tuple(_without_place(_matched(matcher, query, found, o)) for o in found.outcomes[:limit])
    params = {"length": 0, "limit": 0, "value": "", "parent": "", "count": 0} | found.params
    refused = refusal(query, str(found.code), candidates, **params)
    code = matcher.table.codes[found.division] if found.division is not None else None
    return _with(refused, division_code=code)


def _division_only(matcher: Matcher, query: str, found: Found) -> Match:
    if found.division is None:
        return refusal(query, "SY-A012", value=query)
    table = matcher.table
    level = LEVEL_NAMES[table.levels[found.division]]
    reasons = tuple(
        Reason(name, "same", found.asked.key[hit.start : hit.end], table.names[hit.division], 1.0)
        for hit in found.asked.reading.hits
        for name in (LEVEL_NAMES[table.levels[hit.division]],)
    )
    return Match(query, Status.MATCHED, 100.0, table.full_name(found.division), table.codes[found.division], level, reasons=reasons)


def _matched(matcher: Matcher, query: str, found: Found, outcome: Outcome) -> Match:
    shard = matcher.catalog.shards[outcome.shard]
    row = int(outcome.rows[0])
    elements = shard.elements(row)
    lon, lat = shard.cell("lon", row), shard.cell("lat", row)
    derived = outcome.extra > 0
    geom = None if derived else shard.cell("geom", row)
    reasons = _reasons(matcher, found, outcome, elements)
    rest = sum(len(part) for part in found.asked.rest)
    score = 100.0 - 25.0 * min(outcome.cost, 2.0) - 3.0 * min(rest, 10) - 4.0 * len(outcome.coarser) - (3.0 if derived else 0.0)
    return Match(
        query,
        Status.MATCHED,
        round(max(score, 1.0), 1),
        standard=_standard(shard.cell("standard", row), elements, outcome),
        division_code=shard.cell("division_code", row),
        precision=_precision(elements, outcome),
        lon=lon,
        lat=lat,
        geom=geom,
        entity_id=None if derived else shard.cell("entity_id", row),
        reasons=reasons,
    )


def with_grid_codes(matches: list[Match]) -> list[Match]:
    """Add the BeiDou grid codes of their points, encoded at once, to newly made matches, and return them."""
    placed = [i for i, m in enumerate(matches) if m.lon is not None and m.lat is not None and math.isfinite(m.lon) and math.isfinite(m.lat)]
    if not placed:
        return matches
    points = np.array([(matches[i].lon, matches[i].lat) for i in placed], dtype=np.float64)
    codes = beidou.encode(points[:, 0], points[:, 1], GRID_LEVEL)
    for i, code in zip(placed, codes.tolist(), strict=True):
        object.__setattr__(matches[i], "grid_code", code)  # modified in place: copying each would cost as much as its match
    return matches


def _precision(elements: Elements, outcome: Outcome) -> str:
    if outcome.level == "door" and elements["place"] and outcome.extra == 0:
        return "place"
    if outcome.level is not None:
        return outcome.level
    return next((level for level in reversed(LEVELS) if elements[level]), "area")


def _standard(text: str | None, elements: Elements, outcome: Outcome) -> str:
    if text and outcome.extra == 0:
        return text
    depth = LEVELS.index(outcome.level) if outcome.level in LEVELS else len(LEVELS)
    return "".join(value for level in LEVELS[: depth + 1] if (value := elements[level]))


def _reasons(matcher: Matcher, found: Found, outcome: Outcome, elements: Elements) -> tuple[Reason, ...]:
    catalog, asked = matcher.catalog, found.asked
    out: list[Reason] = []
    told: set[str] = set()
    for hit in asked.reading.hits:
        level = LEVEL_NAMES[matcher.table.levels[hit.division]]
        code = ("same", "alias", "alias")[hit.kind]
        out.append(Reason(level, code, asked.key[hit.start : hit.end], matcher.table.names[hit.division], 1.0))
        told.add(level)
    for piece, number, cost in outcome.names:
        name = catalog.names[number]
        text = asked.key[piece.start : piece.end]
        level = "place" if name.level == ENTITY else name.level
        code = "alias" if (text, number) in catalog.alias_of else "same" if text == name.key else "mended"
        out.append(Reason(level, code, text, name.text, round(1.0 - min(cost, 1.0), 2)))
        told.add(level)
    if asked.unknown:
        out.append(Reason("place", "SY-A017", asked.unknown, None, 0.0))
    for level, given in asked.numbers.items():
        known = level not in outcome.coarser
        value = elements[level] if known else None
        out.append(Reason(level, "same" if known else "SY-A018", given.value, value, 1.0 if known else 0.0))
        told.add(level)
    out += [Reason(level, "filled", None, value, 1.0) for level, value in elements.items() if value and level not in told]
    return tuple(sorted(out, key=_depth))


def _depth(reason: Reason) -> int:
    return _DEPTH.get(reason.level, 0)


def _nearest(matcher: Matcher, outcomes: list[Outcome], near: tuple[float, float]) -> Outcome:
    def distance(o: Outcome) -> float:
        shard = matcher.catalog.shards[o.shard]
        lon, lat = shard.cell("lon", int(o.rows[0])), shard.cell("lat", int(o.rows[0]))
        if lon is None or lat is None:
            return math.inf
        return math.hypot((lon - near[0]) * math.cos(math.radians(near[1])), lat - near[1])

    return min(outcomes, key=distance)


def _without_place(match: Match) -> Match:
    return _with(match, lon=None, lat=None, geom=None, grid_code=None)


def _with(match: Match, **changes: Any) -> Match:
    return replace(match, **changes)
