"""Hangzhou's OSM places by their other names (alt_name, old_name), without those names in the gazetteer and with them as aliases."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyproj

from sanyu.address.engine import AddressEngine
from transforms.address.model import Match, Status
from transforms.address.scoring import Measure

DATA = Path(__file__).parents[2] / "shared" / "data" / "hangzhou" / "osm-overpass"
TAGS = ("alt_name", "old_name")
NEAR_M = 300.0  # OSM has some things twice, as a point and as an outline
_GEOD = pyproj.Geod(ellps="GRS80")


class Asked(NamedTuple):
    """Another name of a place with the place's own name and point."""

    alias: str
    name: str
    entity_id: str
    lon: float
    lat: float


def places() -> tuple[pa.Table, list[Asked]]:
    """Return the named places as a gazetteer, and their other names."""
    nodes: dict[int, tuple[float, float]] = {}
    tagged: dict[tuple[str, int], dict[str, Any]] = {}
    for path in sorted(DATA.glob("*.gz")):
        with gzip.open(path) as file:
            answer = json.load(file)
        for element in answer["elements"] if isinstance(answer, dict) else ():
            if element["type"] == "node":
                nodes[element["id"]] = element["lon"], element["lat"]
            if "name" in element.get("tags", {}):
                tagged[element["type"], element["id"]] = element
    rows, asked = [], []
    for (kind, number), element in sorted(tagged.items()):
        spots = [nodes[n] for n in ([number] if kind == "node" else element.get("nodes", ())) if n in nodes]
        if not spots:
            continue
        tags, (lon, lat) = element["tags"], (sum(values) / len(values) for values in zip(*spots, strict=True))
        entity, name = f"{kind}{number}", tags["name"]
        door = {"road_name": tags.get("addr:street"), "door_number": tags.get("addr:housenumber")}
        rows.append({"entity_id": entity, "kind": "place", "name": name, "lon": lon, "lat": lat, "division_code": "330100000000"} | door)
        others = [other.strip() for tag in TAGS for other in re.split("[;；]", tags.get(tag, ""))]
        asked += [Asked(other, name, entity, lon, lat) for other in others if other and other != name]
    return pa.Table.from_pylist(rows), asked


def hangzhou() -> tuple[str, list[Measure], str]:
    """Score the other names."""
    if not DATA.exists():
        print("Hangzhou's data is not beside the project")
        return "Hangzhou", [], ""
    table, asked = places()
    aliases = pa.table({"alias": [a.alias for a in asked], "entity_id": [a.entity_id for a in asked], "kind": ["other"] * len(asked)})
    plain, known = AddressEngine.build(table), AddressEngine.build(table, aliases=aliases)
    own = [plain.match(a.name) for a in asked]
    found = [plain.match(a.alias) for a in asked]
    measures = [
        Measure(
            "Hangzhou, other names of OSM places, in the gazetteer as aliases: found", _share([known.match(a.alias) for a in asked], asked)
        ),
        Measure("… not in the gazetteer at all: found", _share(found, asked)),
        Measure("… not in the gazetteer at all: another place given as certain", sum(map(_is_other, found, asked)) / len(asked)),
        Measure("… the same places by their own names: found", _share(own, asked)),
    ]
    note = (
        f"{len(asked)} other names of {table.num_rows:,} places. Most are entirely different names for the thing, which no rule can "
        "derive: 启源小学 is 杭州市基础教育研究室附属学校. The gazetteer must list them as aliases. What can be derived is a name "
        "with a province or city omitted or added, as in 夏衍中学 and 浙江省展览馆. An alias that is not found is also the name of "
        "another place, so the answer is a tie.\n"
    )
    return "Hangzhou", measures, note


def _is_right(match: Match, asked: Asked) -> bool:
    if match.status is not Status.MATCHED or match.lon is None or match.lat is None:
        return False
    return match.entity_id == asked.entity_id or _GEOD.inv(match.lon, match.lat, asked.lon, asked.lat)[2] < NEAR_M


def _is_other(match: Match, asked: Asked) -> bool:
    return match.status is Status.MATCHED and not _is_right(match, asked)


def _share(found: list[Match], asked: list[Asked]) -> float:
    return sum(map(_is_right, found, asked)) / len(asked)
