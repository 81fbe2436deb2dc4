"""The one door to core and mart tables: `lake.write(contract, rows, write, account)`.

Whatever the rows are and whoever commits them (Spark, or delta-rs where this process holds facts of a table without deletion vectors), a
write goes the same way, under the table's lease:

1. a commit file that a power cut left empty is set aside;
2. a write that is in the table's log already is recognised there, and what should have followed it (bridge, ledger) is done now;
3. the table is brought to its contract (`sanyu.lake.evolve`);
4. one commit, which bears a Delta transaction, the counts, the ledger's row and the bridge's links;
5. the commit is made durable and its files' checksums are kept;
6. bridge, then ledger.

A process may die after each of these; the next one that asks for the same write finishes it. docs/decisions/0010-one-write-path.md
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sanyu import crash
from sanyu.lake import sums
from sanyu.lake.commit import Account, Entities, Facts, Link, Outcome, Parts, Seal, Write, recovered
from sanyu.lake.evolve import ddl_types, evolution
from sanyu.lake.facts import FactWriter
from sanyu.lake.lease import Held, lease
from sanyu.lake.ledger import Ledger, LedgerRow
from sanyu.lake.log import TableLog, damaged, set_aside, synced
from sanyu.lake.store import Store
from schemas.messages import SanyuError
from schemas.model import Contract

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sanyu.lake.write import DeltaWriter

WAIT_S = 600.0  # for another writer of the table, who needs seconds as a rule


class TableWriter:
    """Writes the core and mart tables of one lake; Spark is asked for only where it has to commit."""

    def __init__(self, store: Store, ledger: Ledger, spark: Callable[[], SparkSession] | None = None) -> None:
        self._store = store
        self._ledger = ledger
        self._spark = spark

    def write(self, contract: Contract, rows: Entities | Facts, write: Write, account: Account) -> Outcome:
        """Bring rows into a table, once, and account for them; returns what became of them, with the ledger's row.

        SY-L002 where another process holds the table, SY-L003 where the lease is lost, SY-L020 where the rows don't add up, SY-L051 where
        the table can't follow its contract, SY-L052 where the log is damaged.
        """
        with lease(self._store, contract.path, owner=write.run_id, wait_s=WAIT_S) as held:
            set_aside(self._store, contract.path)
            log = TableLog(self._store, contract.path)
            done = self._recovered(contract, log, write)
            return done if done is not None else self._fresh(contract, rows, write, account, log, held)

    def recover(self, contract: Contract, write: Write) -> Outcome | None:
        """Finish a write whose commit is in the table's log, by whichever run, and return its outcome; None where there is no commit."""
        if self._committed(TableLog(self._store, contract.path), write) is None:
            return None
        with lease(self._store, contract.path, owner=write.run_id, wait_s=WAIT_S):
            return self._recovered(contract, TableLog(self._store, contract.path), write)

    def _recovered(self, contract: Contract, log: TableLog, write: Write) -> Outcome | None:
        found = self._committed(log, write)
        if found is None:
            return None
        noted, version = found
        outcome, links = recovered(noted, version)
        if outcome.row is not None:
            self._finish(contract, write, outcome.row, links, again=True)
        return outcome

    def _committed(self, log: TableLog, write: Write) -> tuple[dict[str, object], int] | None:
        """Return what this write's commit says and its version, None where the log has none; SY-L053 where another has its number."""
        if not log.exists or log.transaction(write.app_id(log.restored)) < write.sequence:
            return None
        for commit in log.commits(log.restored):
            if write.is_of(commit.noted):
                return commit.noted, commit.version
            same = (commit.noted.get("source_name"), commit.noted.get("sequence")) == (write.source_name, write.sequence)
            if same and not write.release and not commit.noted.get("release"):
                other = str(commit.noted.get("batch_id"))
                raise SanyuError(
                    "SY-L053", table=log.path, source=write.source_name, number=write.sequence, batch=write.batch_id, other=other
                )
        return {}, log.version or 0  # the commit is older than the log reaches

    def _fresh(self, contract: Contract, rows: Entities | Facts, write: Write, account: Account, log: TableLog, held: Held) -> Outcome:
        engine = self._engine(rows, log)
        evolved = self._evolved(contract, write, account, log, engine)
        if evolved:
            log = TableLog(self._store, contract.path)
        seal = Seal(write, account, contract.name, evolved)
        if isinstance(rows, Entities):
            assert not isinstance(engine, FactWriter)
            outcome = engine.commit_entities(contract, rows, write, held, seal, log.restored)
        elif isinstance(engine, FactWriter):
            crash.point("write.ready")
            outcome = engine.commit(contract, rows, write, held, seal, log.restored)
        else:
            outcome = engine.commit_facts(contract, self._as_frame(contract, rows), write, held, seal, log.restored)
        if outcome.version is not None and outcome.version != log.version:
            synced(self._store, contract.path, outcome.version)
            sums.keep(self._store, contract.path, outcome.version)
        crash.point("write.committed")
        row = account.ledger_row(write, contract.name, outcome)
        table_id = TableLog(self._store, contract.path).table_id
        self._finish(contract, write, _with_detail(row, table_id=table_id), account.links)
        return replace(outcome, row=row)

    def _finish(self, contract: Contract, write: Write, row: LedgerRow, links: Sequence[Link], *, again: bool = False) -> None:
        """Tell bridge and ledger of a commit; `again` where an earlier run may have done so."""
        known = self._ledger.known(write.source_name) if again else None
        if links and not (known and known.has_links(row)):
            self._ledger.append_bridge(links)
        crash.point("write.bridged")
        if not (known and known.has(row)):
            self._ledger.append(_with_detail(row, table_id=TableLog(self._store, contract.path).table_id) if again else row)
        crash.point("write.accounted")

    def _evolved(
        self, contract: Contract, write: Write, account: Account, log: TableLog, engine: FactWriter | DeltaWriter
    ) -> dict[str, object]:
        """Bring a table that is there to its contract and return what was done."""
        if not log.exists:
            return {}
        change = evolution(contract, ddl_types(log.table.schema()), log.configuration)
        if not change.is_needed:
            return {}
        started = time.monotonic()
        engine.evolve(contract, change)
        crash.point("write.evolved")
        told = change.as_dict()
        if change.added or change.widened:
            done = replace(account, step="evolve", rows_in=0, quarantined=0, duplicate=0, reasons={}, links=(), detail={"evolved": told})
            version = TableLog(self._store, contract.path).version
            self._ledger.append(replace(done, started=started).ledger_row(write, contract.name, Outcome(version=version)))
        return told

    def _engine(self, rows: Entities | Facts, log: TableLog) -> FactWriter | DeltaWriter:
        """Return who commits: delta-rs takes facts that this process holds, unless the table has deletion vectors, under which it can't
        read what it replaces."""
        import pyarrow as pa

        if isinstance(rows, Facts) and isinstance(rows.rows, pa.Table | Parts) and not log.has_deletion_vectors:
            return FactWriter(self._store)
        return self.spark_writer()

    def spark_writer(self) -> DeltaWriter:
        """Return the engine of Spark, which starts it; SY-L054 where this lake was opened without a way to."""
        from sanyu.lake.write import DeltaWriter

        if self._spark is None:
            raise SanyuError("SY-L054")
        return DeltaWriter(self._spark(), self._store)

    def _as_frame(self, contract: Contract, facts: Facts) -> Facts:
        """Return facts as a Spark frame, for a table that only Spark can write."""
        import pyarrow as pa

        from quality.arrow import arrow_schema

        if not isinstance(facts.rows, pa.Table | Parts):
            return facts
        assert self._spark is not None
        rows = facts.rows.table() if isinstance(facts.rows, Parts) else facts.rows
        # PySpark 4.0 can't take a table without rows whose columns have no chunk.
        given = rows if rows.num_rows else arrow_schema(contract).empty_table()
        return replace(facts, rows=self._spark().createDataFrame(given))


def is_held(store: Store, contract: Contract, version: int | None, table_id: str | None) -> bool:
    """Tell whether the table still is what the ledger says a delivery made of it: there, whole, and not put back to an older version."""
    if version is None:
        return store.exists(f"{contract.path}/_delta_log")
    log = TableLog(store, contract.path)
    return log.exists and not damaged(store, contract.path) and log.holds(version, table_id)


def _with_detail(row: LedgerRow, **more: object) -> LedgerRow:
    return replace(row, detail=json.dumps({**json.loads(row.detail), **more}, ensure_ascii=False, sort_keys=True))
