"""Grid codes, coordinates and Hilbert keys as Spark columns: Arrow batches through the NumPy functions, never row by row.

A row that cannot be coded is null, as a failed row must not end a job; the row checks of the contract name it. Systems and operations are
checked on the driver, when the column is made. Spark is imported when a column is made, not before.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from transforms.space import beidou, coords, hilbert

if TYPE_CHECKING:
    import pandas as pd
    from pyspark.sql import Column


def beidou_code(lon: Column | str, lat: Column | str, level: Column | str | int, height: Column | str | None = None) -> Column:
    """Return the BeiDou grid codes as a string column; `level` is a number or a column, degrees and metres as in `beidou.encode`."""
    import pandas as pd
    from pyspark.sql import functions as sql

    def coded(parts: Iterator[tuple[pd.Series, ...]]) -> Iterator[pd.Series]:
        for part in parts:
            codes = beidou.encode_arrow(*(_floats(series) for series in part), errors="null")
            yield pd.Series(codes.to_pandas(), dtype=object)

    if isinstance(level, int):
        beidou.cell_size(level)
        level = sql.lit(level)
    columns = (lon, lat, level) if height is None else (lon, lat, level, height)
    udf: Any = sql.pandas_udf(coded, "string", sql.PandasUDFType.SCALAR_ITER)  # type: ignore[call-overload]
    return udf(*columns)  # type: ignore[no-any-return]


def transform_point(
    x: Column | str,
    y: Column | str,
    source: str | int,
    target: str | int,
    *,
    operation: coords.Operation = None,
    max_shift_error_m: float = 5.0,
) -> Column:
    """Return struct<x: double, y: double> in the target system, null where there is no answer; errors of the systems raise at once."""
    import pandas as pd
    from pyspark.sql import functions as sql

    coords.transform(0.0, 0.0, source, target, operation=operation, max_shift_error_m=max_shift_error_m)

    def moved(parts: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.DataFrame]:
        for part in parts:
            given = (_floats(series) for series in part)
            new_x, new_y = coords.transform(*given, source, target, operation=operation, max_shift_error_m=max_shift_error_m)
            yield pd.DataFrame({"x": new_x, "y": new_y})

    udf: Any = sql.pandas_udf(moved, "x double, y double", sql.PandasUDFType.SCALAR_ITER)  # type: ignore[call-overload]
    return udf(x, y)  # type: ignore[no-any-return]


def hilbert_key(lon: Column | str, lat: Column | str, order: int = 26) -> Column:
    """Return the Hilbert keys as a bigint column; -1 where there is no place."""
    import pandas as pd
    from pyspark.sql import functions as sql

    def keyed(parts: Iterator[tuple[pd.Series, pd.Series]]) -> Iterator[pd.Series]:
        for x, y in parts:
            yield pd.Series(hilbert.hilbert_key(_floats(x), _floats(y), order))

    udf: Any = sql.pandas_udf(keyed, "bigint", sql.PandasUDFType.SCALAR_ITER)  # type: ignore[call-overload]
    return udf(lon, lat)  # type: ignore[no-any-return]


def _floats(series: pd.Series) -> Any:
    return series.to_numpy(dtype=np.float64, na_value=np.nan)
