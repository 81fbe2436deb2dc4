"""The stamp of rows that a job has made, and their way into the table.

Rows about a row of the input keep its place and time, those that were found are given theirs from their geometry. Rows that this process
holds are stamped and written without Spark; Spark's are stamped by its workers, with the same function.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from quality.arrow import arrow_schema
from sanyu.lake.commit import Account, Facts, Outcome, Parts, Write
from sanyu.lake.facts import is_laid_out
from schemas.fields import fields_of
from schemas.model import Contract
from schemas.stamp import STAMP
from transforms.entity.identity import entity_ids
from transforms.space import beidou, hilbert
from transforms.space.wkb import point_coordinates
from transforms.stamp.digest import row_digests

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.context import Loading

PART_ROWS = 200_000
_BEIJING = pa.scalar(8 * 3600, pa.duration("s"))


def commit(
    loading: Loading,
    contract: Contract,
    rows: pa.Table | DataFrame,
    write: Write,
    facts: Mapping[str, str] | None = None,
    key: str | None = None,
    *,
    sparing: bool = False,
    keys: pa.Array | None = None,
    step: str = "mine",
    detail: Mapping[str, Any] | None = None,
) -> tuple[int, Outcome]:
    """Stamp the rows (see `stamped`), bring them into the contract's table, and return their number and what became of them.

    With `keys` they stand for these keys of the source only. `step` and `detail` go to the ledger.
    Spark is asked for only where the rows are its own, or where it made the table with deletion vectors.
    """
    told = (contract, write, loading.recorded_at, facts or {}, key)
    lake = loading.lake
    if isinstance(rows, pa.Table):
        made = _parts(rows, *told) if rows.num_rows > PART_ROWS and is_laid_out(rows) else stamped(rows, *told)
        account = Account(step, loading.recorded_at, rows.num_rows, detail=detail or {})
        return rows.num_rows, lake.write(contract, Facts(made, rows.num_rows, sparing, keys), write, account, loading.spark)
    ready = _stamped_by_workers(rows, *told).persist()
    try:
        count = ready.count()
        account = Account(step, loading.recorded_at, count, detail=detail or {})
        return count, lake.write(contract, Facts(ready, count, sparing, keys), write, account, loading.spark)
    finally:
        ready.unpersist()


def stamped(rows: pa.Table, contract: Contract, write: Write, recorded_at: str, facts: Mapping[str, str], key: str | None) -> pa.Table:
    """Return the rows with all fields of the contract's table, in its order and types.

    `facts` fill columns of the contract that the rows do not have. `key` names the column that identifies a row within what the source
    makes; without it that is the contract's own key, else a digest of the row.

    Many rows are stamped in parts, on all cores: what a row gets does not depend on the others.
    """
    told = (contract, write, recorded_at, facts, key)
    return _stamped(rows, *told) if rows.num_rows <= PART_ROWS else _parts(rows, *told).table()


def _parts(rows: pa.Table, contract: Contract, *told: Any) -> Parts:
    def make() -> Iterator[pa.Table]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            yield from pool.map(lambda at: _stamped(rows.slice(at, PART_ROWS), contract, *told), range(0, rows.num_rows, PART_ROWS))

    return Parts(arrow_schema(contract).remove_metadata(), rows.num_rows, make)


def _stamped(rows: pa.Table, contract: Contract, write: Write, recorded_at: str, facts: Mapping[str, str], key: str | None) -> pa.Table:
    schema, count = arrow_schema(contract).remove_metadata(), rows.num_rows
    types = {field.name: field.type for field in schema}
    columns = {name: _typed(rows.column(name).combine_chunks(), types[name]) for name in rows.column_names if name in types}
    for column in contract.columns:
        if column.name not in columns:
            columns[column.name] = _same(facts.get(column.name), types[column.name], count)
    if contract.geometry:
        columns.setdefault("geom", pa.nulls(count, pa.binary()))
        if "cell" not in columns:
            columns |= _space(columns["geom"])
    instant = dt.datetime.fromisoformat(recorded_at)
    since = columns.get("valid_from_at")
    told: dict[str, Any] = {
        "source_name": write.source_name,
        "theme_code": contract.attribute.theme_code,
        "security_label": contract.security_label.value,
        "batch_id": write.batch_id,
        "recorded_at": instant,
        "closed_at": None,
        "superseded_at": None,
    }
    columns |= {name: _same(value, types[name], count) for name, value in told.items()}
    recorded = columns["recorded_at"]
    columns["valid_from_at"] = recorded if since is None else pc.coalesce(since, recorded)
    columns["time_code"] = _days(columns["valid_from_at"])
    columns["row_hash"] = _row_hash(columns, contract)
    columns["source_key"] = _source_key(columns, contract, key, rows)
    for field in fields_of(contract):
        if field.name not in columns and field.name not in ("entity_id", "stamp_id"):
            columns[field.name] = pa.nulls(count, types[field.name])
    if "entity_id" not in columns:
        columns["entity_id"] = entity_ids(contract, *(columns[n] for n in ("division_code", "grid_code", "source_name", "source_key")))
    version = {"entity": columns["entity_id"], "since": columns["valid_from_at"], "hash": columns["row_hash"]}
    columns["stamp_id"] = _sql("md5(concat_ws('|', entity, CAST(epoch_us(since) AS VARCHAR), hash))", version)
    return pa.table([columns[field.name] for field in schema], schema)


def _stamped_by_workers(
    frame: DataFrame, contract: Contract, write: Write, recorded_at: str, facts: Mapping[str, str], key: str | None
) -> DataFrame:
    from quality.spark import spark_schema

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from _stamped(pa.Table.from_batches([batch]), contract, write, recorded_at, facts, key).combine_chunks().to_batches()

    wanted = {f.name for f in fields_of(contract)}
    return frame.select(*(f"`{c}`" for c in frame.columns if c in wanted or c == key)).mapInArrow(run, spark_schema(contract))


def _typed(column: pa.Array, wanted: pa.DataType) -> pa.Array:
    """Return a column in the table's type; nanoseconds are cut off, text in place of numbers is an error of the tool."""
    if column.type == wanted:
        return column
    return column.cast(wanted, safe=not pa.types.is_timestamp(wanted))


def _same(value: Any, kind: pa.DataType, count: int) -> pa.Array:
    return pa.nulls(count, kind) if value is None else pa.repeat(pa.scalar(value, kind), count)


def _days(instants: Any) -> Any:
    """Return the day of each instant in Beijing time, as 20260204; results have few different ones."""
    found = pc.dictionary_encode(instants)
    days = pc.strftime(pc.add(found.dictionary.cast(pa.timestamp("us")), _BEIJING), "%Y%m%d")
    return days.take(found.indices)


def _row_hash(columns: Mapping[str, Any], contract: Contract) -> pa.Array:
    """Return the digest of each row's content: the contract's own columns and the geometry, in table order."""
    stamp = {f.name for f in STAMP} - {"division_code", "class_code", "industry_code"}
    own = [c.name for c in contract.columns if c.name not in stamp]
    return row_digests([columns[name] for name in (*own, *(("geom",) if contract.geometry else ()))])


def _source_key(columns: Mapping[str, Any], contract: Contract, key: str | None, rows: pa.Table) -> Any:
    if key is not None:
        return rows.column(key).cast(pa.string())
    own = [c for c in contract.key if c not in ("source_name", "source_key")]
    if not own:
        return columns["row_hash"]
    return _sql(f"concat_ws('|', {', '.join(f'CAST({name} AS VARCHAR)' for name in own)})", {name: columns[name] for name in own})


def _sql(expression: str, columns: Mapping[str, Any]) -> pa.ChunkedArray:
    """Return an expression of DuckDB over columns, row by row: it digests a million rows in less than a second, on all cores."""
    plain = {name: c.cast(pa.timestamp(c.type.unit)) if pa.types.is_timestamp(c.type) else c for name, c in columns.items()}  # in UTC
    with duckdb.connect(":memory:") as connection:
        connection.register("given", pa.table(plain))
        return connection.execute(f"SELECT {expression} AS found FROM given").to_arrow_table().column("found").cast(pa.string())


def _space(geom: Any) -> dict[str, pa.Array]:
    """Return `cell`, `bbox`, `grid_code`, `grid_level` of geometries (WKB, EPSG:4490)."""
    points = point_coordinates(geom)
    if points is not None:
        bounds = np.column_stack([*points, *points])
    else:
        bounds = shapely.bounds(shapely.from_wkb(geom.to_numpy(zero_copy_only=False))).reshape(-1, 4)
    known = np.isfinite(bounds).all(axis=1)
    lon, lat = (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2
    mask = pa.array(~known)
    level = np.ones(len(bounds), dtype=np.int64)
    level[known] = np.minimum(beidou.level_for_extent(bounds[known, 2] - bounds[known, 0], bounds[known, 3] - bounds[known, 1]), 8)
    code = beidou.encode_arrow(np.where(known, lon, np.nan), np.where(known, lat, np.nan), level, errors="null")
    box = pa.StructArray.from_arrays([pa.array(bounds[:, i]) for i in range(4)], names=["xmin", "ymin", "xmax", "ymax"], mask=mask)
    cell = pa.array(hilbert.hilbert_key(np.where(known, lon, 0.0), np.where(known, lat, 0.0)), mask=~known)
    return {"cell": cell, "bbox": box, "grid_code": pa.array(code), "grid_level": pa.array(level.astype(np.int32), mask=~known)}
