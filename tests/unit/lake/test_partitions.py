"""Which partitions a load has changed, read from the rows themselves."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from jobs.context import Loading
from jobs.loading.partitions import changed
from quality.arrow import arrow_schema
from sanyu.lake import Lake
from schemas.registry import contracts

EVENT = "core.thematic__event"
NOW, BEFORE = dt.datetime(2026, 3, 1, tzinfo=dt.UTC), dt.datetime(2026, 2, 1, tzinfo=dt.UTC)
DAY = dt.datetime(2026, 1, 4, 16, tzinfo=dt.UTC)  # midnight of 5 January in Beijing


def event(district: str | None, day: int, **more: Any) -> dict[str, Any]:
    code = None if district is None else f"{district}000000"
    return {"division_code": code, "occurred_at": DAY + dt.timedelta(days=day), "batch_id": "old", "recorded_at": BEFORE, **more}


@pytest.fixture
def loading(tmp_path: Path) -> Loading:
    lake = Lake(tmp_path)
    schema = arrow_schema(contracts()[EVENT])
    rows = [
        event("330106", 0),
        event("330106", 1, batch_id="new", recorded_at=NOW),
        event("330106", 1, batch_id="new", recorded_at=NOW),
        event("330108", 2, closed_at=NOW),
        event("330109", 3, superseded_at=NOW),
        event("330110", 4, superseded_at=BEFORE),
        event(None, 0, batch_id="new", recorded_at=BEFORE),
    ]
    table = pa.Table.from_pylist([{f.name: row.get(f.name) for f in schema} for row in rows], schema)
    write_deltalake(lake.store.uri(contracts()[EVENT].path, scheme="path"), table)
    return Loading(lake, contracts(), tmp_path, "run", NOW.isoformat(), lambda: pytest.fail("Spark was started"))


def test_a_load_names_the_partitions_of_rows_that_came_ended_or_were_replaced(loading: Loading) -> None:
    assert changed(loading, EVENT, "new") == ["-|2026-01-05", "330106|2026-01-06", "330108|2026-01-07", "330109|2026-01-08"]


def test_a_table_without_partitions_names_none(loading: Loading) -> None:
    assert changed(loading, "core.basemap__building", "new") == []
