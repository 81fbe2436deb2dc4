"""The account of batches and files: it balances, it loses nothing, and it knows what is done."""

from __future__ import annotations

import datetime as dt
import multiprocessing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import write_deltalake

from quality.arrow import arrow_schema
from sanyu.lake import Lake
from sanyu.lake.ledger import FileRow, Ledger, LedgerRow
from sanyu.lake.store import LocalStore
from schemas import ops
from schemas.messages import SanyuError


def row(batch: str = "20260101-aaaaaaaaaaaa", **other: Any) -> LedgerRow:
    values: dict[str, Any] = {
        "run_id": "r1",
        "recorded_at": "2026-01-02T00:00:00+00:00",
        "step": "core",
        "source_name": "roads",
        "batch_id": batch,
        "table_name": "core.basemap__road_segment",
        "rows_in": 10,
        "rows_loaded": 6,
        "rows_unchanged": 1,
        "rows_quarantined": 2,
        "rows_duplicate": 1,
    }
    return LedgerRow(**values | other)


@pytest.fixture
def ledger(tmp_lake: Path) -> Ledger:
    return Ledger(LocalStore(tmp_lake))


def test_a_batch_that_was_recorded_is_done_and_no_other(ledger: Ledger) -> None:
    assert ledger.batch_state("roads", row().batch_id, row().table_name) == "absent"
    ledger.append(row())
    assert ledger.batch_state("roads", row().batch_id, row().table_name) == "done"
    assert not ledger.is_done("roads", "20260101-bbbbbbbbbbbb", row().table_name)
    assert not ledger.is_done("roads", row().batch_id, "core.basemap__water")
    assert not ledger.is_done("rivers", row().batch_id, row().table_name)


@pytest.mark.parametrize(
    ("status", "rows_loaded", "holds"),
    [("ok", 6, True), ("ok", 5, False), ("warning", 6, True), ("warning", 5, False), ("failed", 0, True)],
)
def test_the_contract_wants_every_loaded_batch_balanced(status: str, rows_loaded: int, holds: bool) -> None:
    values = asdict(row(status=status, rows_loaded=rows_loaded))
    (check,) = ops.LEDGER.checks
    columns = ", ".join(f"{'NULL' if v is None else repr(v)} AS {k}" for k, v in values.items())
    assert duckdb.sql(f"SELECT {check.expression} FROM (SELECT {columns})").fetchone() == (holds,)


def test_a_batch_delivered_again_after_another_is_not_done(ledger: Ledger) -> None:
    ledger.append(row(detail='{"sequence": 1}'))
    assert ledger.is_done("roads", row().batch_id, row().table_name, 1)
    assert not ledger.is_done("roads", row().batch_id, row().table_name, 3)


def test_a_failed_batch_may_hold_rows_back_and_is_not_done(ledger: Ledger) -> None:
    ledger.append(row(rows_loaded=0, rows_unchanged=0, status="failed"))
    assert not ledger.is_done("roads", row().batch_id, row().table_name)


@pytest.mark.parametrize(
    "wrong",
    [{"rows_loaded": 5}, {"rows_loaded": 7}, {"rows_loaded": 12, "status": "failed"}, {"rows_loaded": 8, "rows_duplicate": -1}],
)
def test_rows_that_do_not_balance_are_refused_and_nothing_is_recorded(ledger: Ledger, tmp_lake: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(SanyuError) as refused:
        ledger.append(row(), row("20260102-cccccccccccc", **wrong))
    assert refused.value.code == "SY-L020"
    assert refused.value.params["batch"] == "20260102-cccccccccccc"
    assert Lake(tmp_lake).names() == []


def test_last_is_the_newest_row_of_the_source(ledger: Ledger) -> None:
    ledger.append(row("b2", recorded_at="2026-01-03T00:00:00+00:00"), row("b1"), row("b3", source_name="rivers"))
    last = ledger.last("roads")
    assert last is not None
    assert last["batch_id"] == "b2"
    assert ledger.last("parks") is None
    assert ledger.last_by_source() == {"roads": "b2", "rivers": "b3"}


def test_ledger_and_files_are_tables_of_the_lake(ledger: Ledger, tmp_lake: Path) -> None:
    ledger.append(row())
    ledger.append_files([FileRow("r1", "2026-01-02T00:00:00+00:00", "roads", "b", "街道.shp", "00", 12, "failed", code="SY-R002")])
    lake = Lake(tmp_lake)
    assert [(t.name, t.rows) for t in lake.tables()] == [("raw.ops__file", 1), ("raw.ops__ledger", 1)]
    assert lake.table("raw.ops__file").to_arrow(["file_name", "row_count", "code"]).to_pylist() == [
        {"file_name": "街道.shp", "row_count": 0, "code": "SY-R002"}
    ]


def test_the_rows_are_those_of_the_contracts(ledger: Ledger, tmp_lake: Path) -> None:
    link = {
        "contract": "core.basemap__building",
        "source_name": "roads",
        "source_key": "1",
        "entity_id": "e",
        "kind": "split",
        "batch_id": "b",
        "recorded_at": "2026-01-02T00:00:00+00:00",
        "score": 0.5,
    }
    ledger.append(row())
    ledger.append_files([FileRow("r1", "2026-01-02T00:00:00+00:00", "roads", "b", "a.shp", "00", 12, "ok")])
    ledger.append_bridge([link])
    lake = Lake(tmp_lake)
    for contract in ops.CONTRACTS:
        assert lake.table(contract.name).schema.equals(arrow_schema(contract), check_metadata=False)
    with pytest.raises(ValueError, match="no columns"):
        ledger.append_bridge([link | {"scores": 1}])


def test_a_column_that_a_contract_gained_is_added_to_a_table_that_is_there(ledger: Ledger, tmp_lake: Path) -> None:
    older = arrow_schema(ops.LEDGER).remove_metadata()
    values = asdict(row("before")) | {"recorded_at": dt.datetime(2026, 1, 1, tzinfo=dt.UTC)}
    old = pa.Table.from_pylist([values], schema=older).drop_columns(["rows_closed", "reasons"])
    write_deltalake(str(tmp_lake / "raw/ops/ledger"), old)
    ledger.append(row("after"))
    rows = Lake(tmp_lake).table("raw.ops__ledger").to_arrow(["batch_id", "reasons"]).to_pylist()
    assert {r["batch_id"]: r["reasons"] for r in rows} == {"before": None, "after": "{}"}


def appended(root: Path, worker: int) -> None:
    ledger = Ledger(LocalStore(root))
    for turn in range(10):
        ledger.append(row(f"{worker}-{turn}"))


def test_of_four_processes_that_append_at_once_no_row_is_lost(tmp_lake: Path) -> None:
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=appended, args=(tmp_lake, n)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [w.exitcode for w in workers] == [0, 0, 0, 0]
    batches = Lake(tmp_lake).table("raw.ops__ledger").to_arrow(["batch_id"])["batch_id"].to_pylist()
    assert sorted(batches) == sorted(f"{w}-{t}" for w in range(4) for t in range(10))


def test_small_files_of_many_appends_are_put_together(ledger: Ledger, tmp_lake: Path) -> None:
    for n in range(103):
        ledger.append(row(f"b{n:03}"))
    table = Lake(tmp_lake).table("raw.ops__ledger")
    assert table.count() == 103
    assert len(set(table.to_arrow(["batch_id"])["batch_id"].to_pylist())) == 103
    assert table.bbox_files((0, 0, 1, 1))[1] <= 5
