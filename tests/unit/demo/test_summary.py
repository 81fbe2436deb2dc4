"""The ledger as `sanyu demo` prints it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from cli.demo import in_order, sources_folder


def _row(at: int, source: str, table: str, rows_in: int = 1, version: int | None = 0, status: str = "ok") -> dict[str, Any]:
    return {"recorded_at": at, "source_name": source, "table_name": table, "rows_in": rows_in, "delta_version": version, "status": status}


def test_rows_stand_as_they_were_loaded_and_marts_last() -> None:
    rows = [_row(2, "roads", "road"), _row(1, "dbt_profile", "profile"), _row(1, "roads", "road"), _row(1, "division", "division")]
    found = [(row["recorded_at"], row["source_name"]) for row in in_order(rows, ["division", "roads"])]
    assert found == [(1, "division"), (1, "roads"), (1, "dbt_profile"), (2, "roads")]


def test_what_had_no_row_is_left_out_unless_it_failed() -> None:
    rows = [_row(1, "dbt_firm", "firm", 0, None), _row(1, "a", "t", 0, None, "failed"), _row(1, "b", "t", 5, None)]
    assert [row["source_name"] for row in in_order(rows, ["a", "b"])] == ["a", "b"]


def test_a_city_that_comes_with_sanyu_is_not_mistaken_for_a_folder_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "demo").mkdir()
    monkeypatch.chdir(tmp_path)
    assert (sources_folder("demo") / "city.toml").is_file()
    assert sources_folder(str(tmp_path / "demo")) == tmp_path / "demo"
