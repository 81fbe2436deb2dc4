"""Density clusters: DBSCAN in the plane (Ester, Kriegel, Sander, Xu 1996).

A row with at least `min_points` rows within `eps_m` of it, itself included, is core; core rows within `eps_m` of each other are in one
cluster. A row that is not core but within `eps_m` of a core row is of its nearest core row's cluster (ties: the smaller id); all others
are noise. A cluster bears the smallest id of its core rows. Nothing of it depends on the order of the rows or on partitions, where
published DBSCAN leaves border rows to the order of the visit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from transforms.mining.clusters.dbscan_kernel import ROLES, cluster
from transforms.mining.clusters.dbscan_update import KeptSystem, updated_clusters
from transforms.mining.ground.metres import metric_crs_of, points, with_metres
from transforms.mining.ground.row_time import reach, spark_times, times
from transforms.mining.ground.tiles import tile_side
from transforms.mining.shelf.frames import (
    INDEX,
    OWNED,
    POSITION,
    TILE,
    Way,
    attached,
    dense_index,
    frame_kind,
    id_column_of,
    in_process,
    note,
    per_tile,
    require_columns,
    tiled,
)
from transforms.mining.shelf.tool import tool

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

RESULT = "mart.mining__cluster"


@tool("DBSCAN", "密度聚类", result=RESULT, columns=(), update=updated_clusters)
def dbscan(frame: Any, *, eps_m: float, min_points: int = 5, id_column: str | None = None, tile_m: float | None = None) -> Any:
    """Return the frame with `cluster_id` (text, null for noise) and `cluster_role` (core, border, noise) of each row.

    `tile_m` is the side of a tile of the distributed way, by default such that a tile holds some 200,000 rows; the result does not depend
    on it. SY-N030 for an `eps_m` that is not > 0 or a `min_points` below 1; places as in `transforms.mining.ground.metres`.
    """
    reach("dbscan", "eps_m", eps_m, above=True)
    reach("dbscan", "min_points", min_points, least=1)
    return clustered(frame, eps_m, min_points, None, 0.0, id_column, tile_m)


def clustered(
    frame: Any, eps_m: float, min_points: int, time: str | None, eps_time: float, id_column: str | None, tile_m: float | None
) -> Any:
    """Return the frame with its clusters in space, and in time too where a column is named; in this process or by tiles."""
    if time is not None:
        require_columns(frame, [time])
    if frame_kind(frame) != "spark" or (tile_m is None and in_process(frame)):
        crs = metric_crs_of(frame) if frame_kind(frame) == "pandas" else None
        table = points(frame, [] if time is None else [time], id_column, crs=crs, position=True)
        t, factor = (None, 1.0) if time is None else times(table, time)
        x, y = (table.column(c).to_numpy() for c in ("x_m", "y_m"))
        is_core, label = cluster(x, y, np.arange(len(x)), eps_m, min_points, t, eps_time * factor)
        found = _named(table.column("id").combine_chunks(), is_core, label)
        if POSITION in table.column_names:
            found = found.append_column(POSITION, table.column(POSITION))
        note(kept=None if crs is None else KeptSystem(crs))
        note(way=Way.IN_PROCESS, row_count=len(x), cluster_count=len(np.unique(label[label >= 0])), noise_count=int((label < 0).sum()))
        return attached(frame, found, id_column)
    return _distributed(frame, eps_m, min_points, time, eps_time, id_column, tile_m)


def _named(ids: pa.Array, is_core: Any, label: Any) -> pa.Table:
    """Return ids with the columns of the result: positions become ids as text."""
    text = ids.cast(pa.string())
    named = text.take(pa.array(label, mask=label < 0))
    roles = pa.array(ROLES).take(pa.array(np.where(label < 0, 0, np.where(is_core, 2, 1))))
    return pa.table([ids, named, roles], names=["id", "cluster_id", "cluster_role"])


def _distributed(
    frame: DataFrame, eps_m: float, min_points: int, time: str | None, eps_time: float, id_column: str | None, tile_m: float | None
) -> DataFrame:
    """Cluster each tile with a halo of two reaches, then merge the clusters that share core rows by a union-find over those alone."""
    from pyspark.sql import functions as F

    note(way=Way.DISTRIBUTED)
    key = id_column_of(frame, id_column)
    assert key is not None
    placed = with_metres(frame, id_column=key)
    factor = 1.0
    if time is not None:
        placed, factor = spark_times(placed, time)
    rows = dense_index(placed.select(f"`{key}`", "x_m", "y_m", *([] if time is None else ["t"])), key)
    size = tile_side(rows, 2 * eps_m) if tile_m is None else max(tile_m, 2 * eps_m)
    reach_t = eps_time * factor

    def kernel(table: pa.Table) -> pa.Table:
        return _tile(table, size, eps_m, min_points, time is not None, reach_t)

    schema = "index long, label long, is_core boolean, is_shared boolean"
    parts = per_tile(tiled(rows, size, 2 * eps_m), kernel, schema).localCheckpoint(eager=True)
    owned = parts.where(~F.col("is_shared")).drop("is_shared")
    roots = merged(parts.where("is_shared"))
    if roots is not None:
        owned = owned.join(F.broadcast(frame.sparkSession.createDataFrame(roots)), "label", "left")
        owned = owned.withColumn("label", F.coalesce("root", "label")).drop("root")
    names = rows.select(F.col(INDEX).alias("label"), F.col(f"`{key}`").cast("string").alias("cluster_id"))
    found = owned.join(names, "label", "left").join(rows.select(INDEX, F.col(f"`{key}`").alias("__id")), INDEX)
    role = F.when(F.col("label") < 0, ROLES[0]).when(F.col("is_core"), ROLES[2]).otherwise(ROLES[1])
    right = found.select("__id", "cluster_id", role.alias("cluster_role"))
    kept = frame.select(*(f"`{c}`" for c in frame.columns if c not in ("cluster_id", "cluster_role")))
    return kept.join(right, kept[f"`{key}`"] == right["__id"], "left").drop("__id")


def _tile(table: pa.Table, size: float, eps_m: float, min_points: int, timed: bool, reach_t: float) -> pa.Table:
    """Return the owned rows with their tile's labels, and (`is_shared`) the core rows that other tiles see too."""
    x, y, rank = (table.column(c).to_numpy() for c in ("x_m", "y_m", INDEX))
    owned = table.column(OWNED).to_numpy(zero_copy_only=False)
    is_core, label = cluster(x, y, rank, eps_m, min_points, table.column("t").to_numpy() if timed else None, reach_t)
    tile_x, tile_y = (table.column(c)[0].as_py() for c in TILE)
    halo = 2 * eps_m
    near = halo * (1 + 1e-6) + 1e-6
    inner = (x > tile_x * size + near) & (x < (tile_x + 1) * size - near) & (y > tile_y * size + near) & (y < (tile_y + 1) * size - near)
    shared = is_core & ~(owned & inner)
    where = np.concatenate([np.flatnonzero(owned), np.flatnonzero(shared)])
    flag = np.arange(len(where)) >= int(owned.sum())
    return pa.table([rank[where], label[where], is_core[where], flag], names=["index", "label", "is_core", "is_shared"])


def merged(shared: DataFrame) -> pa.Table | None:
    """Return `label`, `root` for labels of clusters that are one over several tiles; None where there are none.

    Only pairs of different labels come to the driver, each once.
    """
    from pyspark.sql import functions as F

    groups = shared.groupBy("index").agg(F.min("label").alias("a"), F.collect_set("label").alias("labels")).where(F.size("labels") > 1)
    pairs = groups.select("a", F.explode("labels").alias("b")).where("a <> b").distinct().toArrow()
    if pairs.num_rows == 0:
        return None
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.stack([pairs.column("a").to_numpy(), pairs.column("b").to_numpy()])
    labels, place = np.unique(ends, return_inverse=True)
    place = place.reshape(2, -1)
    graph = coo_array((np.ones(place.shape[1], np.int8), (place[0], place[1])), shape=(len(labels), len(labels)))
    _, part = connected_components(graph, directed=False)
    root = np.full(part.max() + 1, np.iinfo(np.int64).max)
    np.minimum.at(root, part, labels)
    note(merged_count=len(labels))
    return pa.table([labels, root[part]], names=["label", "root"])
