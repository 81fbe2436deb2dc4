"""Evaluation of an address engine: its answers compared with labelled queries, and the table of measures with bars and peers."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyproj

from transforms.address.model import Element, Match, Status

# Message codes of refused input and the classes they stand for.
CLASS_OF = {
    "SY-A010": "empty",
    "SY-A011": "too_long",
    "SY-A012": "not_address",
    "SY-A013": "level_conflict",
    "SY-A014": "unknown_division",
    "SY-A015": "outside_area",
    "SY-A016": "ambiguous",
    "SY-A017": "not_in_gazetteer",
    "SY-A018": "not_in_gazetteer",
    "SY-A052": "not_in_gazetteer",
}
ILLEGAL = ("level_conflict", "unknown_division", "not_address", "outside_area", "empty", "too_long", "ambiguous")
FINENESS = {"road": 1, "lane": 1, "area": 1, "door": 2, "place": 2, "building": 3, "unit": 4, "floor": 5, "room": 6}
MERGED = {
    "province": "prov",
    "city": "city",
    "district": "district",
    **dict.fromkeys(("township", "community"), "town"),
    **dict.fromkeys(("road", "lane"), "road"),
    "door": "roadno",
    "place": "poi",
    **dict.fromkeys(("building", "unit", "floor", "room"), "houseno"),
}
_GEOD = pyproj.Geod(ellps="GRS80")


@dataclass(frozen=True, slots=True)
class Measure:
    """One line of the score: `bar` is the target, `is_least` whether it is a minimum or a maximum, `peer` the peers' values."""

    name: str
    value: float
    bar: float | None = None
    is_least: bool = True
    peer: str = "–"
    unit: str = ""

    @property
    def is_met(self) -> bool | None:
        """Return whether the bar is reached, None if there is none."""
        if self.bar is None:
            return None
        return bool(self.value >= self.bar if self.is_least else self.value <= self.bar)


def answers(truth: pd.DataFrame, matches: Sequence[Match]) -> pd.DataFrame:
    """Return kind, query, status, is_right, is_neighbour, is_class_right, has_coordinate, error_m per labelled query, in order.

    An answer is right if it has the expected status and is the expected thing or, if none is expected by name, is within the tolerance. A
    neighbour is a different thing, as fine as the requested one or finer, returned as certain.
    """
    rows = [_judged(row, match) for row, match in zip(truth.itertuples(index=False), matches, strict=True)]
    return pd.DataFrame(
        rows, columns=["kind", "query", "status", "is_right", "is_neighbour", "is_class_right", "has_coordinate", "error_m"]
    )


def _judged(row: Any, match: Match) -> tuple[Any, ...]:
    has_place = match.lon is not None and match.lat is not None
    error = np.nan
    if has_place and row.lon is not None and row.lon == row.lon:
        error = _GEOD.inv(match.lon, match.lat, row.lon, row.lat)[2]
    is_thing = _is_thing(row, match, error)
    status = str(match.status)
    alternative = row.expected_status == "U" and _is_alternative(row, match, error)
    is_right = (status == row.expected_status and (status != Status.MATCHED or is_thing)) or (status == Status.MATCHED and alternative)
    is_neighbour = status == Status.MATCHED and not is_thing and not alternative and _is_as_fine(row, match)
    is_class = row.expected_class is not None and CLASS_OF.get(match.code or "") == row.expected_class
    return row.kind, row.query, status, is_right, is_neighbour, is_class, has_place, error


def _is_alternative(row: Any, match: Match, error: float) -> bool:
    """Return whether a coarser answer is acceptable in place of none: of the expected precision and place, with a reason that says so."""
    if row.expected_precision is None or match.precision != row.expected_precision:
        return False
    said = any(reason.code == "interpolated" or CLASS_OF.get(reason.code) == row.expected_class for reason in match.reasons)
    return said and not error > (row.tolerance_m if row.tolerance_m == row.tolerance_m and row.tolerance_m is not None else np.inf)


def _is_thing(row: Any, match: Match, error: float) -> bool:
    if row.expected_status != "M":
        return False
    if row.expected_id is not None:
        return bool(match.entity_id == row.expected_id or (match.standard is not None and match.standard == row.expected_standard))
    return bool(error <= row.tolerance_m and (row.expected_precision is None or match.precision == row.expected_precision))


def _is_as_fine(row: Any, match: Match) -> bool:
    """Return whether an answer claims at least the requested precision; held-out things are queried by door or name.

    The door of a place, or the road of a door, is a coarser answer and not a different thing.
    """
    if row.expected_standard is not None and match.standard is not None and row.expected_standard.startswith(match.standard):
        return False
    asked = FINENESS.get(row.expected_precision or "door", 2)
    return FINENESS.get(match.precision or "", 0) >= asked


def by_kind(judged: pd.DataFrame) -> pd.DataFrame:
    """Return queries, right, neighbour, class_right, coordinate as shares per kind."""
    grouped = judged.groupby("kind", sort=True)
    shares = grouped[["is_right", "is_neighbour", "is_class_right", "has_coordinate"]].mean()
    return shares.assign(queries=grouped.size()).reset_index()


def fault_measures(judged: pd.DataFrame, kinds: Iterable[str]) -> list[Measure]:
    """Return top-1 over all kinds of faults, and for the worst kind."""
    part = judged[judged["kind"].isin(list(kinds))]
    shares = part.groupby("kind")["is_right"].mean()
    peer = "TF-IDF + pinyin .968"
    return [
        Measure("fault tolerance, top-1, all", float(part["is_right"].mean()), 0.985, peer=peer),
        Measure(f"fault tolerance, top-1, worst kind ({shares.idxmin()})", float(shares.min()), 0.95, peer="TF-IDF + pinyin .740"),
    ]


def refusal_measures(judged: pd.DataFrame) -> list[Measure]:
    """Return wrong neighbours among siblings and absent things, classes of illegal input, and coordinates returned for it."""
    near = judged[judged["kind"].str.startswith(("sibling", "absent"))]
    bad = judged[judged["kind"].isin(ILLEGAL)]
    return [
        Measure("wrong neighbour returned as M", float(near["is_neighbour"].mean()), 0.005, is_least=False),
        Measure("siblings and absent things right", float(near["is_right"].mean())),
        Measure("illegal input, class right", float(bad["is_class_right"].mean()), 0.95, peer="none classify"),
        Measure("illegal input, coordinates given", float(bad["has_coordinate"].sum()), 0.0, is_least=False),
    ]


def kind_measures(judged: pd.DataFrame, groups: Mapping[str, str]) -> list[Measure]:
    """Return the share of right answers of groups of kinds, by the prefix of the kind."""
    return [Measure(name, float(judged[judged["kind"].str.startswith(prefix)]["is_right"].mean())) for name, prefix in groups.items()]


def span_f1(truth: Iterable[str], found: Iterable[Sequence[Element]]) -> tuple[float, float, float]:
    """Return precision, recall and F1 of labelled spans; `truth` is JSON of start, end, label, and levels are merged by MERGED."""
    hits = asked = given = 0
    for spans, elements in zip(truth, found, strict=True):
        right = {(span["start"], span["end"], span["label"]) for span in json.loads(spans)}
        said = {(e.start, e.end, MERGED[e.level]) for e in elements if e.level in MERGED}
        hits, asked, given = hits + len(right & said), asked + len(right), given + len(said)
    return _f1(hits, asked, given)


def extraction_f1(truth: Iterable[str], found: Iterable[Iterable[tuple[int, int]]]) -> tuple[float, float, float]:
    """Return precision, recall and F1 of the spans of places in running text; `truth` is JSON of start, end."""
    hits = asked = given = 0
    for spans, said in zip(truth, found, strict=True):
        right, told = {(span["start"], span["end"]) for span in json.loads(spans)}, set(said)
        hits, asked, given = hits + len(right & told), asked + len(right), given + len(told)
    return _f1(hits, asked, given)


def _f1(hits: int, asked: int, given: int) -> tuple[float, float, float]:
    precision, recall = hits / max(given, 1), hits / max(asked, 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-12)


def division_shares(truth: pd.DataFrame, found: pd.DataFrame) -> tuple[float, float]:
    """Return the share with province, city and district right, and the share with a wrong district (a missing one is not wrong).

    Both have the columns province, city, district; empty or null means missing. In a municipality the city may be omitted or repeat the
    province; in a county directly below its province it may be omitted.
    """
    given = {level: _plain(found[level]) for level in ("province", "city", "district")}
    right = {level: _plain(truth[level]) for level in ("province", "city", "district")}
    loose = np.isin(right["city"], ["", "市辖区"]) | (right["city"] == right["province"])
    city = (given["city"] == right["city"]) | loose
    all_right = (given["province"] == right["province"]) & city & (given["district"] == right["district"])
    wrong = (given["district"] != "") & (given["district"] != right["district"])
    return float(all_right.mean()), float(wrong.mean())


def _plain(column: pd.Series) -> npt.NDArray[np.object_]:
    return np.asarray(column.fillna("").astype(str).to_numpy(), dtype=object)


def markdown(measures: Sequence[Measure]) -> str:
    """Return the score as a Markdown table: measure, value, bar, met, peers."""
    lines = ["| measure | value | bar | met | peers |", "|---|---|---|---|---|"]
    for measure in measures:
        met = {True: "yes", False: "**no**", None: ""}[measure.is_met]
        bar = "" if measure.bar is None else f"{'≥' if measure.is_least else '≤'} {_number(measure.bar)}{measure.unit}"
        lines.append(f"| {measure.name} | {_number(measure.value)}{measure.unit} | {bar} | {met} | {measure.peer} |")
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.4f}"
