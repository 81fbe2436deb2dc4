"""Density clusters in space and time: ST-DBSCAN (Birant, Kut 2007) with two reaches, in space and in time."""

from __future__ import annotations

from typing import Any

from transforms.mining.clusters.dbscan import RESULT, clustered
from transforms.mining.clusters.dbscan_update import updated_clusters
from transforms.mining.ground.row_time import reach
from transforms.mining.shelf.tool import tool


@tool("ST-DBSCAN", "时空密度聚类", result=RESULT, columns=("time",), update=updated_clusters)
def st_dbscan(
    frame: Any,
    time: str,
    *,
    eps_m: float,
    eps_time: float,
    min_points: int = 5,
    id_column: str | None = None,
    tile_m: float | None = None,
) -> Any:
    """Return the frame with `cluster_id` and `cluster_role` as `dbscan`; neighbours are ≤ `eps_m` and ≤ `eps_time` apart.

    `eps_time` is in seconds where `time` is an instant or a date, else in the unit of the column. The paper's third reach, on an
    attribute's mean, is left out: it depends on the order of the visit. Errors as `dbscan`, SY-N031 where a row has no time.
    """
    reach("st_dbscan", "eps_m", eps_m, above=True)
    reach("st_dbscan", "eps_time", eps_time)
    reach("st_dbscan", "min_points", min_points, least=1)
    return clustered(frame, eps_m, min_points, time, eps_time, id_column, tile_m)
