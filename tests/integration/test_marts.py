"""dbt builds the marts over a small lake: right against pyproj, history left out, missing tables empty, a failed test named."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import boto3
import pyarrow as pa
import pytest
import shapely
from deltalake import write_deltalake
from moto.server import ThreadedMotoServer
from pyproj import Geod

from jobs.marts import computed, is_mart
from quality.arrow import arrow_schema
from sanyu.lake import Lake
from sanyu.settings import Settings
from schemas.messages import SanyuError
from schemas.model import SecurityLabel
from schemas.registry import contracts

DIVISION, BUILDING, FIRM = "core.basemap__division", "core.basemap__building", "core.thematic__legal_person"
ENDED = dt.datetime(2025, 6, 1, tzinfo=dt.UTC)
HOUSE, BARN = shapely.box(120.1, 30.1, 120.1002, 30.1001), shapely.box(120.2, 30.2, 120.2003, 30.2002)
AREAS = [
    ("330000000000", 1, "浙江省", None),
    ("330100000000", 2, "杭州市", None),
    ("330106000000", 3, "西湖区", shapely.box(120.0, 30.0, 120.3, 30.3)),
]


def put(lake: Lake, name: str, rows: list[dict[str, Any]]) -> None:
    contract = contracts()[name]
    schema = arrow_schema(contract)
    whole = [{f.name: row.get(f.name) for f in schema} for row in rows]
    options = lake.store.storage_options() or None
    write_deltalake(lake.store.uri(contract.path, scheme="s3"), pa.Table.from_pylist(whole, schema), storage_options=options)


def wkb(shape: shapely.Geometry | None) -> bytes | None:
    return None if shape is None else shapely.to_wkb(shape)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(str(tmp_path))
    by = {"source_name": "survey", "security_label": "public"}
    put(made, DIVISION, [{**by, "division_code": c, "division_level": v, "name": n, "geom": wkb(g)} for c, v, n, g in AREAS])
    stands = {**by, "source_name": "osm", "division_code": "330106000000"}
    gone = {**stands, "source_name": "gone", "security_label": "secret", "geom": wkb(HOUSE), "valid_to_at": ENDED}
    put(made, BUILDING, [{**stands, "geom": wkb(HOUSE)}, {**stands, "geom": wkb(BARN)}, gone, {**by, "geom": wkb(HOUSE)}])
    return made


def square_metres(*shapes: shapely.Geometry) -> float:
    return sum(abs(Geod(ellps="GRS80").geometry_area_perimeter(s)[0]) for s in shapes)


def test_a_division_counts_what_stands_in_it_and_in_its_parts_now(lake: Lake) -> None:
    found = {made.contract.name: made.rows for made in computed(lake, contracts())}
    profile = {r["division_code"]: r for r in found["mart.basemap__division_profile"].to_pylist()}
    assert {code: r["building_count"] for code, r in profile.items()} == {code: 2 for code, *_ in AREAS}
    assert profile["330100000000"]["building_area_m2"] == pytest.approx(square_metres(HOUSE, BARN), abs=0.06)
    assert profile["330106000000"]["area_m2"] == pytest.approx(square_metres(AREAS[2][3]), rel=1e-9)
    assert profile["330000000000"]["area_m2"] is None
    assert profile["330106000000"]["firm_count"] == 0
    assert found["mart.thematic__firm_profile"].num_rows == 0


def test_marts_of_a_lake_on_an_object_store_are_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("AWS_SESSION_TOKEN", raising=False)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        endpoint = "http://{}:{}".format(*server.get_host_and_port())
        boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1").create_bucket(Bucket="marts")
        lake = Lake("s3a://marts/lake", Settings(lake="s3a://marts/lake", s3_endpoint=endpoint))
        put(lake, FIRM, [{"division_code": "330106000000", "source_name": "register", "security_label": "public"}])
        firms = next(m for m in computed(lake, contracts()) if m.contract.name == "mart.thematic__firm_profile")
        assert [row["firm_count"] for row in firms.rows.to_pylist()] == [1]
        assert firms.lineage.sources == ("register",)
    finally:
        server.stop()


def test_a_mart_knows_the_versions_and_the_sources_of_the_rows_that_it_was_made_from(lake: Lake) -> None:
    made = {m.contract.name: m for m in computed(lake, contracts())}
    profile, firms = made["mart.basemap__division_profile"], made["mart.thematic__firm_profile"]
    read = [(origin.table, origin.delta_version, origin.sources) for origin in profile.lineage.inputs]
    assert read == [(BUILDING, 0, ("osm", "survey")), (DIVISION, 0, ("survey",))], "a source whose rows have ended is not in it"
    assert profile.lineage.label is SecurityLabel.PUBLIC
    assert set(profile.absent) >= {FIRM, "core.basemap__place", "core.thematic__population"}
    assert (firms.lineage.inputs, firms.absent) == ((), (FIRM,))


@pytest.mark.parametrize(("label", "expected"), [("internal", SecurityLabel.INTERNAL), (None, SecurityLabel.SECRET)])
def test_a_mart_is_as_secret_as_the_most_secret_row_behind_it(lake: Lake, label: str | None, expected: SecurityLabel) -> None:
    put(lake, FIRM, [{"division_code": "330106000000", "source_name": "register", "security_label": label}])
    made = {m.contract.name: m.lineage.label for m in computed(lake, contracts())}
    assert made == {"mart.basemap__division_profile": expected, "mart.thematic__firm_profile": expected}


def test_a_model_whose_test_fails_is_named(lake: Lake) -> None:
    put(lake, FIRM, [{"division_code": "330106000000", "source_name": "r", "industry_code": code} for code in ("52", None)])
    assert [r["firm_count"] for made in computed(lake, contracts()) for r in made.rows.to_pylist() if "industry_group" in r] == [1, 1]
    write_deltalake(lake.store.uri("core/basemap/division", scheme="path"), lake.table(DIVISION).to_arrow(), mode="append")
    with pytest.raises(SanyuError, match="unique_division_profile_division_code"):
        computed(lake, contracts())


def test_every_model_has_a_contract() -> None:
    assert {c.entity for c in contracts().values() if is_mart(c)} == {"division_profile", "firm_profile"}
