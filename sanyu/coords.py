"""Coordinates between reference systems: `transform` for arrays in lon/lat order, systems "EPSG:n", "GCJ-02" and "BD-09".

`transform_column` is the same as a Spark column; only that one needs Spark.
"""

from __future__ import annotations

from transforms.space.columns import transform_point as transform_column
from transforms.space.coords import Candidate, candidates, metric_crs, to_cgcs2000, transform, transform_geometries

__all__ = ["Candidate", "candidates", "metric_crs", "to_cgcs2000", "transform", "transform_column", "transform_geometries"]
