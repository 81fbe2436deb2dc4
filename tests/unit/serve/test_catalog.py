"""The catalogues of a release have what STAC 1.1 and DCAT-AP 3 require, agree with its manifest, and link to files that are there."""

from __future__ import annotations

import json
import posixpath
from datetime import datetime
from typing import Any

import pytest

from sanyu.serve.catalog import FILE, PROCESSING, PROJECTION, TABLE, bounds, records
from sanyu.serve.geoparquet import Part
from sanyu.serve.release import README, Lineage, Origin, PublishedTable, Release, Right
from schemas.model import SecurityLabel
from schemas.registry import contracts

BUILDING, FIRM, PROFILE = "core.basemap__building", "core.thematic__legal_person", "mart.basemap__division_profile"
SHA = "ab" * 32
ROOT = "release/r1"
SURVEY = Right(source="survey", title="Survey", publisher="Survey office", licence="CC BY 4.0", attribution="© Survey office")
OSM = Right(source="osm", title="OSM", publisher=None, licence="ODbL-1.0", attribution="© OpenStreetMap")


def part(number: int, box: tuple[float, float, float, float] | None = None) -> Part:
    edges = ("xmin", "ymin", "xmax", "ymax")
    named = {} if box is None else {"bbox": dict(zip(edges, box, strict=True))}
    stats = {"numRecords": 5, "minValues": named, "maxValues": named}
    return Part(name=f"part-{number:05d}.parquet", rows=5, size=100 + number, sha256=SHA, stats=json.dumps(stats))


def table(
    name: str, files: tuple[Part, ...], sources: tuple[str, ...], columns: tuple[tuple[str, str], ...], lineage: Lineage | None = None
) -> PublishedTable:
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
        lineage=lineage,
    )


@pytest.fixture(scope="module")
def release() -> Release:
    parts = (part(0, (120.1, 30.1, 120.1, 30.1)), part(1, (120.4, 30.3, 120.4, 30.3)))
    columns = (("entity_id", "string"), ("height_m", "double"), ("geom", "binary"))
    buildings = table(BUILDING, parts, ("osm", "survey"), columns)
    firms = table(FIRM, (part(0),), ("survey",), (("entity_id", "string"),))
    inputs = (Origin(table=BUILDING, delta_version=7, sources=("osm", "survey")), Origin(table=FIRM, delta_version=6, sources=("survey",)))
    lineage = Lineage(made_by="dbt model division_profile", inputs=inputs)
    profile = table(PROFILE, (part(0, (120.1, 30.1, 120.4, 30.3)),), lineage.sources, columns[::2], lineage)
    tables = (buildings, firms, profile)
    return Release(release_id="r1", digest="d", edition=SecurityLabel.PUBLIC, city="demo", tables=tables, rights=(OSM, SURVEY))


@pytest.fixture(scope="module")
def found(release: Release) -> dict[str, Any]:
    return {name: json.loads(data) for name, data in records(release, contracts()).items() if name != README}


def is_instant(text: str) -> bool:
    return text.endswith("Z") and datetime.fromisoformat(text).tzinfo is not None


def check_stac(record: dict[str, Any]) -> None:
    """Check the members that STAC 1.1.0 requires (catalog-spec, collection-spec, item-spec, each "fields")."""
    assert record["stac_version"] == "1.1.0"
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
    assert sorted(kinds) == ["Catalog", *["Collection"] * 3, *["Feature"] * 3]
    for name, record in found.items():
        if name.startswith("stac/"):
            check_stac(record)


def test_every_relative_link_leads_to_a_file_of_the_release(found: dict[str, Any], release: Release) -> None:
    there = {f"{ROOT}/{name}" for name in (*found, README)} | {f"{t.path}/{p.name}" for t in release.tables for p in t.files}
    seen = set()
    for name, record in found.items():
        if name.startswith("stac/"):
            hrefs = [link["href"] for link in record["links"]] + [a["href"] for a in record.get("assets", {}).values()]
            hrefs = [href for href in hrefs if not href.startswith("https://")]
            seen |= {posixpath.normpath(posixpath.join(ROOT, posixpath.dirname(name), href)) for href in hrefs}
    assert seen <= there
    assert {f"{t.path}/{p.name}" for t in release.tables for p in t.files} <= seen


def test_an_item_tells_extent_reference_system_columns_and_checksums(found: dict[str, Any]) -> None:
    item = found[f"stac/{BUILDING}/{BUILDING}-v7.json"]
    assert item["bbox"] == [120.1, 30.1, 120.4, 30.3]
    assert item["geometry"]["coordinates"][0][0] == item["geometry"]["coordinates"][0][-1] == [120.1, 30.1]
    assert item["stac_extensions"] == sorted([PROJECTION, TABLE, FILE])
    properties = item["properties"]
    assert (properties["datetime"], properties["proj:code"], properties["table:row_count"]) == ("2026-01-01T00:00:00.000Z", "EPSG:4490", 10)
    assert properties["table:primary_geometry"] in {c["name"] for c in properties["table:columns"]}
    assert properties["table:columns"][1] == {"name": "height_m", "type": "double", "description": "Height of the roof above the ground"}
    assert item["assets"]["part-00001"]["file:size"] == 101
    assert item["assets"]["part-00001"]["file:checksum"] == "1220" + SHA


def test_a_table_without_geometry_has_an_item_without_and_a_collection_with_the_citys_extent(found: dict[str, Any]) -> None:
    item = found[f"stac/{FIRM}/{FIRM}-v7.json"]
    assert item["geometry"] is None
    assert not {"proj:code", "table:primary_geometry"} & set(item["properties"])
    assert PROJECTION not in item["stac_extensions"]
    assert found[f"stac/{FIRM}/collection.json"]["extent"]["spatial"]["bbox"] == [[120.1, 30.1, 120.4, 30.3]]


def licence_links(collection: dict[str, Any]) -> list[tuple[str, str]]:
    return [(link["title"], link["href"]) for link in collection["links"] if link["rel"] == "license"]


def test_licences_are_an_spdx_expression_where_all_are_known_and_each_is_linked(found: dict[str, Any]) -> None:
    by = ("CC BY 4.0", "https://creativecommons.org/licenses/by/4.0/")
    firm, building = found[f"stac/{FIRM}/collection.json"], found[f"stac/{BUILDING}/collection.json"]
    assert (firm["license"], licence_links(firm)) == ("CC-BY-4.0", [by])
    assert building["license"] == "CC-BY-4.0 AND ODbL-1.0"
    assert licence_links(building) == [by, ("ODbL-1.0", "https://opendatacommons.org/licenses/odbl/1-0/")]
    own = SURVEY.model_copy(update={"licence": "terms (to be confirmed)"})
    firms = table(FIRM, (part(0),), ("survey",), ())
    other = Release(release_id="r", digest="d", edition=SecurityLabel.PUBLIC, city="c", tables=(firms,), rights=(own,))
    collection = json.loads(records(other, contracts())[f"stac/{FIRM}/collection.json"])
    assert (collection["license"], licence_links(collection)) == ("other", [(own.licence, "../../README.md")])


def test_a_derived_table_says_what_it_was_made_from_and_under_which_terms_it_stands(found: dict[str, Any]) -> None:
    share_alike = "Share-alike: this table is a derived database and is offered under ODbL-1.0"
    record = found[f"metadata/{PROFILE}.json"]
    dcat, iso, odcs = record["dcat"], record["iso19115"], record["odcs"]
    origins = [(origin["@id"], origin["dcat:version"]) for origin in dcat["prov:wasDerivedFrom"]]
    assert origins == [(f"urn:sanyu:r1:{BUILDING}", "7"), (f"urn:sanyu:lake:{FIRM}:6", "6")], "only version 7 of both is in the release"
    assert [(s["@id"], s["dct:license"]["rdfs:label"]) for s in dcat["dct:source"]] == [
        ("urn:sanyu:source:osm", "ODbL-1.0"),
        ("urn:sanyu:source:survey", "CC BY 4.0"),
    ]
    (distribution,) = dcat["dcat:distribution"]
    assert [one["@id"] for one in distribution["dct:license"]] == [
        "https://creativecommons.org/licenses/by/4.0/",
        "https://opendatacommons.org/licenses/odbl/1-0/",
    ]
    stated = [statement["rdfs:label"]["@value"] for statement in distribution["dct:rights"]]
    assert stated[:2] == ["© OpenStreetMap", "© Survey office"]
    assert share_alike in stated
    constraints = iso["identificationInfo"][0]["resourceConstraints"]
    assert share_alike in next(c for c in constraints if "otherConstraints" in c)["otherConstraints"]
    assert [s["sourceCitation"]["title"] for s in iso["resourceLineage"][0]["source"]] == ["OSM", "Survey", BUILDING, FIRM]
    custom = {entry["property"]: entry["value"] for entry in odcs["customProperties"]}
    assert custom["derivedFrom"] == [f"{BUILDING}@7", f"{FIRM}@6"]
    assert custom["licences"] == ["CC BY 4.0", "ODbL-1.0"]
    item = found[f"stac/{PROFILE}/{PROFILE}-v7.json"]
    assert [link["href"] for link in item["links"] if link["rel"] == "derived_from"] == [f"../{BUILDING}/{BUILDING}-v7.json"]
    assert item["properties"]["processing:lineage"].startswith(
        "Derived by dbt model division_profile from core.basemap__building (version 7)"
    )
    assert PROCESSING in item["stac_extensions"]
    assert share_alike in found[f"stac/{PROFILE}/collection.json"]["description"]


def test_rows_of_a_core_table_keep_the_licence_of_their_source(found: dict[str, Any]) -> None:
    record = found[f"metadata/{BUILDING}.json"]["dcat"]
    assert "prov:wasDerivedFrom" not in record
    stated = [statement["rdfs:label"]["@value"] for statement in record["dcat:distribution"][0]["dct:rights"]]
    assert any(text.startswith("Each row is under the licence of its source") for text in stated)
    assert not any("is offered under" in text for text in stated)


def test_the_readme_names_every_source_and_what_the_licences_ask(release: Release) -> None:
    text = records(release, contracts())[README].decode()
    assert "| survey | Survey | Survey office | [CC BY 4.0](https://creativecommons.org/licenses/by/4.0/) | © Survey office |" in text
    assert f"[{PROFILE}](basemap/division_profile/)" in text
    _, of_profile = text.split(f"**{PROFILE}**", 1)
    assert (
        "- Derived by dbt model division_profile from core.basemap__building (version 7), core.thematic__legal_person (version 6)."
        in of_profile
    )
    assert "offered under ODbL-1.0" in of_profile
    assert text.count("offered under ODbL-1.0") == 1


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
    reference = {"title": "ODbL-1.0", "onlineResource": {"linkage": "https://opendatacommons.org/licenses/odbl/1-0/"}}
    assert {"useConstraints": ["licence"], "reference": [reference]} in identification["resourceConstraints"]
    assert record["iso19115"]["spatialRepresentationInfo"][0]["geometricObjects"]["geometricObjectCount"] == 10
    assert record["odcs"]["kind"] == "DataContract"


def test_bounds_are_of_all_files_and_none_without_geometry(release: Release) -> None:
    assert bounds(release.tables[0]) == [120.1, 30.1, 120.4, 30.3]
    assert bounds(release.tables[1]) is None
