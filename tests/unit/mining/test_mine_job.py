"""What a mining job reads and when it hands over to Spark."""

from __future__ import annotations

import pytest

from jobs.mining.analysis import MOST_IN_PROCESS_ROWS, in_process_limit, needed_columns
from transforms.mining.shelf.frames import IN_PROCESS_ROWS
from transforms.mining.shelf.tool import find_tool

TABLE = ["entity_id", "stamp_id", "observed_at", "recorded_at", "division_code", "bbox", "event_text", "kind_name", "amount", "geom"]


@pytest.mark.parametrize(
    ("tool", "asked", "wanted"),
    [
        ("emerging_hot_spots", {"time": "observed_at", "division": "division_code"}, ["entity_id", "observed_at", "division_code", "geom"]),
        ("moran", {"value": "amount"}, ["entity_id", "amount", "geom"]),
        ("kmeans", {"values": "amount, kind_name"}, [c for c in TABLE if c != "event_text"]),
        ("dbscan", {}, [c for c in TABLE if c not in ("event_text", "kind_name", "amount")]),
    ],
)
def test_only_what_a_tool_asks_for_is_read(tool: str, asked: dict[str, str], wanted: list[str]) -> None:
    assert needed_columns(find_tool(tool), asked, TABLE) == wanted


def test_spark_takes_over_where_the_rows_would_not_fit() -> None:
    rows, summary = find_tool("dbscan"), find_tool("moran")
    assert in_process_limit(rows, memory_bytes=1 << 60) == MOST_IN_PROCESS_ROWS
    assert in_process_limit(rows, memory_bytes=1 << 30) == IN_PROCESS_ROWS
    assert IN_PROCESS_ROWS < in_process_limit(rows, memory_bytes=16_000_000_000) < in_process_limit(summary, memory_bytes=16_000_000_000)
