"""A source loaded by Spark into lakes with unusual folder names, and read back by Spark and without it."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs.context import Loading
from jobs.loading import load
from sanyu.lake import Lake
from sanyu.settings import Settings
from schemas.registry import contracts
from schemas.source import Source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PLACE = "core.basemap__place"
SHOPS = Source.model_validate(
    {
        "source": {"name": "shops", "title": "Shops", "domain": "basemap", "licence": "none", "attribution": "none"},
        "read": {"path": "*.csv", "format": "csv", "x": "lon", "y": "lat", "crs": "EPSG:4326"},
        "delivery": {"edition_at": "2025-01-01"},
        "into": [{"contract": PLACE, "key": "id", "columns": {"name": "name", "class_code": {"expr": "class", "codes": {"food": "01"}}}}],
    }
)


@pytest.mark.parametrize("name", ["a b#城'", "a?b*{c}", "~+=&;,:$!@()"])
def test_two_editions_are_loaded_and_read_back(tmp_path: Path, spark: SparkSession, name: str) -> None:
    for other in ("axb1c", "a1bc"):
        (tmp_path / other).mkdir()
    data = tmp_path / "data"
    data.mkdir()
    lake = Lake(tmp_path / name, Settings.load(lake=str(tmp_path / name)))
    now = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    for run, rows in enumerate(
        (["1,Noodles,food,120.1,30.2", "2,Tea,food,120.2,30.2", "3,?,none,120.2,30.2"], ["1,Noodles 2,food,120.1,30.2"]), 1
    ):
        (data / "shops.csv").write_text("\n".join(["id,name,class,lon,lat", *rows]) + "\n")
        at = (now + dt.timedelta(days=run)).isoformat()
        loading = Loading(lake, contracts(), data, f"run-{run}", at, lambda: spark, extent=(119.0, 29.0, 121.0, 31.0))
        load.run(loading, SHOPS.model_copy(update={"delivery": SHOPS.delivery.model_copy(update={"edition_at": f"2025-01-0{run}"})}))
    table = lake.table(PLACE)
    assert table.to_arrow(["name"])["name"].to_pylist() == ["Noodles 2"]
    assert [row.name for row in table.to_spark(["name"]).collect()] == ["Noodles 2"]
    assert lake.table("quarantine.basemap__place").count() == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([name, "axb1c", "a1bc", "data"])
