"""Facts written without a JVM: once per delivery, sparing, laid out, in the change feed, and never past the table's constraints."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake
from deltalake.exceptions import DeltaError

from jobs.results import Told, stamped
from sanyu.lake import Lake
from sanyu.lake.changes import changed_rows
from sanyu.lake.commit import Account, Facts, Outcome, Parts, Write
from schemas.messages import SanyuError
from schemas.model import SecurityLabel
from schemas.registry import find_contract

CONTRACT = find_contract("mart.mining__global_statistic")
NOW = "2026-01-02T03:04:05+00:00"


def write(sequence: int = 1, source: str = "mine_moran_1") -> Write:
    return Write(source, f"batch-{sequence}", "run-1", sequence)


def rows(values: list[float], sequence: int = 1, source: str = "mine_moran_1") -> pa.Table:
    found = pa.table({"tool_name": ["moran"] * len(values), "statistic": values, "name": [f"k{i}" for i in range(len(values))]})
    told = Told(NOW, SecurityLabel.PUBLIC, {"input_table": "core.basemap__place"}, "name")
    return stamped(found, CONTRACT, write(sequence, source), told)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def put(lake: Lake, given: pa.Table | Parts, as_write: Write, **more: Any) -> Outcome:
    """Write, and return what is told to a caller: what became of the rows given, and the version."""
    account = Account("mine", NOW, given.num_rows)
    found = lake.write(CONTRACT, Facts(given, given.num_rows, **more), as_write, account)
    return Outcome(found.loaded, found.unchanged, found.closed, found.version)


def commit(lake: Lake, values: list[float], sequence: int = 1, source: str = "mine_moran_1", **more: Any) -> Outcome:
    return put(lake, rows(values, sequence, source), write(sequence, source), **more)


def content(lake: Lake) -> list[tuple[Any, ...]]:
    table = lake.table(CONTRACT.name).to_arrow(["source_name", "source_key", "statistic", "batch_id"]).to_pandas()
    return sorted(table.itertuples(index=False, name=None))


def test_a_second_write_of_a_delivery_changes_nothing(lake: Lake) -> None:
    first = commit(lake, [1.0, 2.0])
    again = commit(lake, [5.0, 6.0])  # the same sequence: what a run that died after its commit would bring
    assert (first.loaded, again.loaded, again.version) == (2, 2, first.version)
    assert [row[2] for row in content(lake)] == [1.0, 2.0]


def test_equal_content_of_another_delivery_makes_no_version(lake: Lake) -> None:
    first = commit(lake, [1.0, 2.0])
    assert commit(lake, [1.0, 2.0], 2) == Outcome(unchanged=2, version=first.version)


def test_rows_of_one_source_are_replaced_and_those_of_others_stay(lake: Lake) -> None:
    commit(lake, [7.0], source="mine_moran_2")
    commit(lake, [1.0, 2.0, 3.0])
    outcome = commit(lake, [1.0, 2.5], 2)
    assert (outcome.loaded, outcome.closed) == (2, 1)
    assert [(s, k, v) for s, k, v, _ in content(lake)] == [
        ("mine_moran_1", "k0", 1.0),
        ("mine_moran_1", "k1", 2.5),
        ("mine_moran_2", "k0", 7.0),
    ]


@pytest.mark.parametrize("most", [500, 1])
def test_rows_for_some_keys_leave_those_under_others(lake: Lake, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sanyu.lake.facts.MOST_KEYS", most)
    commit(lake, [7.0, 7.0, 7.0], source="mine_moran_2")
    commit(lake, [1.0, 2.0, 3.0, 4.0])
    before = lake.table(CONTRACT.name).version
    outcome = commit(lake, [1.0, 2.5], 2, keys=pa.array(["k0", "k1", "k3", "k9"]))
    assert outcome == Outcome(1, 1, 1, before + 1)
    assert [(key, value) for source, key, value, _ in content(lake) if source == "mine_moran_1"] == [("k0", 1.0), ("k1", 2.5), ("k2", 3.0)]
    assert [value for source, _, value, _ in content(lake) if source == "mine_moran_2"] == [7.0] * 3
    fresh = put(lake, rows([0.0] * 3 + [9.0], 3).slice(3), write(3), keys=pa.array(["k3"]))
    assert fresh == Outcome(1, 0, 0, before + 2)
    assert lake.table(CONTRACT.name).count(where="source_name = 'mine_moran_1'") == 4


def test_parts_are_written_as_they_are_made_and_compared_where_the_source_has_rows(lake: Lake) -> None:
    def parts(values: list[float], sequence: int) -> Parts:
        table = rows(values, sequence)
        return Parts(table.schema, len(values), lambda: (table.slice(at, 2) for at in range(0, len(values), 2)))

    first = put(lake, parts([1.0, 2.0, 3.0], 1), write(1))
    assert (first.loaded, [value for _, _, value, _ in content(lake)]) == (3, [1.0, 2.0, 3.0])
    assert put(lake, parts([1.0, 2.0, 3.0], 2), write(2)) == Outcome(unchanged=3, version=first.version)
    assert (put(lake, parts([1.0, 2.5], 3), write(3)).closed, [value for _, _, value, _ in content(lake)]) == (1, [1.0, 2.5])


def test_rows_that_are_stamped_in_parts_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    values = [float(i % 7) for i in range(500)]
    whole = rows(values)
    monkeypatch.setattr("jobs.results.PART_ROWS", 64)
    assert rows(values).equals(whole)


def test_a_part_that_can_t_be_made_leaves_the_table_as_it_was(lake: Lake) -> None:
    commit(lake, [7.0], source="mine_moran_2")
    before = lake.table(CONTRACT.name).version

    def make() -> Iterator[pa.Table]:
        yield rows([1.0])
        raise ValueError("the second part")

    with pytest.raises(Exception, match="the second part"):
        put(lake, Parts(rows([1.0]).schema, 2, make), write())
    assert (lake.table(CONTRACT.name).version, len(content(lake))) == (before, 1)
    assert commit(lake, [1.0, 2.0]).loaded == 2


def test_a_source_that_finds_nothing_any_more_has_no_rows(lake: Lake) -> None:
    commit(lake, [7.0], source="mine_moran_2")
    assert commit(lake, []).loaded == 0
    commit(lake, [1.0, 2.0], 2)
    outcome = commit(lake, [], 3)
    assert (outcome.loaded, outcome.closed) == (0, 2)
    assert [row[0] for row in content(lake)] == ["mine_moran_2"]


def test_a_sparing_write_leaves_equal_rows_their_batch(lake: Lake) -> None:
    commit(lake, [1.0, 2.0, 3.0])
    outcome = commit(lake, [1.0, 2.5], 2, sparing=True)
    assert (outcome.loaded, outcome.unchanged, outcome.closed) == (1, 1, 1)
    assert [(k, b) for _, k, _, b in content(lake)] == [("k0", "batch-1"), ("k1", "batch-2")]
    table = lake.table(CONTRACT.name)
    changes = changed_rows(table, table.version - 1, table.version, ["source_key", "statistic"])
    assert changes is not None
    assert sorted(changes.removed["source_key"].to_pylist()) == ["k1", "k2"]
    assert changes.added["statistic"].to_pylist() == [2.5]


def test_the_table_is_as_its_contract_says_and_readable_by_others(lake: Lake) -> None:
    commit(lake, [3.0, 1.0])
    log = DeltaTable(f"{lake.url}/{CONTRACT.path}")
    assert json.loads(log.history(1)[0]["userMetadata"])["run_id"] == "run-1"
    assert log.metadata().configuration["sanyu.contract"] == CONTRACT.name
    assert len(log.to_pyarrow_table()) == len(pl.read_delta(f"{lake.url}/{CONTRACT.path}")) == 2
    cut = rows([1.0], 3)
    broken = cut.set_column(cut.column_names.index("entity_id"), "entity_id", pa.nulls(1, pa.string()))
    with pytest.raises(DeltaError, match="entity_id"):
        put(lake, broken, write(3))


def test_a_creation_that_died_before_its_constraint_is_finished(lake: Lake) -> None:
    path = f"{lake.url}/{CONTRACT.path}"
    write_deltalake(path, rows([1.0]).slice(0, 0), configuration={"delta.enableChangeDataFeed": "true"})
    commit(lake, [1.0])
    assert "entity_id IS NOT NULL" in DeltaTable(path).metadata().configuration["delta.constraints.contract"]


def test_a_table_with_deletion_vectors_is_left_to_spark(lake: Lake) -> None:
    write_deltalake(f"{lake.url}/{CONTRACT.path}", rows([1.0]), configuration={"delta.enableDeletionVectors": "true"})
    assert lake.needs_spark(CONTRACT)
    with pytest.raises(SanyuError, match="SY-L054"):
        commit(lake, [1.0])


def test_rows_are_stamped(lake: Lake) -> None:
    commit(lake, [1.0])
    row = lake.table(CONTRACT.name).to_arrow().to_pylist()[0]
    assert row["time_code"] == "20260102"
    assert row["valid_from_at"] == row["recorded_at"] == dt.datetime.fromisoformat(NOW)
    assert row["entity_id"].startswith("000000-")
    text = f"{row['entity_id']}|{int(row['valid_from_at'].timestamp()) * 1_000_000}|{row['row_hash']}"
    assert row["stamp_id"] == duckdb.execute("SELECT md5(?)", [text]).fetchall()[0][0]
