"""Raw rows to stamped rows: mapping, space, time, attribute and identity, one expression after the other, no action."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import StructType

from schemas.model import Contract, DType
from schemas.rejection import error_sql
from schemas.stamp import STAMP, table_fields
from transforms.conform.mapping import Mapping
from transforms.entity.identity import entity_id_sql, stamp_id_sql
from transforms.stamp.space import GIVEN, TAKEN, SpacePlan, stamp_space
from transforms.stamp.versions import Instants

# What accompanies a stamped row until it is in core or in quarantine.
BESIDE = ("file_name", "row_number", "feature_id", "order_by", "errors", "geometry_notes")
TIME_CODES = {"year": "yyyy", "month": "yyyyMM", "day": "yyyyMMdd", "second": "yyyyMMddHHmmss"}
BEIJING = "+08:00"
BROADCAST_ROWS = 1_000_000


@dataclass(frozen=True)
class Delivered:
    """What a batch says about all its rows."""

    batch_id: str
    instants: Instants
    time_zone: str = BEIJING
    unreadable: bool = True  # rows that the reader could not read are accounted for by the first target of a source


def stamped(raw: DataFrame, mapping: Mapping, space: SpacePlan, batch: Delivered) -> DataFrame:
    """Return the table's fields in order, and `BESIDE`; rows with `errors` are there too, to be screened.

    `raw` has the columns of a raw table; the geometry may be in any system that `space` can conform.
    """
    mapped = _mapped(raw, mapping, batch)
    placed = _placed(mapped, space)
    return _identified(_timed(placed, mapping.contract, batch), mapping.contract, batch)


def selected(raw: DataFrame, mapping: Mapping, batch: Delivered) -> DataFrame:
    """Return the raw rows that the target's `where` takes, with the referenced fields beside them."""
    fields = raw.selectExpr(*mapping.fields)
    if mapping.where is None:
        return fields if batch.unreadable else fields.where("error_code is null")
    return fields.where(f"(error_code is null and ({mapping.where})){' or error_code is not null' if batch.unreadable else ''}")


def _mapped(raw: DataFrame, mapping: Mapping, batch: Delivered) -> DataFrame:
    return selected(raw, mapping, batch).selectExpr(*mapping.values).selectExpr(*mapping.typed)


def _placed(mapped: DataFrame, space: SpacePlan) -> DataFrame:
    def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        return stamp_space(batches, space)

    needed = mapped.drop("attributes", "error_code", "error_params")
    kept = StructType([f for f in needed.schema.fields if f.name not in TAKEN])
    ddl = ", ".join([*(f"`{f.name}` {f.dataType.simpleString()}" for f in kept.fields), *(f"{name} {sql}" for name, _, sql in GIVEN)])
    return needed.mapInArrow(run, ddl)


def _timed(frame: DataFrame, contract: Contract, batch: Delivered) -> DataFrame:
    def instant(column: str | None) -> str:
        if column is None:
            return "cast(null as timestamp)"
        if contract.column(column).dtype is DType.DATE:
            return f"to_utc_timestamp(cast({column} as timestamp), '{batch.time_zone}')"
        if contract.column(column).dtype is DType.INTEGER:  # a year
            return f"to_utc_timestamp(make_timestamp({column}, 1, 1, 0, 0, 0), '{BEIJING}')"
        return f"cast({column} as timestamp)"

    time = contract.time
    return (
        frame.withColumn("valid_from_at", F.coalesce(F.expr(instant(time.valid_from)), batch.instants.edition))
        .withColumn("valid_to_at", F.expr(instant(time.valid_to)))
        .withColumn("observed_at", F.expr(instant(time.observed)))
        .withColumn("recorded_at", batch.instants.recorded)
        .withColumn("closed_at", F.when(F.col("valid_to_at").isNotNull(), batch.instants.recorded))
        .withColumn("superseded_at", F.lit(None).cast("timestamp"))
        .withColumn("time_code", F.expr(f"date_format(from_utc_timestamp(valid_from_at, '{BEIJING}'), '{TIME_CODES[time.code]}')"))
    )


def _identified(frame: DataFrame, contract: Contract, batch: Delivered) -> DataFrame:
    own = {c.name for c in contract.columns}
    attribute = contract.attribute

    def code(column: str | None, stamp_name: str) -> str:
        return f"cast({column} as string)" if column else stamp_name if stamp_name in own else "cast(null as string)"

    division = {"within": "division_within", "own": "division_code", "none": "cast(null as string)"}[contract.space.division]
    if contract.space.division == "within" and "division_code" in own:
        division = "coalesce(division_code, division_within)"
    filled = {
        "division_code": division,
        "theme_code": f"'{attribute.theme_code}'",
        "industry_code": code(attribute.industry_code, "industry_code"),
        "class_code": code(attribute.class_code, "class_code"),
        "security_label": f"'{contract.security_label.value}'",
        "batch_id": f"'{batch.batch_id}'",
        "row_hash": row_hash_sql(contract),
    }
    for name, expression in filled.items():
        frame = frame.withColumn(name, F.expr(expression))
    frame = frame.withColumn("entity_id", F.expr(entity_id_sql(contract)))
    frame = frame.withColumn("stamp_id", F.expr(stamp_id_sql()))
    frame = frame.withColumn("errors", F.concat("errors", "geometry_errors"))
    return frame.select(*(F.col(f.name).cast(f.dtype.value) for f in table_fields(contract)), *BESIDE)


def row_hash_sql(contract: Contract) -> str:
    """Return the SQL of a row's content digest: the contract's own columns and the geometry, in table order, nulls told from blanks."""
    stamp = {f.name for f in STAMP} - {"division_code", "class_code", "industry_code"}
    texts = [
        f"coalesce({f'to_json({c.name})' if c.dtype in (DType.STRINGS, DType.TAGS) else f'cast({c.name} as string)'}, '\\u0000')"
        for c in contract.columns
        if c.name not in stamp
    ]
    geometry = ", coalesce(geom, x'')" if contract.geometry else ""
    return f"md5(concat(cast(concat_ws('\\u001f', {', '.join(texts) or repr('')}) as binary){geometry}))"


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
