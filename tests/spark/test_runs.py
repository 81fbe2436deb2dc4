"""Runs over real loads: what failed is left for the next attempt, and a release holds the versions that its gates have seen."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyspark.sql import SparkSession

from jobs import runs
from jobs.context import Context
from jobs.verify import verified
from sanyu import crash
from sanyu.lake.runs import Runs
from sanyu.serve.release import current, verify

PLACE = "core.basemap__place"
CITY = 'name = "c"\ntitle = "City"\ntitle_zh = "城"\nextent = [119.0, 29.0, 121.0, 31.0]\nmetric_crs = "EPSG:4549"\n'
SOURCE = """
[source]
name = "{name}"
title = "T"
domain = "basemap"
licence = "CC0-1.0"
attribution = "nobody"
[read]
path = "{name}.csv"
x = "lon"
y = "lat"
crs = "EPSG:4490"
[delivery]
edition_at = "{edition}"
[[into]]
contract = "core.basemap__place"
key = "id"
[into.columns]
name = "{column}"
class_code = "'01'"
"""


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    crash.disarm()


def deliver(folder: Path, name: str, edition: str, rows: int, column: str = "id") -> Context:
    (folder / "city.toml").write_text(CITY, "utf-8")
    (folder / f"{name}.toml").write_text(SOURCE.format(name=name, edition=edition, column=column), "utf-8")
    lines = "".join(f"{name}-{n},{120 + n / 100:.2f},30.1\n" for n in range(rows))
    (folder / f"{name}.csv").write_text("id,lon,lat\n" + lines, "utf-8")
    return Context({"lake": str(folder / "lake"), "sources_dir": str(folder), "data_root": str(folder)})


def silent(text: str) -> None:
    """Take progress and tell nobody."""


def test_a_load_between_gate_and_publication_is_in_the_next_release(tmp_path: Path, spark: SparkSession) -> None:
    context = deliver(tmp_path, "shops", "2025-01-01", 5)
    runs.begin(context, "first", (*runs.LOAD, "gated"), ["shops"])
    assert runs.go_on(context, "first", silent).is_ok
    seen = context.lake.table(PLACE).version

    context = deliver(tmp_path, "shops", "2025-02-01", 8)
    runs.begin(context, "second", runs.LOAD, ["shops"])
    assert runs.go_on(context, "second", silent).is_ok
    assert context.lake.table(PLACE).version > seen

    runs.begin(context, "first", runs.RELEASE, ["shops"])
    assert runs.go_on(context, "first", silent).release is not None
    found = current(context.lake)
    assert found is not None
    assert [(t.name, t.rows, t.delta_version) for t in found.tables] == [(PLACE, 5, seen)]
    record = Runs(context.lake.store)
    assert (record.read("first").status, record.read("second").items[0].state) == ("done", "loaded")

    runs.begin(context, "third", runs.RELEASE)
    released = runs.go_on(context, "third", silent).release
    assert released is not None
    assert released["rows"] == 8
    assert record.read("second").items[0].state == "published", "the release tells the run that loaded"
    assert runs.go_on(context, "third", silent).release is None, "a run publishes once"


def test_what_failed_is_left_and_what_was_loaded_is_not_touched(tmp_path: Path, spark: SparkSession) -> None:
    deliver(tmp_path, "parks", "2025-01-01", 4)
    context = deliver(tmp_path, "shops", "2025-01-01", 5, column="absent")
    runs.begin(context, "r", runs.LOAD, ["parks", "shops"])
    found = runs.go_on(context, "r", silent)
    assert {r.source: r.is_ok for r in found.reports} == {"parks": True, "shops": False}
    version = context.lake.table(PLACE).version

    context = deliver(tmp_path, "shops", "2025-01-01", 5)
    again = runs.go_on(context, "r", silent)
    assert [(r.source, r.is_ok) for r in again.reports] == [("shops", True)]
    run = Runs(context.lake.store).read("r")
    assert run.status == "done"
    assert {i.source: (i.attempt, i.error, i.figures["loaded"]) for i in run.items} == {"parks": (1, None, 4), "shops": (2, None, 5)}
    assert [len(a.reports) for a in run.attempts] == [2, 1]
    assert "SY-D010" in str(run.attempts[0].reports), "the first attempt's cause is still there"
    assert context.lake.table(PLACE).version == version + 1


STEPS = ("land.copied", "land.listed", "run.loaded", "run.gated", "publish.staged", "publish.named")


def test_a_second_run_that_dies_between_any_two_steps_is_resumed_and_ends_as_if_it_had_not(tmp_path: Path, spark: SparkSession) -> None:
    first = tmp_path / "first"
    first.mkdir()
    context = deliver(first, "shops", "2025-01-01", 5)
    runs.begin(context, "one", (*runs.LOAD, *runs.RELEASE), ["shops"])
    assert runs.go_on(context, "one", silent).is_ok
    deliver(first, "shops", "2025-02-01", 8)
    ends = {}
    for step in ("whole", *STEPS):
        shutil.copytree(first, tmp_path / step)
        place = tmp_path / step
        context = Context({"lake": str(place / "lake"), "sources_dir": str(place), "data_root": str(place)})
        runs.begin(context, "two", (*runs.LOAD, *runs.RELEASE), ["shops"])
        if step != "whole":
            crash.arm(step)
            with pytest.raises(crash.Crash, match=step):
                runs.go_on(context, "two", silent)
        before = current(context.lake)
        assert before is not None
        assert verify(context.lake, before) == [], "what readers take is whole all the time"
        again = Context({"lake": str(place / "lake"), "sources_dir": str(place), "data_root": str(place)})
        assert runs.go_on(again, "two", silent).is_ok
        found = current(again.lake)
        assert found is not None
        run = Runs(again.lake.store).read("two")
        rows = again.lake.table(PLACE).to_arrow(["stamp_id", "row_hash", "valid_to_at"], history=True).sort_by("stamp_id").to_pylist()
        tables = [(t.name, t.rows, t.delta_version) for t in found.tables]
        ends[step] = (tables, run.status, [i.state for i in run.items], rows)
        assert verified(again.lake, again.contracts)[0] == []
    assert len({str(end) for end in ends.values()}) == 1, ends
    assert ends["whole"][0][0][1] == 8
