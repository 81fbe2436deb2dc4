"""The door to tables in its second and later events: redelivery, crash, evolution, restore, damage, loss; no JVM."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable

from jobs.results import Told, stamped
from sanyu import crash
from sanyu.lake import Lake
from sanyu.lake.commit import Account, Facts, Outcome, Write
from sanyu.lake.deliveries import deliveries, sequence
from sanyu.lake.writer import is_held
from schemas.fields import define
from schemas.messages import SanyuError
from schemas.model import AttributeStamp, Column, Contract, DType, History, SpaceStamp

VALUE = define("reading_value", DType.DOUBLE, "读数", "What was read")
COUNT = define("reading_count", DType.INTEGER, "次数", "How often")
LONG_COUNT = COUNT.model_copy(update={"dtype": DType.LONG})
TEXT_COUNT = COUNT.model_copy(update={"dtype": DType.STRING})
SITE = define("site_name", DType.STRING, "站点", "Where it was read")
NOTE = define("note_text", DType.STRING, "备注", "What else was noted")
LINK: dict[str, Any] = {
    "contract": "mart.thematic__reading",
    "source_name": "meter",
    "source_key": "9",
    "entity_id": "e",
    "kind": "same",
    "batch_id": "b1",
    "recorded_at": "2026-01-01T00:00:00+00:00",
}


def contract(history: History, *columns: Any, version: int = 1, partition_by: tuple[str, ...] = ()) -> Contract:
    return Contract(
        name="mart.thematic__reading",
        version=version,
        title_zh="读数",
        grain="One reading",
        description="Readings",
        columns=tuple(Column(field=field) for field in columns or (VALUE, SITE)),
        history=history,
        partition_by=partition_by,
        space=SpaceStamp(division="none"),
        attribute=AttributeStamp(theme_code="population"),
    )


FACT, APPEND = contract(History.FACT), contract(History.APPEND)
BY_SITE = contract(History.FACT, partition_by=("site_name",))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path)


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    crash.disarm()


def put(lake: Lake, values: dict[str, float], number: int = 1, source: str = "meter", table: Contract = FACT, **more: Any) -> Outcome:
    site = more.pop("site", lambda key: "north")
    write = Write(source, f"b{number}", f"run-{number}", number, table.version, **more)
    at = (dt.datetime(2025, 12, 31, tzinfo=dt.UTC) + dt.timedelta(days=number)).isoformat()
    columns = {"reading_value": list(values.values()), "site_name": [site(k) for k in values], "reading_count": [1] * len(values)}
    names = {c.name for c in table.columns}
    given = pa.table({k: v for k, v in columns.items() if k in names} | {"key": list(values)})
    rows = stamped(given, table, write, Told(at, table.security_label, key="key"))
    links = [LINK] if number == 1 and source == "meter" else []
    return lake.write(table, Facts(rows, rows.num_rows), write, Account("mine", at, rows.num_rows, links=links))


def content(lake: Lake) -> list[tuple[str, str, float]]:
    rows = lake.table(FACT.name).to_arrow(["source_name", "source_key", "reading_value"]).to_pylist()
    return sorted((r["source_name"], r["source_key"], r["reading_value"]) for r in rows)


def ledger(lake: Lake) -> list[dict[str, Any]]:
    return lake.table("raw.ops__ledger").to_arrow().sort_by("recorded_at").to_pylist()


def test_an_appended_table_keeps_the_rows_of_every_delivery(lake: Lake) -> None:
    put(lake, {"1": 1, "2": 2, "3": 3, "4": 4}, table=APPEND)
    outcome = put(lake, {"5": 5}, 2, table=APPEND)
    assert (outcome.loaded, outcome.closed) == (1, 0)
    assert [key for _, key, _ in content(lake)] == ["1", "2", "3", "4", "5"]


def test_an_appended_delivery_that_comes_back_is_not_added_again(lake: Lake) -> None:
    put(lake, {"1": 1, "2": 2}, table=APPEND)
    put(lake, {"3": 3}, 2, table=APPEND)
    write = Write("meter", "b1", "run-3", 3)
    rows = stamped(
        pa.table({"reading_value": [1.0, 2.0], "site_name": ["north"] * 2, "key": ["1", "2"]}),
        APPEND,
        write,
        Told(LINK["recorded_at"], APPEND.security_label, key="key"),
    )
    outcome = lake.write(APPEND, Facts(rows, 2), write, Account("mine", LINK["recorded_at"], 2))
    assert (outcome.loaded, outcome.unchanged) == (0, 2)
    assert len(content(lake)) == 3


def test_an_appended_row_that_comes_in_another_delivery_with_the_same_stamp_is_not_added_again(lake: Lake) -> None:
    first = Write("meter", "b1", "run-1", 1)
    at = LINK["recorded_at"]
    rows = stamped(
        pa.table({"reading_value": [1.0, 2.0], "site_name": ["n"] * 2, "key": ["1", "2"]}),
        APPEND,
        first,
        Told(at, APPEND.security_label, key="key"),
    )
    lake.write(APPEND, Facts(rows, 2), first, Account("mine", at, 2))
    more = pa.table({"reading_value": [2.0, 3.0], "site_name": ["n"] * 2, "key": ["2", "3"]})
    second = Write("meter", "b2", "run-2", 2)
    outcome = lake.write(
        APPEND, Facts(stamped(more, APPEND, second, Told(at, APPEND.security_label, key="key")), 2), second, Account("mine", at, 2)
    )
    assert (outcome.loaded, outcome.unchanged) == (1, 1)
    assert [key for _, key, _ in content(lake)] == ["1", "2", "3"]


def test_an_appended_delivery_under_a_new_contract_takes_the_place_of_its_rows(lake: Lake) -> None:
    put(lake, {"1": 1, "2": 2}, table=APPEND)
    wider = contract(History.APPEND, VALUE, SITE, COUNT, version=2)
    put(lake, {"1": 1, "2": 2}, 2, table=wider, replaces=("b1",))
    assert len(content(lake)) == 2
    assert lake.table(FACT.name).count(where="reading_count = 1") == 2


def test_an_empty_delivery_of_a_partitioned_table_replaces_nothing(lake: Lake) -> None:
    put(lake, {"1": 1, "2": 2}, table=BY_SITE)
    outcome = put(lake, {}, 2, table=BY_SITE)
    assert (outcome.loaded, outcome.closed) == (0, 0)
    assert len(content(lake)) == 2


def test_rows_without_a_partition_value_replace_only_such_rows(lake: Lake) -> None:
    put(lake, {"1": 1, "2": 2}, table=BY_SITE, site=lambda key: None if key == "1" else "north")
    put(lake, {"7": 7}, 2, table=BY_SITE, site=lambda key: None)
    assert [key for _, key, _ in content(lake)] == ["2", "7"]
    put(lake, {"8": 8}, 3, table=BY_SITE, site=lambda key: "")
    assert [key for _, key, _ in content(lake)] == ["2", "7", "8"]


@pytest.mark.parametrize("at", ["write.committed", "write.bridged", "write.accounted"])
@pytest.mark.parametrize("number", [1, 2])
def test_a_write_that_died_is_finished_by_the_next_process(lake: Lake, tmp_path: Path, at: str, number: int) -> None:
    whole = Lake(tmp_path / "whole")
    for n in range(1, number + 1):
        put(whole, {"1": n, "2": 2}, n)
        if n == number:
            crash.arm(at)
            with pytest.raises(crash.Crash):
                put(lake, {"1": n, "2": 2}, n)
        else:
            put(lake, {"1": n, "2": 2}, n)
    put(lake, {"9": 9}, 1, source="other")  # another source goes on meanwhile
    put(whole, {"9": 9}, 1, source="other")
    again = put(lake, {"1": number, "2": 2}, number)
    assert again.is_recovered
    assert content(lake) == content(whole)
    figures = ("source_name", "batch_id", "rows_in", "rows_loaded", "rows_unchanged", "rows_closed", "status", "run_id")
    assert sorted([r[f] for f in figures] for r in ledger(lake)) == sorted([r[f] for f in figures] for r in ledger(whole))
    assert lake.table("raw.ops__bridge").count() == 1


def test_a_run_reports_its_own_figures_though_another_source_came_between(lake: Lake) -> None:
    put(lake, {"1": 1, "2": 2, "3": 3}, source="a")
    crash.arm("write.committed")
    with pytest.raises(crash.Crash):
        put(lake, {"1": 1}, 1, source="b")
    put(lake, {"1": 1, "2": 9}, 2, source="a")
    assert put(lake, {"1": 1}, 1, source="b").loaded == 1


def test_what_died_before_its_commit_is_as_if_it_had_not_begun(lake: Lake) -> None:
    put(lake, {"1": 1})
    crash.arm("write.ready")
    with pytest.raises(crash.Crash):
        put(lake, {"1": 2}, 2)
    assert content(lake) == [("meter", "1", 1.0)]
    assert put(lake, {"1": 2}, 2).loaded == 1
    assert content(lake) == [("meter", "1", 2.0)]


def test_a_contract_that_gains_and_widens_columns_takes_the_table_along(lake: Lake) -> None:
    put(lake, {"1": 1, "2": 2}, table=contract(History.FACT, VALUE, COUNT))
    put(lake, {"9": 9}, source="other", table=contract(History.FACT, VALUE, COUNT))
    wider = contract(History.FACT, VALUE, LONG_COUNT, SITE, version=2)
    put(lake, {"1": 1, "2": 3}, 2, table=wider)
    table = lake.table(FACT.name)
    assert {f.name: str(f.type) for f in table.schema}["reading_count"] == "int64"
    assert sorted((r["source_key"], r["site_name"], r["reading_count"]) for r in table.to_arrow().to_pylist()) == [
        ("1", "north", 1),
        ("2", "north", 1),
        ("9", None, 1),
    ]
    (told,) = [json.loads(r["detail"])["evolved"] for r in ledger(lake) if r["step"] == "evolve"]
    assert told == {"added": ["site_name"], "widened": ["reading_count: integer → long"], "contract_version": "2"}


def test_a_retired_column_stays_with_the_rows_that_have_it(lake: Lake) -> None:
    put(lake, {"1": 1})
    put(lake, {"2": 2}, source="other", table=contract(History.FACT, VALUE, version=2))
    rows = lake.table(FACT.name).to_arrow().to_pylist()
    assert sorted((r["source_key"], r["site_name"]) for r in rows) == [("1", "north"), ("2", None)]


@pytest.mark.parametrize(
    "other",
    [contract(History.FACT, VALUE, TEXT_COUNT, version=2), contract(History.APPEND, VALUE, COUNT, version=2)],
    ids=["another type", "another history"],
)
def test_a_contract_that_the_table_can_t_follow_is_refused_before_anything_is_written(lake: Lake, other: Contract) -> None:
    put(lake, {"1": 1}, table=contract(History.FACT, VALUE, COUNT))
    before = lake.table(FACT.name).version
    with pytest.raises(SanyuError, match="SY-L051"):
        put(lake, {"1": 2}, 2, table=other)
    assert lake.table(FACT.name).version == before


def test_an_evolution_that_died_is_gone_on_with(lake: Lake) -> None:
    put(lake, {"1": 1})
    wider = contract(History.FACT, VALUE, SITE, COUNT, version=2)
    crash.arm("write.evolved")
    with pytest.raises(crash.Crash):
        put(lake, {"1": 5}, 2, table=wider)
    assert put(lake, {"1": 5}, 2, table=wider).loaded == 1
    assert lake.table(FACT.name).count(where="reading_count = 1") == 1


def test_a_commit_file_that_a_power_cut_emptied_is_set_aside_and_the_write_made_again(lake: Lake) -> None:
    put(lake, {"1": 1})
    outcome = put(lake, {"1": 2}, 2)
    newest = Path(lake.url) / FACT.path / "_delta_log" / f"{outcome.version:020d}.json"
    newest.write_bytes(b"")
    assert not is_held(lake.store, FACT, outcome.version, None)
    assert put(lake, {"1": 2}, 2).loaded == 1
    assert content(lake) == [("meter", "1", 2.0)]
    assert lake.store.keys("_damaged") == [f"_damaged/{FACT.path}/_delta_log/{outcome.version:020d}.json"]


def test_a_damaged_commit_below_whole_ones_stops_the_write(lake: Lake) -> None:
    first = put(lake, {"1": 1})
    put(lake, {"1": 2}, 2)
    log = Path(lake.url) / FACT.path / "_delta_log"
    (log / f"{first.version:020d}.json").write_bytes(b'{"commitInfo"')
    with pytest.raises(SanyuError, match="SY-L052"):
        put(lake, {"1": 3}, 3)


def test_a_delivery_is_not_in_a_table_that_was_put_back_before_it(lake: Lake) -> None:
    first, second = put(lake, {"1": 1}), put(lake, {"1": 2}, 2)
    DeltaTable(f"{lake.url}/{FACT.path}").restore(first.version or 0)
    assert is_held(lake.store, FACT, first.version, None)
    assert not is_held(lake.store, FACT, second.version, None)
    again = put(lake, {"1": 2}, 2)
    assert (again.loaded, again.is_recovered) == (1, False)
    assert content(lake) == [("meter", "1", 2.0)]
    assert put(lake, {"1": 2}, 2).is_recovered


def test_a_table_that_was_made_anew_does_not_hold_what_the_old_one_did(lake: Lake) -> None:
    first = put(lake, {"1": 1})
    (row,) = [r for r in ledger(lake) if r["step"] == "mine"]
    identifier = json.loads(row["detail"])["table_id"]
    assert is_held(lake.store, FACT, first.version, identifier)
    lake.store.delete(FACT.path)
    assert not is_held(lake.store, FACT, first.version, identifier)
    put(lake, {"9": 9}, source="other")
    assert not is_held(lake.store, FACT, first.version, identifier)


def test_one_number_for_two_batches_is_refused_not_believed(lake: Lake) -> None:
    put(lake, {"1": 1})
    write = replace(Write("meter", "b1", "run", 1), batch_id="another")
    rows = stamped(
        pa.table({"reading_value": [5.0], "site_name": ["north"], "key": ["1"]}),
        FACT,
        write,
        Told(LINK["recorded_at"], FACT.security_label, key="key"),
    )
    with pytest.raises(SanyuError, match="SY-L053"):
        lake.write(FACT, Facts(rows, 1), write, Account("mine", LINK["recorded_at"], 1))


def test_a_commit_says_what_it_did(lake: Lake) -> None:
    put(lake, {"1": 1, "2": 2})
    put(lake, {"1": 5}, 2)
    noted = json.loads(DeltaTable(f"{lake.url}/{FACT.path}").history(1)[0]["userMetadata"])
    assert noted["counts"]["loaded"] == noted["counts"]["inserted"] == noted["counts"]["closed"] == 1
    assert (noted["batch_id"], noted["ledger"]["rows_in"], noted["table"]) == ("b2", 1, FACT.name)


def test_numbers_of_deliveries_that_were_lost_are_not_given_again(lake: Lake) -> None:
    for n, batch in enumerate("abc", start=1):
        assert sequence(lake.store, "meter", batch) == n
    lake.store.delete("landing/meter/deliveries")
    assert sequence(lake.store, "meter", "d", lambda: {2: "b", 3: "c"}) == 4
    assert deliveries(lake.store, "meter") == ("", "b", "c", "d")
    lake.store.put("landing/meter/deliveries/000004.json", b"")
    assert sequence(lake.store, "meter", "e") == 5


def test_deliveries_of_a_lake_of_version_0_1_keep_their_numbers(lake: Lake) -> None:
    lake.store.put("landing/meter/deliveries.json", b'["a", "b"]')
    assert sequence(lake.store, "meter", "b") == 2
    assert sequence(lake.store, "meter", "c") == 3
    assert deliveries(lake.store, "meter") == ("a", "b", "c")
    lake.store.put("landing/meter/deliveries.json", b'["a", "')
    assert sequence(lake.store, "meter", "c") == 3


def test_processes_that_take_numbers_at_once_get_different_ones(lake: Lake) -> None:
    code = (
        "import sys; from sanyu.lake.store import open_store; from sanyu.lake.deliveries import sequence;"
        "print([sequence(open_store(sys.argv[1]), 'meter', sys.argv[2] + str(n)) for n in range(30)])"
    )
    running = [subprocess.Popen([sys.executable, "-c", code, lake.url, name], stdout=subprocess.PIPE, text=True) for name in "xy"]
    numbers = [n for process in running for n in json.loads(process.communicate()[0])]
    assert sorted(numbers) == list(range(1, 61))
    assert len(deliveries(lake.store, "meter")) == 60
