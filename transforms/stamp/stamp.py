"""Raw rows to stamped rows in Spark: the mapping as SQL, all the rest in one pass over Arrow batches on the workers; no action."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from schemas.model import Contract
from schemas.rejection import ERRORS_TYPE, error_row, error_sql
from schemas.stamp import table_fields
from transforms.conform.mapping import VALUE, Mapping
from transforms.conform.typed import WANTED, Reading, read_column
from transforms.stamp.digest import VERSION, row_hashes
from transforms.stamp.division import DivisionIndex
from transforms.stamp.made import BEIJING, Placed, Stamping, content, stamped_columns
from transforms.stamp.space import ERROR, SpacePlan, geometry_errors, placed
from transforms.stamp.versions import Instants

# What accompanies a stamped row until it is in core or in quarantine.
BESIDE = ("file_name", "row_number", "feature_id", "order_by", "errors", "geometry_notes")
BROADCAST_ROWS = 1_000_000
_NESTED = (pa.types.is_list, pa.types.is_map)
Errors = dict[int, list[dict[str, str | None]]]


@dataclass(frozen=True)
class Delivered:
    """What a batch says about all its rows."""

    batch_id: str
    instants: Instants
    time_zone: str = BEIJING
    unreadable: bool = True  # rows that the reader could not read are accounted for by the first target of a source


@dataclass(frozen=True)
class Making:
    """How raw rows become rows of a table; `schema` is the table's in Arrow, without metadata."""

    mapping: Mapping
    space: SpacePlan
    batch: Delivered
    schema: pa.Schema

    @property
    def stamping(self) -> Stamping:
        contract, instants = self.mapping.contract, self.batch.instants
        label = contract.security_label.value
        return Stamping(contract, self.schema, self.batch.batch_id, instants.recorded_at, instants.edition_at, label, self.batch.time_zone)


def stamped(raw: DataFrame, making: Making) -> DataFrame:
    """Return the table's fields in order, and `BESIDE`; rows with `errors` are there too, to be screened.

    `raw` has the columns of a raw table; the geometry may be in any system that the plan of the space can conform.
    """
    texts = mapped(raw, making)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        index = DivisionIndex(making.space.divisions)
        return (_row_batch(batch, making, index) for batch in batches)

    return texts.mapInArrow(run, _ddl(texts, making))


def restamped(texts: DataFrame, making: Making, moved: DataFrame) -> DataFrame:
    """Return what `stamped` gives for those rows of `mapped` that another step has given other geometries, and with these.

    `moved` has `file_name`, `row_number` and `moved_geom`, WKB in EPSG:4490. All that follows from a geometry follows from the new one.
    """
    rows = texts.join(F.broadcast(moved), ["file_name", "row_number"])

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        index = DivisionIndex(making.space.divisions)
        return (_row_batch(batch, making, index) for batch in batches)

    return rows.mapInArrow(run, _ddl(texts, making))


def with_current_hashes(rows: DataFrame, contract: Contract) -> DataFrame:
    """Return rows of a table with the digests that their content has now, where they bear those of an earlier version.

    What is stored stays: a row whose content is delivered again as it is keeps its digest and its stamp.
    """
    names = content(contract)
    place = rows.columns.index("row_hash")

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield batch.set_column(place, "row_hash", row_hashes({name: batch.column(name) for name in names}))

    is_old = f"row_hash < '{VERSION}'"  # hexadecimal digits come before it, so that files without such rows are skipped
    return rows.where(f"not {is_old}").unionByName(rows.where(is_old).mapInArrow(run, rows.schema))


def selected(raw: DataFrame, making: Making) -> DataFrame:
    """Return the raw rows that the target's `where` takes, with the referenced fields beside them."""
    mapping, unreadable = making.mapping, making.batch.unreadable
    fields = raw.selectExpr(*mapping.fields)
    if mapping.where is None:
        return fields if unreadable else fields.where("error_code is null")
    return fields.where(f"(error_code is null and ({mapping.where})){' or error_code is not null' if unreadable else ''}")


def mapped(raw: DataFrame, making: Making) -> DataFrame:
    """Return the texts that the source's expressions make of the selected rows."""
    return selected(raw, making).selectExpr(*making.mapping.values)


def _ddl(texts: DataFrame, making: Making) -> str:
    kinds = {f.name: f.dataType.simpleString() for f in texts.schema.fields} | {"errors": ERRORS_TYPE, "geometry_notes": "array<string>"}
    fields = [f"`{f.name}` {f.dtype.value}" for f in table_fields(making.mapping.contract)]
    return ", ".join([*fields, *(f"`{name}` {kinds[name]}" for name in BESIDE)])


def _row_batch(batch: pa.RecordBatch, making: Making, index: DivisionIndex) -> pa.RecordBatch:
    """Return one batch of stamped rows: values read, geometries conformed or moved, stamped."""
    errors: Errors = {}
    columns = {name: batch.column(name) for name in ("source_name", "source_key")}
    for reading in making.mapping.readings:
        columns[reading.name] = _read(batch.column(VALUE + reading.name), reading, errors)
    notes: Any = None
    place = None
    if making.space.kind is not None:
        done = placed(batch, making.space)
        for row, error in geometry_errors(done).items():
            errors.setdefault(row, []).append(error)
        notes = [list(note) for note in done.notes]
        geoms, bounds = done.geoms, done.bounds
        if "moved_geom" in batch.schema.names:
            geoms = shapely.from_wkb(batch.column("moved_geom").to_numpy(zero_copy_only=False))
            bounds = shapely.bounds(geoms)
        columns["geom"] = pa.array(shapely.to_wkb(geoms, flavor="iso", byte_order=1), pa.binary())
        place = Placed(geoms, bounds, _divisions(geoms, index, making))
    rows = stamped_columns(columns, len(batch), making.stamping, place)
    beside = {name: batch.column(name) for name in ("file_name", "row_number", "feature_id", "order_by")}
    beside["errors"] = _with_errors(batch.column("errors"), errors)
    beside["geometry_notes"] = _lists(notes, len(batch), pa.string())
    return pa.RecordBatch.from_arrays([*rows, *(beside[name] for name in BESIDE)], names=[*making.schema.names, *BESIDE])


def _read(texts: pa.Array, reading: Reading, errors: Errors) -> pa.Array:
    """Return a column's values and note the rows whose text makes none."""
    if any(is_kind(texts.type) for is_kind in _NESTED):
        return texts
    values, bad = read_column(texts, reading)
    for row in np.flatnonzero(bad.to_numpy(zero_copy_only=False)).tolist():
        text = texts[row].as_py().strip(" ")
        if reading.codes and reading.default is None:
            error = error_row(reading.name, "code", "SY-Q002", text, code_list=reading.code_list)
        else:
            wanted, wanted_zh = WANTED[reading.dtype]
            error = error_row(reading.name, "type", "SY-Q001", text, wanted=wanted, wanted_zh=wanted_zh)
        errors.setdefault(row, []).append(error)
    return values


def _divisions(geoms: Any, index: DivisionIndex, making: Making) -> pa.Array | None:
    if making.mapping.contract.space.division != "within":
        return None
    found = np.full(len(geoms), None, dtype=object)
    there = ~shapely.is_missing(geoms)
    if there.any():
        found[there] = index.codes(geoms[there])
    return pa.array(found, pa.string())


def _with_errors(before: pa.Array, errors: Errors) -> pa.Array:
    """Return the errors of each row: those of earlier steps, then the new ones."""
    if not errors:
        return before.cast(pa.list_(ERROR))
    rows = before.to_pylist()
    for row, found in errors.items():
        rows[row] = [*(rows[row] or []), *found]
    return pa.array(rows, pa.list_(ERROR))


def _lists(rows: list[list[Any]] | None, size: int, item: pa.DataType) -> pa.Array:
    if rows is None or not any(rows):
        return pa.ListArray.from_arrays(pa.array(np.zeros(size + 1, np.int32)), pa.array([], item))
    return pa.array(rows, pa.list_(item))


def repeated(frame: DataFrame, *, newest_wins: bool) -> DataFrame:
    """Return the good rows whose key another good row has too, but for the winner: `file_name, row_number, is_equal`.

    Of rows with one `source_key` the one with the largest `order_by` wins, then the first by file and row. `is_equal` tells that a row is a
    duplicate: its content is that of the winner, or `newest_wins`; other rows contradict the winner (SY-Q006). Keys are counted by their
    64-bit hashes first, so that only rows with a common hash, in most deliveries none, are sorted. Reads the frame twice (persist it).
    """
    keyed = frame.where("source_key is not null and size(errors) = 0").select(
        F.xxhash64("source_key").alias("key_hash"), "source_key", "order_by", "file_name", "row_number", "row_hash"
    )
    several = keyed.groupBy("key_hash").count().where("count > 1").select("key_hash")
    newest = [F.col("order_by").desc_nulls_last()] if newest_wins else []
    order = Window.partitionBy("source_key").orderBy(*newest, "file_name", "row_number")
    ranked = keyed.join(several, "key_hash", "left_semi").select(
        "file_name",
        "row_number",
        F.row_number().over(order).alias("rank"),
        (F.lit(True) if newest_wins else F.col("row_hash") == F.first("row_hash").over(order)).alias("is_equal"),
    )
    return ranked.where("rank > 1").drop("rank")


def marked(frame: DataFrame, marks: pa.Table) -> DataFrame:
    """Add `is_duplicate` to the rows, and the error SY-Q006 to those that contradict another of their key; `marks` are of `repeated`."""
    if not marks.num_rows:
        return frame.withColumn("is_duplicate", F.lit(False))
    noted = frame.sparkSession.createDataFrame(marks)
    noted = F.broadcast(noted) if marks.num_rows <= BROADCAST_ROWS else noted
    conflict = F.expr(f"array({error_sql('source_key', 'unique', 'SY-Q006', 'source_key')})")
    return (
        frame.join(noted, ["file_name", "row_number"], "left")
        .withColumn("errors", F.when(~F.col("is_equal"), F.concat("errors", conflict)).otherwise(F.col("errors")))
        .withColumn("is_duplicate", F.coalesce("is_equal", F.lit(False)))
        .drop("is_equal")
    )
