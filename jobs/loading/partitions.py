"""Which partitions of a table a load has changed, for the events of its asset."""

from __future__ import annotations

from jobs.context import Loading
from schemas.partition import key_sql, partition_fields


def changed(loading: Loading, table: str, batch_id: str) -> list[str]:
    """Return the keys of the rows that a batch brought, or that this load ended or replaced, sorted; none for a table without partitions.

    A row that moved to another partition counts in both: its old version was closed or superseded by the same load. Rows of the batch count
    by its id, so that a load that goes on where an earlier run died names them all.
    """
    contract = loading.contracts[table]
    fields = partition_fields(contract)
    if not fields:
        return []
    instant = f"TIMESTAMPTZ '{loading.recorded_at}'"
    touched = f"batch_id = '{batch_id}' OR closed_at = {instant} OR superseded_at = {instant}"
    rows = loading.lake.table(table).to_duckdb([f.name for f in fields], where=touched, history=True)
    return [key for (key,) in rows.project(f"{key_sql(contract)} AS key").distinct().order("key").fetchall()]
