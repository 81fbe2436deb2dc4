"""What has changed between two versions of a table, read from its change feed without Spark."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sanyu.lake import duck
from sanyu.lake.query import Query
from sanyu.lake.read import Table, table_key

if TYPE_CHECKING:
    import pyarrow as pa

_BEFORE, _AFTER = "('delete', 'update_preimage')", "('insert', 'update_postimage')"


@dataclass(frozen=True)
class Changes:
    """Rows that a question found at the older version and no longer finds (`removed`), and those that it finds only now (`added`)."""

    removed: pa.Table
    added: pa.Table

    def __len__(self) -> int:
        return int(self.removed.num_rows + self.added.num_rows)


def table_id(table: Table) -> str:
    """Return the identifier that Delta gave the table when it was made: a table that was made anew has another one."""
    return str(_log(table).metadata().id)


def committed_sequence(table: Table, source_name: str) -> int:
    """Return the number of the last delivery of a source whose commit is in the table's log, 0 for none."""
    return int(_log(table).transaction_version(f"sanyu/{source_name}") or 0)


def changed_rows(table: Table, since: int, until: int, columns: Sequence[str], *, where: str | None = None) -> Changes | None:
    """Return what a question (`columns`, `where`, current rows) found at version `since` and no longer at `until`, and what is new there.

    Rows that went and came back with the same values in these columns are not among them. None where the feed does not reach back that
    far: the versions are cleaned up, the feed was not kept, or `since` is not before `until`. SY-L005 and SY-L009 as the readers.
    """
    from deltalake.exceptions import DeltaError
    from pyarrow import ArrowException, RecordBatchReader

    query = Query(columns, where)
    known = table.columns
    names = ", ".join(map(duck.identifier, query.selected(table.name, known)))
    condition = query.condition(table.name, known) or "true"
    log = _log(table)
    # delta-rs would make a feed up from whole files, blind to deletion vectors, for a table that keeps none.
    if not 0 <= since < until or log.metadata().configuration.get("delta.enableChangeDataFeed") != "true":
        return None
    try:
        feed = RecordBatchReader.from_stream(log.load_cdf(starting_version=since + 1, ending_version=until)).read_all()
    except (DeltaError, ArrowException, OSError):
        return None
    with contextlib.closing(table.lake.duckdb.cursor()) as cursor:
        cursor.register("feed", feed)
        sides = [f"SELECT {names} FROM feed WHERE _change_type IN {kinds} AND ({condition})" for kinds in (_BEFORE, _AFTER)]
        removed, added = (cursor.sql(f"{one} EXCEPT ALL {other}").to_arrow_table() for one, other in (sides, reversed(sides)))
    return Changes(removed, added)


def _log(table: Table) -> Any:
    from deltalake import DeltaTable

    store = table.lake.store
    return DeltaTable(store.uri(table_key(table.name), "s3"), storage_options=store.storage_options() or None)
