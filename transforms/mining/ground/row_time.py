"""The time of a row as a number, and reaches in time in its unit: seconds for instants and dates, the column's own unit for numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from schemas.messages import SanyuError
from transforms.mining.shelf.frames import floats

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

MICROSECONDS = 1_000_000.0


def times(table: pa.Table, column: str) -> tuple[Any, float]:
    """Return the column as float64 and what a reach is multiplied by: instants and dates are whole microseconds, a reach is in seconds.

    SY-N031 where a row has no time, SY-N008 and SY-N009 for a column that is neither a time nor numbers.
    """
    values = table.column(column)
    if not pa.types.is_temporal(values.type):
        return floats(table, column), 1.0
    if values.null_count:
        row = int(np.argmax(np.asarray(values.is_null())))
        raise SanyuError("SY-N031", column=column, id=table.column("id")[row].as_py(), count=values.null_count)
    stamps = values.cast(pa.timestamp("us", tz=getattr(values.type, "tz", None)))
    return stamps.cast(pa.int64()).to_numpy().astype(np.float64), MICROSECONDS


def spark_times(df: DataFrame, column: str, name: str = "t") -> tuple[DataFrame, float]:
    """Return a Spark frame with `name` (double) as `times` would give it, and the factor of a reach; SY-N031 where a row has none."""
    from pyspark.sql import functions as F
    from pyspark.sql import types as T

    kind = df.schema[column].dataType
    given = F.col(f"`{column}`")
    if isinstance(kind, (T.TimestampType, T.TimestampNTZType, T.DateType)):
        value, factor = F.unix_micros(given.cast("timestamp")).cast("double"), MICROSECONDS
    elif isinstance(kind, (T.NumericType, T.BooleanType)):
        value, factor = given.cast("double"), 1.0
    else:
        raise SanyuError("SY-N008", column=column, kind=kind.simpleString())
    out = df.withColumn(name, value)
    lost = out.where(F.col(name).isNull() | F.isnan(name)).count()
    if lost:
        raise SanyuError("SY-N031", column=column, id="?", count=lost)
    return out, factor


def reach(tool: str, name: str, value: float, *, least: float = 0.0, above: bool = False) -> float:
    """Return a reach that is finite and at least (or, with `above`, more than) `least`; SY-N030."""
    if not np.isfinite(value) or value < least or (above and value == least):
        raise SanyuError("SY-N030", tool=tool, name=name, value=value, least=f"> {least:g}" if above else f"≥ {least:g}")
    return float(value)
