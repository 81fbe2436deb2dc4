"""Truth about texts: pairs of addresses that are the same or not, running text with the places named in it, spans of elements."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pandas as pd

from demo.city.plan import stream
from demo.gazetteer import faults
from demo.gazetteer.base import Base
from demo.gazetteer.names import sample
from demo.gazetteer.queries import Asker, text_of
from demo.gazetteer.words import words

# The eight labels of element tagging: finer levels of the CCKS 2021 address task merged.
LABELS = {
    "province": "prov",
    "city": "city",
    "district": "district",
    **dict.fromkeys(("township", "community"), "town"),
    **dict.fromkeys(("road", "lane"), "road"),
    "door": "roadno",
    "place": "poi",
    **dict.fromkeys(("building", "unit", "floor", "room"), "houseno"),
}


def pairs(base: Base, seed: int, count: int) -> pd.DataFrame:
    """Return a, b, expected (same, partial, different): rewordings, an address and what holds it, neighbours and other sections."""
    rng = stream(seed, "gazetteer.pairs")
    asker = Asker(base, rng)
    table = base.table
    rows: list[tuple[str, str, str, str]] = []
    part = table[table["kind"].isin(["door", "building"])]
    gentle = ("numeral", "traditional", "full_width", "synonym_building", "punctuated", "homophone", "reordered")
    for row in sample(part, count, rng).itertuples(index=False):
        a = asker.pieces(row, ("province", "city", "district", "township", "community"))
        b = asker.pieces(row, ("district",))
        fault = str(rng.choice(gentle))
        changed = faults.FAULTS[fault](a if fault == "reordered" else b, rng)
        rows.append((text_of(a), text_of(changed or b), "same", fault if changed else "no_township"))
    for row in sample(table[table["kind"] == "building"], count, rng).itertuples(index=False):
        whole = asker.pieces(row, ("city", "district"))
        rows.append((text_of(whole), text_of(whole[: len(whole) - int(rng.integers(1, 3))]), "partial", "coarser"))
    rows += _different(part, asker, rng, count)
    return pd.DataFrame(rows, columns=["a", "b", "expected", "kind"])


def _different(part: pd.DataFrame, asker: Asker, rng: np.random.Generator, count: int) -> list[tuple[str, str, str, str]]:
    out = []
    for row in sample(part, count * 2, rng).itertuples(index=False):
        a = text_of(asker.pieces(row, ("city", "district")))
        door, road = str(row.door_number), str(row.road_name)
        style = int(rng.integers(0, 3))
        if style == 0:
            b, kind = a.replace(road + door, f"{road}{int(door[:-1]) + 2}号"), "door"
        elif style == 1 and row.building_number:
            b, kind = a.replace(str(row.building_number), f"{int(row.building_number[:-1]) + 1}幢"), "building"
        elif style == 2 and re.search("[东西南北]路$", road):
            b, kind = a.replace(road, f"{road[:-2]}{'西东北南'['东西南北'.index(road[-2])]}路"), "section"
        else:
            continue
        out.append((a, b, "different", kind))
    return out[:count]


def stories(base: Base, seed: int, count: int) -> pd.DataFrame:
    """Return text, spans (JSON: start, end, text, expected_id) of running text that names doors, estates, places and roads."""
    rng = stream(seed, "gazetteer.stories")
    asker = Asker(base, rng)
    part = base.table[base.table["kind"].isin(["door", "building", "estate", "road", "place"])]
    part = part[~part["name"].fillna("").str.contains("（")]
    weight = 1.0 / part.groupby("kind")["kind"].transform("size")
    picks = iter(part.sample(count * 3, replace=True, weights=weight, random_state=int(rng.integers(2**31))).itertuples(index=False))
    roads = iter(sample(base.roads, count * 4, rng).itertuples(index=False))
    stories_, rows = words("stories"), []
    for n in range(count):
        template = stories_[n % len(stories_)]
        text, spans = "", []
        for i, segment in enumerate(template.split("{}")):
            if i:
                row: Any = next(roads if ("至" in template and "段" in template) or "北临" in template else picks)
                known = hasattr(row, "address_text")
                named = (
                    text_of(asker.pieces(row, (("city", "district"), ("district",), ("district", "township"))[int(rng.integers(3))]))
                    if known
                    else str(row.name)
                )
                spans.append({"start": len(text), "end": len(text) + len(named), "text": named, "expected_id": row.entity_id})
                text += named
            text += segment
        rows.append((text, json.dumps(spans, ensure_ascii=False)))
    return pd.DataFrame(rows, columns=["text", "spans"])


def tagged(base: Base, queries: pd.DataFrame, seed: int, count: int) -> pd.DataFrame:
    """Return text, spans (JSON: start, end, label of LABELS) of queries with and without faults, rooms and units added to some."""
    rng = stream(seed, "gazetteer.tagged")
    known = queries[queries["pieces"].notna() & (queries["expected_status"] == "M")]
    rows = []
    for text in sample(known, count, rng)["pieces"]:
        pieces = [(str(level), str(part)) for level, part in json.loads(text)]
        if pieces[-1][0] == "building" and rng.random() < 0.5:
            pieces += [("unit", f"{rng.integers(1, 5)}单元"), ("room", f"{rng.integers(1, 30)}0{rng.integers(1, 5)}室")]
        whole, spans = "", []
        for level, part in pieces:
            if level and part:
                spans.append({"start": len(whole), "end": len(whole) + len(part), "label": LABELS[level]})
            whole += part
        rows.append((whole, json.dumps(spans)))
    return pd.DataFrame(rows, columns=["text", "spans"])
