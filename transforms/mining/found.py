"""What of a result is worth knowing: its rows that bear a pattern, a category or a cluster, in one form for all tools."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

NAMED_BY = ("pattern", "category_name", "cluster_id")
NOTHING = ("Not significant", "Island", "No Pattern Detected")
STRENGTH = ("z_score", "last_gi_z", "trend_z", "statistic")


def found_rows(rows: Any) -> Any:
    """Return the rows (Arrow or Spark) that found something, with `pattern_name`, `strength`, `q_value`; None where rows bear no names."""
    names = list(rows.column_names if isinstance(rows, pa.Table) else rows.columns)
    by = next((name for name in NAMED_BY if name in names), None)
    if by is None:
        return None
    score = next((name for name in STRENGTH if name in names), None)
    kept = [n for n in names if n not in (*NAMED_BY, "pattern_name", "strength", "q_value")]
    if isinstance(rows, pa.Table):
        column = rows.column(by).cast(pa.string())
        is_found = pc.and_(column.is_valid(), pc.invert(pc.is_in(column, value_set=pa.array(NOTHING))))
        label = pc.binary_join_element_wise(pa.scalar("Cluster"), column, " ") if by == "cluster_id" else column
        out = rows.select(kept).append_column("pattern_name", label)
        out = out.append_column("strength", rows.column(score).cast(pa.float64()) if score else pa.nulls(len(rows), pa.float64()))
        out = out.append_column("q_value", rows.column("q_value") if "q_value" in names else pa.nulls(len(rows), pa.float64()))
        return out.filter(is_found)
    from pyspark.sql import functions as F

    label = F.concat_ws(" ", F.lit("Cluster"), by) if by == "cluster_id" else F.col(by)
    return rows.where(F.col(by).isNotNull() & ~F.col(by).isin(*NOTHING)).select(
        *(f"`{n}`" for n in kept),
        label.alias("pattern_name"),
        (F.col(score) if score else F.lit(None)).cast("double").alias("strength"),
        (F.col("q_value") if "q_value" in names else F.lit(None)).cast("double").alias("q_value"),
    )
