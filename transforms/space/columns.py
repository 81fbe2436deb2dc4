"""Grid codes, coordinates and Hilbert keys as Spark columns: Arrow batches through the NumPy functions, never row by row.

A row that cannot be coded is null, as a failed row must not end a job; the row checks of the contract name it. Systems and operations are
checked on the driver, when the column is made. Spark and pandas are imported when a column is made, not before.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from transforms.space import beidou, coords, hilbert

if TYPE_CHECKING:
    from pyspark.sql import Column


def beidou_code(lon: Column | str, lat: Column | str, level: Column | str | int, height: Column | str | None = None) -> Column:
    """Return the BeiDou grid codes as a string column; `level` is a number or a column, degrees and metres as in `beidou.encode`."""
    import pandas as pd
    from pyspark.sql import functions as sql

    def coded(parts: Any) -> Any:
        for part in parts:
            yield pd.Series(beidou.encode_arrow(*(_floats(series) for series in part), errors="null").to_pandas(), dtype=object)

    if isinstance(level, int):
        beidou.cell_size(level)
        level = sql.lit(level)
    columns = (lon, lat, level) if height is None else (lon, lat, level, height)
    return _batched(coded, "string", columns)


def transform_point(
    x: Column | str,
    y: Column | str,
    source: str | int,
    target: str | int,
    *,
    operation: coords.Operation = None,
    max_shift_error_m: float = 5.0,
) -> Column:
    """Return struct<x: double, y: double> in the target system, null members where there is no answer; wrong systems raise at once."""
    import pandas as pd

    def moved(parts: Any) -> Any:
        for first, second in parts:
            new_x, new_y = coords.transform(
                _floats(first), _floats(second), source, target, operation=operation, max_shift_error_m=max_shift_error_m
            )
            yield pd.DataFrame({"x": new_x, "y": new_y})

    coords.transform(0.0, 0.0, source, target, operation=operation, max_shift_error_m=max_shift_error_m)
    return _batched(moved, "x double, y double", (x, y))


def hilbert_key(lon: Column | str, lat: Column | str, order: int = 26) -> Column:
    """Return the Hilbert keys as a bigint column; -1 where there is no place."""
    import pandas as pd

    def keyed(parts: Any) -> Any:
        for x, y in parts:
            yield pd.Series(hilbert.hilbert_key(_floats(x), _floats(y), order))

    return _batched(keyed, "bigint", (lon, lat))


def _batched(function: Callable[[Any], Any], returns: str, columns: tuple[Column | str, ...]) -> Column:
    """Return the column of an iterator of batches; Spark reads the kind of function from real annotations, so they are set here."""
    import pandas as pd
    from pyspark.sql.pandas.functions import pandas_udf

    many = returns.count(" ") > 0
    function.__annotations__ = {
        "parts": Iterator[tuple[pd.Series, ...]],
        "return": Iterator[pd.DataFrame] if many else Iterator[pd.Series],
    }
    column: Column = pandas_udf(function, returns)(*columns)  # type: ignore[call-overload]
    return column


def _floats(series: Any) -> Any:
    return series.to_numpy(dtype=np.float64, na_value=np.nan)
