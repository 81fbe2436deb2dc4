"""Maintain a lake: tables, and the landed files of old deliveries."""

from __future__ import annotations

from collections.abc import Callable

from jobs.context import Loading
from sanyu.lake.maintain import KEEP_HOURS, Maintained, maintain, prune

__all__ = ["KEEP_HOURS", "maintained"]


def maintained(
    loading: Loading, tables: tuple[str, ...], keep_hours: int, keep_deliveries: int | None, progress: Callable[[str], None]
) -> tuple[list[Maintained], list[str]]:
    """Return what was done to each table, and the landed deliveries that were removed; those with rows in quarantine that wait stay."""
    lake = loading.lake
    found = maintain(lake, tables, owner=loading.run_id, spark=loading.spark, keep_hours=keep_hours, progress=progress)
    if keep_deliveries is None or tables:
        return found, []
    waiting: set[tuple[str, str]] = set()
    for name in (n for n in lake.names() if n.startswith("quarantine.")):
        rows = lake.table(name).to_arrow(["source_name", "batch_id"], where="released_at is null").to_pylist()
        waiting |= {(r["source_name"], r["batch_id"]) for r in rows}
    return found, prune(lake, keep_deliveries, frozenset(waiting))
