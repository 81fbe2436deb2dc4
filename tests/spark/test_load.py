"""One source on its whole way: files → landing → raw → core, quarantine and ledger; reruns, editions, crashes, releases."""

from __future__ import annotations

import datetime as dt
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import sanyu
from jobs.context import Loading
from jobs.loading import load
from jobs.loading.quarantine import listed, release_rows
from jobs.loading.run import load_all
from schemas.fields import EMPLOYEE_COUNT
from schemas.messages import SanyuError
from schemas.model import Column
from schemas.registry import contracts
from schemas.source import ColumnFrom, Source
from tests.spark.shops import FIRST, PLACE, City, source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@pytest.fixture
def city(tmp_path: Path, spark: SparkSession) -> City:
    return City(tmp_path, spark)


def test_a_batch_is_accounted_for_and_a_rerun_starts_no_spark(city: City) -> None:
    more = [f"{n},店{n},餐饮,120.2,30.2{n},1" for n in range(10, 20)]
    city.deliver(*FIRST, *more, "5,无类,美容,120.1,30.2,1", "6,海外,餐饮,20.0,30.2,1", "7,,餐饮,abc,30.2,1", FIRST[0])
    report = city.load()
    (table,) = report.targets
    assert (table.rows_in, table.loaded, table.quarantined, table.duplicate) == (18, 14, 3, 1)
    rows = city.lake.table("raw.ops__ledger").to_arrow().to_pylist()
    assert [(r["rows_in"], r["rows_loaded"], r["rows_quarantined"], r["rows_duplicate"]) for r in rows if r["step"] == "core"] == [
        (18, 14, 3, 1)
    ]
    started = city.starts
    again = city.load()
    assert not again.is_new
    assert city.starts == started
    assert city.lake.table(PLACE).version == table.version


def test_rejected_rows_keep_their_text_and_say_what_to_do(city: City) -> None:
    city.deliver(*FIRST, "5,无类,美容,120.1,30.2,1")
    city.load()
    reasons, rows = listed(city.lake, PLACE, 10)
    assert [(r["code"], r["check"], r["field"]) for r in reasons] == [("SY-Q002", "code", "class_code")]
    assert rows[0]["file"] == "shops.csv"
    assert rows[0]["row"] == 6
    assert "美容" in rows[0]["why"]
    kept = city.lake.table("quarantine.basemap__place").to_arrow().to_pylist()[0]
    assert dict(kept["attributes"])["名称"] == "无类"


def test_stamp_says_when_where_and_what(city: City) -> None:
    city.deliver(*FIRST)
    city.load()
    row = city.lake.table(PLACE).to_arrow(where="source_key = '1'").to_pylist()[0]
    assert row["valid_from_at"] == dt.datetime(2024, 12, 31, 16, tzinfo=dt.UTC)  # midnight in Beijing
    assert row["time_code"] == "20250101"
    assert row["grid_code"].startswith("N51H")
    assert row["theme_code"] == "place_name"
    assert row["class_code"] == "01"
    assert row["geom"][:5] == b"\x01\x01\x00\x00\x00"


def test_a_second_edition_keeps_history_and_identities(city: City) -> None:
    city.deliver(*FIRST)
    city.load()
    before = {r["name"]: r["entity_id"] for r in city.lake.table(PLACE).to_arrow().to_pylist()}
    city.deliver("1,张三大酒楼,餐饮,120.10,30.20,1", FIRST[1], "33,第三小学,教育,120.1201,30.22,1", "9,新银行,金融,120.15,30.25,1")
    report = city.load(source(delivery={"edition_at": "2025-07-01"}))
    (table,) = report.targets
    assert (table.loaded, table.unchanged, table.closed) == (3, 1, 1)
    after = {r["name"]: r["entity_id"] for r in city.lake.table(PLACE).to_arrow().to_pylist()}
    assert set(after) == {"张三大酒楼", "第二小学", "第三小学", "新银行"}
    assert after["张三大酒楼"] == before["张三面馆"]
    assert after["第三小学"] == before["第三小学"], "a renumbered place is the same place"
    assert after["新银行"] not in before.values()
    assert city.names(at="2025-03-01") == set(before)
    ended = city.lake.table(PLACE).to_arrow(history=True, where="name = '湖滨银行'").to_pylist()[0]
    assert ended["valid_to_at"] == dt.datetime(2025, 6, 30, 16, tzinfo=dt.UTC)
    links = city.lake.table("raw.ops__bridge").to_arrow().to_pylist()
    assert [(r["kind"], r["source_key"]) for r in links] == [("same", "33")]


def test_a_renumbered_place_bears_its_new_key_without_a_new_version(city: City) -> None:
    city.deliver(*FIRST)
    city.load()
    before = city.lake.table(PLACE).to_arrow(where="name = '第三小学'").to_pylist()[0]
    city.deliver(*FIRST[:2], FIRST[2].replace("3,", "33,", 1), FIRST[3])
    (table,) = city.load(source(delivery={"edition_at": "2025-07-01"})).targets
    assert (table.loaded, table.unchanged, table.closed) == (0, 4, 0)
    (after,) = city.lake.table(PLACE).to_arrow(where="name = '第三小学'", history=True).to_pylist()
    assert after == before | {"source_key": "33"}
    (link,) = city.lake.table("raw.ops__bridge").to_arrow().to_pylist()
    assert (link["kind"], link["source_key"], link["entity_id"]) == ("same", "33", before["entity_id"])
    version = city.lake.table(PLACE).version
    city.deliver(*FIRST[:2], FIRST[2].replace("3,", "33,", 1).replace("小学", "中学"), FIRST[3])
    city.load(source(delivery={"edition_at": "2025-08-01"}))
    (renamed,) = city.lake.table(PLACE).to_arrow(where="name = '第三中学'").to_pylist()
    assert (renamed["entity_id"], renamed["source_key"]) == (before["entity_id"], "33")
    assert city.lake.table(PLACE).version == version + 1


def test_an_older_delivery_that_comes_back_is_loaded_again(city: City) -> None:
    partial = {"snapshot": "partial"}
    city.deliver(*FIRST)
    city.load(source(delivery=partial))
    city.deliver("1,改名,餐饮,120.10,30.20,1", *FIRST[1:])
    city.load(source(delivery=partial | {"edition_at": "2025-02-01"}))
    assert "改名" in city.names()
    city.deliver(*FIRST)
    city.load(source(delivery=partial | {"edition_at": "2025-03-01"}))
    assert city.names() == {row.split(",")[1] for row in FIRST}


def test_too_many_bad_rows_hold_the_table_back(city: City) -> None:
    city.deliver(*FIRST)
    city.load()
    city.deliver(*(f"{n},坏,不明,120.1,30.2,1" for n in range(9)), FIRST[0])
    report = city.load(source(delivery={"edition_at": "2025-07-01"}))
    assert (report.is_ok, report.targets[0].status, report.targets[0].held) == (False, "failed", 1)
    assert len(city.names()) == 4


def test_a_run_that_died_before_its_ledger_row_is_finished_without_a_second_commit(city: City, monkeypatch: pytest.MonkeyPatch) -> None:
    city.deliver(*FIRST)
    with monkeypatch.context() as patch:
        patch.setattr("sanyu.lake.ledger.Ledger.append", lambda *_: (_ for _ in ()).throw(OSError("the machine went down")))
        with pytest.raises(OSError, match="went down"):
            city.load()
    version = city.lake.table(PLACE).version
    report = city.load()
    assert report.targets[0].loaded == 4
    assert city.lake.table(PLACE).version == version
    assert city.lake.table(PLACE).count() == 4


def test_one_bad_file_and_one_bad_source_stop_nothing(city: City) -> None:
    city.deliver(*FIRST)
    (city.data / "broken.csv").write_bytes(b"")
    nowhere = source(read={"path": "missing/*.csv"})
    nowhere = nowhere.model_copy(update={"source": nowhere.source.model_copy(update={"name": "nowhere"})})
    bad, good = load_all(city.loading(), [nowhere, source()])
    assert bad.error is not None
    assert "SY-L031" in bad.error
    assert good.targets[0].loaded == 4
    assert [f for f in good.failed_files if "broken.csv" in f]


def test_released_rows_come_in_and_are_noted(city: City) -> None:
    city.deliver(*FIRST, "6,海外,餐饮,122.0,30.2,1")
    city.load()
    assert city.lake.table(PLACE).count() == 4
    done = release_rows(city.loading(), {"shops": source()}, PLACE, "extent", "an island of the city")
    assert done["released"] == 1
    assert "海外" in city.names()
    assert listed(city.lake, PLACE, 10) == ([], [])


def test_a_code_that_is_in_no_list_is_released_as_delivered_but_not_one_that_means_nothing(city: City) -> None:
    def coded(rule: str | ColumnFrom) -> Source:
        into = source().into[0].model_copy(update={"columns": {"name": "`名称`", "class_code": rule}})
        return source().model_copy(update={"into": (into,)})

    plenty = [f"{n},店{n},01,120.2,30.2{n},1" for n in range(10, 20)]
    city.deliver(*plenty, "5,新类,99,120.3,30.3,1")
    as_is = coded("`类别`")
    city.load(as_is)
    assert release_rows(city.loading(), {"shops": as_is}, PLACE, "code", "a trade that the list does not have yet")["released"] == 1
    assert city.lake.table(PLACE).to_arrow(columns=["class_code"], where="name = '新类'").to_pylist() == [{"class_code": "99"}]

    city.deliver(*plenty, "5,新类,99,120.3,30.3,1", "6,无类,美容,120.3,30.31,1", "7,无义,未知,120.3,30.32,1")
    mapped = coded(ColumnFrom(expr="`类别`", codes={"01": "01", "99": "02"}))
    city.load(mapped)
    with pytest.raises(SanyuError, match="SY-Q012") as refused:
        release_rows(city.loading(), {"shops": mapped}, PLACE, "code", "why not")
    assert (refused.value.params["field"], refused.value.params["values"]) == ("class_code", "'美容' (1), '未知' (1)")
    assert city.lake.table("quarantine.basemap__place").count(where="released_at is null") == 2
    told = coded(ColumnFrom(expr="`类别`", codes={"01": "01", "99": "02", "美容": "03"}))
    done = release_rows(city.loading(), {"shops": told}, PLACE, "code", "the source says now what it means")
    assert (done["released"], done["left"]) == (1, 1)
    assert city.lake.table(PLACE).to_arrow(columns=["class_code"], where="name = '无类'").to_pylist() == [{"class_code": "03"}]


def test_the_gate_knows_rows_that_a_person_released_and_still_finds_others(city: City, spark: SparkSession) -> None:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"module 'sre_\w+' is deprecated")  # Great Expectations 1.24 imports them
        from jobs.gate import gate_all, released

    place = contracts()[PLACE]
    known = contracts() | {PLACE: place.model_copy(update={"columns": (*place.columns, Column(field=EMPLOYEE_COUNT))})}

    def loading() -> Loading:
        return replace(city.loading(), contracts=known)

    into = source().into[0]
    shops = source().model_copy(update={"into": (into.model_copy(update={"columns": into.columns | {"employee_count": "`楼层`"}}),)})
    city.deliver(*FIRST, *(f"{n},店{n},餐饮,120.2,30.2{n},{n}" for n in range(10, 40)), "6,奇店,餐饮,120.3,30.3,-5")
    load.run(loading(), shops)
    assert city.lake.table(PLACE).count() == 34
    release_rows(loading(), {"shops": shops}, PLACE, "range", "the register writes unknown as -5")
    (accepted,) = city.lake.table(PLACE).to_arrow(columns=["employee_count", "row_hash"], where="employee_count < 0").to_pylist()
    assert released(city.lake, PLACE) == {"employee_count": (accepted["row_hash"],)}
    (gate,) = gate_all(loading(), (PLACE,))
    assert gate.failures == ()
    path = city.lake.store.uri(place.path)
    spark.sql(f"UPDATE delta.`{path}` SET employee_count = -7, row_hash = 'other' WHERE employee_count = 12")
    (gate,) = gate_all(loading(), (PLACE,))
    assert [(f["code"], f["column"], f["count"], f["examples"]) for f in gate.failures] == [("SY-Q107", "employee_count", 1, ("-7",))]


def test_gbk_bd09_and_gcj02_sources_need_one_word(city: City) -> None:
    city.deliver(*FIRST, encoding="gbk")
    city.load(source(read={"crs": "BD-09"}))
    frame = city.lake.table(PLACE).to_geopandas(where="source_key = '1'")
    point = frame.geometry.iloc[0]
    lon, lat = sanyu.coords.transform(120.10, 30.20, "BD-09", "EPSG:4490")
    assert frame["name"].tolist() == ["张三面馆"]
    assert max(abs(point.x - lon), abs(point.y - lat)) < 1e-9


def test_a_source_without_a_reference_system_is_refused_row_by_row(city: City) -> None:
    city.deliver(*FIRST)
    undeclared = source()
    undeclared = undeclared.model_copy(update={"read": undeclared.read.model_copy(update={"crs": None})})
    report = city.load(undeclared)
    assert report.targets[0].status == "failed"
    assert {e["code"] for r in city.lake.table("quarantine.basemap__place").to_arrow().to_pylist() for e in r["errors"]} == {"SY-C113"}


def test_the_same_input_gives_the_same_stamps_on_another_lake(city: City, tmp_path: Path, spark: SparkSession) -> None:
    (tmp_path / "other").mkdir()
    other = City(tmp_path / "other", spark)
    stamps = []
    for place in (city, other):
        place.deliver(*FIRST)
        place.load()
        found = place.lake.table(PLACE).to_arrow(columns=["entity_id", "stamp_id", "batch_id"]).to_pylist()
        stamps.append(sorted(tuple(r.values()) for r in found))
    assert stamps[0] == stamps[1]


def test_a_further_table_of_a_source_is_loaded_alone_and_a_new_title_loads_nothing(city: City) -> None:
    city.deliver(*FIRST)
    first = city.load()
    version = city.lake.table(PLACE).version
    more = source().model_dump(mode="json", exclude_unset=True)
    more["source"] |= {"title": "Shops of the city"}
    more["delivery"] |= {"schedule": "@daily"}
    more["into"].append({"contract": "core.basemap__address", "key": "`编号`", "columns": {"address_text": "`名称`"}})
    report = city.load(Source.model_validate(more))
    assert report.batch_id == first.batch_id
    assert [(target.table, target.loaded) for target in report.targets] == [("core.basemap__address", 4)]
    assert city.lake.table(PLACE).version == version
    starts = city.starts
    more["source"] |= {"licence": "CC0-1.0"}
    assert city.load(Source.model_validate(more)).targets == ()
    assert city.starts == starts
