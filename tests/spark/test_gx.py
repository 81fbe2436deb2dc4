"""The gate behind a table: what passes, what each planted fault is called, and that the Data Docs hold it."""

from __future__ import annotations

import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from schemas.basemap.building import CONTRACT as BUILDING
from schemas.basemap.division import CONTRACT as DIVISION
from schemas.fields import fields_of
from schemas.messages import SanyuError
from schemas.model import Contract

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", r"module 'sre_\w+' is deprecated")  # Great Expectations 1.24 imports them
    from quality.gx import GateResult, gate, suite

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

THEN, LATER = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def _row(contract: Contract, number: int, **values: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(f.name for f in fields_of(contract))
    row |= {"entity_id": f"e{number}", "stamp_id": f"s{number}", "source_name": "survey", "source_key": str(number)}
    row |= {"valid_from_at": THEN, "recorded_at": THEN, "security_label": "public", "batch_id": "b", "row_hash": "h", "geom": b"\x01"}
    return row | values


def _gate(spark: SparkSession, contract: Contract, rows: list[dict[str, Any]], docs: Path, without: tuple[str, ...] = ()) -> GateResult:
    ddl = ", ".join(f"{f.name} {'bigint' if f.dtype.value == 'long' else f.dtype.value}" for f in fields_of(contract))
    return gate(contract, spark.createDataFrame(rows, ddl).drop(*without).coalesce(1), docs, "run-1")


GOOD = [
    {"class_code": "residential", "height_m": 12.5, "division_code": "330106001001"},
    {"class_code": None, "height_m": None, "division_code": None},
    {"entity_id": "e0", "valid_to_at": LATER},
    {"entity_id": "e0", "superseded_at": LATER},
]


def test_history_and_empty_optional_values_pass_the_gate_and_data_docs_show_it(spark: SparkSession, tmp_path: Path) -> None:
    result = _gate(spark, BUILDING, [_row(BUILDING, n, **values) for n, values in enumerate(GOOD)], tmp_path)
    assert result.failed == ()
    assert result.expectations == len(suite(BUILDING).expectations)
    page = result.page.read_text("utf-8")
    assert "core.basemap__building" in page and "Succeeded" in page
    index = (tmp_path / "index.html").read_text("utf-8")
    assert "core.basemap__building" in index and "run-1" in index
    result.require()


def test_every_planted_fault_of_a_table_is_found_with_column_count_and_example(spark: SparkSession, tmp_path: Path) -> None:
    faults: list[dict[str, Any]] = [
        {"height_m": 5000.0},
        {"entity_id": "e0"},
        {"stamp_id": "s0", "entity_id": "x"},
        {"class_code": "castle"},
        {"valid_to_at": datetime(2025, 1, 1, tzinfo=UTC)},
        {"batch_id": None},
        {"geom": None},
    ]
    rows = [_row(BUILDING, 0), *(_row(BUILDING, n, **fault) for n, fault in enumerate(faults, start=1))]
    result = _gate(spark, BUILDING, rows, tmp_path, without=("name",))
    assert not result.ok
    assert [(f.code, f.column, f.count) for f in result.failed] == [
        ("SY-Q102", None, 0),
        ("SY-Q103", "batch_id", 1),
        ("SY-Q103", "geom", 1),
        ("SY-Q104", "entity_id", 2),
        ("SY-Q104", "stamp_id", 2),
        ("SY-Q105", "valid_to_at", 1),
        ("SY-Q106", "class_code", 1),
        ("SY-Q107", "height_m", 1),
    ]
    by_column = {f.column: f for f in result.failed}
    assert by_column["class_code"].examples == ("castle",)
    assert by_column["entity_id"].examples == ("e0",)
    assert "'name'" in by_column[None].detail
    assert "Failed" in result.page.read_text("utf-8")
    with pytest.raises(SanyuError, match=r"SY-Q110.*castle") as caught:
        result.require()
    assert "5000.0" in caught.value.message("zh")


def test_an_empty_table_never_passes(spark: SparkSession, tmp_path: Path) -> None:
    assert [f.code for f in _gate(spark, BUILDING, [], tmp_path).failed] == ["SY-Q101"]


def test_one_site_holds_the_tables_of_several_runs(spark: SparkSession, tmp_path: Path) -> None:
    _gate(spark, BUILDING, [_row(BUILDING, 1)], tmp_path)
    values = {"division_code": "330106000000", "division_level": 3, "class_code": "3", "name": "西湖区"}
    assert _gate(spark, DIVISION, [_row(DIVISION, 1, **values)], tmp_path).failed == ()
    index = (tmp_path / "index.html").read_text("utf-8")
    assert "core.basemap__building" in index and "core.basemap__division" in index


def test_a_code_of_another_form_and_a_missing_name_are_told_apart(spark: SparkSession, tmp_path: Path) -> None:
    bad = [
        _row(DIVISION, 1, division_code="3301", division_level=3),
        _row(DIVISION, 2, division_code="330106000000", division_level=9, name="西湖区"),
    ]
    found = [(f.code, f.column, f.count, f.examples) for f in _gate(spark, DIVISION, bad, tmp_path).failed]
    assert found == [("SY-Q103", "name", 1, ()), ("SY-Q106", "division_level", 1, ("9",)), ("SY-Q108", "division_code", 1, ("3301",))]


def test_a_column_of_another_type_is_reported_not_raised(tmp_path: Path) -> None:
    import pandas as pd

    frame = pd.DataFrame([_row(BUILDING, 1, height_m="tall")])
    assert ("SY-Q109", "height_m") in [(f.code, f.column) for f in gate(BUILDING, frame, tmp_path, "run").failed]
