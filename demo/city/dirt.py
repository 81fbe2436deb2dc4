"""Bad rows with known reasons, planted among the good ones: each is a copy of a good row under a key of its own, spoilt in one way.

`codes` are the message codes that a spoilt row may rightly be rejected with; several where more than one step can be the first to see it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely

Row = dict[str, Any]
Change = Callable[[Row], None]
SHARE = 0.015  # of the rows, over all reasons of a source; at least one row for each


@dataclass(frozen=True)
class Spoil:
    """A way in which a row is bad."""

    reason: str
    codes: str
    change: Change


def value(column: str, reason: str, codes: str, bad: object) -> Spoil:
    """Spoil one field with a value."""

    def change(row: Row) -> None:
        row[column] = bad

    return Spoil(reason, codes, change)


def values(reason: str, codes: str, **bad: object) -> Spoil:
    """Spoil several fields together."""
    return Spoil(reason, codes, lambda row: row.update(bad))


def ragged() -> Spoil:
    """Give the line one field too many."""
    return values("ragged_line", "SY-Q007|SY-R050", _ragged=True)


def check_character(column: str) -> Spoil:
    """Turn the last character of a credit code into another of its alphabet."""

    def change(row: Row) -> None:
        code = str(row[column])
        row[column] = code[:-1] + ("1" if code[-1] != "1" else "2")

    return Spoil("bad_check_digit", "SY-Q008", change)


def point_fields(x: str, y: str) -> list[Spoil]:
    """Return what goes wrong with coordinates in two columns."""

    def swap(row: Row) -> None:
        row[x], row[y] = row[y], row[x]

    unreadable = "SY-Q007|SY-R053|SY-R054|SY-C106"
    return [
        values("nan_coordinate", unreadable, **{x: "NaN", y: "NaN"}),
        values("inf_coordinate", unreadable, **{x: "inf"}),
        value(x, "text_coordinate", unreadable, "东经一百二十度"),
        Spoil("swapped_axes", "SY-C107|SY-C108|SY-C109", swap),
        # not 0, 0: that is how many registers write "unknown", and a table that needs no position rightly keeps such a row
        values("far_away", "SY-C109", **{x: 113.26, y: 23.13}),
    ]


def _reshape(make: Callable[[shapely.Geometry], shapely.Geometry]) -> Change:
    def change(row: Row) -> None:
        row["geom"] = make(row["geom"])

    return change


def _bow_tie(shape: shapely.Geometry) -> shapely.Geometry:
    x0, y0, x1, y1 = shape.bounds
    return shapely.Polygon([(x0, y0), (x1, y1), (x1, y0), (x0, y1), (x0, y0)])


def _flat(shape: shapely.Geometry) -> shapely.Geometry:
    x0, y0, x1, y1 = shape.bounds
    if shape.geom_type == "LineString":
        return shapely.LineString([(x0, y0), (x0, y0)])
    return shapely.Polygon([(x0, y0), (x1, y1), (x0, y0), (x0, y0)])


def _swapped(shape: shapely.Geometry) -> shapely.Geometry:
    return shapely.transform(shape, lambda xy: xy[:, ::-1])


def _far(shape: shapely.Geometry) -> shapely.Geometry:
    degrees = abs(shape.bounds[0]) < 400
    return shapely.transform(shape, lambda xy: xy + ([-4.0, 3.0] if degrees else [-180_000.0, 320_000.0]))


def _nan(shape: shapely.Geometry) -> shapely.Geometry:
    ring = shapely.get_coordinates(shape.exterior)
    ring[1] = np.nan
    with np.errstate(invalid="ignore"):
        return shapely.Polygon(ring)


BOW_TIE = Spoil("bow_tie", "SY-C112", _reshape(_bow_tie))
FLAT = Spoil("zero_area", "SY-C111|SY-C112|SY-C110|SY-R055", _reshape(_flat))
SWAPPED = Spoil("swapped_axes", "SY-C107|SY-C108|SY-C109", _reshape(_swapped))
FAR = Spoil("far_away", "SY-C109", _reshape(_far))
NAN = Spoil("nan_coordinate", "SY-C106|SY-R054|SY-Q007", _reshape(_nan))
NO_SHAPE = values("missing_geometry", "SY-C101|SY-Q009", geom=None)


def plant(
    frame: pd.DataFrame, spoils: list[Spoil], rng: np.random.Generator, *, key: str | None, form: Callable[[int], str], share: float = SHARE
) -> pd.DataFrame:
    """Insert spoilt copies at random places; adds `_reason` and `_codes`. `form` makes the keys of the bad rows from a serial number.

    `frame` has published columns and may have `geom` and columns that begin with `_`; without `key` the rows have no key.
    """
    clean = frame.assign(_reason=None, _codes=None).reset_index(drop=True)
    count = max(len(spoils), round(len(frame) * share)) if spoils else 0
    if not count:
        return clean
    models = rng.choice(len(clean), count, replace=count > len(clean))
    bad = []
    for serial, model in enumerate(models):
        spoil = spoils[serial % len(spoils)]
        row: Row = clean.iloc[int(model)].to_dict()
        if key is not None:
            row[key] = row["_key"] = form(serial + 1)
        row["_uid"] = None
        spoil.change(row)
        bad.append({**row, "_reason": spoil.reason, "_codes": spoil.codes})
    return insert(clean, pd.DataFrame(bad), rng)


def insert(frame: pd.DataFrame, more: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """Put rows at random places among others; the order of each kind is kept."""
    at = np.concatenate([np.arange(len(frame)) + 0.5, np.sort(rng.integers(0, len(frame) + 1, len(more)))])
    both = pd.concat([frame.astype(object), more.astype(object)], ignore_index=True)
    return both.iloc[np.argsort(at, kind="stable")].reset_index(drop=True)


def repeat(frame: pd.DataFrame, rng: np.random.Generator, count: int, older: dict[str, object] | None = None) -> pd.DataFrame:
    """Insert rows that come twice: exactly, or (`older`) with other content and an earlier date, so that the first delivery is outdated."""
    good = np.flatnonzero(frame["_reason"].isna().to_numpy() & frame.get("_repeat", pd.Series([None] * len(frame))).isna().to_numpy())
    copies = frame.iloc[rng.choice(good, min(count, len(good)), replace=False)].copy()
    copies["_repeat"] = "exact" if older is None else "older"
    for column, old in (older or {}).items():
        copies[column] = old
    return insert(frame.assign(_repeat=frame.get("_repeat")), copies, rng)
