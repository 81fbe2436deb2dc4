"""The engine that writes Delta tables with Spark: raw appends, quarantine, bitemporal merges, facts that Spark has made.

Commits to core and mart tables are asked for by `sanyu.lake.writer`, which holds the table's lease, knows whether the write was made
before, and tells the ledger. Each commit carries a Delta transaction and says in its `userMetadata` what it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace

from delta.tables import DeltaTable
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from quality.delta import constraints, table_properties
from quality.spark import comment, spark_schema
from sanyu import crash
from sanyu.lake.commit import TARGET_FILE_BYTES, Entities, Facts, Outcome, Seal, Write
from sanyu.lake.evolve import Evolution
from sanyu.lake.lease import Held, lease
from sanyu.lake.log import TableLog, synced
from sanyu.lake.store import Store
from schemas.model import Contract, History
from schemas.stamp import table_fields
from transforms.stamp.digest import HASH_PROPERTY, VERSION
from transforms.stamp.stamp import with_current_hashes
from transforms.stamp.versions import CORRECT, END, INSERT, IS_SHORTENED, REKEY, UNCHANGED, decide, decided_by, merge_rows

BYTES_PER_ROW = 160  # of a stamped row in Parquet, measured on buildings of five corners; only steers the number of files
MOST_KEYS = 500  # of a sparing write: they stand one by one in the condition of the commit
QUARANTINE_COLUMNS = (
    *("source_name", "batch_id", "run_id", "contract", "file_name", "row_number", "feature_id", "errors", "attributes", "geom"),
    *("recorded_at", "released_at", "release_note", "released_hash"),
)


@dataclass(frozen=True)
class _Replaced:
    """What a write of facts puts in place of what: `rows`, `count` of them, for those that `condition` takes (None: they are added)."""

    rows: DataFrame
    condition: str | None
    count: int
    closed: int = 0


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
        return TableLog(self._store, path).version

    def append_raw(self, path: str, rows: DataFrame, write: Write) -> None:
        """Write a batch's raw rows; a second call for the delivery does nothing, one for a later delivery of the batch replaces them."""
        with self._once(path, write) as log:
            if log is None or (self._committed(log, write) and self._has(log, "batch_id", write.batch_id)):
                return
            writer = rows.write.format("delta").options(**self._commit_options(write, self._note(write), log.restored))
            if self._has(log, "batch_id", write.batch_id):
                writer.mode("overwrite").option("replaceWhere", f"batch_id = '{write.batch_id}'").save(self.uri(path))
            else:
                writer.mode("append").partitionBy("batch_id").save(self.uri(path))
        crash.point("raw.committed")

    def append_quarantine(self, path: str, rows: DataFrame, write: Write) -> None:
        """Add rejected rows to a quarantine table, once per delivery."""
        with self._once(path, write) as log:
            if log is None or self._committed(log, write):
                return
            shaped = rows.withColumn("released_hash", F.lit(None).cast("string")).select(*QUARANTINE_COLUMNS)
            options = self._commit_options(write, self._note(write), log.restored)
            # An older table lacks `released_hash`.
            shaped.write.format("delta").options(**options).mode("append").option("mergeSchema", "true").save(self.uri(path))
        crash.point("quarantine.committed")

    def mark_released(self, path: str, write: Write, released: DataFrame, check: str, note: str, recorded_at: str) -> None:
        """Note in a quarantine table which of the batch's rows, that failed only `check`, were taken in, when, why, and as what content.

        `released` has `file_name, row_number, row_hash`; the hash is what the gates know the accepted content by.
        """
        only = f"forall(q.errors, e -> e.check = {_sql_text(check)}) and q.released_at is null and q.batch_id = {_sql_text(write.batch_id)}"
        noted: dict[str, str | Column] = {
            "released_at": F.lit(recorded_at).cast("timestamp"),
            "release_note": F.lit(note),
            "released_hash": F.col("r.row_hash"),
        }
        with lease(self._store, path, owner=write.run_id) as held:
            if "released_hash" not in self.read(path).columns:
                self._spark.sql(f"ALTER TABLE delta.`{self.uri(path)}` ADD COLUMNS (released_hash string)")
            held.check()
            (
                DeltaTable.forPath(self._spark, self.uri(path))
                .alias("q")
                .merge(released.alias("r"), "q.file_name = r.file_name and q.row_number = r.row_number")
                .whenMatchedUpdate(condition=F.expr(f"{only} and q.source_name = {_sql_text(write.source_name)}"), set=noted)
                .execute()
            )

    def commit_entities(self, contract: Contract, given: Entities, write: Write, held: Held, seal: Seal, restored: int) -> Outcome:
        """Merge one version of each entity into a bitemporal table; a merge that would change nothing is not made."""
        is_new = self.ensure(contract)
        live = self.live(contract, write.source_name)
        if given.rows is not None and (is_new or live.isEmpty()):
            outcome = Outcome(loaded=given.count, unchanged=given.same, inserted=given.count)
            held.check()
            crash.point("write.ready")
            self._append(contract, given.rows, given.count, self._commit_options(write, seal.metadata(outcome), restored))
            return replace(outcome, version=self.version(contract.path))
        return self._merge(contract, given, live, write, held, seal, restored)

    def commit_facts(self, contract: Contract, facts: Facts, write: Write, held: Held, seal: Seal, restored: int) -> Outcome:
        """Put the rows in the place of the source's own that they stand for; equal content leaves the table as it is."""
        assert isinstance(facts.rows, DataFrame)
        is_new = self.ensure(contract)
        if is_new:
            change: _Replaced | None = _Replaced(facts.rows, None, facts.count) if facts.count else None
        elif contract.history is History.APPEND:
            change = self._appended(contract, facts, write)
        else:
            change = self._replaced(contract, facts, write)
        if change is None:
            return Outcome(unchanged=facts.count, version=self.version(contract.path))
        outcome = Outcome(change.count, facts.count - change.count, change.closed, inserted=change.count)
        options = self._commit_options(write, seal.metadata(outcome), restored)
        held.check()
        crash.point("write.ready")
        if change.condition is None:
            self._append(contract, change.rows, change.count, options)
        else:
            writer = self._laid_out(change.rows, change.count).write.format("delta").mode("overwrite")
            writer.option("replaceWhere", change.condition).options(**options).save(self.uri(contract.path))
        return replace(outcome, version=self.version(contract.path))

    def live(self, contract: Contract, source_name: str) -> DataFrame:
        """Return the believed rows that a source has delivered to a table: every version that is not superseded.

        In a table that was made with an earlier version of the digest, that of each row is computed again for the comparison.
        """
        rows = self.read(contract.path).where(F.col("superseded_at").isNull() & (F.col("source_name") == source_name))
        is_current = TableLog(self._store, contract.path).configuration.get(HASH_PROPERTY) == VERSION
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

    def evolve(self, contract: Contract, change: Evolution) -> None:
        """Bring a table to its contract: SY-L051 was raised before for what is no rule."""
        table = f"delta.`{self.uri(contract.path)}`"
        if change.widened:
            rows = self.read(contract.path)
            for name, _, new in change.widened:
                rows = rows.withColumn(name, F.col(name).cast(new.value))
            rows.write.format("delta").mode("overwrite").option("overwriteSchema", "true").save(self.uri(contract.path))
        if change.added:
            listed = ", ".join(f"`{f.name}` {f.dtype.value} COMMENT {_sql_text(comment(f))}" for f in change.added)
            self._spark.sql(f"ALTER TABLE {table} ADD COLUMNS ({listed})")
        if change.properties:
            listed = ", ".join(f"{_sql_text(key)} = {_sql_text(value)}" for key, value in change.properties)
            self._spark.sql(f"ALTER TABLE {table} SET TBLPROPERTIES ({listed})")

    def _merge(self, contract: Contract, given: Entities, live: DataFrame, write: Write, held: Held, seal: Seal, restored: int) -> Outcome:
        """Merge the given rows and end what has `ended`."""
        fields = tuple(f.name for f in table_fields(contract))
        rows, count, known, instants = (given.rows if given.count else None), given.count, given.known, given.instants
        incoming = self._spark.createDataFrame([], live.schema) if rows is None else rows
        decided = None if known is None or known.at != self.version(contract.path) else decided_by(incoming, known, instants, count)
        if decided is None:
            decided = decide(incoming, live, instants, count).localCheckpoint()
        counted = decided.groupBy("decision", F.expr(IS_SHORTENED).alias("is_shortened")).count().collect() if rows is not None else []
        counts = {d: sum(row["count"] for row in counted if row["decision"] == d) for d in (END, CORRECT, INSERT, UNCHANGED, REKEY)}
        shortened = sum(row["count"] for row in counted if row["is_shortened"])
        closed = given.ended.count() if given.ended is not None else 0
        loaded = counts[END] + counts[CORRECT] + counts[INSERT]
        outcome = Outcome(
            loaded=loaded,
            unchanged=given.same + counts[UNCHANGED] + counts[REKEY],
            closed=closed,
            inserted=loaded + shortened,
            ended=counts[END] - shortened + closed,
            superseded=counts[CORRECT] + shortened,
            rekeyed=counts[REKEY],
        )
        if loaded or closed or counts[REKEY]:
            changes = merge_rows(incoming, live if shortened else None, decided, fields, instants, ended=given.ended)
            held.check()
            crash.point("write.ready")
            self._execute_merge(contract, changes, fields, self._commit_options(write, seal.metadata(outcome), restored))
        return replace(outcome, version=self.version(contract.path))

    def _execute_merge(self, contract: Contract, changes: DataFrame, fields: tuple[str, ...], options: dict[str, str]) -> None:
        touched: dict[str, str | Column] = {
            "valid_to_at": "coalesce(c.valid_to_at, t.valid_to_at)",
            "closed_at": "coalesce(c.closed_at, t.closed_at)",
            "superseded_at": "c.superseded_at",
            "source_key": "coalesce(c.source_key, t.source_key)",
        }
        with self._session_options(options):
            (
                DeltaTable.forPath(self._spark, self.uri(contract.path))
                .alias("t")
                .merge(changes.alias("c"), "t.stamp_id = c.merge_key and t.superseded_at is null")
                .whenMatchedUpdate(set=touched)
                .whenNotMatchedInsert(condition="c.merge_key is null", values={name: f"c.{name}" for name in fields})
                .execute()
            )

    def _replaced(self, contract: Contract, facts: Facts, write: Write) -> _Replaced | None:
        """Return the write of facts that replace the source's own rows, None where the table holds the same."""
        rows, count = facts.rows, facts.count
        assert isinstance(rows, DataFrame)
        bound = f"source_name = {_sql_text(write.source_name)}"
        if facts.keys is not None:
            bound += f" and source_key in ({_listed(facts.keys.to_pylist())})"
        else:
            for name in contract.partition_by:
                values = [row[0] for row in rows.select(F.col(name).cast("string")).distinct().collect()]
                bound += f" and {_among(name, values)}"
        old = self.read(contract.path).where(bound)
        if old.isEmpty():  # nothing to compare with and nothing to replace
            return _Replaced(rows, None, count) if count else None
        if _digest(old) == _digest(rows):
            return None
        closed = old.join(rows.select("source_key"), "source_key", "left_anti").count()
        if facts.limit is not None and closed >= facts.limit.least:
            facts.limit.check(contract.name, closed, old.count())
        keys = _differing_keys(old, rows) if facts.sparing else None
        if keys is None:
            return _Replaced(rows, bound, count, closed)
        fresh = rows.where(F.col("source_key").isin(keys))
        return _Replaced(fresh, f"{bound} and source_key in ({_listed(keys)})", fresh.count(), closed)

    def _appended(self, contract: Contract, facts: Facts, write: Write) -> _Replaced | None:
        """Return the write of rows that are added once; a batch that is written again stands for its own rows only."""
        assert isinstance(facts.rows, DataFrame)
        own, mine = f"source_name = {_sql_text(write.source_name)}", _among("batch_id", [write.batch_id, *write.replaces])
        table = self.read(contract.path).where(own)
        rows = facts.rows.join(table.where(f"not {mine}").select("stamp_id"), "stamp_id", "left_anti")  # else of another delivery
        rows = rows.select(*facts.rows.columns)
        count = rows.count()
        old = table.where(mine)
        if write.release or old.isEmpty():  # of a release the other rows of its batch stay
            return _Replaced(rows, None, count) if count else None
        return None if _digest(old) == _digest(rows) else _Replaced(rows, f"{own} and {mine}", count)

    def _append(self, contract: Contract, rows: DataFrame, count: int, options: dict[str, str]) -> None:
        self._laid_out(rows, count).write.format("delta").mode("append").options(**options).save(self.uri(contract.path))

    def _laid_out(self, rows: DataFrame, count: int) -> DataFrame:
        """Order rows by the Hilbert key into files near the target size, so that a window touches few of them."""
        files = max(1, -(-count * BYTES_PER_ROW // TARGET_FILE_BYTES))
        if files == 1:
            return rows.coalesce(1).sortWithinPartitions("cell")
        return rows.repartitionByRange(files, "cell").sortWithinPartitions("cell")

    @contextmanager
    def _once(self, path: str, write: Write) -> Iterator[TableLog | None]:
        """Hold a table's lease for one commit and make that durable; yields the log as it is before."""
        with lease(self._store, path, owner=write.run_id) as held:
            log = TableLog(self._store, path)
            before = log.version
            held.check()
            yield log
            after = self.version(path)
            if after is not None and after != before:
                synced(self._store, path, after)

    def _committed(self, log: TableLog, write: Write) -> bool:
        return log.transaction(write.app_id(log.restored)) >= write.sequence

    def _has(self, log: TableLog, partition: str, value: str) -> bool:
        """Tell whether a table has files of one partition, from its log; replacing what isn't there would cost a delete's plan."""
        return log.exists and bool(log.table.file_uris(file_pruning_predicate=[(partition, "=", value)]))

    def _note(self, write: Write) -> str:
        return json.dumps(asdict(write), sort_keys=True)

    def _commit_options(self, write: Write, metadata: str, restored: int) -> dict[str, str]:
        return {"txnAppId": write.app_id(restored), "txnVersion": str(write.sequence), "userMetadata": metadata}

    @contextmanager
    def _session_options(self, options: dict[str, str]) -> Iterator[None]:
        """Give a MERGE, which takes no writer options, its transaction and metadata by the session's configuration."""
        names = {
            "txnAppId": "spark.databricks.delta.write.txnAppId",
            "txnVersion": "spark.databricks.delta.write.txnVersion",
            "userMetadata": "spark.databricks.delta.commitInfo.userMetadata",
        }
        for key, value in options.items():
            self._spark.conf.set(names[key], value)
        try:
            yield
        finally:
            for name in names.values():
                self._spark.conf.unset(name)


def _among(name: str, values: Sequence[str | None]) -> str:
    """Return the condition that a column has one of these values; of no values nothing is taken."""
    listed = _listed([value for value in values if value is not None])
    known = f"{name} in ({listed})" if listed else "false"
    return f"({known} or {name} is null)" if None in values else known


def _listed(values: Sequence[str]) -> str:
    return ", ".join(_sql_text(str(value)) for value in values)


def _sql_text(value: str) -> str:
    """Return a literal of Spark's SQL, in which a backslash is an escape."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


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
