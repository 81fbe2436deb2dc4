"""Partitions through the real Airflow: a delivery starts the chain for the districts and months that it touches, and for no other."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from demo.airflow import LocalAirflow
from sanyu.lake import Lake
from sanyu.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
CHAIN = "chain_event_month"
CITY = 'name = "demo"\ntitle = "Tiny"\ntitle_zh = "小城"\nextent = [119.0, 29.0, 121.0, 31.0]\nmetric_crs = "EPSG:4549"\n'
ABOUT = '[source]\nname = "{name}"\ntitle = "T"\ndomain = "{domain}"\nlicence = "CC0-1.0"\nattribution = "nobody"\n'
DISTRICTS = """
[read]
path = "districts.csv"
wkt = "wkt"
crs = "EPSG:4490"
[delivery]
edition_at = "2020-01-01"
[[into]]
contract = "core.basemap__division"
[into.columns]
division_code = "code"
division_level = "level"
name = "name"
"""
EVENTS = """
[read]
path = "events.csv"
x = "lon"
y = "lat"
crs = "EPSG:4490"
[[into]]
contract = "core.thematic__event"
key = "id"
[into.columns]
event_id = "id"
occurred_at = "at"
class_code = "'complaint'"
"""
BOXES = {"330106": "120.0", "330108": "120.2"}


def box(west: float) -> str:
    east = west + 0.1
    return f'"POLYGON (({west} 30, {east} 30, {east} 30.1, {west} 30.1, {west} 30))"'


def deliver(data: Path, events: list[tuple[str, float, str]]) -> None:
    lines = [f"{n},{at},{lon},30.05" for n, lon, at in events]
    (data / "events.csv").write_text("id,at,lon,lat\n" + "\n".join(lines) + "\n", "utf-8")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    sources, data = tmp_path / "sources", tmp_path / "data"
    sources.mkdir()
    data.mkdir()
    (sources / "city.toml").write_text(CITY, "utf-8")
    (sources / "districts.toml").write_text(ABOUT.format(name="districts", domain="basemap") + DISTRICTS, "utf-8")
    (sources / "events.toml").write_text(ABOUT.format(name="events", domain="thematic") + EVENTS, "utf-8")
    rows = "".join(f"{code}000000,3,区{code},{box(float(west))}\n" for code, west in BOXES.items())
    (data / "districts.csv").write_text("code,level,name,wkt\n" + rows, "utf-8")
    given = {"lake": "lake", "sources_dir": "sources", "data_root": "data"}
    return Settings.load(**{k: str(tmp_path / v) for k, v in given.items()}, city="demo", spark_master="local[2]", driver_memory="2g")


def newest_runs(lake: Lake) -> dict[str, int]:
    """Return how often each partition was computed, by the condition of the runs."""
    counts: dict[str, int] = {}
    for row in lake.table("mart.mining__run").to_arrow(columns=["inputs"]).to_pylist():
        (asked,) = json.loads(row["inputs"])
        counts[asked["where"]] = counts.get(asked["where"], 0) + 1
    return counts


@pytest.mark.timeout(1200)
def test_a_delivery_starts_the_chain_for_the_partitions_that_it_touches(settings: Settings, tmp_path: Path) -> None:
    data = Path(str(settings.data_root))
    first = [(f"a{n}", 120.05, f"2025-01-{n:02d}T12:00:00") for n in range(1, 5)]
    first += [(f"b{n}", 120.25, f"2025-02-{n:02d}T12:00:00") for n in range(1, 5)]
    deliver(data, first)
    with LocalAirflow(settings, tmp_path / "airflow", ROOT / "dags", only=("city", CHAIN)) as airflow:
        airflow.trigger("city")
        runs = airflow.follow(["city", CHAIN], lambda event: None)
        assert sorted(run.partition for run in runs if run.dag == CHAIN) == ["330106|2025-01", "330108|2025-02"]
        lake = Lake(settings.lake, settings)
        pages = sorted(key for key in lake.store.keys("chain") if key.endswith(".html"))
        assert pages == [f"chain/event_month/{name}/index.html" for name in ("330106_2025-01", "330108_2025-02")]
        assert sorted(newest_runs(lake).values()) == [2, 2], "two steps for each of two partitions"

        deliver(data, [*first[:-1], ("b4", 120.25, "2025-02-27T12:00:00")])
        airflow.trigger("city")
        runs = airflow.follow(["city", CHAIN], lambda event: None)
        assert [run.partition for run in runs if run.dag == CHAIN] == ["330108|2025-02"], "one event of one month has moved"

        computed = newest_runs(lake)
        airflow.trigger(CHAIN, partition_key="330106|2025-01")
        (run,) = airflow.follow([CHAIN], lambda event: None)
        assert (run.partition, run.state) == ("330106|2025-01", "success")
        assert newest_runs(lake) == computed, "nothing in that partition has changed"
    shutil.rmtree(tmp_path / "airflow")
