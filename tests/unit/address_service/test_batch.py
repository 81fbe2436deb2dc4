"""Batches: every row once and in order, whatever stands in it; results in every form; nothing half written."""

from __future__ import annotations

import csv
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pyogrio
import pytest

import sanyu
from sanyu.address import engine as engine_module
from sanyu.address.batch import Options, _workers, free_prefix, matched_table, run
from sanyu.address.tablefiles import Rows, rows_of, table_rows

GAZETTEER = pa.Table.from_pylist(
    [
        {"entity_id": "D12", "kind": "door", "district": "望海区", "road": "解放东路", "door": "12号", "lon": 120.12, "lat": 30.1},
        {"entity_id": "D14", "kind": "door", "district": "望海区", "road": "解放东路", "door": "14号", "lon": 120.14, "lat": 30.1},
    ]
).append_column("division_code", pa.array(["390102001001"] * 2))
HOSTILE = (
    None,
    "",
    "路" * 10_000,
    "🙂🙂",
    "'; DROP TABLE x; --",
    "<script>alert(1)</script>",
    "\u0000\ud7ff\u202e",
    "=cmd|' /C calc'!A0",
    "a\nb",
    "\t",
)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> sanyu.AddressEngine:
    monkeypatch.setattr(engine_module, "national_divisions", lambda folder: None)
    return sanyu.AddressEngine.build(GAZETTEER)


def _rows() -> pa.Table:
    texts = ["望海区解放东路12号", *HOSTILE, "解放东路十四号"]
    return pa.table({"n": list(range(len(texts))), "地址": texts})


@pytest.mark.parametrize("chunk_rows", [1, 3, 1000])
def test_every_row_comes_back_once_in_order_whatever_stands_in_it(engine: sanyu.AddressEngine, tmp_path: Path, chunk_rows: int) -> None:
    table, out = _rows(), tmp_path / "out.parquet"
    report = run(engine, table_rows("t", table), "地址", [out], Options(chunk_rows=chunk_rows))
    found = pq.read_table(out)
    assert found["n"].to_pylist() == list(range(12)) and found["地址"].to_pylist() == table["地址"].to_pylist()
    assert found["match_entity_id"].to_pylist() == ["D12", *[None] * 10, "D14"]
    assert all(code and code.startswith("SY-A") for code in found["match_code"].to_pylist()[1:-1])
    assert found["match_lon"].to_pylist()[1:-1] == [None] * 10
    assert (report.rows, report.statuses) == (12, {"M": 2, "U": 10})
    assert sum(report.codes.values()) == 10


def test_workers_share_the_engine_of_the_process_and_its_aliases(
    engine: sanyu.AddressEngine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine.add_alias("老市场", entity_id="D12")
    table = pa.table({"地址": ["老市场", *_rows()["地址"].to_pylist()] * 3})
    alone = matched_table(engine, table, "地址", "match_")
    monkeypatch.setattr(threading, "active_count", lambda: 1)
    monkeypatch.setattr(sanyu.AddressEngine, "load", lambda path: pytest.fail("a fork has the engine"))
    report = run(engine, table_rows("t", table), "地址", [tmp_path / "out.parquet"], Options(chunk_rows=4, workers=2))
    found = pq.read_table(tmp_path / "out.parquet")
    assert report.rows == 39 and found["地址"].equals(table["地址"]) and found.select(alone.column_names).to_pylist() == alone.to_pylist()
    assert found["match_entity_id"][0].as_py() == "D12"


def test_a_process_with_other_threads_is_not_forked(engine: sanyu.AddressEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fork", lambda: pytest.fail("forked beside a thread"))
    done = threading.Event()
    other = threading.Thread(target=done.wait)
    other.start()
    try:
        with _workers(engine, Options(workers=2)) as (_, folder):
            assert folder is not None and sanyu.AddressEngine.load(folder).match("解放东路12号").entity_id == "D12"
    finally:
        done.set()
        other.join()


def test_each_output_holds_all_rows(engine: sanyu.AddressEngine, tmp_path: Path) -> None:
    outs = [tmp_path / f"out.{kind}" for kind in ("csv", "xlsx", "parquet", "geojson", "gpkg")]
    run(engine, table_rows("t", _rows()), "地址", outs, Options(chunk_rows=5))
    with outs[0].open(encoding="utf-8-sig", newline="") as file:
        told = list(csv.DictReader(file))
    assert [row["n"] for row in told] == [str(n) for n in range(12)] and told[0]["match_standard"].endswith("解放东路12号")
    sheet = openpyxl.load_workbook(outs[1], read_only=True).active
    cells = list(sheet.iter_rows(values_only=True))
    assert [row[0] for row in cells] == ["n", *range(12)] and cells[8 + 1][1] == "=cmd|' /C calc'!A0"
    assert openpyxl.load_workbook(outs[1]).active["B10"].data_type == "s"  # a text, not a formula
    assert told[8]["地址"] == "'=cmd|' /C calc'!A0"
    features = json.loads(outs[3].read_text("utf-8"))["features"]
    assert [f["properties"]["n"] for f in features] == list(range(12))
    assert [f["geometry"] and f["geometry"]["coordinates"] for f in features] == [[120.12, 30.1], *[None] * 10, [120.14, 30.1]]
    frame = pyogrio.read_dataframe(outs[4])
    assert len(frame) == 12 and frame.crs.to_epsg() == 4490 and frame.geometry.notna().sum() == 2
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in outs)


def test_several_columns_are_fields(engine: sanyu.AddressEngine, tmp_path: Path) -> None:
    table = pa.table({"区": ["望海区", None], "街": ["解放东路", "解放东路"], "号": pa.array([12, 14]), "match_status": ["x", "y"]})
    out = tmp_path / "out.parquet"
    run(engine, table_rows("t", table), {"district": "区", "road": "街", "door": "号"}, [out])
    found = pq.read_table(out)
    assert found["match2_entity_id"].to_pylist() == ["D12", "D14"] and found["match_status"].to_pylist() == ["x", "y"]


def test_result_columns_give_way_to_columns_of_the_input() -> None:
    assert free_prefix(["match_lon", "match2_lat"]) == "match3_"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_of_any_encoding_and_with_ragged_rows_keeps_its_rows(engine: sanyu.AddressEngine, tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes('名称,地址,名称\n甲,解放东路12号,x\n乙\n丙,解放东路14号,y,z\n丁,"解放东路\n12号",w\n'.encode(encoding))
    rows = rows_of(path)
    assert rows.names == ("名称", "地址", "名称_3")
    out = tmp_path / "out.parquet"
    run(engine, rows, "地址", [out])
    found = pq.read_table(out)
    assert found["名称"].to_pylist() == ["甲", "乙", "丙", "丁"]
    assert found["名称_3"].to_pylist() == ["x", None, "y,z", "w"]
    assert found["match_entity_id"].to_pylist() == ["D12", None, "D14", "D12"]


def test_workbooks_and_parquet_are_read_as_they_are(engine: sanyu.AddressEngine, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    for row in (["号", "地址"], [1, "解放东路12号"], [None, None], [3, "解放东路14号"]):
        book.active.append(row)
    book.save(tmp_path / "in.xlsx")
    pq.write_table(pa.table({"号": [1, None, 3], "地址": ["解放东路12号", None, "解放东路14号"]}), tmp_path / "in.parquet")
    for name in ("in.xlsx", "in.parquet"):
        out = tmp_path / f"{name}.out.parquet"
        run(engine, rows_of(tmp_path / name), "地址", [out], Options(chunk_rows=2))
        assert pq.read_table(out)["match_entity_id"].to_pylist() == ["D12", None, "D14"], name


def test_what_is_interrupted_leaves_nothing_and_keeps_what_was_there(engine: sanyu.AddressEngine, tmp_path: Path) -> None:
    outs = [tmp_path / f"out.{kind}" for kind in ("csv", "xlsx", "parquet", "geojson", "gpkg")]
    outs[0].write_text("old")

    def chunks(size: int) -> Iterator[pa.Table]:
        yield _rows()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(engine, Rows("t", ("n", "地址"), chunks), "地址", outs)
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv"] and outs[0].read_text() == "old"


@pytest.mark.parametrize(
    ("columns", "code"),
    [("住址", "SY-A070"), ({"road": "住址"}, "SY-A070"), ({"街": "地址"}, "SY-A078")],
)
def test_a_column_that_is_not_there_is_named_with_those_that_are(
    engine: sanyu.AddressEngine, tmp_path: Path, columns: Any, code: str
) -> None:
    with pytest.raises(sanyu.SanyuError, match=code):
        run(engine, table_rows("t", _rows()), columns, [tmp_path / "out.csv"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "code"), [("in.docx", "SY-A071"), ("in.xlsx", "SY-A082"), ("in.parquet", "SY-A082")])
def test_a_file_of_another_kind_or_broken_is_told_with_its_name(tmp_path: Path, name: str, code: str) -> None:
    (tmp_path / name).write_bytes(b"<html>502 Bad Gateway</html>")
    with pytest.raises(sanyu.SanyuError, match=code) as caught:
        rows_of(tmp_path / name)
    assert name in str(caught.value)


def test_an_output_of_an_unknown_kind_is_refused_before_a_row_is_read(engine: sanyu.AddressEngine, tmp_path: Path) -> None:
    with pytest.raises(sanyu.SanyuError, match="SY-A071"):
        run(engine, table_rows("t", _rows()), "地址", [tmp_path / "out.csv", tmp_path / "out.shp"])
    assert not list(tmp_path.iterdir())
