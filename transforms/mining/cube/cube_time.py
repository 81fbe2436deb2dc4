"""Time steps of a space-time cube: calendar units in Beijing time (fixed +08:00), or a fixed length, anchored at the end or the start.

Calendar steps (`hour`, `day`, `week` from Monday, `month`, with `every` = n of them) are half-open [from, to) and begin on the calendar's
borders; the anchor says from which side n units are grouped: `end` lets the last step end with the unit that holds the last event,
`start` lets the first begin with the unit that holds the first event. The step at the other side may reach beyond the data and so hold
fewer events.

Steps of a fixed length (`length_s`) anchored at the start are [from, to) from the first event on; anchored at the end they are (from, to]
and the last one ends at the last event itself.

A period that is given (`from_at`, `to_at`) takes the place of the first and last event: needed where cubes of several days must agree.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from schemas.messages import SanyuError

Instants = npt.NDArray[np.datetime64]
UNITS: Final = {"hour": "h", "day": "D", "week": "W", "month": "M"}
_BEIJING: Final = np.timedelta64(8 * 3600 * 1_000_000, "us")
_MICRO: Final = np.timedelta64(1, "us")
_MONDAY: Final = 4  # 1970-01-01 was a Thursday: 1970-01-05 begins the first week
Anchor = Literal["end", "start"]


@dataclass(frozen=True)
class StepRule:
    """How instants become steps: `every` × `unit`, or `length_s`; SY-N062, SY-N063 for what is none."""

    unit: Literal["hour", "day", "week", "month"] | None = "day"
    every: int = 1
    length_s: float | None = None
    anchor: Anchor = "end"
    from_at: datetime | None = None
    to_at: datetime | None = None

    def __post_init__(self) -> None:
        if self.anchor not in ("end", "start"):
            raise SanyuError("SY-N062", argument="anchor", value=self.anchor, known="end, start")
        if self.length_s is not None:
            if not (np.isfinite(self.length_s) and self.length_s >= 1e-6):
                raise SanyuError("SY-N063", argument="length_s", value=self.length_s, expected="a number of seconds above 0")
        elif self.unit not in UNITS:
            raise SanyuError("SY-N062", argument="unit", value=self.unit, known=", ".join(UNITS))
        if self.every != int(self.every) or self.every < 1:
            raise SanyuError("SY-N063", argument="every", value=self.every, expected="a whole number from 1")

    @property
    def closed(self) -> str:
        """Return the side on which steps include their border: `right` for a fixed length anchored at the end, else `left`."""
        return "right" if self.length_s is not None and self.anchor == "end" else "left"


def step_edges(rule: StepRule, first: np.datetime64, last: np.datetime64) -> Instants:
    """Return the n + 1 borders (UTC, microseconds) of the steps that hold the events from `first` to `last`, or the rule's own period.

    `to_at` is exclusive. SY-N063 for a period that ends before it begins.
    """
    begin = first if rule.from_at is None else as_instants(rule.from_at)
    end = last
    if rule.to_at is not None:
        end = as_instants(rule.to_at) - (_MICRO if rule.closed == "left" else np.timedelta64(0, "us"))
    if end < begin:
        raise SanyuError("SY-N063", argument="to_at", value=str(end), expected=f"an instant after {begin}")
    if rule.length_s is not None:
        return _fixed_edges(rule, begin, end)
    units = calendar_units(rule, np.array([begin, end]))
    low, high = int(units[0]), int(units[1]) + 1
    groups = -(-(high - low) // rule.every)
    borders = high - rule.every * np.arange(groups, -1, -1) if rule.anchor == "end" else low + rule.every * np.arange(groups + 1)
    return _unit_starts(rule, borders)


def steps_of(edges: Instants, at: Instants, closed: str = "left") -> npt.NDArray[np.int64]:
    """Return the step of each instant, or -1 for what lies outside of all steps (or is not a time)."""
    found = np.searchsorted(edges, at, side="right" if closed == "left" else "left").astype(np.int64) - 1
    found[np.isnat(at) | (found >= len(edges) - 1)] = -1
    return found


def as_instants(at: Any) -> Any:
    """Return UTC instants in microseconds of one time or many: datetimes or ISO 8601 texts; without a zone they are Beijing time.

    Missing times become NaT. SY-N063 for a text that is no time.
    """
    import pandas as pd

    if np.ndim(at) == 0:
        return as_instants([at])[0]
    try:
        given = pd.Series(at, dtype=None if len(at) else "datetime64[us]")
        series = pd.to_datetime(given, format="ISO8601") if given.dtype == object else pd.to_datetime(given)
    except (ValueError, TypeError) as error:
        raise SanyuError("SY-N063", argument="time", value=str(error).split(",")[0], expected="times, or ISO 8601 texts") from None
    series = series.dt.tz_localize("Etc/GMT-8") if series.dt.tz is None else series
    return series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy().astype("datetime64[us]")


def calendar_units(rule: StepRule, at: Instants) -> npt.NDArray[np.int64]:
    """Return the number of the hour, day, week or month since 1970 that holds each instant, in Beijing time."""
    assert rule.unit is not None
    local = at.astype("datetime64[us]") + _BEIJING
    if rule.unit == "week":
        return (local.astype("datetime64[D]").astype(np.int64) - _MONDAY) // 7
    numbers: npt.NDArray[np.int64] = local.astype(f"datetime64[{UNITS[rule.unit]}]").astype(np.int64)
    return numbers


def _unit_starts(rule: StepRule, numbers: npt.NDArray[np.int64]) -> Instants:
    assert rule.unit is not None
    local = (numbers * 7 + _MONDAY).astype("datetime64[D]") if rule.unit == "week" else numbers.astype(f"datetime64[{UNITS[rule.unit]}]")
    return np.asarray(local.astype("datetime64[us]") - _BEIJING, dtype="datetime64[us]")


def _fixed_edges(rule: StepRule, begin: np.datetime64, end: np.datetime64) -> Instants:
    assert rule.length_s is not None
    length = round(rule.length_s * 1_000_000) * rule.every
    span = int((end - begin).astype(np.int64))
    count = span // length + 1
    if rule.anchor == "start":
        return begin + (np.arange(count + 1) * length).astype("timedelta64[us]")
    return end - (np.arange(count, -1, -1) * length).astype("timedelta64[us]")
