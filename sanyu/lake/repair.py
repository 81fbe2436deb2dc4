"""Make again what can be made again: the ledger and the bridge from the tables' commits, the numbers of deliveries, a torn commit.

Each repair tells what it did and does nothing where nothing is wrong, so it may be run at any time and twice. Rows that a table has lost
are not made here: `sanyu run` finds that the table no longer holds a delivery and loads it again from landing.
"""

from __future__ import annotations

from collections.abc import Callable

from sanyu.lake.commit import recovered
from sanyu.lake.deliveries import note
from sanyu.lake.lease import lease
from sanyu.lake.log import TableLog, set_aside
from sanyu.lake.read import Lake, table_key

Progress = Callable[[str], None]


def ledger(lake: Lake, progress: Progress = lambda text: None) -> tuple[int, int]:
    """Add the rows of the ledger and the links of the bridge that commits tell of and that are missing; returns how many of each."""
    rows = links = 0
    known = lake.ledger.known()
    for name in (n for n in lake.names() if n.startswith(("core.", "mart."))):
        progress(f"repair ledger: {name}")
        for commit in reversed(list(TableLog(lake.store, table_key(name)).commits())):
            outcome, told = recovered(commit.noted, commit.version)
            if outcome.row is None:
                continue
            if told and not known.has_links(outcome.row):
                lake.ledger.append_bridge(told)
                links += len(told)
            if not known.has(outcome.row):
                lake.ledger.append(outcome.row)
                rows += 1
    return rows, links


def numbers(lake: Lake) -> dict[str, int]:
    """Note the deliveries that the ledger and the tables' commits know and whose files are lost; returns how many for each source."""
    known: dict[str, dict[int, str]] = {}
    for done in lake.ledger.all_done():
        if done.sequence:
            known.setdefault(done.source_name, {}).setdefault(done.sequence, done.batch_id)
    for name in (n for n in lake.names() if n.startswith(("core.", "mart."))):
        for commit in TableLog(lake.store, table_key(name)).commits():
            if commit.noted.get("source_name") and not commit.noted.get("release"):
                told = commit.noted
                known.setdefault(told["source_name"], {}).setdefault(int(told["sequence"]), str(told["batch_id"]))
    found = {source: sum(note(lake.store, source, n, batch) for n, batch in sorted(by.items())) for source, by in known.items()}
    return {source: count for source, count in sorted(found.items()) if count}


def table(lake: Lake, name: str, owner: str) -> list[str]:
    """Set aside the torn commit files at the end of a table's log, and return their keys; SY-L004 for a name, SY-L052 for others."""
    path = table_key(name)
    if not lake.store.exists(f"{path}/_delta_log"):
        lake.table(name)  # tells
    with lease(lake.store, path, owner, wait_s=60.0):
        return set_aside(lake.store, path)
