"""The stamp of mined rows: those about a row of the input keep its place and time, those found are given theirs from their geometry."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import shapely

from quality.spark import TYPES
from schemas.fields import fields_of
from schemas.model import Contract
from transforms.entity.identity import entity_id_sql, stamp_id_sql
from transforms.space import beidou, hilbert
from transforms.stamp.stamp import row_hash_sql

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sanyu.lake.write import Write

_SPACE = "cell long, bbox struct<xmin:double,ymin:double,xmax:double,ymax:double>, grid_code string, grid_level int"


def spark_frame(spark: SparkSession, rows: pa.Table) -> DataFrame:
    """Return an Arrow table as a Spark frame; PySpark 4.0 can't take a table without rows whose columns have no chunk."""
    return spark.createDataFrame(rows if rows.num_rows else rows.schema.empty_table())


def stamped(rows: DataFrame, contract: Contract, write: Write, recorded_at: str, facts: Mapping[str, str], key: str | None) -> DataFrame:
    """Return the rows with all fields of the contract's table.

    `facts` fill columns of the contract that the tool does not give. `key` names the column that identifies a row within the analysis;
    without it that is the contract's own key, else a digest of the row.
    """
    from pyspark.sql import functions as F

    given = set(rows.columns)
    frame = rows
    for column in contract.columns:
        if column.name not in given:
            frame = frame.withColumn(column.name, F.lit(facts.get(column.name)).cast(TYPES[column.dtype]))
    if contract.geometry and "geom" not in given:
        frame = frame.withColumn("geom", F.lit(None).cast("binary"))
    if "cell" not in given and contract.geometry:
        frame = _placed(frame)
    own = [c for c in contract.key if c not in ("source_name", "source_key")]
    source_key = F.col(key) if key else F.concat_ws("|", *(F.col(c).cast("string") for c in own)) if own else _row_key(contract)
    instant = F.lit(recorded_at).cast("timestamp")
    filled: dict[str, Any] = {
        "source_name": F.lit(write.source_name),
        "source_key": source_key,
        "theme_code": F.lit(contract.attribute.theme_code),
        "security_label": F.lit(contract.security_label.value),
        "batch_id": F.lit(write.batch_id),
        "recorded_at": instant,
        "closed_at": F.lit(None),
        "superseded_at": F.lit(None),
    }
    for name, value in filled.items():
        frame = frame.withColumn(name, value)
    present = set(frame.columns)
    for field in fields_of(contract):
        if field.name not in present and field.name not in ("entity_id", "stamp_id", "row_hash"):
            frame = frame.withColumn(field.name, F.lit(None).cast(TYPES[field.dtype]))
    frame = frame.withColumn("valid_from_at", F.coalesce("valid_from_at", instant))
    frame = frame.withColumn("time_code", F.date_format(F.from_utc_timestamp("valid_from_at", "+08:00"), "yyyyMMdd"))
    frame = frame.withColumn("row_hash", F.expr(row_hash_sql(contract)))
    frame = frame.withColumn("entity_id", F.col("entity_id") if "entity_id" in present else F.expr(entity_id_sql(contract)))
    frame = frame.withColumn("stamp_id", F.expr(stamp_id_sql()))
    return frame.select(*(F.col(f.name).cast(TYPES[f.dtype]) for f in fields_of(contract)))


def _row_key(contract: Contract) -> Any:
    """Return the key of rows that nothing else identifies: a digest of their content."""
    from pyspark.sql import functions as F

    return F.expr(row_hash_sql(contract))


def _placed(frame: DataFrame) -> DataFrame:
    """Add `cell`, `bbox`, `grid_code`, `grid_level` from `geom` (WKB, EPSG:4490)."""
    kept = frame.drop("bbox", "grid_code", "grid_level")

    def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            for name, column in _space(batch.column("geom")).items():
                batch = batch.append_column(name, column)  # noqa: PLW2901 - a batch grows column by column
            yield batch

    ddl = ", ".join(f"`{f.name}` {f.dataType.simpleString()}" for f in kept.schema.fields)
    return kept.mapInArrow(run, f"{ddl}, {_SPACE}")


def _space(geom: pa.Array) -> dict[str, pa.Array]:
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
