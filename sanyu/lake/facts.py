"""The engine for facts that this process holds as Arrow: delta-rs, so that no JVM has to start for the result of an analysis or a mart.

It is called by `sanyu.lake.writer`, which holds the table's lease, knows whether the write was made before, and tells the ledger. It lays
rows out by the Hilbert key and leaves the change feed to Delta.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from quality.arrow import arrow_schema
from quality.delta import constraints, table_properties
from sanyu.lake.commit import TARGET_FILE_BYTES, Facts, Outcome, Parts, Seal, Write
from sanyu.lake.duck import text
from sanyu.lake.evolve import Evolution
from sanyu.lake.lease import Held
from sanyu.lake.store import Store
from schemas.model import Contract, DType, History

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

CONSTRAINT = "contract"
MOST_KEYS = 10_000  # of a write of some keys: they stand one by one in its condition, which takes a second for so many
CHECKPOINT_EVERY = 10  # commits; Spark does the same


@dataclass(frozen=True)
class _Change:
    """What a write puts in place of what: `rows` for those that `condition` takes (None: they are added)."""

    rows: pa.Table | Parts
    condition: str | None
    loaded: int
    closed: int = 0


class FactWriter:
    """Writes facts to the tables of one lake."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def commit(self, contract: Contract, facts: Facts, write: Write, held: Held, seal: Seal, restored: int) -> Outcome:
        """Write the rows, or leave the table as it is where it holds the same content.

        `facts.rows` have all fields of the contract in table order; parts are written as they are made where there is nothing to compare
        them with. SY-L003 where the lease is lost.
        """
        log = self._ensured(contract)
        change = _appended(contract, log, facts, write) if contract.history is History.APPEND else _replaced(contract, log, facts, write)
        if change is None:
            return Outcome(unchanged=facts.count, version=log.version())
        outcome = Outcome(change.loaded, facts.count - change.loaded, change.closed, inserted=change.rows.num_rows)
        held.check()
        rows = change.rows if isinstance(change.rows, Parts) else _fitting(_laid_out(change.rows), log)
        version = self._write(contract, rows, write, change.condition, seal.metadata(outcome), restored)
        return Outcome(outcome.loaded, outcome.unchanged, outcome.closed, version, inserted=outcome.inserted)

    def evolve(self, contract: Contract, change: Evolution) -> None:
        """Bring a table to its contract: SY-L051 was raised before for what is no rule."""
        from deltalake import Field, write_deltalake

        log = self._opened(contract)
        if change.widened:
            rows = log.to_pyarrow_table()
            target = {name: _arrow_type(new) for name, _, new in change.widened}
            cast = rows.schema
            for name, kind in target.items():
                cast = cast.set(cast.get_field_index(name), cast.field(name).with_type(kind))
            options = self._store.storage_options() or None
            write_deltalake(self._uri(contract), rows.cast(cast), mode="overwrite", schema_mode="overwrite", storage_options=options)
            log = self._opened(contract)
        if change.added:
            schema = arrow_schema(contract)
            fields = [Field.from_arrow(schema.field(f.name).remove_metadata()) for f in change.added]
            log.alter.add_columns(fields)
            log = self._opened(contract)
        if change.properties:
            log.alter.set_table_properties(dict(change.properties), raise_if_not_exists=False)

    def _ensured(self, contract: Contract) -> DeltaTable:
        """Create the table with the contract's schema, properties and constraints where it isn't there, or not to its end."""
        from deltalake import DeltaTable

        if not self._store.exists(f"{contract.path}/_delta_log"):
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

    def _write(self, contract: Contract, rows: pa.Table | Parts, write: Write, condition: str | None, metadata: str, restored: int) -> int:
        from deltalake import CommitProperties, Transaction, WriterProperties, write_deltalake

        noted = CommitProperties({"userMetadata": metadata}, app_transactions=[Transaction(write.app_id(restored), write.sequence)])
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
        log = self._opened(contract)
        version = int(log.version())
        if version % CHECKPOINT_EVERY == 0:
            log.create_checkpoint()
        return version

    def _opened(self, contract: Contract) -> DeltaTable:
        from deltalake import DeltaTable

        return DeltaTable(self._uri(contract), storage_options=self._store.storage_options() or None)

    def _uri(self, contract: Contract) -> str:
        return self._store.uri(contract.path, scheme="s3")


def _replaced(contract: Contract, log: DeltaTable, facts: Facts, write: Write) -> _Change | None:
    """Return the write of facts that replace the source's own rows, None where the table holds the same."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = facts.rows.table() if isinstance(facts.rows, Parts) and contract.partition_by else facts.rows
    assert isinstance(rows, pa.Table | Parts)
    own: dict[str, list[Any]] = {"source_name": [write.source_name]}
    bound = own if facts.keys is not None or isinstance(rows, Parts) else _bound(contract, rows, write)
    old = _content(log, bound)
    if isinstance(rows, Parts):
        if not old.num_rows:
            return _Change(rows, None, rows.num_rows) if rows.num_rows else None
        rows = rows.table()
    if facts.keys is not None:
        old = old.filter(pc.is_in(old["source_key"], value_set=facts.keys))
    if not old.num_rows:
        return _Change(rows, None, rows.num_rows) if rows.num_rows else None
    differing = _differing_keys(old, rows)
    if not len(differing):
        return None
    closed = int(pc.sum(pc.invert(pc.is_in(old["source_key"], value_set=rows["source_key"]))).as_py())
    if facts.limit is not None:
        facts.limit.check(contract.name, closed, old.num_rows)
    condition = _condition(bound)
    if facts.keys is None and not (facts.sparing and len(differing) <= MOST_KEYS):
        return _Change(rows, condition, rows.num_rows, closed)
    fresh = rows.filter(pc.is_in(rows["source_key"], value_set=differing))
    if len(differing) <= MOST_KEYS:
        return _Change(fresh, f"{condition} and source_key in ({_listed(differing.to_pylist())})", fresh.num_rows, closed)
    others = _others(log, bound, differing).select(fresh.schema.names).cast(fresh.schema)
    return _Change(pa.concat_tables([fresh, others]), condition, fresh.num_rows, closed)


def _appended(contract: Contract, log: DeltaTable, facts: Facts, write: Write) -> _Change | None:
    """Return the write of rows that are added once; a batch that is written again stands for its own rows only."""
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = facts.rows.table() if isinstance(facts.rows, Parts) else facts.rows
    assert isinstance(rows, pa.Table)
    bound = {"source_name": [write.source_name], "batch_id": [write.batch_id, *write.replaces]}
    others = ~pc.field("batch_id").isin(bound["batch_id"]) & (pc.field("source_name") == write.source_name)
    there = log.to_pyarrow_dataset().to_table(columns=["stamp_id"], filter=others)["stamp_id"]
    rows = rows.filter(pc.invert(pc.is_in(rows["stamp_id"], value_set=there.combine_chunks())))  # the same row of another delivery
    old = _content(log, bound)
    if write.release or not old.num_rows:  # of a release the other rows of its batch stay
        return _Change(rows, None, rows.num_rows) if rows.num_rows else None
    differing = _differing_keys(old, rows)
    return _Change(rows, _condition(bound), rows.num_rows) if len(differing) else None


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


def _fitting(rows: pa.Table, log: DeltaTable) -> pa.Table:
    """Return the rows with the table's columns in its order; retired ones are empty."""
    import pyarrow as pa

    names = [field.name for field in log.schema().fields]
    if names == rows.column_names:
        return rows
    schema = pa.schema(log.schema().to_arrow())
    columns = [rows[n] if n in rows.column_names else pa.nulls(rows.num_rows, schema.field(n).type) for n in names]
    return pa.table(columns, names=names)


def _arrow_type(dtype: DType) -> pa.DataType:
    from quality.arrow import TYPES

    return TYPES[dtype]


def _bound(contract: Contract, rows: pa.Table, write: Write) -> dict[str, list[Any]]:
    """Return the values of the columns that say which rows this write stands for."""
    return {"source_name": [write.source_name], **{name: rows[name].unique().to_pylist() for name in contract.partition_by}}


def _condition(bound: dict[str, list[Any]]) -> str:
    """Return the SQL of the rows that a write replaces."""
    parts = []
    for name, values in bound.items():
        listed = _listed([value for value in values if value is not None])
        known = f"{name} in ({listed})" if listed else "false"
        parts.append(f"({known} or {name} is null)" if None in values else known)
    return " and ".join(parts)


def _listed(values: Sequence[Any]) -> str:
    return ", ".join(text(str(value)) for value in values)


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
        listed = [value for value in values if value is not None]
        known = pc.field(name).isin(listed) if listed else ds.scalar(False)
        condition = condition & (known | pc.field(name).is_null() if None in values else known)
    return condition


def _differing_keys(old: pa.Table, rows: pa.Table) -> pa.Array:
    """Return the keys under which two sets of rows do not hold the same content."""
    import pyarrow as pa
    import pyarrow.compute as pc

    pair = ["source_key", "row_hash"]
    both = pa.concat_tables([side.select(pair).append_column("times", pa.repeat(n, side.num_rows)) for side, n in ((rows, 1), (old, -1))])
    counted = both.group_by(pair).aggregate([("times", "sum")])
    return counted.filter(pc.not_equal(counted["times_sum"], 0))["source_key"].unique()
