"""Runs through the real Airflow when things go wrong: two runs at once, a killed scheduler, a failed announcement, a killed load, a source
without its file. What was loaded is announced and released once it can be, and nothing is loaded or released twice.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.airflow import LocalAirflow, RunEvent
from demo.airflow_api import quoted
from sanyu.lake import Lake
from sanyu.lake.announced import acknowledged
from sanyu.lake.runs import Run, Runs, run_name
from sanyu.processes import parent, started
from sanyu.serve.release import Release, current, releases, verify
from sanyu.settings import Settings
from schemas.messages import SanyuError

PLACE = "core.basemap__place"
CITY = 'name = "tiny"\ntitle = "Tiny"\ntitle_zh = "小城"\nextent = [119.0, 29.0, 121.0, 31.0]\nmetric_crs = "EPSG:4549"\n'
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
name = "id"
class_code = "'01'"
"""


def deliver(settings: Settings, name: str, edition: str, rows: int) -> None:
    """Define a source, and deliver rows of it where there are any."""
    Path(settings.sources_dir, f"{name}.toml").write_text(SOURCE.format(name=name, edition=edition), "utf-8")
    west = {"parks": 120.0, "shops": 120.5}.get(name)
    if west:
        lines = "".join(f"{name}-{n},{west + n / 200:.3f},30.1\n" for n in range(rows))
        Path(str(settings.data_root), f"{name}.csv").write_text("id,lon,lat\n" + lines, "utf-8")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    place = tmp_path_factory.mktemp("runs")
    for name in ("sources", "data"):
        (place / name).mkdir()
    (place / "sources/city.toml").write_text(CITY, "utf-8")
    given = {"lake": "lake", "sources_dir": "sources", "data_root": "data"}
    made = Settings.load(**{k: str(place / v) for k, v in given.items()}, city="tiny", spark_master="local[2]", driver_memory="1g")
    for name in ("parks", "shops"):
        deliver(made, name, "2025-01-01", 30)
    return made


@pytest.fixture(scope="module")
def airflow(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    # Short lives of a JVM: the quick compiler alone halves what they cost.
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("JAVA_TOOL_OPTIONS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
        with LocalAirflow(settings, tmp_path_factory.mktemp("airflow"), only=("city", "release")) as running:
            yield running
    assert running.processes() == []


def released(lake: Lake) -> Release:
    found = current(lake)
    assert found is not None
    assert verify(lake, found) == []
    return found


def record(lake: Lake, run_id: str) -> Run:
    return Runs(lake.store).read(run_name(f"city__{run_id}"))


def is_landed(lake: Lake, run_id: str) -> bool:
    """Tell whether the load of a run is past the landing of a source."""
    there = run_name(f"city__{run_id}") in Runs(lake.store).ids()
    return there and any("landed" in item.states for item in record(lake, run_id).items)


def driver(airflow: LocalAirflow) -> int | None:
    """Return the Python process of the load that runs now."""
    for pid in airflow.processes():
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if b"python" in words[0] and len(words) > 2 and words[1].endswith(b"jobs/__main__.py") and words[2] == b"load":
            return pid
    return None


@pytest.mark.timeout(900)
def test_two_runs_at_once_a_killed_scheduler_and_a_failed_announcement_lose_nothing(settings: Settings, airflow: LocalAirflow) -> None:
    lake = Lake(settings.lake, settings)
    first, second = airflow.trigger("city"), airflow.trigger("city")
    seen: list[RunEvent] = []

    def disturb(event: RunEvent) -> None:
        # Once: a task whose scheduler was killed may be started again.
        if (event.run, event.task, event.state) == (first, "load", "running") and not airflow.restarts:
            path = f"/dags/city/dagRuns/{quoted(first)}/taskInstances/announce"
            airflow.api.call("PATCH", path, {"new_state": "failed"})
            os.kill(airflow._children["scheduler"].pid, signal.SIGKILL)
        seen.append(event)

    with pytest.raises(SanyuError, match="SY-E032: task announce of DAG city failed"):
        airflow.follow(["city"], disturb, timeout_s=400)
    assert airflow.restarts == 1
    assert (first, "load", "success") in {(e.run, e.task, e.state) for e in seen}
    assert {i.state for i in record(lake, first).items} == {"loaded"}
    assert acknowledged(lake.store, PLACE) is None

    airflow.follow(["city", "release"], seen.append, timeout_s=400)
    states = {e.task: e.state for e in seen if e.run == second and e.task}
    assert (states["load"], states["announce"], states["complete"]) == ("skipped", "success", "success"), (
        "loaded once, announced by the other"
    )
    position = acknowledged(lake.store, PLACE)
    assert position is not None
    assert position.version == lake.table(PLACE).version
    assert record(lake, first).is_done
    assert all({"gated", "published"} <= set(i.states) for i in record(lake, first).items), "the release tells the run that loaded"
    assert [(t.name, t.rows, t.delta_version) for t in released(lake).tables] == [(PLACE, 60, position.version)]
    assert len(releases(lake)) == 1
    keys = lake.table(PLACE).to_arrow(columns=["source_key"], history=True)["source_key"].to_pylist()
    assert len(keys) == len(set(keys)) == 60


@pytest.mark.timeout(900)
def test_a_killed_load_is_retried_and_a_source_that_fails_fails_alone(settings: Settings, airflow: LocalAirflow) -> None:
    lake = Lake(settings.lake, settings)
    before = released(lake)
    deliver(settings, "shops", "2025-06-01", 35)
    deliver(settings, "gone", "2025-06-01", 0)
    run_id = airflow.trigger("city")
    killed: list[int] = []

    def disturb(event: RunEvent) -> None:
        if (event.task, event.state) == ("load", "running") and not killed:
            deadline = time.monotonic() + 90
            while not (pid := driver(airflow)) or not is_landed(lake, run_id):
                assert time.monotonic() < deadline, "no load is running"
                time.sleep(0.2)
            jvm = parent(pid)
            killed.extend((pid, jvm))
            os.kill(parent(jvm), signal.SIGKILL)  # Airflow's task, which started spark-submit

    with pytest.raises(SanyuError, match=r"(?s)SY-E032: task load of DAG city failed.*SY-L031: gone"):
        airflow.follow(["city"], disturb, timeout_s=600)
    assert [started(pid) for pid in killed] == [None, None], "driver and JVM ended with the task"
    airflow.follow(["release"], lambda event: None, timeout_s=300)

    run = record(lake, run_id)
    assert [a.number for a in run.attempts] == [1, 2, 3]
    assert run.attempts[0].ended_at is None or "SY-J003" in (run.attempts[0].error or ""), "killed, or told that its JVM has ended"
    assert {r["source"]: r["error"] is None for r in run.attempts[1].reports} == {"gone": False, "shops": True}
    assert [r["source"] for r in run.attempts[2].reports] == ["gone"], "what was loaded is left alone"
    items = {i.source: i for i in run.items}
    assert (items["gone"].state, "SY-L031" in (items["gone"].error or "")) == ("planned", True)
    assert {"announced", "gated", "published"} <= set(items["shops"].states)
    assert items["shops"].figures["loaded"] == 5
    after = released(lake)
    assert after.release_id != before.release_id
    assert [(t.name, t.rows) for t in after.tables] == [(PLACE, 65)]
