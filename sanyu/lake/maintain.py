"""Keep a lake as quick and as small after a year of deliveries as after the first: compaction in the layout, checkpoints, clean-up.

| what | when it is removed |
|---|---|
| data files that no version of the last `keep_hours` has | at once; until then readers keep their snapshot and a table can be put back |
| small files of a table | where they are a quarter of all: sorted by the Hilbert key into few |
| commits older than Delta's log retention (30 days), below a checkpoint | with the next checkpoint |
| checksums of files that are gone | with the files |
| landed files and raw rows of old deliveries | with `keep_deliveries`, but for the newest, and those with rows in quarantine that wait |

It runs beside readers. It takes each table's lease, so a writer waits, and it may be killed at any time.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sanyu.lake import sums
from sanyu.lake.commit import TARGET_FILE_BYTES
from sanyu.lake.deliveries import deliveries
from sanyu.lake.lease import lease
from sanyu.lake.log import TableLog, synced
from sanyu.lake.read import Lake, table_key
from sanyu.lake.store import LocalStore, Store

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import SparkSession

KEEP_HOURS = 7 * 24
SMALL_BYTES = TARGET_FILE_BYTES // 4
SMALL_SHARE = 0.25
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Maintained:
    """What was done to a table: its live files before and after, files removed from the disk."""

    table: str
    files_before: int
    files_after: int
    removed: int

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def maintain(
    lake: Lake,
    tables: Sequence[str] = (),
    *,
    owner: str,
    spark: Callable[[], SparkSession],
    keep_hours: int = KEEP_HOURS,
    progress: Progress = lambda text: None,
) -> list[Maintained]:
    """Compact, checkpoint and clean the tables named, or all; Spark starts only for tables with deletion vectors. SY-L004 for a name."""
    found = []
    for name in [lake.table(name).name for name in tables] or lake.names():
        progress(f"maintain {name}")
        with lease(lake.store, table_key(name), owner, wait_s=600.0) as held:
            held.check()
            found.append(_maintained(lake, name, spark, keep_hours))
    return found


def prune(lake: Lake, keep_deliveries: int, waiting: frozenset[tuple[str, str]] = frozenset()) -> list[str]:
    """Remove the landed files of all but the newest `keep_deliveries` batches of each source; `waiting` (source, batch) stay.

    Returns the folders that were removed. A table that loses its rows afterwards can be made again from the batches that are left only.
    """
    removed = []
    for source in (name for name in lake.store.folders("landing") if not name.startswith("_")):
        order = list(dict.fromkeys(reversed([b for b in deliveries(lake.store, source) if b])))
        for batch in order[max(1, keep_deliveries) :]:
            folder = f"landing/{source}/{batch}"
            if (source, batch) not in waiting and lake.store.exists(folder):
                lake.store.delete(folder)
                removed.append(folder)
    return removed


def _maintained(lake: Lake, name: str, spark: Callable[[], SparkSession], keep_hours: int) -> Maintained:
    path = table_key(name)
    log = TableLog(lake.store, path)
    sizes = [int(n) for n in _actions(log.table)["size_bytes"].to_pylist()]
    small = sum(size < SMALL_BYTES for size in sizes)
    before = log.version
    if small > 1 and small >= SMALL_SHARE * len(sizes):
        if log.has_deletion_vectors:
            _compact_by_spark(spark(), lake.store.uri(path), log)
        else:
            _compact(log.table)
    if log.has_deletion_vectors:
        removed = _vacuum_by_spark(spark(), lake.store.uri(path), keep_hours)
    else:
        removed = _vacuum(log.table, keep_hours) + _drop_changes(lake.store, path, keep_hours)
    after = TableLog(lake.store, path)
    for version in range((before or 0) + 1, (after.version or 0) + 1):
        synced(lake.store, path, version)
        sums.keep(lake.store, path, version)
    if isinstance(lake.store, LocalStore):
        folder = Path(lake.store.uri(path, scheme="path"))
        sums.forget(lake.store, path, {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()})
    return Maintained(name, len(sizes), len(_actions(after.table)["size_bytes"]), removed)


def _actions(table: DeltaTable) -> Any:
    import pyarrow as pa

    return pa.table(table.get_add_actions(flatten=True))


def _compact(table: DeltaTable) -> None:
    if "cell" in {field.name for field in table.schema().fields} and not table.metadata().partition_columns:
        table.optimize.z_order(["cell"], target_size=TARGET_FILE_BYTES)
    else:
        table.optimize.compact(target_size=TARGET_FILE_BYTES)


def _vacuum(table: DeltaTable, keep_hours: int) -> int:
    table.update_incremental()
    removed = table.vacuum(keep_hours, dry_run=False, enforce_retention_duration=False)
    table.update_incremental()
    table.create_checkpoint()
    table.cleanup_metadata()
    return len(removed)


def _drop_changes(store: Store, path: str, keep_hours: int) -> int:
    """Remove old files of the change feed, which delta-rs' vacuum leaves. Who asks for changes before them computes anew."""
    oldest = dt.datetime.now(dt.UTC) - dt.timedelta(hours=keep_hours)
    old = [key for key in store.keys(f"{path}/_change_data") if (at := store.modified_at(key)) is not None and at < oldest]
    for key in old:
        store.delete(key)
    return len(old)


def _compact_by_spark(spark: SparkSession, uri: str, log: TableLog) -> None:
    """Sort a table's rows by the Hilbert key into files of the target size; deletion vectors are worked in."""
    named = {field.name for field in log.table.schema().fields}
    spark.conf.set("spark.databricks.delta.optimize.maxFileSize", str(TARGET_FILE_BYTES))
    try:
        spark.sql(f"OPTIMIZE delta.`{uri}`" + (" ZORDER BY (cell)" if "cell" in named else ""))
    finally:
        spark.conf.unset("spark.databricks.delta.optimize.maxFileSize")


def _vacuum_by_spark(spark: SparkSession, uri: str, keep_hours: int) -> int:
    """Remove files as `_vacuum`; Spark counts before it deletes, because VACUUM tells only the table's address."""
    name = "spark.databricks.delta.retentionDurationCheck.enabled"
    spark.conf.set(name, "false")
    try:
        count = spark.sql(f"VACUUM delta.`{uri}` RETAIN {keep_hours} HOURS DRY RUN").count()
        spark.sql(f"VACUUM delta.`{uri}` RETAIN {keep_hours} HOURS")
    finally:
        spark.conf.unset(name)
    return count
