"""The engine on Spark columns: the same answer for any partitioning; and the geocoding job from table to table, run again."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import shapely
from deltalake import write_deltalake

import sanyu
from jobs import gazetteer, geocode
from jobs.context import Loading
from quality.arrow import arrow_schema
from sanyu.address import spark as columns
from sanyu.address.batch import matched_table
from sanyu.lake import Lake
from schemas.registry import contracts, find_contract

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

FIRM, ADDRESS = "core.thematic__legal_person", "core.basemap__address"
CODE = "390102001001"
HEAD = {"province_name": "东海省", "city_name": "临海新城", "district_name": "望海区", "township_name": "青园街道"}


def _door(number: int) -> dict[str, Any]:
    geom = shapely.to_wkb(shapely.Point(120 + number / 1000, 30.1))
    row = {"entity_id": f"D{number}", "road_name": "解放东路", "door_number": f"{number}号", "division_code": CODE, "geom": geom} | HEAD
    return row | {"address_text": f"东海省临海新城望海区青园街道解放东路{number}号"}


def _firm(entity: str, text: str | None, lon: float | None = None) -> dict[str, Any]:
    geom = None if lon is None else shapely.to_wkb(shapely.Point(lon, 30.1))
    return {"entity_id": entity, "name": f"{entity}公司", "address_text": text, "geom": geom}


def _put(folder: Path | str, name: str, rows: list[dict[str, Any]]) -> None:
    contract = find_contract(name)
    schema = arrow_schema(contract)
    table = pa.Table.from_pylist(rows, pa.schema([schema.field(column) for column in rows[0]])).replace_schema_metadata(None)
    write_deltalake(str(Path(folder) / contract.path), table, mode="overwrite")


@pytest.fixture(scope="module")
def engine_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("engine")
    sanyu.AddressEngine.build(pa.Table.from_pylist([_door(n) for n in range(1, 101)])).save(path)
    return path


def _texts(spark: SparkSession, parts: int) -> DataFrame:
    odd = [None, "", "🙂", "路" * 5000, "'; DROP TABLE x; --"]
    rows = [(n, f"解放東路{n % 120 + 1}號" if n % 7 else odd[n % 5]) for n in range(300)]
    return spark.createDataFrame(rows, "n int, `地址` string").repartition(parts)


def test_any_partitioning_gives_the_answers_of_one_process(spark: SparkSession, engine_path: Path) -> None:
    found = [columns.matched(_texts(spark, parts), "地址", engine_path).toArrow().sort_by("n").combine_chunks() for parts in (1, 5)]
    assert found[0].equals(found[1])
    engine = sanyu.AddressEngine.load(engine_path)
    alone = matched_table(engine, found[0].select(["n", "地址"]), "地址", "match_", None)
    assert found[0].select(alone.column_names).to_pylist() == alone.to_pylist()
    assert found[0].num_rows == 300 and found[0]["n"].to_pylist() == list(range(300))
    known = [n for n in range(300) if n % 7 and n % 120 + 1 <= 100]
    assert [found[0]["match_entity_id"][n].as_py() for n in known] == [f"D{n % 120 + 1}" for n in known]


def test_a_name_of_another_time_counts_on_its_days_only(spark: SparkSession, tmp_path: Path) -> None:
    former = [{"element": "解放东路", "level": "road", "alias": "老城墙路", "kind": "former", "valid_to_on": "1990-01-01"}]
    aliases = pa.Table.from_pylist(former)
    sanyu.AddressEngine.build(pa.Table.from_pylist([_door(n) for n in range(1, 10)]), element_aliases=aliases).save(tmp_path / "e")
    frame = spark.createDataFrame([("老城墙路7号",)], "`地址` string")
    found = [columns.matched(frame, "地址", tmp_path / "e", at=at).first() for at in (None, date(1980, 1, 1), date(2020, 1, 1))]
    assert [row.match_entity_id for row in found if row] == ["D7", "D7", None]


def test_columns_of_levels_are_read_as_fields(spark: SparkSession, engine_path: Path) -> None:
    frame = spark.createDataFrame([("望海区", "解放东路", 7), (None, "解放东路", 8)], "qu string, lu string, hao int")
    rows = columns.matched(frame, {"district": "qu", "road": "lu", "door": "hao"}, engine_path).collect()
    assert sorted(row.match_entity_id for row in rows) == ["D7", "D8"]
    with pytest.raises(sanyu.SanyuError, match="SY-A070"):
        columns.matched(frame, "dizhi", engine_path)


def test_reverse_answers_every_row_with_or_without_a_coordinate(spark: SparkSession, engine_path: Path) -> None:
    frame = spark.createDataFrame([(1, 120.0071, 30.1), (2, 10.0, 50.0), (3, None, None)], "n int, x double, y double").repartition(3)
    rows = {row.n: row for row in columns.reverse(frame, "x", "y", engine_path).collect()}
    assert (rows[1].at_entity_id, rows[1].at_code) == ("D7", None)
    assert rows[1].at_address_distance_m == pytest.approx(9.6, abs=0.3)
    assert (rows[2].at_code, rows[3].at_code) == ("SY-A050", "SY-A051") and rows[2].at_entity_id is None


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    _put(tmp_path, ADDRESS, [_door(n) for n in range(1, 21)])
    firms = [_firm("F1", "解放东路1号"), _firm("F2", "解放东路99号"), _firm("F3", "解放东路3号", 120.5), _firm("F4", None)]
    _put(tmp_path, FIRM, firms)
    return sanyu.open(tmp_path)


def _loading(lake: Lake, spark: SparkSession, run: str) -> Loading:
    return Loading(lake, dict(contracts()), Path(), run, "2026-01-01T00:00:00+00:00", lambda: spark)


def _rows(lake: Lake, table: str) -> dict[str, dict[str, Any]]:
    return {row["input_entity_id"]: row for row in lake.table(table).to_arrow().to_pylist()}


def test_rows_are_matched_alike_in_the_process_and_by_the_workers(spark: SparkSession, tmp_path: Path) -> None:
    texts = ["解放東路3號", "解放东路99号", "🙂", "路" * 400, "望海区", "解放东路7号", "'; DROP TABLE x; --"]
    found = []
    for spark_rows in (100, 1):
        folder = tmp_path / str(spark_rows)
        _put(folder, FIRM, [_firm(f"F{n:02}", texts[n % 7]) for n in range(21)])
        _put(folder, ADDRESS, [_door(n) for n in range(1, 21)])
        lake = Lake(str(folder))
        gazetteer.run(lake)
        (report,) = geocode.run(_loading(lake, spark, "r1"), spark_rows=spark_rows)
        tables = [lake.table(name).to_arrow().drop_columns(["batch_id"]) for name in (geocode.MATCH, geocode.REVIEW)]
        found.append([report.matched_by, *(t.sort_by("input_entity_id").to_pylist() for t in tables)])
    assert [matched_by for matched_by, *_ in found] == ["process", "spark"]
    assert found[0][1:] == found[1][1:]
    assert len(found[0][1]) == 21 and {row["match_status_code"] for row in found[0][1]} == {"M", "U"} and len(found[0][2]) == 12
    _put(folder, FIRM, [_firm(f"F{n:02}", texts[n % 7]) for n in range(3, 24)])
    (again,) = geocode.run(_loading(lake, spark, "r2"), spark_rows=1)
    assert (again.asked, again.kept, set(_rows(lake, geocode.MATCH))) == (3, 18, {f"F{n:02}" for n in range(3, 24)})


def test_geocoding_fills_match_and_review_and_follows_its_table_and_the_gazetteer(lake: Lake, spark: SparkSession) -> None:
    with pytest.raises(sanyu.SanyuError, match="SY-A073"):
        geocode.run(_loading(lake, spark, "r0"))
    gazetteer.run(lake)
    (first,) = geocode.run(_loading(lake, spark, "r1"))
    assert (first.rows, first.asked, first.matched, first.unmatched, first.state) == (2, 2, 1, 1, "written")
    found = _rows(lake, geocode.MATCH)
    assert set(found) == {"F1", "F2"}  # F3 has a place of its own, F4 no address
    assert (found["F1"]["found_entity_id"], found["F1"]["lon"], found["F1"]["division_code"]) == ("D1", 120.001, CODE)
    assert shapely.from_wkb(found["F1"]["geom"]).equals(shapely.Point(120.001, 30.1)) and found["F1"]["grid_code"].startswith("N51")
    assert (found["F2"]["lon"], found["F2"]["geom"], found["F2"]["match_reason_code"]) == (None, None, "SY-A018")
    review = _rows(lake, geocode.REVIEW)
    assert set(review) == {"F2"} and "99" in review["F2"]["match_reason_text"] and review["F2"]["match_reason_text_zh"]

    (again,) = geocode.run(_loading(lake, spark, "r2"))
    assert (again.asked, again.kept, again.state) == (0, 2, "unchanged")

    _put(lake.url, FIRM, [_firm("F1", "解放东路2号"), _firm("F2", "解放东路99号"), _firm("F5", "解放东路5号")])
    _put(lake.url, ADDRESS, [_door(n) for n in (*range(1, 21), 99)])
    gazetteer.run(lake)
    (third,) = geocode.run(_loading(lake, spark, "r3"))
    assert (third.asked, third.kept, third.matched, third.unmatched) == (3, 0, 3, 0)
    assert {key: row["found_entity_id"] for key, row in _rows(lake, geocode.MATCH).items()} == {"F1": "D2", "F2": "D99", "F5": "D5"}
    assert _rows(lake, geocode.REVIEW) == {}
