"""The change feed of a table as a reader's question sees it; the tables are written by delta-rs, so that no JVM is needed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from jobs.mining.since import Last, last_run
from sanyu.lake import Lake
from sanyu.lake.changes import changed_rows, committed_sequence, table_id
from sanyu.lake.deliveries import sequence
from schemas.messages import SanyuError
from schemas.mining.cell_count import CONTRACT

NAME = "core.thematic__event"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    rows = pa.table({"entity_id": ["a", "b", "c", "d"], "v": [1, 2, 3, 4], "valid_to_at": pa.nulls(4, pa.timestamp("us", tz="UTC"))})
    write_deltalake(tmp_path / "core/thematic/event", rows, configuration={"delta.enableChangeDataFeed": "true"})
    return Lake(tmp_path)


def _log(lake: Lake) -> DeltaTable:
    return DeltaTable(lake.table(NAME).path)


def _pairs(table: pa.Table) -> set[tuple[Any, ...]]:
    return {tuple(row.values()) for row in table.to_pylist()}


def test_what_went_and_what_came_under_a_condition(lake: Lake) -> None:
    _log(lake).update(updates={"v": "20"}, predicate="entity_id = 'b'")
    _log(lake).delete("entity_id = 'c'")
    _log(lake).update(updates={"valid_to_at": "timestamp '2025-01-01T00:00:00Z'"}, predicate="entity_id = 'd'")
    found = changed_rows(lake.table(NAME), 0, 3, ["entity_id", "v"])
    assert found is not None
    assert (_pairs(found.removed), _pairs(found.added)) == ({("b", 2), ("c", 3), ("d", 4)}, {("b", 20)})
    few = changed_rows(lake.table(NAME), 0, 3, ["entity_id", "v"], where="v < 10 AND entity_id <> 'c'")
    assert few is not None
    assert (_pairs(few.removed), _pairs(few.added)) == ({("b", 2), ("d", 4)}, set())
    late = changed_rows(lake.table(NAME), 1, 2, ["entity_id"])
    assert late is not None
    assert (_pairs(late.removed), len(late)) == ({("c",)}, 1)


def test_rows_that_come_back_as_they_were_are_no_change(lake: Lake) -> None:
    _log(lake).update(updates={"v": "20"}, predicate="entity_id = 'b'")
    unseen = changed_rows(lake.table(NAME), 0, 1, ["entity_id"])
    assert unseen is not None
    assert not unseen
    _log(lake).update(updates={"v": "2"}, predicate="entity_id = 'b'")
    back = changed_rows(lake.table(NAME), 0, 2, ["entity_id", "v"])
    assert back is not None
    assert not back


def test_a_feed_that_does_not_reach_back_is_none_and_a_wrong_column_is_named(lake: Lake) -> None:
    assert changed_rows(lake.table(NAME), 0, 0, ["v"]) is None
    _log(lake).update(updates={"v": "20"}, predicate="entity_id = 'b'")
    with pytest.raises(SanyuError, match="SY-L005"):
        changed_rows(lake.table(NAME), 0, 1, ["w"])
    shutil.rmtree(Path(lake.table(NAME).path) / "_change_data")
    assert changed_rows(lake.table(NAME), 0, 1, ["v"]) is None


def test_a_table_without_a_feed_tells_nothing(tmp_path: Path) -> None:
    for value in ("1", "2"):
        write_deltalake(tmp_path / "core/thematic/event", pa.table({"v": [value]}), mode="append")
    assert changed_rows(Lake(tmp_path).table(NAME), 0, 1, ["v"]) is None


def _run_row(lake: Lake, source: str, batch: str, version: int, minute: int) -> None:
    inputs = json.dumps([{"table": NAME, "table_id": "t", "version": version, "where": None}])
    row = {"result_source": [source], "batch_id": [batch], "inputs": [inputs], "recorded_at": [f"2025-01-01T00:{minute:02}"]}
    write_deltalake(Path(lake.url) / "mart/mining/run", pa.table(row), mode="append")


def _commit(lake: Lake, source: str, batch: str) -> None:
    number = sequence(lake.store, source, batch)
    properties = CommitProperties(app_transactions=[Transaction(f"sanyu/{source}", number)])
    write_deltalake(Path(lake.url) / "mart/mining/cell_count", pa.table({"x": [1]}), mode="append", commit_properties=properties)


def test_the_last_run_is_the_newest_whose_row_stands_and_after_which_nothing_was_written(lake: Lake) -> None:
    assert last_run(lake, CONTRACT, "mine_x") is None
    for number, batch in enumerate(("one", "two")):
        _commit(lake, "mine_x", batch)
        _run_row(lake, "mine_x", batch, number, number)
    assert last_run(lake, CONTRACT, "mine_x") == Last("two", "t", 1)
    assert last_run(lake, CONTRACT, "mine_y") is None
    _commit(lake, "mine_x", "three")  # and its run died before it had said so
    assert committed_sequence(lake.table(CONTRACT.name), "mine_x") == 3
    assert last_run(lake, CONTRACT, "mine_x") is None


def test_a_table_made_anew_has_another_id(lake: Lake) -> None:
    before = table_id(lake.table(NAME))
    shutil.rmtree(lake.table(NAME).path)
    write_deltalake(Path(lake.url) / "core/thematic/event", pa.table({"v": [1]}))
    assert table_id(lake.table(NAME)) != before
