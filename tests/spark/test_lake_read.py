"""A table as Spark leaves it (change feed, deletion vectors, a constraint, merged and deleted rows) is the same from every reader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bench.read import built
from sanyu.lake import Lake, Table
from sanyu.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = 2_000
WINDOW = (120.0, 30.0, 120.05, 30.05)


@pytest.fixture(scope="module")
def table(spark: SparkSession, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Table:
    root = tmp_path_factory.mktemp("lake 湖")
    built(spark, root, ROWS)
    lake = Lake(root, settings.model_copy(update={"lake": str(root)}))
    return lake.table("core.basemap__building")


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"at": "2025-12-31"},
        {"at": "2026-01-01"},
        {"at": "all"},
        {"bbox": WINDOW},
        {"bbox": WINDOW, "exact": False},
        {"version": 0},
        {"version": 2, "at": "all"},
        {"where": "building_name LIKE '楼1%' AND floor_count > 3"},
        {"where": "\"floor_count\" % 2 = 0 AND tags['a'] = '100'"},
        {"where": "bbox.xmin < 120.01 AND valid_from_at >= TIMESTAMPTZ '2025-01-01 00:00:00+00'", "at": "2026-06-01"},
    ],
)
def test_all_four_readers_give_the_same_rows(table: Table, query: dict[str, Any]) -> None:
    columns = ["stamp_id", "valid_to_at", "floor_count", "geom"]
    by_spark = {(r[0], r[2], bytes(r[3])) for r in table.to_spark(columns, **query).collect()}
    arrow = table.to_arrow(columns, **query).to_pylist()
    frame = table.to_geopandas(columns, **query)
    relation = table.to_duckdb(columns, **query).fetchall()
    assert by_spark
    assert {(r["stamp_id"], r["floor_count"], r["geom"]) for r in arrow} == by_spark
    assert {(r[0], r[2], r[3]) for r in relation} == by_spark
    assert set(frame["stamp_id"]) == {r[0] for r in by_spark}
    assert len(arrow) == len(frame) == len(relation) == len(by_spark) == table.count(**query)


def test_the_table_has_what_is_hard_to_read(table: Table, spark: SparkSession) -> None:
    assert Path(table.path).joinpath("_change_data").is_dir()
    assert list(Path(table.path).glob("deletion_vector_*"))
    assert table.count(at="all") < sum(f["num_records"] for f in _files(table))
    # Merged in version 2, the new versions appended in 3, deleted in 4.
    assert [h["operation"] for h in table.history()] == ["DELETE", "WRITE", "MERGE", "ADD CONSTRAINT", "WRITE"]


def test_a_window_touches_few_files(table: Table) -> None:
    touched, total = table.bbox_files(WINDOW)
    assert 0 < touched < total


def _files(table: Table) -> list[dict[str, Any]]:
    import pyarrow as pa

    return list(pa.table(table._delta().get_add_actions(flatten=True)).select(["num_records"]).to_pylist())
