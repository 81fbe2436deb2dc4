"""What is to be announced to the scheduler, by what the lake says has changed since the last announcement that was acknowledged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sanyu.lake import Lake
from sanyu.lake.announced import Position, acknowledge, acknowledged, partitions, position, since
from sanyu.lake.runs import Item, Runs
from schemas.model import Contract
from schemas.ops import LEDGER

KEYS_AT_ONCE = 400  # partitions in one request to the scheduler: thousands in one would outlast its time-out
RECENT = 50
FIGURES = {
    "rows_in": "rows_in",
    "loaded": "rows_loaded",
    "quarantined": "rows_quarantined",
    "duplicate": "rows_duplicate",
    "closed": "rows_closed",
}


def pending(lake: Lake, contracts: Mapping[str, Contract]) -> dict[str, Any]:
    """Return `tables` (figures by table that has changed), `partitions` (keys by table, in lists for one request each) and `positions`.

    The figures are sums over the ledger's rows of the commits that have not been announced.
    """
    found: dict[str, Any] = {"tables": {}, "partitions": {}, "positions": {}}
    there = set(lake.names())
    for name in sorted(n for n, c in contracts.items() if c.layer == "core" and n in there):
        table = lake.table(name)
        now = position(table)
        after = since(table, acknowledged(lake.store, name), now)
        if after is None:
            continue
        keys = partitions(table, contracts[name], after, now.version)
        found["tables"][name] = _figures(lake, name, after, now.version) | {"partitions": len(keys)}
        found["partitions"][name] = [keys[n : n + KEYS_AT_ONCE] for n in range(0, len(keys), KEYS_AT_ONCE)]
        found["positions"][name] = now.as_dict()
    return found


def acknowledged_all(lake: Lake, positions: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    """Note that the scheduler has taken the events up to these positions, also in the records of runs; return the version by table."""
    reached = {name: acknowledge(lake.store, name, Position(**at)).version for name, at in positions.items()}
    runs = Runs(lake.store)
    recent = runs.newest(RECENT)
    for name in {item.table for run in recent for item in run.items if item.table and "announced" not in item.states} - set(reached):
        before = acknowledged(lake.store, name)
        if before is not None:
            reached[name] = before.version

    def is_covered(item: Item) -> bool:
        return "loaded" in item.states and item.table in reached and (item.version is None or item.version <= reached[item.table])

    for run in recent:
        if any(is_covered(item) and "announced" not in item.states for item in run.items):
            runs.reach(run.run_id, "announced", is_covered)
    return reached


def _figures(lake: Lake, table: str, after: int, until: int) -> dict[str, int]:
    """Return the sums of what the ledger says of a table's commits after one version, up to another."""
    if LEDGER.name not in lake.names():
        return dict.fromkeys(FIGURES, 0)
    where = f"table_name = '{table}' AND delta_version > {after} AND delta_version <= {until} AND (rows_loaded > 0 OR rows_closed > 0)"
    rows = lake.table(LEDGER.name).to_arrow(columns=list(FIGURES.values()), where=where).to_pylist()
    return {name: sum(row[column] for row in rows) for name, column in FIGURES.items()}
