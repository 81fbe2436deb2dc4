"""Autocorrelation against libpysal and esda in the same run: equality, wall and CPU seconds.

`python -m bench.mining_autocorrelation [PART[=ROWS] …]`

Parts: `analytic` (1 M rows: Gi*, LISA, Geary with their weights), `local` (999 conditional permutations, 200 k rows with esda and 1 M
without), `global` (Moran's I and 999 permutations, 1 M rows; esda is timed on 20 and scaled). From a frame of points to a frame of
results; in this process, as rows below a million of a Spark frame are.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import geopandas as gpd
import numpy as np

from transforms.mining.autocorrelation import moran
from transforms.mining.local import local_g, local_geary, local_moran

warnings.simplefilter("ignore")
K = 8


def city(rows: int) -> gpd.GeoDataFrame:
    """Return points over 30 km × 30 km, half of them crowded in 200 places, with a value that is higher in the north-east."""
    rng = np.random.default_rng(0)
    crowds = rng.uniform(0, 30_000, (200, 2))
    at = np.concatenate(
        [rng.uniform(0, 30_000, (rows - rows // 2, 2)), crowds[rng.integers(0, 200, rows // 2)] + rng.normal(0, 400, (rows // 2, 2))]
    )
    value = rng.gamma(2.0, size=rows) + at.sum(axis=1) / 60_000
    return gpd.GeoDataFrame({"v": value}, geometry=gpd.points_from_xy(500_000 + at[:, 0], 3_300_000 + at[:, 1]), crs=4549)


def timed(run: Callable[[], Any]) -> tuple[Any, float, float]:
    """Return a result with its wall and CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = run()
    return result, time.perf_counter() - wall, time.process_time() - cpu


def line(name: str, ours: tuple[float, float], peer: tuple[float, float] | None, note: str = "") -> None:
    """Print one comparison."""
    ratio = f"{peer[0] / ours[0]:7.1f} × {peer[1] / ours[1]:7.1f} ×" if peer else " " * 19
    theirs = f"{peer[0]:9.2f} {peer[1]:9.2f}" if peer else " " * 19
    print(f"{name:<34}{ours[0]:9.2f} {ours[1]:9.2f} {theirs} {ratio}  {note}", flush=True)


def analytic(rows: int = 1_000_000) -> None:
    """Weights and the three local statistics without permutations."""
    import esda
    from libpysal.graph import Graph

    frame = city(rows)
    graph, *weights = timed(lambda: Graph.build_knn(frame, K))
    peers = {
        "Gi*": (local_g, lambda: esda.G_Local(frame["v"], graph, transform="B", star=True, permutations=0), "z_score", "Zs"),
        "LISA": (local_moran, lambda: esda.Moran_Local(frame["v"], graph, permutations=0), "statistic", "Is"),
        "Geary": (local_geary, lambda: esda.Geary_Local(connectivity=graph, permutations=0).fit(frame["v"]), "statistic", "localG"),
    }
    for name, (tool, peer, column, attribute) in peers.items():
        found, *ours = timed(lambda tool=tool: tool(frame, "v", k=K, permutations=0))
        wanted, *theirs = timed(peer)
        own, other = found[column].to_numpy(), np.asarray(getattr(wanted, attribute))
        gap = np.max(np.abs(own - other) / np.maximum(np.abs(other), 1e-9))
        total = (theirs[0] + weights[0], theirs[1] + weights[1])
        line(
            f"{name}, analytic, {rows:,}", (ours[0], ours[1]), total, f"largest relative gap {gap:.1e}; build_knn {weights[0]:.1f} s of it"
        )


def local(rows: int = 200_000) -> None:
    """LISA with 999 conditional permutations; esda's draws at one seed, so that p can be compared row by row."""
    import esda
    from libpysal.graph import Graph

    frame = city(rows)
    graph = Graph.build_knn(frame, K)
    esda.Moran_Local(frame["v"].iloc[:50], Graph.build_knn(frame.iloc[:50], K), permutations=9, keep_simulations=False)
    wanted, *theirs = timed(lambda: esda.Moran_Local(frame["v"], graph, permutations=999, keep_simulations=False, seed=1))
    found, *same = timed(lambda: local_moran(frame, "v", k=K, draws="esda", seed=1))
    apart = int((np.round(found["p_permuted"] * 1_000) != np.round(wanted.p_sim * 1_000)).sum())
    line(
        f"LISA, 999, {rows:,}, esda's draws",
        (same[0], same[1]),
        (theirs[0], theirs[1]),
        f"rows with another p: {apart}; weights included in ours only",
    )
    _, *ours = timed(lambda: local_moran(frame, "v", k=K))
    line(f"LISA, 999, {rows:,}, keyed", (ours[0], ours[1]), (theirs[0], theirs[1]), "weights included in ours only")
    large = city(5 * rows)
    for name, tool in (("LISA", local_moran), ("Geary", local_geary), ("Gi*", local_g)):
        _, *ours = timed(lambda tool=tool: tool(large, "v", k=K))
        line(f"{name}, 999, {5 * rows:,}, keyed", (ours[0], ours[1]), None)


def whole(rows: int = 1_000_000, few: int = 20) -> None:
    """Moran's I with 999 permutations."""
    import esda
    from libpysal.graph import Graph

    frame = city(rows)
    graph = Graph.build_knn(frame, K).transform("r")
    _, *without = timed(lambda: esda.Moran(frame["v"], graph, permutations=0))
    wanted, *some = timed(lambda: esda.Moran(frame["v"], graph, permutations=few))
    theirs = tuple(a + (b - a) / few * 999 for a, b in zip(without, some, strict=True))
    found, *ours = timed(lambda: moran(frame, "v", k=K))
    gap = abs(float(found["statistic"].iloc[0]) / wanted.I - 1)
    line(f"Moran's I, 999, {rows:,}", (ours[0], ours[1]), (theirs[0], theirs[1]), f"relative gap {gap:.1e}; weights included in ours only")


PARTS: dict[str, Callable[..., None]] = {"analytic": analytic, "local": local, "global": whole}


def main() -> None:
    small = city(5_000)
    for tool in (local_g, local_moran, local_geary, moran):
        tool(small, "v", permutations=19)
    local_moran(small, "v", permutations=19, draws="esda")
    print(f"{'seconds':<34}{'ours wall':>9} {'cpu':>9} {'peer wall':>9} {'cpu':>9} {'wall':>9} {'cpu':>9}")
    for part in sys.argv[1:] or PARTS:
        name, _, rows = part.partition("=")
        PARTS[name](*([int(rows)] if rows else []))


if __name__ == "__main__":
    main()
