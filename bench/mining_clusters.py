"""Rows of the cluster half: DBSCAN against scikit-learn and Sedona, Knox, Jacquez, Mantel and K against pointpats; arrays or frames in.

Sedona's own DBSCAN needs GraphFrames, of which no jar for Spark 4 was found (bench/README.md says what was asked for); its first step, the
join of each point with those within reach, is what is timed, and is less than the whole.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import DBSCAN

from bench.mining_common import Cost, line, once, require, timed
from transforms.mining.clusters.dbscan_kernel import cluster
from transforms.mining.interaction.knox import knox
from transforms.mining.interaction.mantel import jacquez, mantel
from transforms.mining.interaction.ripley import ripley

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pointpats

EPS_M, LEAST = 20.0, 8
ST_EPS_M, ST_LEAST, ST_DAYS = 20.0, 4, 30.0


@functools.cache
def knots(count: int) -> tuple[Any, Any, Any]:
    """Return x, y (m) and days: knots of about 60 m, and a fifth scattered, over 20 km at 1 M."""
    rng = np.random.default_rng(0)
    side = 20_000 * (count / 1e6) ** 0.5
    centres = rng.uniform(0, side, (2, max(1, count // 500)))
    xy = centres[:, rng.integers(0, centres.shape[1], count)] + rng.normal(0, 60, (2, count))
    scattered = rng.random(count) < 0.2
    xy[:, scattered] = rng.uniform(0, side, (2, int(scattered.sum())))
    return xy[0], xy[1], rng.integers(0, 365, count).astype(float)


def warm() -> None:
    """Load the compiled kernels."""
    x, y, t = knots(200)
    cluster(x, y, np.arange(200), EPS_M, LEAST)
    cluster(x, y, np.arange(200), ST_EPS_M, ST_LEAST, t, ST_DAYS)
    few = pd.DataFrame({"x_m": x, "y_m": y, "day": t})
    knox(few, "day", distance_m=9000, lag=90, permutations=2)
    jacquez(few, "day", permutations=2)
    mantel(few, "day", permutations=2)
    ripley(few, distances_m="9000", simulations=1)


def sklearn(count: int) -> tuple[Any, Cost]:
    x, y, _ = knots(count)
    return once(f"sklearn {count}", lambda: DBSCAN(eps=EPS_M, min_samples=LEAST).fit(np.c_[x, y]))


def same_clusters(is_core: Any, label: Any, peer_core: Any, peer_label: Any) -> bool:
    """Tell whether core points, noise and the partition of the core points are the peer's; labels are its own business."""
    if not np.array_equal(is_core, peer_core) or not np.array_equal(label < 0, peer_label < 0):
        return False
    both = set(zip(label[is_core].tolist(), peer_label[is_core].tolist(), strict=True))
    return len(both) == len({a for a, _ in both}) == len({b for _, b in both})


def core_of(fitted: Any) -> Any:
    """Return which points scikit-learn calls core."""
    is_core = np.zeros(len(fitted.labels_), dtype=bool)
    is_core[fitted.core_sample_indices_] = True
    return is_core


def st_peer(count: int) -> tuple[Any, Cost]:
    """Return scikit-learn's DBSCAN of space and time: its labels from the neighbours in space that are near in time, too."""
    from scipy.sparse import csr_array
    from sklearn.neighbors import radius_neighbors_graph

    x, y, t = knots(count)

    def run() -> Any:
        near = radius_neighbors_graph(np.c_[x, y], ST_EPS_M, include_self=True).tocoo()
        kept = np.abs(t[near.row] - t[near.col]) <= ST_DAYS
        graph = csr_array((np.ones(int(kept.sum())), (near.row[kept], near.col[kept])), shape=(count, count))
        return DBSCAN(eps=2.0, min_samples=ST_LEAST, metric="precomputed").fit(graph)

    return once(f"st sklearn {count}", run)


def dbscan(count: int = 1_000_000, large: int = 10_000_000) -> None:
    x, y, t = knots(count)
    (is_core, label), ours = timed(lambda: cluster(x, y, np.arange(count), EPS_M, LEAST))
    fitted, theirs = sklearn(count)
    require(same_clusters(is_core, label, core_of(fitted), fitted.labels_), "DBSCAN")
    line(f"DBSCAN, {count:,}, scikit-learn", ours, theirs, "≥ 2 ×:", "core, noise, core partition equal", least=2.0)
    (is_core, label), ours = timed(lambda: cluster(x, y, np.arange(count), ST_EPS_M, ST_LEAST, t, ST_DAYS))
    fitted, theirs = st_peer(count)
    require(same_clusters(is_core, label, core_of(fitted), fitted.labels_), "ST-DBSCAN")
    note = "core, noise, core partition equal; peer: DBSCAN on a precomputed graph"
    line(f"ST-DBSCAN, {count:,}, scikit-learn", ours, theirs, "≥ 2 ×:", note, least=2.0)
    if large:
        x, y, _ = knots(large)
        _, ours = timed(lambda: cluster(x, y, np.arange(large), EPS_M, LEAST))
        line(f"DBSCAN, {large:,}", ours, None, "finishes: met;")
        knots.cache_clear()


def sedona(count: int = 1_000_000) -> None:
    """Compare with the join that Sedona's DBSCAN begins with, counted per point; core points are equal."""
    from bench.mining_delta import lake

    spark = lake().spark
    x, y, _ = knots(count)
    frame = spark.createDataFrame(pd.DataFrame({"i": np.arange(count), "x_m": x, "y_m": y})).selectExpr("i", "ST_Point(x_m, y_m) AS geom")
    frame = frame.repartition(8).cache()
    frame.count()
    frame.createOrReplaceTempView("knots")
    counted = (
        f"SELECT a.i, count(*) AS n FROM knots a JOIN knots b ON ST_Distance(a.geom, b.geom) <= {EPS_M} GROUP BY a.i HAVING n >= {LEAST}"
    )
    found, theirs = timed(lambda: spark.sql(counted).toArrow())
    frame.unpersist()
    (is_core, _), ours = timed(lambda: cluster(x, y, np.arange(count), EPS_M, LEAST))
    same = np.array_equal(np.sort(found.column("i").to_numpy()), np.flatnonzero(is_core))
    require(same, "core points by Sedona's join")
    line(f"DBSCAN, {count:,}, first step of Sedona's", ours, theirs, "≥ 5 ×:", "core equal; without its connected components", least=5.0)


def interaction(count: int = 10_000, large: int = 1_000_000) -> None:
    rng = np.random.default_rng(1)
    # Times differ, so that who is nearest in time is not left to the order of equals.
    frame = pd.DataFrame({"x_m": rng.uniform(0, 10_000, count), "y_m": rng.uniform(0, 10_000, count), "day": rng.uniform(0, 365, count)})
    xy, days = frame[["x_m", "y_m"]].to_numpy(), frame[["day"]].to_numpy()
    found, ours = timed(lambda: knox(frame, "day", distance_m=200, lag=7, permutations=99))
    wanted, theirs = once("knox", lambda: pointpats.Knox(xy, days, 200, 7, 99))
    require(found["statistic"].iloc[0] == wanted.nst, "Knox")
    line(f"Knox, {count:,}, 99", ours, theirs, "≥ 20 ×:", "count equal", least=20.0)
    found, ours = timed(lambda: jacquez(frame, "day", permutations=49))
    wanted, theirs = once("jacquez", lambda: pointpats.jacquez(xy, days, 3, permutations=49))
    line(f"Jacquez, {count:,}, k = 3, 49", ours, theirs, "≥ 20 ×:", _jacquez(found, wanted), least=20.0)
    part = frame.iloc[: count // 4]
    found, ours = timed(lambda: mantel(part, "day", permutations=49))
    wanted, theirs = once("mantel", lambda: pointpats.mantel(xy[: len(part)], days[: len(part)], permutations=49))
    apart = abs(float(found["statistic"].iloc[0]) - wanted["stat"])
    require(apart <= 1e-9, f"Mantel, {apart:.1e}")
    line(f"Mantel, {len(part):,}, 49", ours, theirs, "≥ 20 ×:", f"apart by {apart:.0e}", least=20.0)
    steps = np.array([100.0, 200.0, 300.0, 400.0, 500.0])
    found, ours = timed(lambda: ripley(frame, distances_m=steps, simulations=0))
    wanted, theirs = once("k", lambda: pointpats.k(xy, support=steps))
    line(f"Ripley's K, {count:,}, 5 distances", ours, theirs, "≥ 20 ×:", _pairs(found, xy, steps), least=20.0)
    at_scale(large)


def at_scale(count: int) -> None:
    x, y, t = knots(count)
    frame = pd.DataFrame({"x_m": x, "y_m": y, "day": t})
    _, ours = timed(lambda: knox(frame, "day", distance_m=20, lag=7, permutations=99))
    line(f"Knox, {count:,}, 20 m, 7 days, 99", ours, None, "1 M points:")
    _, ours = timed(lambda: jacquez(frame, "day", permutations=99))
    line(f"Jacquez, {count:,}, k = 3, 99", ours, None, "1 M points:")
    _, ours = timed(lambda: ripley(frame, distances_m="20,40,60,80,100", simulations=0))
    line(f"Ripley's K, {count:,}, 5 distances to 100 m", ours, None, "1 M points:")


def _jacquez(found: Any, wanted: Any) -> str:
    require(int(found["statistic"].iloc[0]) == int(wanted["stat"]), "Jacquez")
    return "count equal"


def _pairs(found: Any, xy: Any, steps: Any) -> str:
    """Compare the pairs within each distance with a k-d tree's; pointpats' K corrects for another window."""
    from scipy.spatial import cKDTree

    tree = cKDTree(xy)
    wanted = (tree.count_neighbors(tree, steps) - len(xy)) // 2
    require(np.array_equal(found["pair_count"].to_numpy(), wanted), "pairs of K")
    return "pairs equal to scipy's"
