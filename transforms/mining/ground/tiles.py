"""Square tiles over the rows of a Spark frame, so that each worker has a part that it can hold."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TILE_ROWS = 200_000


def tile_side(rows: DataFrame, least: float, share: int = TILE_ROWS) -> float:
    """Return the side of square tiles (m) that hold about `share` rows each, were they spread evenly, and at least `least`."""
    from pyspark.sql import functions as F

    ends = rows.agg(F.count("*"), F.max("x_m") - F.min("x_m"), F.max("y_m") - F.min("y_m")).head()
    if ends is None or not ends[0]:
        return max(least, 1.0)
    return float(max(least, (max(ends[1], least) * max(ends[2], least) * share / ends[0]) ** 0.5))
