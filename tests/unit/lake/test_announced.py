"""What is announced follows from the tables' logs: after the last acknowledgement, by whom ever, whatever became of the run."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from jobs.announce import KEYS_AT_ONCE, acknowledged_all, pending
from quality.arrow import arrow_schema
from sanyu.lake import Lake
from sanyu.lake.announced import FOLDER, acknowledge, acknowledged, position
from sanyu.lake.ledger import LedgerRow
from sanyu.lake.runs import Runs
from schemas.registry import contracts

EVENT, PLACE = "core.thematic__event", "core.basemap__place"
KNOWN = contracts()
DAY = dt.datetime(2026, 1, 4, 16, tzinfo=dt.UTC)  # midnight of 5 January in Beijing


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


def put(lake: Lake, table: str, rows: list[dict[str, Any]], mode: str = "append") -> int:
    """Commit rows and return the version."""
    schema = arrow_schema(KNOWN[table])
    data = pa.Table.from_pylist([{f.name: row.get(f.name) for f in schema} for row in rows], schema)
    uri = lake.store.uri(KNOWN[table].path, scheme="path")
    write_deltalake(uri, data, mode=mode, configuration={"delta.enableChangeDataFeed": "true"})  # type: ignore[call-overload]
    return DeltaTable(uri).version()


def event(key: str, district: str | None, day: int) -> dict[str, Any]:
    code = None if district is None else f"{district}000000"
    return {"stamp_id": key, "division_code": code, "occurred_at": DAY + dt.timedelta(days=day)}


def told(lake: Lake, version: int, **figures: int) -> None:
    """Write the ledger's row of a load."""
    row = {"rows_in": figures.get("rows_loaded", 0), "delta_version": version, **figures}
    at = "2026-01-01T00:00:00+00:00"
    lake.ledger.append(LedgerRow("run", at, "core", "feed", f"b{version}", EVENT, **row))  # type: ignore[arg-type]


def test_all_that_was_never_announced_is(lake: Lake) -> None:
    told(lake, put(lake, EVENT, [event("a", "330106", 0), event("b", None, 1)]), rows_loaded=2)
    found = pending(lake, KNOWN)
    assert found["tables"] == {EVENT: {"rows_in": 2, "loaded": 2, "quarantined": 0, "duplicate": 0, "closed": 0, "partitions": 2}}
    assert found["partitions"] == {EVENT: [["-|2026-01-06", "330106|2026-01-05"]]}
    assert found["positions"][EVENT]["version"] == 0
    assert pending(lake, KNOWN) == found, "asking does not acknowledge"


def test_what_is_acknowledged_is_not_announced_again_and_what_came_after_is(lake: Lake) -> None:
    told(lake, put(lake, EVENT, [event("a", "330106", 0)]), rows_loaded=1)
    first = pending(lake, KNOWN)
    told(lake, put(lake, EVENT, [event("b", "330108", 2)]), rows_loaded=1)  # loaded while the first was being announced
    acknowledged_all(lake, first["positions"])
    second = pending(lake, KNOWN)
    assert second["partitions"] == {EVENT: [["330108|2026-01-07"]]}
    assert second["tables"][EVENT]["loaded"] == 1
    acknowledged_all(lake, second["positions"])
    assert pending(lake, KNOWN) == {"tables": {}, "partitions": {}, "positions": {}}


def test_a_row_that_went_names_its_partition(lake: Lake) -> None:
    put(lake, EVENT, [event("a", "330106", 0), event("b", "330108", 2)])
    acknowledged_all(lake, pending(lake, KNOWN)["positions"])
    DeltaTable(lake.store.uri(KNOWN[EVENT].path, scheme="path")).delete("stamp_id = 'b'")
    assert pending(lake, KNOWN)["partitions"] == {EVENT: [["330108|2026-01-07"]]}


def test_commits_that_change_no_row_are_no_change(lake: Lake) -> None:
    for key in "ab":
        put(lake, EVENT, [event(key, "330106", 0)])
    acknowledged_all(lake, pending(lake, KNOWN)["positions"])
    table = DeltaTable(lake.store.uri(KNOWN[EVENT].path, scheme="path"))
    table.optimize.compact()
    table.alter.set_table_properties({"delta.logRetentionDuration": "interval 90 days"})
    assert table.version() > 2
    assert pending(lake, KNOWN)["tables"] == {}


def test_a_table_made_anew_is_announced_whole(lake: Lake, tmp_path: Path) -> None:
    put(lake, EVENT, [event("a", "330106", 0), event("b", "330108", 2)])
    acknowledged_all(lake, pending(lake, KNOWN)["positions"])
    lake.store.delete(KNOWN[EVENT].path)
    put(lake, EVENT, [event("a", "330106", 0)])
    found = pending(lake, KNOWN)
    assert found["partitions"] == {EVENT: [["330106|2026-01-05"]]}
    acknowledged_all(lake, found["positions"])
    assert pending(lake, KNOWN)["tables"] == {}


def test_an_acknowledgement_never_goes_back(lake: Lake) -> None:
    put(lake, EVENT, [event("a", "330106", 0)])
    early = position(lake.table(EVENT))
    put(lake, EVENT, [event("b", "330106", 0)])
    late = position(lake.table(EVENT))
    assert acknowledge(lake.store, EVENT, late) == late
    assert acknowledge(lake.store, EVENT, early) == late
    assert acknowledged(lake.store, EVENT) == late


def test_a_damaged_acknowledgement_repeats_and_is_mended(lake: Lake) -> None:
    put(lake, EVENT, [event("a", "330106", 0)])
    lake.store.put(f"{FOLDER}/{EVENT}.json", b'{"table_id": "x"')
    found = pending(lake, KNOWN)
    assert list(found["tables"]) == [EVENT]
    acknowledged_all(lake, found["positions"])
    assert json.loads(lake.store.get(f"{FOLDER}/{EVENT}.json") or b"")["version"] == 0


def test_many_partitions_go_in_several_requests(lake: Lake) -> None:
    put(lake, EVENT, [event(str(n), "330106", n) for n in range(KEYS_AT_ONCE + 1)])
    assert [len(keys) for keys in pending(lake, KNOWN)["partitions"][EVENT]] == [KEYS_AT_ONCE, 1]


def test_a_table_without_partitions_is_announced_without_any(lake: Lake) -> None:
    put(lake, PLACE, [{"stamp_id": "a"}])
    found = pending(lake, KNOWN)
    assert found["tables"][PLACE]["partitions"] == 0
    assert found["partitions"] == {PLACE: []}


def test_runs_learn_that_their_tables_are_announced(lake: Lake) -> None:
    version = put(lake, EVENT, [event("a", "330106", 0)])
    runs = Runs(lake.store)
    for run_id, at in (("early", version), ("unchanged", None), ("later", version + 1)):
        runs.start(run_id, "tiny", ("loaded", "announced"), [("feed", EVENT)])
        runs.reach(run_id, "loaded", lambda item: True, 1, version=at)
    runs.start("unloaded", "tiny", ("loaded", "announced"), [("feed", EVENT)])
    acknowledged_all(lake, pending(lake, KNOWN)["positions"])
    assert {run.run_id: run.is_done for run in runs.newest()} == {"early": True, "unchanged": True, "later": False, "unloaded": False}
    put(lake, EVENT, [event("b", "330106", 0)])
    acknowledged_all(lake, {EVENT: position(lake.table(EVENT)).as_dict()})
    assert runs.read("later").is_done
