"""Put a table back to an earlier version, as one drilled command: under the table's lease, noted in the ledger.

Deliveries that were loaded after that version are then no longer in the table. The ledger does not hide it: `sanyu verify` names them, and
the next `sanyu run` of their sources loads them again, in their order.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sanyu.lake import sums
from sanyu.lake.lease import lease
from sanyu.lake.ledger import LedgerRow
from sanyu.lake.log import TableLog, synced
from sanyu.lake.read import Lake, table_key
from schemas.messages import SanyuError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class Restored:
    """A table that was put back: the version it is as, the version that this is now, and the deliveries (source, number) that are out."""

    table: str
    to_version: int
    version: int
    out: tuple[tuple[str, int], ...]


def version_at(lake: Lake, name: str, at: dt.datetime) -> int:
    """Return the version that a table had at an instant; SY-L010 where it did not exist yet."""
    wanted = at.timestamp() * 1000
    commits = [c for c in TableLog(lake.store, table_key(name)).commits() if c.timestamp_ms <= wanted]
    if not commits:
        raise SanyuError("SY-L010", table=name, version=at.isoformat(), first=0, last=lake.table(name).version)
    return commits[0].version


def restore(
    lake: Lake, name: str, version: int, *, run_id: str, recorded_at: str, note: str, spark: Callable[[], SparkSession]
) -> Restored:
    """Put a table back to a version; SY-L004 for a name, SY-L010 for a version that is not there."""
    path = table_key(name)
    last = lake.table(name).version
    if not 0 <= version <= last:
        raise SanyuError("SY-L010", table=name, version=version, first=0, last=last)
    with lease(lake.store, path, run_id, wait_s=600.0) as held:
        log = TableLog(lake.store, path)
        held.check()
        if log.has_deletion_vectors:
            spark().sql(f"RESTORE TABLE delta.`{lake.store.uri(path)}` TO VERSION AS OF {version}")
        else:
            log.table.restore(version)
        after = TableLog(lake.store, path)
        synced(lake.store, path, after.version or 0)
        sums.keep(lake.store, path, after.version or 0)
        newest = {d.source_name: d for d in lake.ledger.all_done([("table_name", "=", name)])}
        out = tuple(
            (d.source_name, d.sequence) for d in newest.values() if d.version is not None and not after.holds(d.version, d.table_id)
        )
        row = LedgerRow(
            run_id, recorded_at, "restore", "-", f"version {version}", name, 0, delta_version=after.version, detail=_told(note, version)
        )
        lake.ledger.append(row)
    return Restored(name, version, after.version or 0, tuple(sorted(out)))


def _told(note: str, version: int) -> str:
    import json

    return json.dumps({"to_version": version, "note": note}, ensure_ascii=False)
