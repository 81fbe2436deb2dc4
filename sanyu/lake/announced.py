"""What of a table has been announced to those who wait for its changes, and what has changed in it since.

`runs/_announced/<table>.json` holds the position that the scheduler has acknowledged: the table's identifier and Delta version. What is to
be announced is the difference between that and the table's log, whoever made it and whatever became of the process. The position moves
only after the scheduler has accepted the events, so a crash in between repeats events and loses none.
"""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import asdict, dataclass
from typing import Any

from sanyu.lake.changes import changed_rows, table_id
from sanyu.lake.read import Table, table_key
from sanyu.lake.store import Store
from schemas.model import Contract
from schemas.partition import key_sql, partition_fields

FOLDER = "runs/_announced"
_TRIES = 20
_BEFORE_ALL = -1


@dataclass(frozen=True)
class Position:
    """A point in the history of a table; a table that was made anew has another identifier."""

    table_id: str
    version: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def position(table: Table) -> Position:
    """Return where a table stands now."""
    return Position(table_id(table), table.version)


def acknowledged(store: Store, table: str) -> Position | None:
    """Return what was acknowledged last; None where nothing was, or where the note is damaged: then all is announced once more."""
    return _decoded(store.get(_key(table)))


def acknowledge(store: Store, table: str, reached: Position) -> Position:
    """Note that all up to a position has been announced, and return what stands there: it never goes back within one table."""
    key = _key(table)
    noted = {**reached.as_dict(), "acknowledged_at": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")}
    data = json.dumps(noted, indent=1).encode()
    for _ in range(_TRIES):
        blob = store.read(key)
        if blob is None:
            if store.put_if_absent(key, data):
                return reached
            continue
        now = _decoded(blob.data)
        if now is not None and now.table_id == reached.table_id and now.version >= reached.version:
            return now
        if store.replace_if(key, data, blob.etag):
            return reached
    raise OSError(f"{key} changes all the time")


def since(table: Table, acknowledged_at: Position | None, now: Position) -> int | None:
    """Return the version after which the table has changes to announce; None where it has none. The version before all is -1."""
    if acknowledged_at is None or acknowledged_at.table_id != now.table_id:
        return _BEFORE_ALL
    first, last = acknowledged_at.version, now.version
    return first if any(_changes_rows(table, version) for version in range(first + 1, last + 1)) else None


def partitions(table: Table, contract: Contract, after: int, until: int) -> list[str]:
    """Return the keys of the partitions whose current rows have changed after a version, sorted; none for a table without partitions.

    A row that moved to another partition counts in both. Where the change feed does not reach back so far, every partition counts.
    """
    fields = partition_fields(contract)
    if not fields:
        return []
    names = ["stamp_id", *(f.name for f in fields)]
    found = None if after < 0 else changed_rows(table, after, until, names)
    if found is None:
        rows = table.to_duckdb([f.name for f in fields], version=until)
        return _keys(rows.project(f"{key_sql(contract)} AS key"))
    keys: set[str] = set()
    with table.lake.duckdb.cursor() as cursor:
        for side in (found.removed, found.added):
            keys.update(_keys(cursor.from_arrow(side).project(f"{key_sql(contract)} AS key")))
    return sorted(keys)


def _keys(rows: Any) -> list[str]:
    return [key for (key,) in rows.distinct().order("key").fetchall()]


def _changes_rows(table: Table, version: int) -> bool:
    """Tell whether a commit changed rows, not only their files or the table's properties; a commit that is cleaned up may have."""
    data = table.lake.store.get(f"{table_key(table.name)}/_delta_log/{version:020d}.json")
    if data is None:
        return True
    for line in data.splitlines():
        action = json.loads(line) if line.strip() else {}
        if any(action.get(kind, {}).get("dataChange") for kind in ("add", "remove")) or "cdc" in action:
            return True
    return False


def _key(table: str) -> str:
    return f"{FOLDER}/{table}.json"


def _decoded(data: bytes | None) -> Position | None:
    try:
        found = json.loads(data or b"")
        return Position(str(found["table_id"]), int(found["version"]))
    except (ValueError, KeyError, TypeError):
        return None
