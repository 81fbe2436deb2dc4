"""The catalogues of a release have what STAC 1.0 and DCAT-AP 3 require, agree with its manifest, and link to files that are there."""

from __future__ import annotations

import json
import posixpath
from datetime import datetime
from typing import Any

import pytest

from sanyu.serve.catalog import FILE, PROJECTION, TABLE, bounds, records
from sanyu.serve.geoparquet import Part
from sanyu.serve.release import PublishedTable, Release, Right
from schemas.model import SecurityLabel
from schemas.registry import contracts

BUILDING, FIRM = "core.basemap__building", "core.thematic__legal_person"
SHA = "ab" * 32
ROOT = "release/r1"
SURVEY = Right(source="survey", title="Survey", publisher="Survey office", licence="CC BY 4.0", attribution="© Survey office")
OSM = Right(source="osm", title="OSM", publisher=None, licence="ODbL-1.0", attribution="© OpenStreetMap")


def part(number: int, box: tuple[float, float, float, float] | None = None) -> Part:
    edges = ("xmin", "ymin", "xmax", "ymax")
    named = {} if box is None else {"bbox": dict(zip(edges, box, strict=True))}
    stats = {"numRecords": 5, "minValues": named, "maxValues": named}
    return Part(name=f"part-{number:05d}.parquet", rows=5, size=100 + number, sha256=SHA, stats=json.dumps(stats))


def table(name: str, files: tuple[Part, ...], sources: tuple[str, ...], columns: tuple[tuple[str, str], ...]) -> PublishedTable:
    return PublishedTable(
        name=name,
        path=f"{ROOT}/{contracts()[name].domain}/{contracts()[name].entity}",
        contract_version=1,
        delta_version=7,
        committed_at=1_767_225_600_000,
        rows=5 * len(files),
        withheld=0,
        sources=sources,
        columns=columns,
        files=files,
        log=(),
        valid_from="2025-06-01T00:00:00Z" if name == BUILDING else None,
    )


@pytest.fixture(scope="module")
def release() -> Release:
    parts = (part(0, (120.1, 30.1, 120.1, 30.1)), part(1, (120.4, 30.3, 120.4, 30.3)))
    columns = (("entity_id", "string"), ("height_m", "double"), ("geom", "binary"))
    buildings = table(BUILDING, parts, ("osm", "survey"), columns)
    firms = table(FIRM, (part(0),), ("survey",), (("entity_id", "string"),))
    return Release(release_id="r1", digest="d", edition=SecurityLabel.PUBLIC, city="demo", tables=(buildings, firms), rights=(OSM, SURVEY))


@pytest.fixture(scope="module")
def found(release: Release) -> dict[str, Any]:
    return {name: json.loads(data) for name, data in records(release, contracts()).items()}


def is_instant(text: str) -> bool:
    return text.endswith("Z") and datetime.fromisoformat(text).tzinfo is not None


def check_stac(record: dict[str, Any]) -> None:
    """Check the members that STAC 1.0.0 requires (catalog-spec, collection-spec, item-spec, each "fields")."""
    assert record["stac_version"] == "1.0.0"
    assert isinstance(record["id"], str) and record["id"]
    for link in record["links"]:
        assert {"href", "rel"} <= set(link)
    if record["type"] == "Catalog":
        assert record["description"]
    elif record["type"] == "Collection":
        assert record["description"] and record["license"]
        (box,) = record["extent"]["spatial"]["bbox"]
        assert len(box) == 4 and box[0] <= box[2] and box[1] <= box[3]
        ((start, end),) = record["extent"]["temporal"]["interval"]
        assert is_instant(start) and end is None
        for provider in record["providers"]:
            assert provider["name"] and set(provider["roles"]) <= {"licensor", "producer", "processor", "host"}
    else:
        assert record["type"] == "Feature"
        assert "geometry" in record and ("bbox" in record) == (record["geometry"] is not None)
        assert is_instant(record["properties"]["datetime"])
        assert record["collection"] and any(link["rel"] == "collection" for link in record["links"])
        assert all({"href", "type", "roles"} <= set(asset) for asset in record["assets"].values())


def test_stac_records_have_what_the_specification_requires(found: dict[str, Any]) -> None:
    kinds = [record["type"] for name, record in found.items() if name.startswith("stac/")]
    assert sorted(kinds) == ["Catalog", "Collection", "Collection", "Feature", "Feature"]
    for name, record in found.items():
        if name.startswith("stac/"):
            check_stac(record)


def test_every_relative_link_leads_to_a_file_of_the_release(found: dict[str, Any], release: Release) -> None:
    there = {f"{ROOT}/{name}" for name in found} | {f"{t.path}/{p.name}" for t in release.tables for p in t.files}
    seen = set()
    for name, record in found.items():
        if name.startswith("stac/"):
            hrefs = [link["href"] for link in record["links"]] + [a["href"] for a in record.get("assets", {}).values()]
            seen |= {posixpath.normpath(posixpath.join(ROOT, posixpath.dirname(name), href)) for href in hrefs}
    assert seen <= there
    assert {f"{t.path}/{p.name}" for t in release.tables for p in t.files} <= seen


def test_an_item_tells_extent_reference_system_columns_and_checksums(found: dict[str, Any]) -> None:
    item = found[f"stac/{BUILDING}/{BUILDING}-v7.json"]
    assert item["bbox"] == [120.1, 30.1, 120.4, 30.3]
    assert item["geometry"]["coordinates"][0][0] == item["geometry"]["coordinates"][0][-1] == [120.1, 30.1]
    assert item["stac_extensions"] == sorted([PROJECTION, TABLE, FILE])
    properties = item["properties"]
    assert (properties["datetime"], properties["proj:epsg"], properties["table:row_count"]) == ("2026-01-01T00:00:00.000Z", 4490, 10)
    assert properties["table:primary_geometry"] in {c["name"] for c in properties["table:columns"]}
    assert properties["table:columns"][1] == {"name": "height_m", "type": "double", "description": "Height of the roof above the ground"}
    assert item["assets"]["part-00001"]["file:size"] == 101
    assert item["assets"]["part-00001"]["file:checksum"] == "1220" + SHA


def test_a_table_without_geometry_has_an_item_without_and_a_collection_with_the_citys_extent(found: dict[str, Any]) -> None:
    item = found[f"stac/{FIRM}/{FIRM}-v7.json"]
    assert item["geometry"] is None
    assert not {"proj:epsg", "table:primary_geometry"} & set(item["properties"])
    assert PROJECTION not in item["stac_extensions"]
    assert found[f"stac/{FIRM}/collection.json"]["extent"]["spatial"]["bbox"] == [[120.1, 30.1, 120.4, 30.3]]


def test_licences_are_spdx_where_sources_agree(found: dict[str, Any]) -> None:
    assert found[f"stac/{FIRM}/collection.json"]["license"] == "CC-BY-4.0"
    assert found[f"stac/{BUILDING}/collection.json"]["license"] == "various"
    own = SURVEY.model_copy(update={"licence": "terms (to be confirmed)"})
    firms = table(FIRM, (part(0),), ("survey",), ())
    other = Release(release_id="r", digest="d", edition=SecurityLabel.PUBLIC, city="c", tables=(firms,), rights=(own,))
    assert json.loads(records(other, contracts())[f"stac/{FIRM}/collection.json"])["license"] == "proprietary"


def test_dcat_has_what_the_application_profile_requires(found: dict[str, Any]) -> None:
    catalogue = found["metadata/catalog.jsonld"]
    assert catalogue["@type"] == "dcat:Catalog"
    assert {"dct:title", "dct:description", "dct:publisher", "dcat:dataset"} <= set(catalogue)
    prefixes = set(catalogue["@context"])
    for dataset in catalogue["dcat:dataset"]:
        assert {"dct:title", "dct:description", "dct:publisher", "dcat:distribution", "dct:accessRights"} <= set(dataset)
        assert dataset["dct:publisher"]["@type"] == "foaf:Agent"
        assert {key.split(":")[0] for key in dataset if ":" in key} <= prefixes
        assert all(d["dcat:accessURL"]["@id"].startswith("../") for d in dataset["dcat:distribution"])
    building = catalogue["dcat:dataset"][0]
    assert building["dct:spatial"]["dcat:bbox"]["@value"] == "POLYGON((120.1 30.1,120.4 30.1,120.4 30.3,120.1 30.3,120.1 30.1))"
    assert building["dct:temporal"]["dcat:startDate"]["@value"] == "2025-06-01T00:00:00Z"
    assert building["dcat:distribution"][0]["dcat:byteSize"] == 201


def test_iso_metadata_names_extent_terms_and_count(found: dict[str, Any]) -> None:
    record = found[f"metadata/{BUILDING}.json"]
    identification = record["iso19115"]["identificationInfo"][0]
    assert identification["extent"][0]["geographicElement"][0]["westBoundLongitude"] == 120.1
    assert identification["credit"] == ["© OpenStreetMap", "© Survey office"]
    assert {"reference": "ODbL-1.0"} in identification["resourceConstraints"]
    assert record["iso19115"]["spatialRepresentationInfo"][0]["geometricObjects"]["geometricObjectCount"] == 10
    assert record["odcs"]["kind"] == "DataContract"


def test_bounds_are_of_all_files_and_none_without_geometry(release: Release) -> None:
    assert bounds(release.tables[0]) == [120.1, 30.1, 120.4, 30.3]
    assert bounds(release.tables[1]) is None
