"""A PostGIS table on its whole way into a core table: geometry, history by `changed_by`, and by the rows alone where there is none."""

from __future__ import annotations

import datetime as dt
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobs.context import Loading
from jobs.loading import load
from sanyu.coords import transform
from sanyu.lake import Lake
from sanyu.readers import fetch
from sanyu.settings import Settings
from schemas.registry import contracts
from schemas.source import Source
from tests.integration.postgres import PASSWORD, Postgres, running

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BUILDING = "core.basemap__building"
# The Gauss-Krüger zone of the city (EPSG:4549), metres east and north, as a planning office keeps it.
TABLE = """
drop table if exists building, edition;
create table building (id int primary key, name text, height float8, geom geometry(Polygon, 4549));
insert into building
    select i, '楼' || i, 3.0 * i, ST_MakeEnvelope(500000 + 100 * i, 3350000, 500020 + 100 * i, 3350010, 4549) from generate_series(1, 9) i;
insert into building values (10, '无图', 6, null);
create table edition (number int);
insert into edition values (1);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="sanyu-pg-") as folder, running(Path(folder)) as found:
        yield found


class Office:
    """A planning office's database and the lake that it is loaded into."""

    def __init__(self, server: Postgres, lake: Lake, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sql = server.sql
        self.url = server.url
        self.lake = lake
        self.runs = self.fetches = self.starts = 0
        self._spark = spark
        monkeypatch.setattr("sanyu.landing.queried.fetch", self._fetch)

    def _fetch(self, *arguments: object) -> object:
        self.fetches += 1
        return fetch(*arguments)  # type: ignore[arg-type]

    def session(self) -> SparkSession:
        self.starts += 1
        return self._spark

    def loading(self) -> Loading:
        self.runs += 1
        recorded = (dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=self.runs)).isoformat()
        return Loading(self.lake, contracts(), Path("/nowhere"), f"run-{self.runs}", recorded, self.session, extent=(119, 29, 121, 31))

    def load_if_new(self, source: Source) -> tuple[int, int, int] | None:
        """Look and load as the city's DAG does; return rows loaded, unchanged and closed, None where the look finds nothing new."""
        if load.is_loaded(self.loading(), source):
            return None
        (table,) = load.run(self.loading(), source).targets
        return table.loaded, table.unchanged, table.closed


@pytest.fixture
def office(server: Postgres, tmp_lake: Path, spark: SparkSession, monkeypatch: pytest.MonkeyPatch) -> Office:
    monkeypatch.setenv("CITY_USER", "city")
    monkeypatch.setenv("CITY_PASSWORD", PASSWORD)
    server.sql(TABLE)
    settings = Settings.load(lake=str(tmp_lake))
    return Office(server, Lake(settings.lake, settings), spark, monkeypatch)


def source(office: Office, **read: str) -> Source:
    given = {"format": "jdbc", "url": office.url, "user_env": "CITY_USER", "password_env": "CITY_PASSWORD", "table": "building"}
    return Source.model_validate(
        {
            "source": {"name": "planning", "title": "Planning", "domain": "basemap", "licence": "none", "attribution": "none"},
            "read": {**given, "geometry": "geom", **read},
            "into": [{"contract": BUILDING, "key": "id", "columns": {"name": "name", "height_m": "height"}}],
        }
    )


def test_rows_come_with_their_geometry_and_later_only_what_changed(office: Office) -> None:
    planning = source(office, changed_by="select max(number) from edition")
    assert office.load_if_new(planning) == (9, 0, 0)
    assert office.fetches == 1, "the load takes what the look has fetched"
    (without,) = office.lake.table("quarantine.basemap__building").to_arrow(columns=["row_number", "errors"]).to_pylist()
    assert (without["row_number"], [e["field"] for e in without["errors"]]) == (10, ["geom"])
    frame = office.lake.table(BUILDING).to_geopandas().set_index("source_key")
    west, south, *_ = frame.geometry["3"].bounds
    lon, lat = transform(500300.0, 3350000.0, "EPSG:4549", "EPSG:4490")
    assert max(abs(west - lon), abs(south - lat)) < 1e-7
    assert (frame.crs.to_epsg(), frame["height_m"]["3"], frame["name"]["3"]) == (4490, 9.0, "楼3")

    office.sql("update building set height = 99 where id = 3")
    assert office.load_if_new(planning) is None, "the edition says that nothing is new"
    assert office.fetches == 1
    office.sql("update edition set number = 2; delete from building where id = 9")
    assert office.load_if_new(planning) == (1, 7, 1)
    rows = (
        office.lake.table(BUILDING).to_arrow(columns=["source_key", "height_m"], history=True, where="source_key IN ('3', '9')").to_pylist()
    )
    assert sorted((r["source_key"], r["height_m"]) for r in rows) == [("3", 9.0), ("3", 99.0), ("9", 27.0)]
    assert office.lake.table(BUILDING).count() == 8
    assert office.fetches == 2


def test_without_changed_by_the_rows_themselves_tell_and_are_fetched_once(office: Office) -> None:
    planning = source(office)
    assert office.load_if_new(planning) == (9, 0, 0)
    starts = office.starts
    assert office.load_if_new(planning) is None
    assert (office.fetches, office.starts) == (2, starts), "one fetch for each look, and no Spark where nothing is new"
    office.sql("update building set name = '新楼' where id = 1")
    assert office.load_if_new(planning) == (1, 8, 0)
    assert office.fetches == 3
    assert office.lake.table(BUILDING).count(where="name = '新楼'") == 1
