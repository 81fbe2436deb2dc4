"""Inputs without a right answer: each with the class of what is wrong, and never with a coordinate."""

from __future__ import annotations

import json

import numpy as np

from demo.city.plan import stream
from demo.gazetteer.base import Base
from demo.gazetteer.names import sample
from demo.gazetteer.queries import refused
from demo.gazetteer.words import words

REAL = tuple(tuple(line.split()) for line in words("real_districts"))


def queries(base: Base, seed: int, count: int) -> list[dict[str, object]]:
    """Return about `count` queries of each class."""
    rng = stream(seed, "gazetteer.illegal")
    out: list[dict[str, object]] = []
    for kind, texts in (
        ("level_conflict", _conflicts(base, rng, count)),
        ("unknown_division", _unknown(rng, count)),
        ("not_address", _nonsense(rng, count)),
        ("outside_area", _outside(rng, count)),
        ("empty", ["", " ", "　", "\t\n", "，，，", "。", "  ,  ", "\u200b", "\ufeff", "( )"]),
        ("too_long", _long(base, rng, 12)),
    ):
        out += [refused(text, kind, expected_class=kind) for text in texts]
    return out + _ambiguous(base, rng, count)


def _pick(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def _road(rng: np.random.Generator) -> str:
    return f"{_pick(rng, words('roads'))}{rng.integers(1, 400)}号"


def _conflicts(base: Base, rng: np.random.Generator, count: int) -> list[str]:
    """Mix levels that don't hold each other: province and city, city and district, district and township, township and community."""
    texts = ["浙江省南京市西湖区"]
    divisions = base.table[base.table["kind"] == "division"]
    towns = divisions[divisions["township_name"].notna() & divisions["community_name"].isna()]
    units = divisions[divisions["community_name"].notna()]
    districts = sorted(set(divisions["district_name"].dropna()))
    while len(texts) < count:
        a, b = REAL[int(rng.integers(len(REAL)))], REAL[int(rng.integers(len(REAL)))]
        town = next(towns.sample(1, random_state=int(rng.integers(2**31))).itertuples())
        unit = next(units.sample(1, random_state=int(rng.integers(2**31))).itertuples())
        style = int(rng.integers(0, 5))
        other = districts[int(rng.integers(len(districts)))]
        if style == 0 and a[0] != b[0]:
            texts.append(f"{a[0]}{b[1]}{b[2]}{_road(rng)}")
        elif style == 1 and a[1] not in (a[0], b[1]) and b[2] not in words("districts_of_many_cities"):
            texts.append(f"{a[1]}{b[2]}{_road(rng)}")
        elif style == 2 and other != town.district_name:
            texts.append(f"{town.city_name}{other}{town.township_name}{_road(rng)}")
        elif style == 3 and unit.township_name != town.township_name:
            texts.append(f"{town.district_name}{town.township_name}{unit.community_name}{_road(rng)}")
        elif style == 4:
            texts.append(f"{a[0]}临海新城{town.district_name}{town.township_name}")
    return list(dict.fromkeys(texts))


def _unknown(rng: np.random.Generator, count: int) -> list[str]:
    styles, invented = words("unknown_division_templates"), words("invented_divisions")
    texts: dict[str, None] = {}
    while len(texts) < count:
        a, b = rng.choice(len(invented), 2, replace=False)
        texts[_pick(rng, styles).format(invented[a], _road(rng), invented[b])] = None
    return list(texts)


def _nonsense(rng: np.random.Generator, count: int) -> list[str]:
    texts = dict.fromkeys(words("talk"))
    while len(texts) < count:
        texts[
            _pick(rng, words("no_address_templates")).format(int(rng.integers(1, 28)) if rng.random() < 0.1 else int(rng.integers(10_000)))
        ] = None
    return list(texts)


def _outside(rng: np.random.Generator, count: int) -> list[str]:
    texts: dict[str, None] = {}
    while len(texts) < count:
        province, city, district = REAL[int(rng.integers(len(REAL)))]
        head = city if province == city else _pick(rng, (province + city, city))
        texts[f"{head}{district}{_road(rng)}"] = None
    return list(texts)


def _long(base: Base, rng: np.random.Generator, count: int) -> list[str]:
    part = base.table[base.table["kind"] == "door"]
    return [(str(row.address_text) * 1000)[:10_000] for row in sample(part, count, rng).itertuples()]


def _ambiguous(base: Base, rng: np.random.Generator, count: int) -> list[dict[str, object]]:
    """Ask for a chain without its branch, for a building of no estate, for doors of lanes that two districts have."""
    table = base.table
    out: list[dict[str, object]] = []
    districts = ("", *sorted(set(table["district_name"].dropna())))
    for brand in words("chains"):
        hits = table[table["name"].fillna("").str.startswith(f"{brand}（")]
        for district in districts:
            ids = hits.loc[(hits["district_name"] == district) | (district == ""), "entity_id"]
            if len(ids) > 1:
                out.append(_tied(f"{district}{brand}", list(ids)))
    doors = table[(table["kind"] == "door")]
    twins = doors[doors.duplicated(["road_name", "door_number"], keep=False)]
    for (road, door), group in twins.groupby(["road_name", "door_number"]):
        if group["district_name"].nunique() == len(group):
            out += [_tied(f"{before}{road}{door}", list(group["entity_id"])) for before in ("", "临海新城", "东海省临海新城")]
    roads = table[table["kind"] == "road"]
    for road, group in roads[roads.duplicated("road_name", keep=False)].groupby("road_name"):
        out += [_tied(f"{before}{road}", list(group["entity_id"])) for before in ("", "临海新城")]
    return [out[i] for i in rng.permutation(len(out))[:count]]


def _tied(text: str, ids: list[str]) -> dict[str, object]:
    return refused(text, "ambiguous", "T", expected_class="ambiguous", fields=None, pieces=json.dumps({"candidates": ids[:50]}))
