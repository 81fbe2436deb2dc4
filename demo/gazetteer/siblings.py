"""Queries that must not be mistaken: neighbours that are there, neighbours that are not, other names, fields instead of one string."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd

from demo.city.plan import stream
from demo.gazetteer.base import ELEMENTS, Base
from demo.gazetteer.names import sample
from demo.gazetteer.queries import TOLERANCE_M, Asker, expected, refused, text_of

_SECTION = re.compile("([东西南北中])路$")
_ORDINAL = re.compile("第[一二三四五六七八九十]+(小学|幼儿园)$")


def present(base: Base, seed: int, count: int) -> list[dict[str, object]]:
    """Ask for doors, schools and road sections whose neighbours (two numbers on, the next ordinal, the other section) are there too."""
    rng = stream(seed, "gazetteer.siblings")
    asker = Asker(base, rng)
    table = base.table
    doors = table[table["kind"] == "door"]
    known = set(zip(doors["road_name"], doors["door_number"], strict=True))
    number = doors["door_number"].str.extract(r"^(\d+)号$")[0].astype(int)
    near = [(r, f"{n + 2}号") in known or (r, f"{n - 2}号") in known for r, n in zip(doors["road_name"], number, strict=True)]
    schools = table[(table["kind"] == "place") & table["name"].fillna("").str.contains(_ORDINAL.pattern.replace("(", "(?:"))]
    sections = table[(table["kind"] == "road") & table["road_name"].str.contains(_SECTION.pattern.replace("(", "(?:"), na=False)]
    out = []
    for kind, rows, chain in (
        ("sibling_door", doors[near], ("district",)),
        ("sibling_school", schools, ("city",)),
        ("sibling_road", sections, ("city",)),
    ):
        for row in sample(rows, count, rng).itertuples(index=False):
            pieces = asker.pieces(row, chain, short=True)
            if kind == "sibling_school":
                out.append(expected(row, _school(row, rng), kind))
            elif asker.is_single(row, pieces):
                out.append(expected(row, text_of(pieces), kind, pieces))
    return out


def _school(row: Any, rng: np.random.Generator) -> str:
    """Return one of the ways to write a numbered school, all of them unambiguous."""
    name = str(row.name)
    styles = (
        name,
        f"{row.city_name}{name}",
        f"{row.province_name}{row.city_name}{name}",
        f"{row.township_name}{name}",
        name.replace("区第", "第"),
        f"{row.city_name}{name.replace('区第', '第')}",
        f"{row.road_name}{row.door_number}{name}",
    )
    return str(rng.choice(styles))


def absent(base: Base, seed: int, count: int) -> list[dict[str, object]]:
    """Ask for what is held out of the gazetteer while its neighbours are in it: the answer must not be one of them.

    Where `expected_precision` is given an answer of that precision is as right as none: a door between its neighbours, and the door of a
    school whose name alone is not known (the answer says so in a reason).
    """
    rng = stream(seed, "gazetteer.absent")
    asker = Asker(base, rng)
    held = base.held
    gone = set(held.loc[held["kind"] == "road", "road_name"])
    places = held[held["kind"].isin(["place"]) & held["name"].fillna("").str.contains(_ORDINAL.pattern.replace("(", "(?:"))]
    doors = held[(held["kind"] == "door") & ~held["road_name"].isin(gone)]
    on_gone = held[(held["kind"] == "door") & held["road_name"].isin(gone)]
    out = []
    for kind, rows, chain in (
        ("absent_school", places, ("city",)),
        ("absent_door", doors, ("district",)),
        ("absent_road", on_gone, ("district",)),
    ):
        for row in sample(rows, count, rng).itertuples(index=False):
            pieces = asker.pieces(row, chain, short=True)
            text = _school(row, rng) if kind == "absent_school" else text_of(pieces)
            known = {
                "expected_class": "not_in_gazetteer",
                "expected_standard": row.address_text,
                "expected_division_code": row.division_code,
                "lon": row.lon,
                "lat": row.lat,
            }
            if kind == "absent_door":
                known["expected_precision"] = "interpolated"
            elif kind == "absent_school" and text.startswith(f"{row.road_name}{row.door_number}"):
                known |= {"expected_precision": "door", "tolerance_m": TOLERANCE_M["place"]}
            out.append(refused(text, kind, **known))
    return out


def by_alias(base: Base, aliases: pd.DataFrame, elements: pd.DataFrame, seed: int, count: int) -> list[dict[str, object]]:
    """Ask by aliases of entities, alone or with the district before them, and by aliases of elements within addresses."""
    rng = stream(seed, "gazetteer.by_alias")
    rows = {row.entity_id: row for row in base.table.itertuples(index=False)}
    out = []
    for kind, part in aliases.groupby("kind", sort=True):
        for alias in sample(part, count, rng).itertuples(index=False):
            row: Any = rows[alias.entity_id]
            before = str(rng.choice(["", row.city_name, row.district_name])) if kind != "english" else ""
            out.append(expected(row, before + str(alias.alias), f"alias_{kind}"))
    table = base.table
    for kind, part in elements.groupby("kind", sort=True):
        for alias in sample(part, count, rng).itertuples(index=False):
            column = "name" if alias.level == "place" else f"{alias.level}_name"
            kinds = ["place"] if alias.level == "place" else ["door", "building", "place"]
            hits = table[(table[column] == alias.element) & table["kind"].isin(kinds)]
            if len(hits) == 0:
                continue
            row = next(hits.sample(1, random_state=int(rng.integers(2**31))).itertuples(index=False))
            text = str(row.address_text).replace(str(alias.element), str(alias.alias), 1)
            start = text.find(str(row.district_name)) if alias.level != "district" else text.find(str(alias.alias))
            if alias.level == "place" and rng.random() < 0.5:
                text, start = f"{row.district_name}{alias.alias}", 0
            out.append(expected(row, text[start:] if rng.random() < 0.6 else text, f"element_{kind}"))
    return out


def by_fields(base: Base, seed: int, count: int) -> list[dict[str, object]]:
    """Ask with fields instead of one string; `query` is then null."""
    rng = stream(seed, "gazetteer.fields")
    part = base.table[base.table["kind"].isin(["door", "building", "place"])]
    out = []
    for row in sample(part, count, rng).itertuples(index=False):
        given = {name: getattr(row, name) for name in ELEMENTS if getattr(row, name)}
        for name in ("province_name", "city_name", "township_name", "community_name"):
            if rng.random() < 0.5:
                given.pop(name, None)
        out.append(expected(row, "", "fields", fields=json.dumps(given, ensure_ascii=False)) | {"query": None})
    return out
