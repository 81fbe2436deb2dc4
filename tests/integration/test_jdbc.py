"""A source that is a PostGIS table: its rows land as a file's do, the same rows are the same batch, and each failure says its remedy."""

from __future__ import annotations

import datetime as dt
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import shapely

from cli.app import main
from sanyu.lake.store import LocalStore
from sanyu.landing.landing import Landed, fingerprint, land
from sanyu.landing.queried import database_of
from sanyu.readers import Shape, fetch
from sanyu.settings import Settings
from schemas.messages import SanyuError
from schemas.registry import contracts
from schemas.source import Source, load_source
from tests.integration.postgres import PASSWORD, Postgres, running

TABLE = """
drop table if exists building, edition;
create table building (
    id int primary key, name text, height float8, is_high boolean, built date, seen timestamptz, photo bytea,
    geom geometry(Polygon, 4326)
);
insert into building values
    (1, '钟楼', 36.5, true, '2001-05-06', '2026-01-02 03:04:05+08', '\\x0102', ST_MakeEnvelope(120.1, 30.1, 120.11, 30.11, 4326)),
    (2, '', 0.1, false, null, '2026-01-02 03:04:05.25+00', null, ST_MakeEnvelope(120.2, 30.2, 120.21, 30.21, 4326)),
    (3, null, 1e21, null, null, null, null, null);
create table edition (number int);
insert into edition values (1);
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="sanyu-pg-") as folder, running(Path(folder)) as found:
        yield found


@pytest.fixture
def postgres(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> Postgres:
    monkeypatch.setenv("CITY_USER", "city")
    monkeypatch.setenv("CITY_PASSWORD", PASSWORD)
    server.sql(TABLE)
    return server


@pytest.fixture
def store(tmp_lake: Path) -> LocalStore:
    return LocalStore(tmp_lake)


def source(postgres: Postgres, **read: Any) -> Source:
    given = {"format": "jdbc", "url": postgres.url, "user_env": "CITY_USER", "password_env": "CITY_PASSWORD"}
    if "query" not in read:
        given |= {"table": "public.building", "geometry": "geom"}
    columns = {"name": "name"}
    return Source.model_validate(
        {
            "source": {"name": "city_buildings", "title": "Buildings", "domain": "basemap", "licence": "none", "attribution": "none"},
            "read": {**given, **read},
            "into": [{"contract": "core.basemap__building", "key": "id", "columns": columns}],
        }
    )


def landing(store: LocalStore, what: Source) -> Landed:
    return land(store, what, Path("/nowhere"), contracts())


def rows(landed: Landed) -> list[dict[str, Any]]:
    return [row for part in landed.parts for row in pq.read_table(part.uri).to_pylist()]


def test_rows_land_as_texts_with_geometry_and_reference_system(postgres: Postgres, store: LocalStore) -> None:
    landed = landing(store, source(postgres))
    first, second, third = rows(landed)
    assert dict(first["attributes"]) == {
        "id": "1",
        "name": "钟楼",
        "height": "36.5",
        "is_high": "true",
        "built": "2001-05-06",
        "seen": "2026-01-01T19:04:05+00:00",
        "photo": "AQI=",
    }
    assert dict(second["attributes"])["seen"] == "2026-01-02T03:04:05.25+00:00"
    assert dict(second["attributes"])["name"] == ""
    assert dict(third["attributes"]) == {"id": "3", "height": "1e+21"}
    assert shapely.from_wkb(first["geom"]).bounds == (120.1, 30.1, 120.11, 30.11)
    assert (third["geom"], third["error_code"], landed.crs) == (None, None, ("EPSG:4326",))
    (file,) = json.loads(store.get(f"landing/city_buildings/{landed.batch_id}/manifest.json") or b"")["files"]
    assert file["name"] == f"postgresql://127.0.0.1:{postgres.port}/city public.building"
    assert file["row_count"] == 3
    assert len(file["sha256"]) == 64
    assert file["parser"].startswith("org.postgresql.Driver 42.")


@pytest.mark.parametrize("column", ["ST_AsBinary(geom)", "ST_AsText(geom)", "ST_AsEWKT(geom)", "geom"])
def test_geometry_comes_as_wkb_or_wkt(postgres: Postgres, store: LocalStore, column: str) -> None:
    what = source(postgres, query=f"select id, {column} as shape from building order by id", geometry="shape", crs="EPSG:4490")
    landed = landing(store, what)
    assert shapely.from_wkb(rows(landed)[1]["geom"]).bounds == (120.2, 30.2, 120.21, 30.21)
    assert landed.crs == ("EPSG:4490",)


def test_coordinate_columns_make_points(postgres: Postgres, store: LocalStore) -> None:
    what = source(postgres, query="select id, 120.5 + id / 8.0 as lon, 30.5 as lat from building order by id;", x="lon", y="lat")
    assert shapely.from_wkb(rows(landing(store, what))[0]["geom"]).coords[:] == [(120.625, 30.5)]


def test_the_same_rows_in_another_order_are_the_same_batch(postgres: Postgres, store: LocalStore) -> None:
    first = landing(store, source(postgres))
    postgres.sql("update building set name = name where id = 1")  # moves the row to the table's end
    again = landing(store, source(postgres))
    assert not again.is_new
    assert (again.batch_id, again.edition_at, again.parts) == (first.batch_id, first.edition_at, first.parts)
    postgres.sql("update building set name = '鼓楼' where id = 1")
    other = landing(store, source(postgres))
    assert other.is_new
    assert other.batch_id != first.batch_id
    assert len(store.folders("landing/_parsed")) == 2


def test_where_changed_by_says_that_nothing_is_new_no_row_is_fetched(
    postgres: Postgres, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    what = source(postgres, changed_by="select max(number) from edition")
    first = landing(store, what)
    postgres.sql("update building set name = 'unannounced' where id = 1")
    with monkeypatch.context() as patched:
        patched.setattr("sanyu.landing.queried.fetch", lambda *a: pytest.fail("rows were fetched"))
        again = landing(store, what)
        assert fingerprint(store, what, Path("/nowhere"), contracts()).batch_id == first.batch_id
    assert (again.is_new, again.batch_id) == (False, first.batch_id)
    postgres.sql("update edition set number = 2")
    later = landing(store, what)
    assert later.is_new
    assert dict(next(r for r in rows(later) if dict(r["attributes"])["id"] == "1")["attributes"])["name"] == "unannounced"


class Fetches:
    """Counts how often rows are fetched."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        monkeypatch.setattr("sanyu.landing.queried.fetch", self)

    def __call__(self, *arguments: Any) -> Any:
        self.count += 1
        return fetch(*arguments)


def test_what_a_look_has_fetched_is_landed_once_and_not_fetched_again(
    postgres: Postgres, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, fetches = source(postgres), Fetches(monkeypatch)
    seen = fingerprint(store, what, Path("/nowhere"), contracts())
    postgres.sql("update building set name = '鼓楼' where id = 1")
    said: list[str] = []
    landed = land(store, what, Path("/nowhere"), contracts(), progress=said.append)
    assert fetches.count == 1
    assert (landed.is_new, landed.batch_id, landed.edition_at) == (True, seen.batch_id, seen.edition_at)
    assert [dict(row["attributes"]).get("name") for row in rows(landed)] == ["钟楼", "", None], "as the look has seen them"
    assert "rows as fetched at" in said[0]
    later = landing(store, what)
    assert (fetches.count, later.is_new) == (2, True), "they are taken once"
    assert dict(rows(later)[-1]["attributes"])["name"] == "鼓楼"
    fingerprint(store, what, Path("/nowhere"), contracts())
    assert not store.exists("landing/city_buildings/fetched.json"), "rows that are known are not kept"


def test_rows_of_an_old_look_or_of_another_question_are_not_taken(
    postgres: Postgres, store: LocalStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    what, fetches = source(postgres), Fetches(monkeypatch)
    fingerprint(store, what, Path("/nowhere"), contracts())
    other = source(postgres, query="select id, name, geom from building where id = 1", geometry="geom")
    assert len(rows(landing(store, other))) == 1
    fingerprint(store, what, Path("/nowhere"), contracts())
    monkeypatch.setattr("sanyu.landing.queried.KEPT_FOR", dt.timedelta(seconds=-1))
    landing(store, what)
    assert fetches.count == 4


def test_parts_that_are_gone_are_fetched_again(postgres: Postgres, store: LocalStore) -> None:
    what = source(postgres, changed_by="select max(number) from edition")
    first = landing(store, what)
    store.delete("landing/_parsed")
    again = landing(store, what)
    assert (again.batch_id, len(rows(again))) == (first.batch_id, 3)


def test_rows_stream_in_chunks(postgres: Postgres, tmp_path: Path) -> None:
    what = source(
        postgres, query="select i as id, repeat('x', 1000) as filling from generate_series(1, 400000) i", fetch_size=1000, max_memory_mb=128
    )
    counts: list[int] = []
    database = database_of(what, what.read, Settings.load().jar_folder)
    fetched = fetch(database, what.read.sql, Shape(), tmp_path / "out", counts.append)  # 400 MB through a heap of 128 MB
    assert fetched.parsed.row_count == 400_000
    assert len(fetched.parsed.parts) == 2
    assert counts[0] <= 20_000
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["parsed.json", "part-00000.parquet", "part-00001.parquet"]


@pytest.mark.parametrize(
    ("read", "environment", "code", "names"),
    [
        ({"url": "jdbc:postgresql://127.0.0.1:1/city"}, {}, "SY-R040", "127.0.0.1:1/city"),
        ({"url": "jdbc:postgresql://127.0.0.1:{port}/town"}, {}, "SY-R040", "town"),
        ({}, {"CITY_PASSWORD": "wrong-secret"}, "SY-R041", "CITY_USER, CITY_PASSWORD"),
        ({}, {"CITY_USER": "nobody-here"}, "SY-R041", "nobody-here"),
        ({}, {"CITY_PASSWORD": ""}, "SY-R042", "CITY_PASSWORD"),
        ({"query": "select nothing from building"}, {}, "SY-R043", "nothing"),
        ({"query": "select 1 / (id - 2) as x from building"}, {}, "SY-R043", "division by zero"),
        ({"query": "delete from building returning id"}, {}, "SY-R043", "read-only"),
        ({"url": "jdbc:oracle:thin:@//host/city"}, {}, "SY-R044", "jdbc:oracle"),
        ({"driver": "no/such.jar"}, {}, "SY-R044", "no/such.jar"),
        ({"query": "select id, id from building"}, {}, "SY-R046", "'id'"),
        ({"query": "select 1"}, {}, "SY-R046", "?column?"),
        ({"query": "select id from building", "geometry": "shape"}, {}, "SY-R026", "shape"),
        ({"query": "select id, pg_sleep(30) from building", "max_seconds": 5}, {}, "SY-R016", "5"),
    ],
)
def test_failures_name_the_remedy_and_leave_nothing(
    postgres: Postgres,
    store: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
    read: dict[str, Any],
    environment: dict[str, str],
    code: str,
    names: str,
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    read = {key: value.format(port=postgres.port) if key == "url" else value for key, value in read.items()}
    with pytest.raises(SanyuError) as caught:
        landing(store, source(postgres, **read))
    assert caught.value.code == code
    for lang in ("en", "zh"):
        assert names in caught.value.message(lang)
        assert PASSWORD not in caught.value.message(lang)
        assert "wrong-secret" not in caught.value.message(lang)
    assert store.keys("landing") == []


def test_a_server_that_goes_away_is_told_from_a_bad_query(postgres: Postgres, tmp_path: Path) -> None:
    what = source(postgres, query="select pg_terminate_backend(pg_backend_pid()) as done")
    database = database_of(what, what.read, Settings.load().jar_folder)
    with pytest.raises(SanyuError) as caught:
        fetch(database, what.read.sql, Shape(), tmp_path)
    assert caught.value.code == "SY-R045"
    assert list(tmp_path.iterdir()) == []


def test_sources_and_plan_show_where_the_rows_are(
    postgres: Postgres, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "city"
    folder.mkdir()
    (folder / "city.toml").write_text(
        'name = "c"\ntitle = "City"\ntitle_zh = "城"\nextent = [120, 30, 121, 31]\nmetric_crs = "EPSG:4549"\n'
    )
    (folder / "buildings.toml").write_text(
        f"""
[source]
name = "buildings"
title = "Buildings"
domain = "basemap"
licence = "none"
attribution = "none"
[read]
format = "jdbc"
url = "{postgres.url}?sslmode=disable"
user_env = "CITY_USER"
password_env = "CITY_PASSWORD"
table = "building"
geometry = "geom"
[[into]]
contract = "core.basemap__building"
key = "id"
[into.columns]
name = "name"
height_m = "height"
"""
    )
    assert load_source(folder / "buildings.toml").read.origin == f"postgresql://127.0.0.1:{postgres.port}/city building"
    options = ["--sources", str(folder), "--lake", str(tmp_path / "lake")]
    main([*options, "sources", "--json"])
    (listed,) = json.loads(capsys.readouterr().out)
    assert listed["reads"] == f"postgresql://127.0.0.1:{postgres.port}/city building"
    main([*options, "plan", "buildings", "--json"])
    planned = json.loads(capsys.readouterr().out)
    assert planned["files"] == [[f"postgresql://127.0.0.1:{postgres.port}/city building", None, "jdbc", "3"]]
    filled = {name: rule for name, _, rule in planned["targets"][0]["columns"]}
    assert (filled["name"], filled["height_m"]) == ("name", "height")
    main([*options, "plan", "buildings"])
    assert "building" in capsys.readouterr().out
    assert not (tmp_path / "lake").exists()
