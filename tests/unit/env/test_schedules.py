"""The city is looked at as often as its most frequent source asks, by what the schedules mean and not by how they are spelt."""

from __future__ import annotations

import pytest

from dags.schedules import most_frequent, problem


@pytest.mark.parametrize(
    ("schedules", "wanted"),
    [
        (["@daily", "@hourly"], "@hourly"),
        (["@yearly", "@monthly", "@weekly", "@quarterly"], "@weekly"),
        (["0 6 * * *", "30 6,18 * * *"], "30 6,18 * * *"),
        (["* 3 * * 1", "@hourly"], "@hourly"),
        (["@hourly", "*/5 * * * *"], "*/5 * * * *"),
        (["0 0 29 2 *", "@yearly"], "@yearly"),
        (["@daily", "0 0 * * *"], "0 0 * * *"),
        ([], None),
    ],
)
def test_the_schedule_that_comes_most_often_is_the_city_s(schedules: list[str], wanted: str | None) -> None:
    assert most_frequent(schedules) == wanted
    assert most_frequent(reversed(schedules)) == wanted


@pytest.mark.parametrize("schedule", ["@dayly", "0 6 * *", "0 25 * * *", "@once", "", "0 0 30 2 *", "0 0 0 * * *"])
def test_what_is_no_schedule_is_told(schedule: str) -> None:
    assert "neither cron" in (problem(schedule) or "")


@pytest.mark.parametrize("schedule", ["@daily", " 0 6 * * 1-5 ", "*/15 8-18 * * mon", "0 0 29 2 *"])
def test_cron_and_presets_are_schedules(schedule: str) -> None:
    assert problem(schedule) is None
