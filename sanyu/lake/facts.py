"""The writer of facts that this process holds as Arrow, by delta-rs: no JVM has to start for the result of an analysis or a mart.

It keeps the promises of `sanyu.lake.write` for them: idempotent per (source, delivery) by a Delta transaction, under the table's lease,
with the run in the commit's `userMetadata`, laid out by the Hilbert key, and in the change feed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from quality.arrow import arrow_schema
from quality.delta import constraints, table_properties
from sanyu.lake.commit import TARGET_FILE_BYTES, Outcome, Parts, Write
from sanyu.lake.duck import text
from sanyu.lake.lease import lease
from sanyu.lake.store import Store
from schemas.model import Contract

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

CONSTRAINT = "contract"
MOST_KEYS = 10_000  # of a write of some keys: they stand one by one in its condition, which takes a second for so many


class FactWriter:
    """Writes facts to the tables of one lake."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def takes(self, contract: Contract) -> bool:
        """Tell whether it can write to the table; not where that has deletion vectors, under which delta-rs can't read what it replaces."""
        log = self._log(contract)
        return log is None or "deletionVectors" not in (log.protocol().writer_features or ())

    def commit(
        self, contract: Contract, rows: pa.Table | Parts, write: Write, *, sparing: bool = False, keys: pa.Array | None = None
    ) -> Outcome:
        """Replace the source's own rows, in the batch's partitions where the table has such; equal content leaves the table as it is.

        With `sparing` only the rows under keys whose content differs are written, where these are few: the others keep their batch. With
        `keys` the rows stand for these `source_key`s only, and what the source has under others stays. `rows` have all fields of the
        contract in table order; parts are written as they are made where there is nothing to compare them with. SY-L002, SY-L003 (lease).
        """
        import pyarrow as pa
        import pyarrow.compute as pc

        with lease(self._store, contract.path, owner=write.run_id) as held:
            log = self._log(contract)
            if log is not None and (log.transaction_version(write.app_id) or 0) >= write.sequence:
                return _recorded(log, write)
            held.check()
            log = self._ensured(contract, log)
            if isinstance(rows, Parts) and contract.partition_by:
                rows = rows.table()
            own = {"source_name": [write.source_name]}
            bound = own if keys is not None or isinstance(rows, Parts) else _bound(contract, rows, write)
            old = _content(log, bound)
            if isinstance(rows, Parts):
                if not old.num_rows:
                    return Outcome(rows.num_rows, version=self._write(contract, rows, write, None))
                rows = rows.table()
            if keys is not None:
                old = old.filter(pc.is_in(old["source_key"], value_set=keys))
            differing = _differing_keys(old, rows) if old.num_rows else None
            if differing is not None and not len(differing):
                return Outcome(unchanged=rows.num_rows, version=log.version())
            written, condition, loaded = rows, None, rows.num_rows
            closed = old.num_rows and int(pc.sum(pc.invert(pc.is_in(old["source_key"], value_set=rows["source_key"]))).as_py())
            if differing is not None:
                condition = _condition(bound)
                if keys is not None or (sparing and len(differing) <= MOST_KEYS):
                    written = rows.filter(pc.is_in(rows["source_key"], value_set=differing))
                    loaded = written.num_rows
                    if len(differing) <= MOST_KEYS:
                        condition += " and source_key in ({})".format(", ".join(map(text, differing.to_pylist())))
                    else:
                        written = pa.concat_tables([written, _others(log, bound, differing).cast(written.schema)])
            held.check()
            version = self._write(contract, _laid_out(written), write, condition)
            return Outcome(loaded, rows.num_rows - loaded, closed, version)

    def _ensured(self, contract: Contract, log: DeltaTable | None) -> DeltaTable:
        """Create the table with the contract's schema, properties and constraints where it isn't there, or not to its end."""
        from deltalake import DeltaTable

        if log is None:
            DeltaTable.create(
                self._uri(contract),
                arrow_schema(contract).remove_metadata(),
                mode="ignore",
                description=contract.grain,
                configuration=dict(table_properties(contract)),
                raise_if_key_not_exists=False,  # the contract's own properties are none of Delta's
                storage_options=self._store.storage_options() or None,
            )
            log = self._opened(contract)
        if f"delta.constraints.{CONSTRAINT}" not in log.metadata().configuration:
            log.alter.add_constraint({CONSTRAINT: " and ".join(f"({expression})" for expression in constraints(contract).values())})
        return log

    def _write(self, contract: Contract, rows: pa.Table | Parts, write: Write, condition: str | None) -> int:
        from deltalake import CommitProperties, Transaction, WriterProperties, write_deltalake

        noted = CommitProperties({"userMetadata": write.metadata}, app_transactions=[Transaction(write.app_id, write.sequence)])
        given: dict[str, Any] = {
            "target_file_size": TARGET_FILE_BYTES,
            "writer_properties": WriterProperties(compression="ZSTD", compression_level=1),  # as quick as Snappy, a third smaller
            "storage_options": self._store.storage_options() or None,
            "commit_properties": noted,
        }
        if condition is None:
            write_deltalake(self._uri(contract), rows.to_reader(), mode="append", **given)
        else:
            write_deltalake(self._uri(contract), rows.to_reader(), mode="overwrite", predicate=condition, **given)
        return self._opened(contract).version()

    def _log(self, contract: Contract) -> DeltaTable | None:
        return self._opened(contract) if self._store.exists(f"{contract.path}/_delta_log") else None

    def _opened(self, contract: Contract) -> DeltaTable:
        from deltalake import DeltaTable

        return DeltaTable(self._uri(contract), storage_options=self._store.storage_options() or None)

    def _uri(self, contract: Contract) -> str:
        return self._store.uri(contract.path, scheme="s3")


def is_laid_out(rows: pa.Table) -> bool:
    """Tell whether rows are in the order of their Hilbert key, as a table gives them."""
    import pyarrow.compute as pc

    if "cell" not in rows.column_names:
        return False
    cell = rows["cell"].combine_chunks()
    if len(cell) < 2:
        return True
    return not cell.null_count and bool(pc.all(pc.less_equal(cell.slice(0, len(cell) - 1), cell.slice(1))).as_py())


def _laid_out(rows: pa.Table) -> pa.Table:
    """Return the rows by their Hilbert key; often nothing has to be moved."""
    return rows if "cell" not in rows.column_names or is_laid_out(rows) else rows.sort_by("cell")


def _bound(contract: Contract, rows: pa.Table, write: Write) -> dict[str, list[Any]]:
    """Return the values of the columns that say which rows this write stands for."""
    return {"source_name": [write.source_name], **{name: rows[name].unique().to_pylist() for name in contract.partition_by}}


def _condition(bound: dict[str, list[Any]]) -> str:
    """Return the SQL of the rows that a write replaces."""
    parts = []
    for name, values in bound.items():
        listed = ", ".join(text(str(value)) for value in values if value is not None)
        known = f"{name} in ({listed})" if listed else "false"
        parts.append(f"({known} or {name} is null)" if None in values else known)
    return " and ".join(parts)


def _content(log: DeltaTable, bound: dict[str, list[Any]]) -> pa.Table:
    """Return source_key and row_hash of the rows that a write stands for."""
    return log.to_pyarrow_dataset().to_table(columns=["source_key", "row_hash"], filter=_filter(bound))


def _others(log: DeltaTable, bound: dict[str, list[Any]], keys: pa.Array) -> pa.Table:
    """Return the rows that a write would replace, were it not for their keys."""
    import pyarrow.compute as pc

    return log.to_pyarrow_dataset().to_table(filter=_filter(bound) & ~pc.field("source_key").isin(keys))


def _filter(bound: dict[str, list[Any]]) -> Any:
    import pyarrow.compute as pc
    import pyarrow.dataset as ds

    condition = ds.scalar(True)
    for name, values in bound.items():
        condition = condition & pc.field(name).isin(values)
    return condition


def _differing_keys(old: pa.Table, rows: pa.Table) -> pa.Array:
    """Return the keys under which two sets of rows do not hold the same content."""
    import pyarrow as pa

    pair = ["source_key", "row_hash"]
    both = pa.concat_tables([side.select(pair).append_column("times", pa.repeat(n, side.num_rows)) for side, n in ((rows, 1), (old, -1))])
    counted = both.group_by(pair).aggregate([("times", "sum")])
    import pyarrow.compute as pc

    return counted.filter(pc.not_equal(counted["times_sum"], 0))["source_key"].unique()


def _recorded(log: DeltaTable, write: Write) -> Outcome:
    """Return what an earlier run of this write committed, from the commit's own metrics."""
    for commit in log.history(50):
        said = json.loads(commit.get("userMetadata") or "{}")
        if (said.get("source_name"), said.get("sequence")) == (write.source_name, write.sequence):
            return Outcome(loaded=int(commit.get("operationMetrics", {}).get("num_added_rows", 0)), version=int(commit["version"]))
    return Outcome(version=log.version())
