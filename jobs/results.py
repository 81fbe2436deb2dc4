"""Rows that a job has made, on their way into the table.

Rows about a row of the input keep its place and time, those that were found are given theirs from their geometry. Rows that this process
holds are stamped and written without Spark; Spark's are stamped by its workers, with the same function (`transforms.stamp.made`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from quality.arrow import arrow_schema
from sanyu.lake.commit import Account, Facts, Outcome, Parts, Write
from sanyu.lake.facts import is_laid_out
from schemas.fields import fields_of
from schemas.model import Contract, SecurityLabel, highest
from schemas.stamp import GEOM, STAMP
from transforms.stamp.made import Stamping, same, stamped_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.context import Loading

PART_ROWS = 200_000
# Of the input's row these say how the lake got it, which is another matter for what is made of it.
_NOT_KEPT = frozenset(("source_name", "source_key", "stamp_id", "row_hash"))
_KEPT = {f.name for f in STAMP} - _NOT_KEPT | {GEOM.name}


@dataclass(frozen=True)
class Told:
    """What is said about all rows: `label` is the highest of what they were made from (`jobs.labels`), and so theirs.

    `facts` fill columns of the contract that the rows do not have. `key` names the column that identifies a row within what the source
    makes; without it that is the contract's own key, else a digest of the row.
    """

    recorded_at: str
    label: SecurityLabel
    facts: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None


def commit(
    loading: Loading,
    contract: Contract,
    rows: pa.Table | DataFrame,
    write: Write,
    facts: Mapping[str, str] | None = None,
    key: str | None = None,
    *,
    label: SecurityLabel,
    sparing: bool = False,
    keys: pa.Array | None = None,
    step: str = "mine",
    detail: Mapping[str, Any] | None = None,
) -> tuple[int, Outcome]:
    """Stamp the rows (see `Told`), bring them into the contract's table, and return their number and what became of them.

    With `keys` they stand for these keys of the source only. `step` and `detail` go to the ledger.
    Spark is asked for only where the rows are its own, or where it made the table with deletion vectors.
    """
    told = Told(loading.recorded_at, label, facts or {}, key)
    lake = loading.lake
    if isinstance(rows, pa.Table):
        many = rows.num_rows > PART_ROWS and is_laid_out(rows)
        made = _parts(rows, contract, write, told) if many else stamped(rows, contract, write, told)
        account = Account(step, loading.recorded_at, rows.num_rows, detail=detail or {})
        return rows.num_rows, lake.write(contract, Facts(made, rows.num_rows, sparing, keys), write, account, loading.spark)
    ready = _stamped_by_workers(rows, contract, write, told).persist()
    try:
        count = ready.count()
        account = Account(step, loading.recorded_at, count, detail=detail or {})
        return count, lake.write(contract, Facts(ready, count, sparing, keys), write, account, loading.spark)
    finally:
        ready.unpersist()


def stamped(rows: pa.Table, contract: Contract, write: Write, told: Told) -> pa.Table:
    """Return the rows with all fields of the contract's table, in its order and types.

    Many rows are stamped in parts, on all cores: what a row gets does not depend on the others.
    """
    return _stamped(rows, contract, write, told) if rows.num_rows <= PART_ROWS else _parts(rows, contract, write, told).table()


def _parts(rows: pa.Table, contract: Contract, write: Write, told: Told) -> Parts:
    def make() -> Iterator[pa.Table]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            yield from pool.map(lambda at: _stamped(rows.slice(at, PART_ROWS), contract, write, told), range(0, rows.num_rows, PART_ROWS))

    return Parts(arrow_schema(contract).remove_metadata(), rows.num_rows, make)


def _stamped(rows: pa.Table, contract: Contract, write: Write, told: Told) -> pa.Table:
    schema, count = arrow_schema(contract).remove_metadata(), rows.num_rows
    own = {c.name for c in contract.columns}
    columns: dict[str, Any] = {name: rows.column(name) for name in rows.column_names if name in _KEPT or name in own}
    for name, value in told.facts.items():
        if name in own and name not in columns:
            columns[name] = same(value, schema.field(name).type, count)
    columns["source_name"] = same(write.source_name, pa.string(), count)
    if told.key is not None:
        columns["source_key"] = rows.column(told.key)
    label = highest((contract.security_label, told.label))
    stamping = Stamping(contract, schema, write.batch_id, told.recorded_at, told.recorded_at, label.value)
    return pa.table(stamped_columns(columns, count, stamping), schema)


def _stamped_by_workers(frame: DataFrame, contract: Contract, write: Write, told: Told) -> DataFrame:
    from quality.spark import spark_schema

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from _stamped(pa.Table.from_batches([batch]), contract, write, told).combine_chunks().to_batches()

    wanted = {f.name for f in fields_of(contract)} | {told.key}
    return frame.select(*(f"`{c}`" for c in frame.columns if c in wanted)).mapInArrow(run, spark_schema(contract))
