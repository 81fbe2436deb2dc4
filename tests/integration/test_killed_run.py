"""A run whose process is killed, told to stop or interrupted: no JVM works on, and another process goes on with what is left."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sanyu.lake import Lake
from sanyu.lake.runs import Runs
from sanyu.processes import started
from sanyu.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PLACE = "core.basemap__place"
QUICK_JVM = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
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
edition_at = "2026-01-01"
[[into]]
contract = "core.basemap__place"
key = "id"
[into.columns]
name = "id"
class_code = "'01'"
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    (tmp_path / "sources").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "sources/city.toml").write_text(CITY, "utf-8")
    for west, name in enumerate(("parks", "shops")):
        (tmp_path / f"sources/{name}.toml").write_text(SOURCE.format(name=name), "utf-8")
        rows = "".join(f"{name}-{n},{120 + west / 2 + n / 100:.2f},30.1\n" for n in range(20))
        (tmp_path / f"data/{name}.csv").write_text("id,lon,lat\n" + rows, "utf-8")
    given = {"lake": "lake", "sources_dir": "sources", "data_root": "data"}
    return Settings.load(**{k: str(tmp_path / v) for k, v in given.items()}, spark_master="local[2]", driver_memory="1g")


def sanyu(settings: Settings, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **settings.variables(), "PYTHONPATH": str(ROOT), "JAVA_TOOL_OPTIONS": QUICK_JVM}
    command = [sys.executable, "-c", "from cli import program; program()", *words]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=settings.lake + "/..")


def jvms(of: int) -> list[int]:
    """Return the JVMs that a process has started."""
    found = subprocess.run(["pgrep", "-P", str(of), "java"], capture_output=True, text=True, check=False).stdout
    return [int(line) for line in found.split()]


def wait(until: Callable[[], bool], what: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def works(process: subprocess.Popen[str], settings: Settings, attempt: int) -> bool:
    """Tell whether an attempt is loading with a JVM."""
    assert process.poll() is None, process.communicate()
    (run,) = Runs(Lake(settings.lake, settings).store).newest() or [None]
    return run is not None and len(run.attempts) == attempt and bool(jvms(process.pid)) and any("landed" in i.states for i in run.items)


@pytest.mark.timeout(600)
def test_a_run_that_was_stopped_in_any_way_is_finished_by_another_process(settings: Settings) -> None:
    Path(settings.lake).mkdir()
    runs = Runs(Lake(settings.lake, settings).store)
    stops = ((signal.SIGKILL, -signal.SIGKILL, "interrupted"), (signal.SIGTERM, 130, "failed"), (signal.SIGINT, 130, "failed"))
    for attempt, (number, code, status) in enumerate(stops, 1):
        process = sanyu(settings, *(("run", "--all", "--publish") if attempt == 1 else ("run", "--resume")))
        wait(lambda p=process, a=attempt: works(p, settings, a), "the load did not begin")  # type: ignore[misc]
        (jvm,) = jvms(process.pid)
        process.send_signal(number)
        said = process.communicate(timeout=60)
        assert process.returncode == code, said
        wait(lambda j=jvm: started(j) is None, f"the JVM works on after signal {number}", 30)  # type: ignore[misc]
        (run,) = runs.newest()
        assert run.status == status
    process = sanyu(settings, "run", "--resume", "--json")
    said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert json.loads(said[0])["release"]["rows"] == 40
    (run,) = runs.newest()
    assert run.status == "done"
    assert [a.error for a in run.attempts] == [None, "KeyboardInterrupt", "KeyboardInterrupt", None]
    assert {(i.source, i.figures["rows_in"], i.state) for i in run.items} == {("parks", 20, "published"), ("shops", 20, "published")}
    lake = Lake(settings.lake, settings)
    keys = lake.table(PLACE).to_arrow(columns=["source_key"], history=True)["source_key"].to_pylist()
    assert len(keys) == len(set(keys)) == 40
    nothing = sanyu(settings, "run", "--resume")
    assert "SY-J004" in nothing.communicate(timeout=60)[1]
    assert nothing.returncode == 2
