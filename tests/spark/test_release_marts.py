"""A release with a mart in it: built where it is stale, read back, under the terms of the sources behind it; secret inputs keep it out."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import pyarrow as pa
import pytest
import shapely
from deltalake import DeltaTable, write_deltalake

from jobs import marts
from jobs.context import Loading
from jobs.gate import core_tables
from jobs.publish import published
from quality.arrow import arrow_schema
from sanyu.lake import Lake
from sanyu.serve import current, verify
from sanyu.serve.release import Release
from sanyu.settings import Settings
from schemas.city import City
from schemas.registry import contracts
from schemas.source import Source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DIVISION, BUILDING = "core.basemap__division", "core.basemap__building"
PROFILE = "mart.basemap__division_profile"
CITY = City(name="c", title="City", title_zh="城", extent=(119.0, 29.0, 121.0, 31.0))
THEN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
HOUSES = [shapely.box(120.1 + n / 100, 30.1, 120.101 + n / 100, 30.101) for n in range(3)]
CODES = ("330000000000", "330100000000", "330106000000")


def source(name: str, table: str, licence: str) -> Source:
    return Source.model_validate(
        {
            "source": {"name": name, "title": name.title(), "domain": "basemap", "licence": licence, "attribution": f"© {name}"},
            "read": {"path": "*.csv"},
            "into": [{"contract": table, "columns": {"name": "name"}}],
        }
    )


SOURCES = {"survey": source("survey", DIVISION, "CC0-1.0"), "osm": source("osm", BUILDING, "ODbL-1.0")}


def put(lake: Lake, table: str, from_source: str, rows: list[dict[str, Any]]) -> None:
    """Write current rows of one source as one version of a core table."""
    contract = contracts()[table]
    schema = arrow_schema(contract)
    whole = []
    for number, row in enumerate(rows):
        xmin, ymin, xmax, ymax = row["geom"].bounds
        key = f"{from_source}{number}"
        stamp = {
            "entity_id": key,
            "stamp_id": key,
            "source_name": from_source,
            "source_key": key,
            "valid_from_at": THEN,
            "recorded_at": THEN,
        }
        place = {"cell": number, "bbox": {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}, "geom": shapely.to_wkb(row["geom"])}
        whole.append({f.name: None for f in schema} | {"security_label": "public"} | stamp | row | place)
    write_deltalake(lake.store.uri(contract.path, scheme="path"), pa.Table.from_pylist(whole, schema), mode="overwrite")


@pytest.fixture
def loading(tmp_path: Path, settings: Settings, spark: SparkSession) -> Loading:
    lake = Lake(tmp_path / "lake", settings.model_copy(update={"lake": str(tmp_path / "lake")}))
    area = shapely.box(120.0, 30.0, 120.3, 30.3)
    put(lake, DIVISION, "survey", [{"division_code": c, "division_level": n + 1, "name": c, "geom": area} for n, c in enumerate(CODES)])
    put(lake, BUILDING, "osm", [{"division_code": CODES[2], "class_code": "residential", "geom": house} for house in HOUSES])
    return Loading(lake, contracts(), tmp_path, "run-1", "2026-02-01T00:00:00+00:00", lambda: spark)


def versions(loading: Loading) -> dict[str, int]:
    """Return the core tables as they stand."""
    return {name: loading.lake.table(name).version for name in core_tables(loading)}


def released(loading: Loading) -> Release:
    found = current(loading.lake)
    assert found is not None
    return found


def record(loading: Loading, name: str) -> dict[str, Any]:
    text = loading.lake.store.get(f"{released(loading).path}/{name}")
    assert text is not None
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_mart_is_released_and_read_back_under_the_terms_of_the_sources_behind_it(loading: Loading) -> None:
    said = published(loading, CITY, SOURCES, versions(loading))
    assert [(m["table"], m["rows"], m["written"]) for m in said["marts"]] == [(PROFILE, 3, 3)], "a mart without a row has no table"
    release = released(loading)
    mart = release.table(PROFILE)
    assert (mart.rows, mart.sources) == (3, ("osm", "survey"))
    folder = loading.lake.store.uri(mart.path, scheme="path")
    frame = gpd.read_parquet(folder)
    assert frame.set_index("division_code")["building_count"].to_dict() == dict.fromkeys(CODES, 3)
    assert frame.crs.to_epsg() == 4490
    assert DeltaTable(folder).to_pyarrow_table(columns=["division_code"]).num_rows == 3
    assert verify(loading.lake, release) == []

    dcat = record(loading, f"metadata/{PROFILE}.json")["dcat"]
    assert {o["@id"] for o in dcat["prov:wasDerivedFrom"]} == {f"urn:sanyu:{release.release_id}:{t}" for t in (BUILDING, DIVISION)}
    assert [one["rdfs:label"] for one in dcat["dcat:distribution"][0]["dct:license"]] == ["CC0-1.0", "ODbL-1.0"]
    collection = record(loading, f"stac/{PROFILE}/collection.json")
    assert collection["license"] == "CC0-1.0 AND ODbL-1.0"
    assert "is offered under ODbL-1.0" in collection["description"]
    assert b"\xc2\xa9 osm" in (loading.lake.store.get(f"{release.path}/README.md") or b"")
    loading.lake.store.put(f"{release.path}/README.md", b"other terms")
    assert [e.params["file"] for e in verify(loading.lake, release)] == [f"{release.path}/README.md"]


def test_nothing_is_computed_again_until_an_input_changes(loading: Loading, monkeypatch: pytest.MonkeyPatch) -> None:
    first = published(loading, CITY, SOURCES, versions(loading))
    with monkeypatch.context() as patched:
        patched.setattr("jobs.marts.computed", lambda *a: pytest.fail("dbt was started"))
        again = published(loading, CITY, SOURCES, versions(loading))
    assert (again["release_id"], again["state"]) == (first["release_id"], "nothing changed")
    assert [(m["table"], m["rows"], m["written"]) for m in again["marts"]] == [(PROFILE, 3, 0)]

    put(loading.lake, BUILDING, "survey", [{"division_code": CODES[2], "class_code": "residential", "geom": house} for house in HOUSES])
    later = Loading(loading.lake, contracts(), loading.data_root, "run-2", "2026-02-02T00:00:00+00:00", loading.spark)
    (same,) = published(later, CITY, SOURCES, versions(later))["marts"]
    assert same["written"] == 0, "the figures are as they were"
    assert released(loading).table(PROFILE).sources == ("survey",), "but nobody's rows of before are behind them"
    assert record(loading, f"stac/{PROFILE}/collection.json")["license"] == "CC0-1.0"


def test_a_mart_made_from_a_row_above_the_edition_stays_in_the_lake(loading: Loading) -> None:
    inner = {"division_code": CODES[2], "class_code": "residential", "geom": HOUSES[0], "security_label": "internal"}
    put(loading.lake, BUILDING, "osm", [inner, inner | {"security_label": "public"}])
    published(loading, CITY, SOURCES, versions(loading))
    assert {t.name: (t.rows, t.withheld) for t in released(loading).tables} == {BUILDING: (1, 1), DIVISION: (3, 0)}
    assert loading.lake.table(PROFILE).count() == 3
    (mart,) = marts.run(loading)
    assert (mart.table, mart.lineage.label.value) == (PROFILE, "internal")


def test_what_is_loaded_after_the_gates_is_neither_in_the_tables_nor_in_the_marts(loading: Loading) -> None:
    seen = versions(loading)
    more = [{"division_code": CODES[2], "class_code": "residential", "geom": house} for house in (*HOUSES, HOUSES[0])]
    put(loading.lake, BUILDING, "osm", more)
    assert loading.lake.table(BUILDING).count() == len(HOUSES) + 1
    published(loading, CITY, SOURCES, seen)
    first = released(loading)
    assert {t.name: (t.rows, t.delta_version) for t in first.tables if t.name != PROFILE} == {
        BUILDING: (len(HOUSES), seen[BUILDING]),
        DIVISION: (3, seen[DIVISION]),
    }
    frame = gpd.read_parquet(loading.lake.store.uri(first.table(PROFILE).path, scheme="path"))
    assert set(frame["building_count"]) == {len(HOUSES)}, "the mart is of the versions that the gates have seen"
    assert {o.table: o.delta_version for o in (first.table(PROFILE).lineage or pytest.fail("no lineage")).inputs} == seen
    later = Loading(loading.lake, contracts(), loading.data_root, "run-2", "2026-02-02T00:00:00+00:00", loading.spark)
    published(later, CITY, SOURCES, versions(later))
    assert released(loading).table(BUILDING).rows == len(HOUSES) + 1
