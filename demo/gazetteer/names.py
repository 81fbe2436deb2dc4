"""Other names in the demo city: what estates, schools, offices and roads are called besides their standard name."""

from __future__ import annotations

import datetime as dt
import re

import numpy as np
import pandas as pd
from pypinyin import lazy_pinyin

from demo.city.plan import stream
from demo.gazetteer.base import COUNTY, OFFICES, REFORM_ON, Base
from demo.gazetteer.words import dishes, words

_ESTATE_ENGLISH = {"花园": "Garden", "苑": "Court", "新村": "New Village", "家园": "Homes", "府": "Mansion", "湾": "Bay", "里": "Lane",
                   "华庭": "Palace", "名城": "City", "小区": "Residence", "公寓": "Apartments", "景苑": "View"}  # fmt: skip
_ESTATE_TAIL = re.compile("(花园|新村|家园|华庭|名城|小区|公寓|景苑|苑|府|湾|里)$")
_SCHOOL = re.compile("^(.+区)第(.+)(小学|幼儿园)$")


def aliases(base: Base, seed: int) -> pd.DataFrame:
    """Return alias, entity_id, kind (short, former, english), valid_from_on, valid_to_on.

    No alias stands for two things or is a name itself.
    """
    rng = stream(seed, "gazetteer.aliases")
    rows: list[tuple[str, str, str, dt.date | None, dt.date | None]] = []
    table = base.table
    estates = table[table["kind"] == "estate"]
    for entity, name in zip(estates["entity_id"], estates["name"], strict=True):
        found = _ESTATE_TAIL.search(name)
        stem, tail = name[: found.start()] if found else name, found[0] if found else ""
        rows.append((f"{_pinyin(stem)} {_ESTATE_ENGLISH.get(tail, 'Court')}", entity, "english", None, None))
        if rng.random() < 0.5:
            old = f"{stem}{rng.choice(['厂宿舍', '工房', '农场', '大院'])}"
            rows.append((old, entity, "former", None, dt.date(int(rng.integers(1998, 2015)), 7, 1)))
    places = table[table["kind"] == "place"]
    for entity, name in zip(places["entity_id"], places["name"], strict=True):
        school = _SCHOOL.match(name)
        if school and len(school[2]) <= 2:
            kind = {"小学": ("小", "Primary School"), "幼儿园": ("幼", "Kindergarten")}[school[3]]
            rows.append((f"{school[1][:-1]}{school[2]}{kind[0]}", entity, "short", None, None))
        for office, short, former, english in OFFICES:
            if name.endswith(f"区{office}") and entity.startswith("JG"):
                district = name[: -len(office)]
                rows.append((f"{district[:-1]}{short}", entity, "short", None, None))
                rows.append((english.format(_pinyin(district[:-1])), entity, "english", None, None))
                if former:
                    rows.append((f"{district}{former}", entity, "former", None, dt.date(2018, 11, 1)))
    frame = pd.DataFrame(rows, columns=["alias", "entity_id", "kind", "valid_from_on", "valid_to_on"])
    taken = set(table["name"].dropna())
    return frame[~frame["alias"].duplicated(keep=False) & ~frame["alias"].isin(taken)].reset_index(drop=True)


def element_aliases(base: Base, seed: int) -> pd.DataFrame:
    """Return element, level, alias, kind (former, dish), valid_from_on, valid_to_on.

    A restaurant's dish stands for its name wherever the name stands; a road's former name for the road with its section.
    """
    rng = stream(seed, "gazetteer.elements")
    rows: list[tuple[str, str, str, str, dt.date | None, dt.date | None]] = []
    roads = sorted({re.sub("[东西南北中]路$", "路", r) for r in base.roads["name"] if re.search("[东西南北中]路$", r)})
    old = [roads[i] for i in rng.permutation(len(roads))[: len(words("former_roads"))]]
    for road, former in zip(old, words("former_roads"), strict=False):
        until = dt.date(int(rng.integers(1979, 1993)), 1, 1)
        for name in sorted(set(base.roads["name"])):
            if re.fullmatch(f"{road[:-1]}[东西南北中]路", name):
                rows.append((name, "road", f"{former}{name[len(road) - 1 :]}", "former", None, until))
    places = base.table[(base.table["kind"] == "place") & ~base.table["name"].fillna("").str.contains("（")]
    used, known_for = set[str](), dishes()
    for name in places["name"]:
        for word, cooked in known_for.items():
            if str(name).endswith(word) and len(used) < 160:
                alias = f"{str(name)[: -len(word)]}{cooked[int(rng.integers(len(cooked)))]}"
                if alias not in used:
                    used.add(alias)
                    rows.append((str(name), "place", alias, "dish", None, None))
    rows.append((COUNTY[0], "district", COUNTY[2], "former", None, REFORM_ON))
    return pd.DataFrame(rows, columns=["element", "level", "alias", "kind", "valid_from_on", "valid_to_on"])


def _pinyin(text: str) -> str:
    return "".join(lazy_pinyin(text)).capitalize()


def sample(frame: pd.DataFrame, count: int, rng: np.random.Generator) -> pd.DataFrame:
    """Return rows in random order, all rows as often as needed to reach the count."""
    picks = [rng.permutation(len(frame)) for _ in range(-(-count // max(1, len(frame))))]
    return frame.iloc[np.concatenate(picks)[:count]] if len(frame) else frame
