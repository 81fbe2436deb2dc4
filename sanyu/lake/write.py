"""The only code that writes Delta tables with Spark: raw appends, quarantine, bitemporal merges, fact overwrites.

Each write is idempotent per (source, delivery): it carries a Delta transaction (`txnAppId`, `txnVersion`) that is read back before the
write, so a run that died after its commit is recognised by the next one, and it is made under the table's lease, which is checked last
before the commit. The commit's `userMetadata` says which run, batch and contract version wrote it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from delta.tables import DeltaTable
from deltalake import DeltaTable as DeltaLog
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from quality.delta import constraints, table_properties
from quality.spark import spark_schema
from sanyu.lake.commit import TARGET_FILE_BYTES, Outcome, Write
from sanyu.lake.lease import Held, lease
from sanyu.lake.store import Store
from schemas.model import Contract
from schemas.stamp import table_fields
from transforms.stamp.digest import HASH_PROPERTY, VERSION
from transforms.stamp.stamp import with_current_hashes
from transforms.stamp.versions import CORRECT, END, INSERT, IS_SHORTENED, REKEY, UNCHANGED, Instants, Known, decide, decided_by, merge_rows

BYTES_PER_ROW = 160  # of a stamped row in Parquet, measured on buildings of five corners; only steers the number of files
MOST_KEYS = 500  # of a sparing write: they stand one by one in the condition of the commit
QUARANTINE_COLUMNS = (
    *("source_name", "batch_id", "run_id", "contract", "file_name", "row_number", "feature_id", "errors", "attributes", "geom"),
    *("recorded_at", "released_at", "release_note", "released_hash"),
)


class DeltaWriter:
    """Writes the tables of one lake in one Spark session."""

    def __init__(self, spark: SparkSession, store: Store) -> None:
        self._spark = spark
        self._store = store

    def uri(self, path: str) -> str:
        """Return the table's address for Spark, of a path below the lake such as `core/basemap/building`."""
        return self._store.uri(path, scheme="s3a")

    def exists(self, path: str) -> bool:
        return DeltaTable.isDeltaTable(self._spark, self.uri(path))

    def read(self, path: str) -> DataFrame:
        return self._spark.read.format("delta").load(self.uri(path))

    def version(self, path: str) -> int | None:
        """Return the newest version of a table, None where there is no table."""
        return int(self._log(path).version()) if self.exists(path) else None

    def committed(self, path: str, write: Write) -> bool:
        """Tell whether this write is already in the table's log."""
        if not self.exists(path):
            return False
        return (self._log(path).transaction_version(write.app_id) or 0) >= write.sequence

    def _log(self, path: str) -> DeltaLog:
        """Return the table's log as read without Spark, which costs milliseconds."""
        return DeltaLog(self._store.uri(path, scheme="s3"), storage_options=self._store.storage_options() or None)

    def append_raw(self, path: str, rows: DataFrame, write: Write) -> None:
        """Write a batch's raw rows; a second call for the batch replaces them by themselves."""
        self._once(path, rows, write, partition="batch_id")

    def append_quarantine(self, path: str, rows: DataFrame, write: Write) -> None:
        """Add rejected rows to a quarantine table."""
        shaped = rows.withColumn("released_hash", F.lit(None).cast("string")).select(*QUARANTINE_COLUMNS)
        self._once(path, shaped, write, partition=None)

    def mark_released(self, path: str, write: Write, released: DataFrame, check: str, note: str, recorded_at: str) -> None:
        """Note in a quarantine table which of the batch's rows, that failed only `check`, were taken in, when, why, and as what content.

        `released` has `file_name, row_number, row_hash`; the hash is what the gates know the accepted content by.
        """
        only = f"forall(q.errors, e -> e.check = '{check}') and q.released_at is null and q.batch_id = '{write.batch_id}'"
        noted: dict[str, str | Column] = {
            "released_at": F.lit(recorded_at).cast("timestamp"),
            "release_note": F.lit(note),
            "released_hash": F.col("r.row_hash"),
        }
        with self._held(path, write) as held:
            if "released_hash" not in self.read(path).columns:
                self._spark.sql(f"ALTER TABLE delta.`{self.uri(path)}` ADD COLUMNS (released_hash string)")
            held.check()
            (
                DeltaTable.forPath(self._spark, self.uri(path))
                .alias("q")
                .merge(released.alias("r"), "q.file_name = r.file_name and q.row_number = r.row_number")
                .whenMatchedUpdate(condition=F.expr(f"{only} and q.source_name = '{write.source_name}'"), set=noted)
                .execute()
            )

    def commit_entities(
        self,
        contract: Contract,
        rows: DataFrame | None,
        write: Write,
        instants: Instants,
        *,
        full: bool,
        count: int,
        ended: DataFrame | None = None,
        known: Known | None = None,
    ) -> Outcome:
        """Merge one version of each entity into a bitemporal table.

        `rows` have all table fields, one row per `entity_id`; `count` is their number, and where it is 0 they may be None. `ended` (column
        `stamp_id`) are open versions that a full snapshot no longer holds; it is asked for only if `full`. `known` saves another look at
        the table, where it is of the version that is merged into and no row needs more than it holds.
        """
        with self._held(contract.path, write) as held:
            if self.committed(contract.path, write):
                return self._recorded(contract.path, write)
            is_new = self.ensure(contract)
            live = self.live(contract, write.source_name)
            if rows is not None and (is_new or live.isEmpty()):
                held.check()
                self._append(contract, rows, write, count)
                return Outcome(loaded=count, version=self.version(contract.path))
            return self._merge(contract, rows if count else None, live, known, write, instants, ended if full else None, held, count)

    def commit_facts(self, contract: Contract, rows: DataFrame, write: Write, *, count: int, sparing: bool = False) -> Outcome:
        """Overwrite the batch's partitions of the source's own rows; equal content leaves the table as it is.

        With `sparing` only the rows under keys whose content differs are written, where these are few: the others keep their batch.
        """
        with self._held(contract.path, write) as held:
            if self.committed(contract.path, write):
                return self._recorded(contract.path, write)
            if self.ensure(contract):
                held.check()
                self._append(contract, rows, write, count)
                return Outcome(loaded=count, version=self.version(contract.path))
            bound = f"source_name = '{write.source_name}'"
            for name in contract.partition_by:
                values = [row[0] for row in rows.select(F.col(name).cast("string")).distinct().collect()]
                listed = ", ".join("'" + str(v).replace("'", "''") + "'" for v in values if v is not None)
                bound += f" and ({name} in ({listed})" + (f" or {name} is null)" if None in values else ")") if listed else ""
            old = self.read(contract.path).where(bound)
            if old.isEmpty():  # nothing to compare with and nothing to replace
                held.check()
                self._append(contract, rows, write, count)
                return Outcome(loaded=count, version=self.version(contract.path))
            if _digest(old) == _digest(rows):
                return Outcome(unchanged=count, version=self.version(contract.path))
            closed = old.join(rows.select("source_key"), "source_key", "left_anti").count()
            keys = _differing_keys(old, rows) if sparing else None
            written = count
            if keys is not None:
                bound += " and source_key in ({})".format(", ".join("'" + key.replace("'", "''") + "'" for key in keys))
                rows = rows.where(F.col("source_key").isin(keys))
                written = rows.count()
            held.check()
            (
                self._laid_out(rows, written)
                .write.format("delta")
                .mode("overwrite")
                .option("replaceWhere", bound)
                .options(**self._commit_options(write))
                .save(self.uri(contract.path))
            )
            return Outcome(loaded=written, unchanged=count - written, closed=closed, version=self.version(contract.path))

    def live(self, contract: Contract, source_name: str) -> DataFrame:
        """Return the believed rows that a source has delivered to a table: every version that is not superseded.

        In a table that was made with an earlier version of the digest, that of each row is computed again for the comparison.
        """
        rows = self.read(contract.path).where(F.col("superseded_at").isNull() & (F.col("source_name") == source_name))
        is_current = self._log(contract.path).metadata().configuration.get(HASH_PROPERTY) == VERSION
        return rows if is_current else with_current_hashes(rows, contract)

    def ensure(self, contract: Contract) -> bool:
        """Create the table with the contract's schema, comments, properties and constraints in one commit; False if it is there already."""
        if self.exists(contract.path):
            return False
        builder = DeltaTable.createIfNotExists(self._spark).location(self.uri(contract.path)).addColumns(spark_schema(contract))
        # Delta takes `delta.constraints.*` at creation as it stands; which column it was, the row checks have said before.
        checks = " and ".join(f"({expression})" for expression in constraints(contract).values())
        for key, value in (table_properties(contract) | {"delta.constraints.contract": checks, HASH_PROPERTY: VERSION}).items():
            builder = builder.property(key, value)
        builder.comment(contract.grain).execute()
        return True

    def _merge(
        self,
        contract: Contract,
        rows: DataFrame | None,
        live: DataFrame,
        known: Known | None,
        write: Write,
        instants: Instants,
        ended: DataFrame | None,
        held: Held,
        count: int,
    ) -> Outcome:
        """Merge `rows` (`count` of them, None: there are none) and end what has `ended`; a merge that would change nothing is not made."""
        fields = tuple(f.name for f in table_fields(contract))
        incoming = self._spark.createDataFrame([], live.schema) if rows is None else rows
        decided = None if known is None or known.at != self.version(contract.path) else decided_by(incoming, known, instants, count)
        if decided is None:
            decided = decide(incoming, live, instants, count).localCheckpoint()
        counted = decided.groupBy("decision", F.expr(IS_SHORTENED).alias("is_shortened")).count().collect() if rows is not None else []
        counts = {d: sum(row["count"] for row in counted if row["decision"] == d) for d in (END, CORRECT, INSERT, UNCHANGED, REKEY)}
        closed = ended.count() if ended is not None else 0
        loaded = counts[END] + counts[CORRECT] + counts[INSERT]
        if loaded or closed or counts[REKEY]:
            cut = live if any(row["is_shortened"] for row in counted) else None
            held.check()
            self._execute_merge(contract, merge_rows(incoming, cut, decided, fields, instants, ended=ended), write, fields)
        return Outcome(loaded, counts[UNCHANGED] + counts[REKEY], closed, self.version(contract.path))

    def _execute_merge(self, contract: Contract, changes: DataFrame, write: Write, fields: tuple[str, ...]) -> None:
        touched: dict[str, str | Column] = {
            "valid_to_at": "coalesce(c.valid_to_at, t.valid_to_at)",
            "closed_at": "coalesce(c.closed_at, t.closed_at)",
            "superseded_at": "c.superseded_at",
            "source_key": "coalesce(c.source_key, t.source_key)",
        }
        with self._session_options(write):
            (
                DeltaTable.forPath(self._spark, self.uri(contract.path))
                .alias("t")
                .merge(changes.alias("c"), "t.stamp_id = c.merge_key and t.superseded_at is null")
                .whenMatchedUpdate(set=touched)
                .whenNotMatchedInsert(condition="c.merge_key is null", values={name: f"c.{name}" for name in fields})
                .execute()
            )

    def _append(self, contract: Contract, rows: DataFrame, write: Write, count: int) -> None:
        self._laid_out(rows, count).write.format("delta").mode("append").options(**self._commit_options(write)).save(
            self.uri(contract.path)
        )

    def _laid_out(self, rows: DataFrame, count: int) -> DataFrame:
        """Order rows by the Hilbert key into files near the target size, so that a window touches few of them."""
        files = max(1, -(-count * BYTES_PER_ROW // TARGET_FILE_BYTES))
        if files == 1:
            return rows.coalesce(1).sortWithinPartitions("cell")
        return rows.repartitionByRange(files, "cell").sortWithinPartitions("cell")

    def _once(self, path: str, rows: DataFrame, write: Write, *, partition: str | None) -> None:
        with self._held(path, write) as held:
            if self.committed(path, write):
                return
            held.check()
            writer = rows.write.format("delta").options(**self._commit_options(write))
            if partition is not None and self._has(path, partition, write.batch_id):
                writer.mode("overwrite").option("replaceWhere", f"{partition} = '{write.batch_id}'").save(self.uri(path))
            elif partition is not None:
                writer.mode("append").partitionBy(partition).save(self.uri(path))
            else:
                writer.mode("append").option("mergeSchema", "true").save(self.uri(path))  # an older table lacks `released_hash`

    def _has(self, path: str, partition: str, value: str) -> bool:
        """Tell whether a table has files of one partition, from its log; replacing what isn't there would cost a delete's plan."""
        return self.exists(path) and bool(self._log(path).file_uris(file_pruning_predicate=[(partition, "=", value)]))

    def _recorded(self, path: str, write: Write) -> Outcome:
        """Return what an earlier run of this write committed, from the commit's own metrics."""
        for row in DeltaTable.forPath(self._spark, self.uri(path)).history(50).collect():
            if row["userMetadata"] and json.loads(row["userMetadata"]).get("sequence") == write.sequence:
                metrics = row["operationMetrics"] or {}
                loaded = int(metrics.get("numTargetRowsInserted", metrics.get("numOutputRows", 0)))
                return Outcome(loaded=loaded, version=int(row["version"]))
        return Outcome(version=self.version(path))

    @contextmanager
    def _held(self, path: str, write: Write) -> Iterator[Held]:
        with lease(self._store, path, owner=write.run_id) as held:
            yield held

    def _commit_options(self, write: Write) -> dict[str, str]:
        return {"txnAppId": write.app_id, "txnVersion": str(write.sequence), "userMetadata": write.metadata}

    @contextmanager
    def _session_options(self, write: Write) -> Iterator[None]:
        """Give a MERGE, which takes no writer options, its transaction and metadata by the session's configuration."""
        options = {
            "spark.databricks.delta.write.txnAppId": write.app_id,
            "spark.databricks.delta.write.txnVersion": str(write.sequence),
            "spark.databricks.delta.commitInfo.userMetadata": write.metadata,
        }
        for key, value in options.items():
            self._spark.conf.set(key, value)
        try:
            yield
        finally:
            for key in options:
                self._spark.conf.unset(key)


def _digest(rows: DataFrame) -> tuple[int, int]:
    """Return an order-free digest of a set of rows: their number and the sum of their content hashes."""
    found = rows.select(F.xxhash64("source_key", "row_hash").cast("decimal(38,0)").alias("h")).agg(F.count("h"), F.sum("h")).head()
    assert found is not None
    return int(found[0]), int(found[1] or 0)


def _differing_keys(old: DataFrame, rows: DataFrame) -> list[str] | None:
    """Return the keys under which two sets of rows do not hold the same content, None where they are many."""
    pair = ("source_key", "row_hash")
    both = rows.select(*pair, F.lit(1).alias("times")).unionAll(old.select(*pair, F.lit(-1).alias("times")))
    differing = both.groupBy(*pair).agg(F.sum("times").alias("times")).where("times <> 0").select("source_key").distinct()
    keys = [row["source_key"] for row in differing.limit(MOST_KEYS + 1).collect()]
    return keys if len(keys) <= MOST_KEYS else None
