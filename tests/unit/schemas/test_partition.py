"""Keys of partitions: what a row's key is, which rows a key stands for, and what is no key."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from schemas.chain import Chain, load_chains
from schemas.messages import SanyuError
from schemas.partition import condition_sql, key_form, key_sql
from schemas.registry import contracts

EVENT, STOP_TIME = contracts()["core.thematic__event"], contracts()["core.basemap__transit_stop_time"]
ROWS = """(VALUES
    (1, '330106001000', TIMESTAMPTZ '2026-01-31 15:59:59+00'),
    (2, '330106002000', TIMESTAMPTZ '2026-01-31 16:00:00+00'),
    (3, '330108000000', TIMESTAMPTZ '2025-12-31 16:00:00+00'),
    (4, NULL, TIMESTAMPTZ '2026-12-31 15:59:59.999999+00')
) AS rows(id, division_code, occurred_at)"""
KEYS = {1: "330106|2026-01-31", 2: "330106|2026-02-01", 3: "330108|2026-01-01", 4: "-|2026-12-31"}


@pytest.fixture(scope="module")
def session() -> duckdb.DuckDBPyConnection:
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def found(session: duckdb.DuckDBPyConnection, key: str) -> set[int]:
    return {row[0] for row in session.sql(f"SELECT id FROM {ROWS} WHERE {condition_sql(EVENT, key)}").fetchall()}


def test_a_key_is_the_district_and_the_day_in_beijing(session: duckdb.DuckDBPyConnection) -> None:
    assert dict(session.sql(f"SELECT id, {key_sql(EVENT)} FROM {ROWS}").fetchall()) == KEYS


def test_each_row_is_found_by_its_own_key_and_no_other(session: duckdb.DuckDBPyConnection) -> None:
    assert {number: found(session, key) for number, key in KEYS.items()} == {number: {number} for number in KEYS}


@pytest.mark.parametrize(
    ("key", "rows"),
    [("330106|2026-01", {1}), ("330106|2026-02", {2}), ("330106|2026", {1, 2}), ("-|2026-12", {4}), ("330108|2025-12", set())],
)
def test_months_and_years_stand_for_all_their_days(session: duckdb.DuckDBPyConnection, key: str, rows: set[int]) -> None:
    assert found(session, key) == rows


def test_other_columns_count_by_their_value(session: duckdb.DuckDBPyConnection) -> None:
    rows = "(VALUES ('o''hare'), ('sf')) AS rows(source_name)"
    condition = condition_sql(STOP_TIME, "o'hare")
    assert session.sql(f"SELECT {key_sql(STOP_TIME)} FROM {rows} WHERE {condition}").fetchall() == [("o'hare",)]


NO_KEYS = ("", "330106", "330106|2026-13", "330106|2026-1", "330106|x|y", "33|2026-01", "x' OR 1=1|2026-01", "330106|0000")


@pytest.mark.parametrize("key", NO_KEYS)
def test_what_is_no_key_is_refused_with_the_form_that_is_one(key: str) -> None:
    with pytest.raises(SanyuError, match="SY-K007") as caught:
        condition_sql(EVENT, key)
    assert caught.value.params["form"] == key_form(EVENT) == "district of six digits|YYYY-MM-DD"


def test_a_table_without_partitions_has_no_keys() -> None:
    with pytest.raises(SanyuError, match="SY-K007"):
        condition_sql(contracts()["core.basemap__building"], "330106")


@pytest.fixture
def chain() -> Chain:
    return load_chains(Path(__file__).parents[3] / "chains")["event_month"]


def test_a_chain_of_one_partition_reads_only_its_rows_and_has_a_page_of_its_own(chain: Chain) -> None:
    condition = condition_sql(EVENT, "330106|2026-01")
    one = chain.narrowed("330106|2026-01", condition)
    assert one.name == "event_month/330106_2026-01"
    assert {step.where for step in one.steps} == {condition}
    more = chain.model_copy(update={"step": (chain.steps[0].model_copy(update={"where": "class_code = '1'"}),)})
    assert more.narrowed("k", "a OR b").steps[0].where == "(a OR b) AND (class_code = '1')"


def test_a_partition_and_a_schedule_exclude_each_other(chain: Chain) -> None:
    definition = {**chain.model_dump(by_alias=True), "schedule": "@daily"}
    with pytest.raises(ValueError, match="leave schedule out"):
        Chain.model_validate(definition)
