"""Which rows a reader gets, and what it is told when it asks for what isn't there; the same from every reader."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely

import sanyu
from sanyu.lake import Lake, Table
from schemas.messages import SanyuError
from tests.unit.lake import tables

ROOT = Path(__file__).resolve().parents[3]
CORNER = (120.18, 30.08, 120.20, 30.10)


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Lake:
    root = tmp_path_factory.mktemp("湖 仓") / "lake"
    root.mkdir()
    found = Lake(root)
    tables.write(found.store)
    return found


@pytest.fixture
def table(lake: Lake) -> Table:
    return lake.table(tables.NAME)


def stamps(table: Table, **query: Any) -> set[str]:
    """Return the stamps that all JVM-free readers agree on."""
    arrow = table.to_arrow(["stamp_id"], **query)["stamp_id"].to_pylist()
    frame = list(table.to_geopandas(**query)["stamp_id"])
    relation = [r[0] for r in table.to_duckdb(["stamp_id"], **query).fetchall()]
    assert sorted(arrow) == sorted(frame) == sorted(relation)
    assert table.count(**query) == len(arrow) == len(set(arrow))
    return set(arrow)


def test_by_default_the_rows_that_are_valid_and_believed_now(table: Table) -> None:
    assert stamps(table) == tables.CURRENT


@pytest.mark.parametrize(
    ("at", "version"),
    [
        ("2025-12-31T23:59:59", "old"),
        ("2026-01-01", "new"),
        (dt.date(2026, 1, 1), "new"),
        (dt.datetime(2025, 12, 31), "old"),
        ("2025-12-31T15:59:59Z", "old"),
        ("2025-12-31T16:00:00+00:00", "new"),
        (pd.Timestamp("2026-01-01"), "new"),
    ],
)
def test_at_a_time_without_zone_is_beijing_time_and_the_end_is_exclusive(table: Table, at: Any, version: str) -> None:
    assert stamps(table, at=at) == (tables.CURRENT - {"new"}) | {version}


def test_before_anything_was_valid_there_is_nothing(table: Table) -> None:
    assert stamps(table, at="2024-12-31") == set()


@pytest.mark.parametrize("query", [{"at": "all"}, {"history": True}])
def test_all_of_history_includes_what_ended_and_what_was_wrong(table: Table, query: dict[str, Any]) -> None:
    assert stamps(table, **query) == {r["stamp_id"] for r in tables.ROWS}


@pytest.mark.parametrize(
    ("bbox", "exact", "expected"),
    [
        ((120.0, 30.0, 120.05, 30.05), True, {"new"}),
        ((119.0, 29.0, 121.0, 31.0), True, {"new", "triangle", "point"}),
        (CORNER, True, set()),
        (CORNER, False, {"triangle"}),
        ((120.3, 30.3, 120.4, 30.4), True, {"point"}),  # touches the border
        ((120.3, 30.3, 120.3, 30.3), True, {"point"}),
        ((0, 0, 1, 1), True, set()),
    ],
)
def test_a_window_holds_what_meets_it_borders_included(table: Table, bbox: Any, exact: bool, expected: set[str]) -> None:
    assert stamps(table, bbox=bbox, exact=exact) == expected


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("floor_count > 1", {"new"}),
        ("floor_count IS NULL OR building_name = 'point楼'", {"triangle", "point"}),
        ("bbox.xmin < 120.05", {"new"}),
        ("tags['building'] = 'yes'", tables.CURRENT),
        ("building_name LIKE '%楼' AND floor_count BETWEEN 0 AND 1", {"point", "nowhere"}),
        ("valid_from_at >= TIMESTAMPTZ '2025-12-31 16:00:00+00'", {"new"}),
    ],
)
def test_where_is_a_condition_over_the_columns(table: Table, where: str, expected: set[str]) -> None:
    assert stamps(table, where=where) == expected


def test_conditions_hold_together(table: Table) -> None:
    assert stamps(table, where="floor_count < 3 OR true", bbox=(120.0, 30.0, 120.05, 30.05), at="2025-06-01") == {"old"}


def test_an_older_version_is_read_as_it_was(tmp_lake: Path) -> None:
    lake = Lake(tmp_lake)
    tables.write(lake.store, tables.ROWS[3:4])
    tables.write(lake.store, tables.ROWS[4:5], mode="append")
    table = lake.table(tables.NAME)
    assert stamps(table, version=0) == {"triangle"}
    assert stamps(table) == {"triangle", "point"}
    assert table.version == 1
    assert [h["version"] for h in table.history()] == [1, 0]
    with pytest.raises(SanyuError, match=r"SY-L010: .* has no version 2; it has versions 0 to 1"):
        table.to_arrow(version=2)


def test_geopandas_gets_geometry_in_cgcs2000_and_typed_columns(table: Table) -> None:
    frame = table.to_geopandas()
    assert isinstance(frame, gpd.GeoDataFrame)
    assert frame.crs.to_epsg() == 4490
    assert "bbox" not in frame
    row = frame.set_index("stamp_id").loc["triangle"]
    assert row["geom"].equals(tables.TRIANGLE)
    assert row["floor_count"] is pd.NA
    assert row["tags"] == {"building": "yes"}
    assert row["valid_from_at"] == pd.Timestamp("2025-01-01", tz="UTC")
    assert str(frame["floor_count"].dtype) == "Int32"


def test_columns_come_as_named_and_a_window_needs_none_of_them(table: Table) -> None:
    rows = table.to_arrow(["floor_count", "stamp_id"], bbox=(120.0, 30.0, 120.05, 30.05))
    assert rows.to_pylist() == [{"floor_count": 5, "stamp_id": "new"}]
    plain = table.to_geopandas(["stamp_id"])
    assert type(plain) is pd.DataFrame
    assert "bbox" in table.to_geopandas(["bbox", "geom"])


def test_geom_of_a_relation_is_wkb_and_becomes_geometry_as_documented(table: Table) -> None:
    relation = table.to_duckdb(where="stamp_id = 'point'")
    assert shapely.from_wkb(relation.project("geom").fetchone()[0]).equals(shapely.Point(120.3, 30.3))
    shown = relation.project("* REPLACE (ST_GeomFromWKB(geom) AS geom)")
    assert shown.project("ST_X(geom)").fetchone()[0] == 120.3


def test_relations_of_one_lake_can_be_joined(lake: Lake, table: Table) -> None:
    now, before = table.to_duckdb().set_alias("n"), table.to_duckdb(at="2025-06-01").set_alias("b")
    assert now.join(before, "n.stamp_id = b.stamp_id").count("*").fetchone()[0] == 3


def test_what_is_in_the_lake(lake: Lake) -> None:
    assert [(t.name, t.rows, t.version) for t in lake.tables()] == [(tables.NAME, 4, 0)]
    assert lake.tables(rows=False)[0].rows is None


@pytest.mark.parametrize(
    ("query", "code", "told"),
    [
        ({"columns": ["flor_count"]}, "SY-L005", "did you mean floor_count?"),
        ({"where": "flor_count > 1"}, "SY-L005", "did you mean floor_count?"),
        ({"where": "floor_count >"}, "SY-L009", "floor_count >"),
        ({"where": "true; DROP TABLE x"}, "SY-L009", "one condition"),
        ({"where": "floor_count IN (SELECT 1)"}, "SY-L009", "one condition"),
        ({"where": "floor_count = 'many'"}, "SY-L011", "many"),
        ({"at": "yesterday"}, "SY-L006", "yesterday"),
        ({"at": 2026}, "SY-L006", "2026"),
        ({"bbox": (1, 2, 3)}, "SY-L008", "(1, 2, 3)"),
        ({"bbox": (2, 2, 1, 3)}, "SY-L008", "(2, 2, 1, 3)"),
        ({"bbox": (float("nan"), 2, 3, 3)}, "SY-L008", "nan"),
    ],
)
def test_what_cannot_be_asked_is_named_with_the_nearest_that_can(table: Table, query: dict[str, Any], code: str, told: str) -> None:
    with pytest.raises(SanyuError) as refused:
        table.to_arrow(**query)
    assert refused.value.code == code
    assert told in refused.value.message("en")


@pytest.mark.parametrize("name", ["building", "core.basemap__bulding"])
def test_an_unknown_table_is_answered_with_the_nearest_name(lake: Lake, name: str) -> None:
    with pytest.raises(SanyuError, match=r"SY-L004.*did you mean core\.basemap__building\?"):
        lake.table(name)


def test_a_table_without_validity_or_bounds_says_so(tmp_lake: Path) -> None:
    lake = Lake(tmp_lake)
    import pyarrow as pa
    from deltalake import write_deltalake

    write_deltalake(str(tmp_lake / "raw/basemap/roads"), pa.table({"row_number": [1, 2]}))
    table = lake.table("raw.basemap__roads")
    assert table.count() == 2
    for query in ({"at": "2026-01-01"}, {"bbox": (0, 0, 1, 1)}):
        with pytest.raises(SanyuError, match="SY-L007"):
            table.to_arrow(**query)


def test_open_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SanyuError, match="SY-L001"):
        sanyu.open(tmp_path / "nowhere")
    assert sanyu.open(tmp_path).tables() == []


def test_files_that_a_window_touches_are_told_by_their_statistics(tmp_lake: Path) -> None:
    lake = Lake(tmp_lake)
    for row in tables.ROWS[3:]:
        tables.write(lake.store, [row], mode="append")
    table = lake.table(tables.NAME)
    # The row without geometry is in a file without bounds, which may not be skipped.
    assert table.bbox_files((120.0, 30.0, 120.2, 30.2)) == (2, 3)
    assert table.bbox_files((120.0, 30.0, 121.0, 31.0)) == (3, 3)
    assert table.bbox_files((0, 0, 1, 1)) == (1, 3)


def test_importing_and_opening_starts_no_engine() -> None:
    code = (
        "import sys, sanyu; sanyu.open('.'); "
        "print([m for m in ('pyspark', 'duckdb', 'pyarrow', 'boto3', 'pandas', 'deltalake') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
