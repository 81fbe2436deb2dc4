"""Labelled queries on the demo city's gazetteer: one table in the field's common shape, query → expected fields and coordinate, tolerance.

Columns: query, fields (JSON where fields are asked for instead of one string), kind, expected_status (M, T, U), expected_id,
expected_standard, expected_division_code, expected_precision, expected_class (what is wrong with an illegal input), lon, lat, tolerance_m,
pieces (JSON, level and text of each piece). A fault is kept only where the thing meant is still the nearest of all that the unharmed pieces
allow, by edit distance over characters and over syllables: what nobody could tell is no query.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd
from rapidfuzz.distance import OSA

from demo.city.plan import stream
from demo.gazetteer import faults
from demo.gazetteer.base import DIVISION_LEVELS, Base
from demo.gazetteer.faults import Piece, syllables_of

COLUMNS = ("query", "fields", "kind", "expected_status", "expected_id", "expected_standard", "expected_division_code", "expected_precision",
           "expected_class", "lon", "lat", "tolerance_m", "pieces")  # fmt: skip
PRECISION = {"door": "door", "building": "building", "estate": "place", "place": "place", "road": "road"}
TOLERANCE_M = {"door": 5.0, "building": 5.0, "place": 5.0, "estate": 250.0, "road": 4000.0}
_CHAINS = (
    ("province", "city", "district", "township", "community"),
    ("city", "district", "township", "community"),
    ("city", "district"),
    ("district", "township"),
    ("district", "community"),
    ("district",),
    ("township",),
    ("community",),
    ("city",),
    (),
)
MISSING = {
    "exact": (0,),
    "no_province": (1,),
    "district_only": (2, 5),
    "no_community": (3,),
    "no_township": (4,),
    "no_district": (6, 7),
    "no_division": (8, 9),
}


class Asker:
    """Makes queries about rows of a gazetteer, and knows which of them have one answer."""

    def __init__(self, base: Base, rng: np.random.Generator) -> None:
        self.rng, self.table = rng, base.table
        whole = pd.concat([base.table, base.held], ignore_index=True)
        self.whole = whole
        self._count: dict[tuple[object, ...], int] = {}
        doors = whole[whole["kind"] == "door"]
        names = whole[whole["kind"].isin(["place", "estate"])]
        self._doors = doors.groupby(["road_name", "door_number"])["entity_id"].nunique().to_dict()
        self._names = names.groupby("name")["entity_id"].nunique().to_dict()
        self._roads = base.roads.groupby("name")["entity_id"].nunique().to_dict()
        self._rivals: dict[tuple[str, ...], list[tuple[str, tuple[str, ...]]]] = {}
        divisions = whole[whole["kind"] == "division"]
        self._divisions = {level: sorted(set(divisions[f"{level}_name"].dropna())) for level in DIVISION_LEVELS}

    def pieces(self, row: Any, chain: Iterable[str], *, short: bool = False) -> list[Piece]:
        """Return the pieces of a row's address below these levels; `short` names an estate or place without its road."""
        out = [(level, str(getattr(row, f"{level}_name"))) for level in chain if getattr(row, f"{level}_name")]
        if row.road_name and not (short and row.name):
            out.append(("road", str(row.road_name)))
            if row.door_number:
                out.append(("door", str(row.door_number)))
        if row.name:
            out.append(("place", str(row.name)))
        if row.building_number:
            out.append(("building", str(row.building_number)))
        return out

    def is_single(self, row: Any, pieces: list[Piece]) -> bool:
        """Return whether the pieces name one thing in the whole city; with a district or less they always do."""
        levels = {level for level, _ in pieces}
        if levels & {"district", "township", "community"}:
            return True
        if "place" in levels and self._names.get(row.name, 0) > 1 and "road" not in levels:
            return False
        if row.kind == "road":
            return bool(self._roads.get(row.road_name, 0) == 1)
        return bool("place" in levels or self._doors.get((row.road_name, row.door_number), 0) == 1)

    def is_nearest(self, before: list[Piece], after: list[Piece]) -> bool:
        """Return whether each changed name is still nearer to itself than to any other name that the other pieces allow."""
        named = [(p, q) for p, q in zip(before, [q for q in after if q[0]], strict=False) if p[0] == q[0] and p[1] != q[1]]
        for (level, true), (_, given) in named:
            if level not in ("road", "place", *DIVISION_LEVELS):
                continue
            own, sounds = _distance(true, syllables_of(true), given), syllables_of(given)
            for name, syllables in self._others(level, before):
                if name != true and abs(len(name) - len(given)) < own and _distance(name, syllables, given, sounds) < own + 1:
                    return False
        return True

    def _others(self, level: str, pieces: list[Piece]) -> list[tuple[str, tuple[str, ...]]]:
        """Return the names of a level within the narrowest division that the pieces name, with their syllables."""
        known = {p[0]: p[1] for p in pieces}
        if level in DIVISION_LEVELS:
            key: tuple[str, ...] = (level,)
        else:
            narrow = next((n for n in ("community", "township", "district") if n in known), "")
            key = (level, narrow, known.get(narrow, ""))
        if key not in self._rivals:
            if level in DIVISION_LEVELS:
                names = self._divisions[level]
            else:
                part = self.whole if not key[1] else self.whole[self.whole[f"{key[1]}_name"] == key[2]]
                column = "road_name" if level == "road" else "name"
                names = sorted(set(part[column].dropna()))
            self._rivals[key] = [(name, syllables_of(name)) for name in names]
        return self._rivals[key]


def _distance(name: str, syllables: tuple[str, ...], given: str, sounds: tuple[str, ...] | None = None) -> int:
    return int(OSA.distance(name, given) + OSA.distance(syllables, syllables_of(given) if sounds is None else sounds))


def text_of(pieces: list[Piece]) -> str:
    """Return the pieces as one text."""
    return "".join(text for _, text in pieces)


def expected(row: Any, query: str, kind: str, pieces: list[Piece] | None = None, **more: object) -> dict[str, object]:
    """Return a labelled query whose answer is this row."""
    answer: dict[str, object] = dict.fromkeys(COLUMNS)
    answer |= {"query": query, "kind": kind, "expected_status": "M", "expected_id": row.entity_id, "expected_standard": row.address_text}
    answer |= {"expected_division_code": row.division_code, "expected_precision": PRECISION[row.kind], "lon": row.lon, "lat": row.lat}
    answer |= {"tolerance_m": TOLERANCE_M[row.kind], "pieces": json.dumps(pieces, ensure_ascii=False) if pieces else None}
    return answer | more


def refused(query: str, kind: str, status: str = "U", **more: object) -> dict[str, object]:
    """Return a labelled query without an answer."""
    return dict.fromkeys(COLUMNS) | {"query": query, "kind": kind, "expected_status": status} | more


def faulty(base: Base, seed: int, per_kind: int, stream_name: str = "gazetteer.faults") -> list[dict[str, object]]:
    """Return `per_kind` queries of each missing level and of each fault of function 4."""
    rng = stream(seed, stream_name)
    asker = Asker(base, rng)
    table = base.table[base.table["kind"].isin(["door", "building", "place", "estate"])]
    rows = list(table.itertuples(index=False))
    kinds = np.array([row.kind for row in rows])
    weight = (
        1.0
        / table.groupby("kind")["kind"].transform("size").to_numpy()
        * table["kind"].map({"door": 4, "building": 3, "place": 2, "estate": 1})
    )
    order = iter(rng.choice(len(kinds), 600 * per_kind, p=weight / weight.sum()))
    out: list[dict[str, object]] = []
    for kind in (*MISSING, *faults.FAULTS):
        wanted, seen = per_kind, set[str]()
        while wanted:
            row = rows[int(next(order))]
            made = _one(asker, row, kind, rng)
            if made is not None and made["query"] not in seen:
                seen.add(str(made["query"]))
                out.append(made)
                wanted -= 1
    return out


def _one(asker: Asker, row: Any, kind: str, rng: np.random.Generator) -> dict[str, object] | None:
    chains = MISSING.get(kind, range(len(_CHAINS) - 1) if kind != "reordered" else (0, 1, 3))
    chain = _CHAINS[int(rng.choice(list(chains)))]
    pieces = asker.pieces(row, chain, short=bool(rng.random() < 0.35))
    if not asker.is_single(row, pieces):
        return None
    if kind in MISSING:
        return expected(row, text_of(pieces), kind, pieces)
    changed = faults.FAULTS[kind](pieces, rng)
    if changed is None or text_of(changed) == text_of(pieces) or not asker.is_nearest(pieces, changed):
        return None
    return expected(row, text_of(changed), kind, changed)
