"""A small city through the real Airflow: load, gate, release and map; then again, when nothing has changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.airflow import LocalAirflow, RunEvent
from sanyu.lake import Lake, folders
from sanyu.serve.release import current, verify
from sanyu.settings import Settings

CITY = """
name = "tiny"
title = "Tiny"
title_zh = "小城"
extent = [119.0, 29.0, 121.0, 31.0]
metric_crs = "EPSG:4549"
"""
SHOPS = """
[source]
name = "shops"
title = "Shops"
domain = "basemap"
licence = "CC0-1.0"
attribution = "nobody"
[read]
path = "shops.csv"
x = "lon"
y = "lat"
crs = "GCJ-02"
[delivery]
edition_at = "2025-01-01"
[[into]]
contract = "core.basemap__place"
key = "id"
[into.columns]
name = "name"
class_code = { expr = "kind", codes = { food = "01", school = "05" } }
"""


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    sources, data = tmp_path / "sources", tmp_path / "data"
    sources.mkdir()
    data.mkdir()
    (sources / "city.toml").write_text(CITY, "utf-8")
    (sources / "shops.toml").write_text(SHOPS, "utf-8")
    rows = "".join(f"{n},店{n},{'food' if n % 2 else 'school'},120.{n:03d},30.{n:03d}\n" for n in range(100, 160))
    (data / "shops.csv").write_text("id,name,kind,lon,lat\n" + rows + "160,坏,wrong,120.1,30.1\n", "utf-8")
    return Settings.load(
        lake=str(tmp_path / "lake"), sources_dir=str(sources), data_root=str(data), city="tiny", spark_master="local[2]", driver_memory="2g"
    )


@pytest.mark.timeout(900)
def test_city_is_loaded_released_and_left_alone_the_second_time(settings: Settings, tmp_path: Path) -> None:
    seen: list[RunEvent] = []
    with LocalAirflow(settings, tmp_path / "airflow", only=("city", "release")) as airflow:
        airflow.trigger("city")
        airflow.follow(["city", "release"], seen.append)
        lake = Lake(settings.lake, settings)
        released = current(lake)
        assert released is not None
        assert [(t.name, t.rows) for t in released.tables] == [("core.basemap__place", 60)]
        assert verify(lake, released) == []
        assert (Path(settings.lake) / released.path / "map.html").stat().st_size > 100_000
        assert (Path(settings.lake) / "quality" / "index.html").is_file()
        version = lake.table("core.basemap__place").version

        seen.clear()
        airflow.trigger("city")
        airflow.follow(["city"], seen.append)
    done = dict.fromkeys(("changed", "announce", "acknowledge", "complete"), "success")
    assert {e.task: e.state for e in seen if e.task} == {**done, "load": "skipped"}
    assert lake.table("core.basemap__place").version == version
    assert lake.table("quarantine.basemap__place").count() == 1
    assert set(lake.store.folders()) <= set(folders.names())
