"""What is derived from contracts: schemas, properties, ODCS, dbt, pages, and that the generated files are up to date."""

import json
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from pyspark.sql.types import ArrayType, BinaryType, StringType, StructType, TimestampType

from cli.generate import stale, write
from quality.arrow import TYPES as ARROW
from quality.arrow import arrow_schema
from quality.dbt import dbt_sources
from quality.delta import constraints, table_properties
from quality.docs import golden, pages, table_page
from quality.odcs import dcat, iso19115, odcs
from quality.spark import TYPES as SPARK
from quality.spark import spark_schema
from schemas.messages import catalogue
from schemas.model import Contract, DType
from schemas.raw import raw_contract
from schemas.registry import contracts

ALL = [*contracts().values(), raw_contract("basemap", "demo")]
BUILDING = contracts()["core.basemap__building"]
each_table = pytest.mark.parametrize("contract", ALL, ids=lambda c: c.name)


def test_each_type_of_a_contract_has_an_arrow_and_a_spark_type() -> None:
    assert set(ARROW) == set(SPARK) == set(DType)


@each_table
def test_arrow_and_spark_agree_on_names_and_types(contract: Contract) -> None:
    from pyspark.sql.pandas.types import to_arrow_schema

    from_spark = to_arrow_schema(spark_schema(contract))
    ours = arrow_schema(contract)
    assert ours.names == from_spark.names
    same = [(f.name, f.type) for f in ours if f.type != from_spark.field(f.name).type and not pa.types.is_nested(f.type)]
    assert same == []


def test_a_column_carries_its_unit_title_and_code_list() -> None:
    about = arrow_schema(BUILDING).field("height_m").metadata
    assert about == {b"title_zh": "高度".encode(), b"description": b"Height of the roof above the ground", b"unit": b"m"}
    assert spark_schema(BUILDING)["height_m"].metadata["comment"] == "高度 [m]: Height of the roof above the ground"


def test_types_are_the_ones_that_all_engines_read() -> None:
    schema = spark_schema(contracts()["core.basemap__division"])
    assert schema["recorded_at"].dataType == TimestampType()
    assert schema["geom"].dataType == BinaryType()
    assert schema["former_names"].dataType == ArrayType(StringType())
    assert isinstance(schema["bbox"].dataType, StructType)
    assert arrow_schema(BUILDING).field("recorded_at").type == pa.timestamp("us", tz="UTC")


def test_statistics_are_never_kept_for_geometry_or_attributes() -> None:
    kept = table_properties(BUILDING)["delta.dataSkippingStatsColumns"].split(",")
    assert {"entity_id", "bbox", "cell", "valid_from_at"} <= set(kept)
    assert not {"geom", "address_text", "name"} & set(kept)
    assert set(table_properties(ALL[-1])["delta.dataSkippingStatsColumns"].split(",")) <= set(spark_schema(ALL[-1]).names)


def test_core_has_change_feed_and_deletion_vectors_a_mart_only_the_feed_and_raw_has_neither() -> None:
    for contract in ALL:
        told = table_properties(contract)
        assert told["delta.enableChangeDataFeed"] == ("false" if contract.layer == "raw" else "true")
        assert told["delta.enableDeletionVectors"] == ("true" if contract.layer == "core" else "false")
        assert told["sanyu.contract"] == contract.name


@each_table
def test_constraints_name_columns_of_the_table_and_spare_what_a_person_may_release(contract: Contract) -> None:
    names = set(spark_schema(contract).names)
    for expression in constraints(contract).values():
        assert expression.split(" ", 1)[0] in names
    if contract.layer == "core":
        assert "entity_id_given" in constraints(contract)
        assert not {f"{c.name}_range" for c in contract.columns} & set(constraints(contract))


@each_table
def test_odcs_has_the_keys_that_the_standard_requires(contract: Contract) -> None:
    document = odcs(contract)
    assert {"apiVersion", "kind", "id", "version", "status"} <= set(document)
    assert document["kind"] == "DataContract"
    (table,) = document["schema"]
    assert [p["name"] for p in table["properties"]] == spark_schema(contract).names
    logical = {"string", "date", "timestamp", "number", "integer", "object", "array", "boolean"}
    assert {p["logicalType"] for p in table["properties"]} <= logical
    assert sorted(p["primaryKeyPosition"] for p in table["properties"] if p.get("primaryKey")) == list(range(1, len(contract.key) + 1))
    assert all({"type", "query", "mustBe"} <= set(rule) for rule in table["quality"])


@each_table
def test_odcs_is_valid_by_the_standard_s_own_schema(contract: Contract) -> None:
    standard = pytest.importorskip("open_data_contract_standard", reason="the standard's package is not installed")
    import jsonschema

    schema = json.loads((Path(standard.__file__).parent / "schema.json").read_text("utf-8"))
    assert [e.message for e in jsonschema.validators.validator_for(schema)(schema).iter_errors(odcs(contract))] == []


def test_catalogue_records_name_the_reference_system_only_where_there_is_a_geometry() -> None:
    trip = contracts()["core.basemap__transit_trip"]
    assert dcat(BUILDING)["dct:conformsTo"] == {"@id": "http://www.opengis.net/def/crs/EPSG/0/4490"}
    assert "dct:conformsTo" not in dcat(trip)
    assert iso19115(BUILDING)["referenceSystemInfo"] == [{"referenceSystemIdentifier": {"codeSpace": "EPSG", "code": "4490"}}]
    assert "referenceSystemInfo" not in iso19115(trip)


def test_dbt_sources_test_live_rows_for_keys_codes_and_required_columns() -> None:
    told = yaml.safe_load(dbt_sources(ALL))
    (basemap,) = (s for s in told["sources"] if s["name"] == "core_basemap")
    (road,) = (t for t in basemap["tables"] if t["name"] == "road_segment")
    assert "delta_scan(" in road["config"]["meta"]["external_location"]
    assert "core/basemap/road_segment" in road["config"]["meta"]["external_location"]
    (unique,) = (t["unique"] for t in road["data_tests"])
    assert unique["config"]["where"] == "valid_to_at is null and superseded_at is null"
    (class_code,) = (c for c in road["columns"] if c["name"] == "class_code")
    assert class_code["data_tests"][0] == "not_null"
    assert "motorway" in class_code["data_tests"][1]["accepted_values"]["arguments"]["values"]


def test_pages_tell_codes_checks_and_all_messages() -> None:
    page = table_page(contracts()["core.thematic__legal_person"])
    assert "`check_digit`" in page
    assert "codes.md#industry" in page
    messages = pages(contracts())["docs/messages.md"]
    assert all(f"`{code}`" in messages for code in catalogue())


@each_table
def test_a_golden_file_is_complete_json(contract: Contract) -> None:
    whole = json.loads(golden(contract))
    assert Contract.model_validate(whole["contract"]) == contract
    assert len(whole["table"]) == len(spark_schema(contract))


def test_generated_files_are_up_to_date() -> None:
    differences = stale(Path(__file__).resolve().parents[3])
    assert not differences, "\n\n".join([*differences.values(), "If the change is meant, accept it with `sanyu docs` and commit the files"])


def test_a_changed_and_a_left_over_file_are_found_and_put_right(tmp_path: Path) -> None:
    write(tmp_path)
    assert stale(tmp_path) == {}
    changed, left_over = "tests/golden/core.basemap__water.json", "docs/tables/basemap/gone.md"
    (tmp_path / changed).write_text("{}\n", "utf-8")
    (tmp_path / left_over).write_text("# Gone\n", "utf-8")
    assert set(stale(tmp_path)) == {changed, left_over}
    assert "core.basemap__water" in stale(tmp_path)[changed]
    assert write(tmp_path) == sorted([changed, left_over])
    assert not (tmp_path / left_over).exists()
    assert stale(tmp_path) == {}
