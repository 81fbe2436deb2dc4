"""Schedules of sources as cron tells them: five fields, or a preset such as `@daily`."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterable

from croniter import CroniterError, croniter

PRESETS = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@quarterly": "0 0 1 */3 *",
    "@yearly": "0 0 1 1 *",
}
_START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
_OCCURRENCES = 200  # enough that a burst, such as every minute of one hour a week, is not taken for a frequent schedule


def problem(schedule: str) -> str | None:
    """Return what is wrong with a schedule; None where it is cron or a preset."""
    try:
        _reach(schedule)
    except (CroniterError, ValueError) as error:
        return f"{schedule!r} is neither cron (minute hour day month weekday) nor one of {', '.join(PRESETS)}: {error}"
    return None


def most_frequent(schedules: Iterable[str]) -> str | None:
    """Return the schedule that comes most often, judged by its next occurrences; None where there is none."""
    return min(schedules, key=lambda schedule: (_reach(schedule), schedule), default=None)


@functools.cache
def _reach(schedule: str) -> dt.datetime:
    """Return when the last of many occurrences comes, counted from a fixed instant; errors as croniter."""
    text = PRESETS.get(schedule.strip(), schedule.strip())
    if len(text.split()) != 5:
        raise ValueError("it has not five fields")
    times = croniter(text, _START)
    return max(times.get_next(dt.datetime) for _ in range(_OCCURRENCES))
