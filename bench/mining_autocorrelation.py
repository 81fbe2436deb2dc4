"""Rows of the autocorrelation half: analytic and permuted local statistics, global ones, against libpysal and esda.

From a frame of points to a frame of results; on both sides the weights are made in it.
"""

from __future__ import annotations

import functools
from typing import Any

import esda
import geopandas as gpd
import numpy as np
from libpysal.graph import Graph

from bench.mining_common import Cost, line, once, require, timed
from transforms.mining.autocorrelation.autocorrelation import geary, moran
from transforms.mining.autocorrelation.local import local_g, local_geary, local_moran

K = 8
LOCAL = {
    "Gi*": (local_g, "z_score", "Zs"),
    "LISA": (local_moran, "statistic", "Is"),
    "Geary": (local_geary, "statistic", "localG"),
}


@functools.cache
def city(rows: int) -> gpd.GeoDataFrame:
    """Return points over 30 km × 30 km, half of them crowded in 200 places, with a value that is higher in the north-east."""
    rng = np.random.default_rng(0)
    crowds = rng.uniform(0, 30_000, (200, 2))
    at = np.concatenate(
        [rng.uniform(0, 30_000, (rows - rows // 2, 2)), crowds[rng.integers(0, 200, rows // 2)] + rng.normal(0, 400, (rows // 2, 2))]
    )
    value = rng.gamma(2.0, size=rows) + at.sum(axis=1) / 60_000
    return gpd.GeoDataFrame({"v": value}, geometry=gpd.points_from_xy(500_000 + at[:, 0], 3_300_000 + at[:, 1]), crs=4549)


def warm() -> None:
    """Load the compiled kernels, ours and esda's."""
    small = city(5_000)
    for tool in (local_g, local_moran, local_geary, moran, geary):
        tool(small, "v", permutations=19)
    local_moran(small, "v", permutations=19, draws="esda")
    esda.Moran_Local(small["v"], Graph.build_knn(small, K), permutations=9, keep_simulations=False)


def graph(rows: int) -> tuple[Any, Cost]:
    """Return libpysal's weights of the city."""
    return once(f"knn {rows}", lambda: Graph.build_knn(city(rows), K))


def peer(name: str, rows: int) -> tuple[Any, Cost]:
    """Return esda's analytic statistic (an array) and what it cost with its weights."""
    weights, made = graph(rows)
    value = city(rows)["v"]
    runs = {
        "Gi*": lambda: esda.G_Local(value, weights, transform="B", star=True, permutations=0),
        "LISA": lambda: esda.Moran_Local(value, weights, permutations=0),
        "Geary": lambda: esda.Geary_Local(connectivity=weights, permutations=0).fit(value),
    }
    found, cost = once(f"{name} {rows}", runs[name])
    return np.asarray(getattr(found, LOCAL[name][2])), made + cost


def gap(found: Any, wanted: Any) -> float:
    """Return the largest relative difference."""
    return float(np.max(np.abs(np.asarray(found) - wanted) / np.maximum(np.abs(wanted), 1e-9)))


def analytic(rows: int = 1_000_000) -> None:
    for name, (tool, column, _) in LOCAL.items():
        found, ours = timed(lambda tool=tool: tool(city(rows), "v", k=K, permutations=0))  # type: ignore[misc]
        wanted, theirs = peer(name, rows)
        apart = gap(found[column], wanted)
        require(apart <= 1e-9, f"{name}, {apart:.1e}")
        line(f"{name}, analytic, {rows:,}", ours, theirs, "≥ 3 ×:", f"largest relative gap {apart:.0e}", least=3.0)


def local(rows: int = 200_000) -> None:
    """LISA with 999 conditional permutations; esda's draws at one seed, so that p can be compared row by row."""
    weights, made = graph(rows)
    wanted, cost = once(
        f"local {rows}", lambda: esda.Moran_Local(city(rows)["v"], weights, permutations=999, keep_simulations=False, seed=1)
    )
    found, ours = timed(lambda: local_moran(city(rows), "v", k=K, draws="esda", seed=1))
    apart = int((np.round(found["p_permuted"] * 1_000) != np.round(wanted.p_sim * 1_000)).sum())
    require(apart == 0, f"p of {apart} rows")
    line(f"LISA, 999, {rows:,}, esda's draws", ours, made + cost, "≥ 10 ×:", "p equal in every row", least=10.0)
    _, ours = timed(lambda: local_moran(city(rows), "v", k=K))
    line(f"LISA, 999, {rows:,}, keyed", ours, made + cost, "≥ 10 ×:", "other draws", least=10.0)
    for name, (tool, _, _) in LOCAL.items():
        _, ours = timed(lambda tool=tool: tool(city(5 * rows), "v", k=K))  # type: ignore[misc]
        line(f"{name}, 999, {5 * rows:,}, keyed", ours, None, "≤ 90 s:", most=90.0)


def global_peer(rows: int, few: int = 40) -> tuple[Any, Any, Cost]:
    """Return esda's Moran with few permutations, its weights, and the cost of 999: that of one scaled, and the rest."""
    weights, made = graph(rows)
    standard = weights.transform("r")
    value = city(rows)["v"]
    _, without = once(f"moran 0 {rows}", lambda: esda.Moran(value, standard, permutations=0))

    def permuted() -> Any:
        np.random.seed(1)
        return esda.Moran(value, standard, permutations=few)

    found, some = once(f"moran {few} {rows}", permuted)
    each = Cost((some.wall - without.wall) / few, (some.cpu - without.cpu) / few)
    return found, made + without + each * 999.0, each


def whole(rows: int = 1_000_000) -> None:
    """Moran's I with 999 permutations; esda's are timed on 40, and ours are held against those 40 one by one by their p."""
    wanted, theirs, _ = global_peer(rows)
    found, ours = timed(lambda: moran(city(rows), "v", k=K))
    apart = abs(float(found["statistic"].iloc[0]) / wanted.I - 1)
    require(apart <= 1e-10, f"Moran's I, {apart:.1e}")
    same = moran(city(rows), "v", k=K, draws="esda", seed=1, permutations=len(wanted.sim)).iloc[0]
    require(same["p_permuted"] == wanted.p_sim and abs(same["mean_permuted"] / wanted.EI_sim - 1) < 1e-6, "p of Moran's I at esda's seed")
    note = f"relative gap {apart:.0e}; p and mean equal at esda's seed; esda scaled from {len(wanted.sim)} permutations"
    line(f"Moran's I, 999, {rows:,}", ours, theirs, "≥ 4 ×:", note, least=4.0)
    _, ours = timed(lambda: geary(city(rows), "v", k=K))
    line(f"Geary's c, 999, {rows:,}", ours)
