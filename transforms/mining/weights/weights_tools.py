"""Weights as edge tables: `id`, `neighbour_id`, `weight`, `distance_m`, a frame of the kind that was given; ordered by id and neighbour."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pyarrow as pa

from schemas.messages import SanyuError
from transforms.mining.ground.metres import XY, with_metres
from transforms.mining.shelf.frames import INDEX, Way, dense_index, id_column_of, in_process, like, note
from transforms.mining.weights.weights import Contiguity, DistanceBand, Kernel, KernelName, Knn, Rule, build


def knn(frame: Any, k: int = 8, *, id_column: str | None = None) -> Any:
    """Return the edges to the k nearest others, ties to the earlier id; SY-N013 where there are not more than k rows."""
    return _edges(frame, Knn(k), id_column)


def distance_band(frame: Any, radius_m: float, *, decay: float = 0.0, id_column: str | None = None) -> Any:
    """Return the edges to all others within the radius, the border included; weight 1 or distance to the power of -`decay`."""
    return _edges(frame, DistanceBand(radius_m, decay), id_column)


def kernel(
    frame: Any, bandwidth_m: float | None = None, *, shape: KernelName = "triangular", k: int | None = None, id_column: str | None = None
) -> Any:
    """Return the edges to all others within the bandwidth (or the k-th neighbour's distance), weighted by a kernel."""
    return _edges(frame, Kernel(bandwidth_m, shape, k), id_column)


def contiguity(frame: Any, kind: Literal["queen", "rook"] = "queen", *, snap_m: float = 0.0, id_column: str | None = None) -> Any:
    """Return the edges between polygons that share a corner (queen) or an edge (rook); a Spark frame's polygons are collected."""
    return _edges(frame, Contiguity(kind, snap_m), id_column)


class _TileEdges:
    """The edges of a tile's own rows; an object, because it travels to the workers."""

    def __call__(self, table: pa.Table, owned: Any, starts: Any, positions: Any, distance: Any, weights: Any) -> dict[str, Any]:
        focal = np.repeat(owned, np.diff(starts))
        ids = table.column("__id")
        return {
            INDEX: table.column(INDEX).to_numpy()[focal],
            "id": ids.take(pa.array(focal)),
            "neighbour_id": ids.take(pa.array(positions)),
            "weight": weights,
            "distance_m": distance,
        }


def _edges(frame: Any, rule: Rule, id_column: str | None) -> Any:
    if in_process(frame) or isinstance(rule, Contiguity):
        note(way=Way.IN_PROCESS)
        return like(frame, build(rule, frame, id_column).edges())
    return tiled_edges(frame, rule, id_column)


def tiled_edges(frame: Any, rule: Rule, id_column: str | None = None) -> Any:
    """Return the edges of a Spark frame, found by its workers tile by tile; in no particular order."""
    from pyspark.sql import functions as F

    from transforms.mining.weights.tiles import tile_rows

    key = id_column_of(frame, id_column)
    assert key is not None
    places = [c for c in ("geom", "lon", "lat", *XY) if c in frame.columns]
    indexed = dense_index(with_metres(frame.select(f"`{key}`", *places), id_column=key), key)
    indexed = indexed.select(F.col(f"`{key}`").alias("__id"), INDEX, *XY)
    rows = indexed.count()
    if isinstance(rule, Knn | Kernel) and rule.k is not None and rule.k >= rows:
        raise SanyuError("SY-N013", k=rule.k, count=rows)
    id_type = indexed.schema["__id"].dataType.simpleString()
    schema = f"{INDEX} long, id {id_type}, neighbour_id {id_type}, weight double, distance_m double"
    return tile_rows(indexed, rule, _TileEdges(), schema, rows).drop(INDEX)
