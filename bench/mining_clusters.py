"""DBSCAN, Knox, Jacquez, Mantel and K against scikit-learn and pointpats in one run; a million points, ten million for DBSCAN.

Run `python -m bench.mining_clusters [ROWS [LARGE]]`; 1,000,000 and 0 (no large run) by default. Arrays in, arrays out: frames cost the
same on both sides. Each kernel is called once on a few points before, so that compiling is not timed. Wall and CPU seconds.
"""

from __future__ import annotations

import resource
import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from sklearn.cluster import DBSCAN

from transforms.mining.dbscan_kernel import cluster
from transforms.mining.knox import knox
from transforms.mining.mantel import jacquez, mantel
from transforms.mining.ripley import ripley

warnings.simplefilter("ignore")
import pointpats  # noqa: E402


def timed(name: str, call: Callable[[], Any]) -> tuple[Any, float]:
    """Print and return what a call took."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = call()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"{name:<58}{wall:>9.2f}{cpu:>9.2f}", flush=True)
    return found, cpu


def ratio(name: str, ours: float, peer: float) -> None:
    print(f"{name:<58}{peer / ours:>8.1f} ×", flush=True)


def city(count: int, seed: int = 0) -> tuple[Any, Any, Any]:
    """Return knots of about 60 m and a fifth scattered over 20 km at 1 M, x, y in metres and days."""
    rng = np.random.default_rng(seed)
    side = 20_000 * (count / 1e6) ** 0.5
    knots = rng.uniform(0, side, (2, max(1, count // 500)))
    xy = knots[:, rng.integers(0, knots.shape[1], count)] + rng.normal(0, 60, (2, count))
    scattered = rng.random(count) < 0.2
    xy[:, scattered] = rng.uniform(0, side, (2, int(scattered.sum())))
    return xy[0], xy[1], rng.integers(0, 365, count).astype(float)


def dbscan_against_sklearn(count: int) -> None:
    x, y, t = city(count)
    cluster(x[:99], y[:99], np.arange(99), 20.0, 8, t[:99], 7.0)
    for eps, least in ((20.0, 8), (10.0, 10)):
        (is_core, label), ours = timed(
            f"dbscan {count:,}, {eps:g} m, {least}: sanyu", lambda e=eps, m=least: cluster(x, y, np.arange(count), e, m)
        )  # type: ignore[misc]
        fitted, peer = timed("  scikit-learn", lambda e=eps, m=least: DBSCAN(eps=e, min_samples=m).fit(np.c_[x, y]))  # type: ignore[misc]
        same = set(zip(label[is_core].tolist(), fitted.labels_[is_core].tolist(), strict=True))
        if set(np.flatnonzero(is_core)) != set(fitted.core_sample_indices_) or not np.array_equal(label < 0, fitted.labels_ < 0):
            raise SystemExit("core or noise differ from scikit-learn")
        if not len(same) == len({a for a, _ in same}) == len({b for _, b in same}):
            raise SystemExit("the clusters differ from scikit-learn")
        ratio("  CPU, peer over sanyu", ours, peer)
    timed(f"st_dbscan {count:,}, 50 m, 7 days, 8", lambda: cluster(x, y, np.arange(count), 50.0, 8, t, 7.0))


def interaction_against_pointpats(count: int) -> None:
    rng = np.random.default_rng(1)
    frame = pd.DataFrame({"x_m": rng.uniform(0, 10_000, count), "y_m": rng.uniform(0, 10_000, count), "day": rng.integers(0, 365, count)})
    xy, days = frame[["x_m", "y_m"]].to_numpy(), frame[["day"]].to_numpy()
    few = frame.iloc[:50]
    knox(few, "day", distance_m=9000, lag=90, permutations=2)
    jacquez(few, "day", permutations=2)
    mantel(few, "day", permutations=2)
    ripley(few, distances_m="9000", simulations=1)
    found, ours = timed(f"knox {count:,}, 200 m, 7 days, 99: sanyu", lambda: knox(frame, "day", distance_m=200, lag=7, permutations=99))
    there, peer = timed("  pointpats Knox", lambda: pointpats.Knox(xy, days, 200, 7, 99))
    if found["statistic"].iloc[0] != there.nst:
        raise SystemExit("Knox differs from pointpats")
    ratio("  CPU, peer over sanyu", ours, peer)
    _, ours = timed(f"jacquez {count:,}, 3, 49: sanyu", lambda: jacquez(frame, "day", permutations=49))
    _, peer = timed("  pointpats jacquez", lambda: pointpats.jacquez(xy, days, 3, permutations=49))
    ratio("  CPU, peer over sanyu", ours, peer)
    part = count // 4
    _, ours = timed(f"mantel {part:,}, 49: sanyu", lambda: mantel(frame.iloc[:part], "day", permutations=49))
    _, peer = timed("  pointpats mantel", lambda: pointpats.mantel(xy[:part], days[:part], permutations=49))
    ratio("  CPU, peer over sanyu", ours, peer)
    steps = np.array([100.0, 200.0, 300.0, 400.0, 500.0])
    _, ours = timed(f"ripley {count:,}, 5 distances: sanyu", lambda: ripley(frame, distances_m=steps, simulations=0))
    _, peer = timed("  pointpats k", lambda: pointpats.k(xy, support=steps))
    ratio("  CPU, peer over sanyu", ours, peer)


def at_scale(count: int) -> None:
    x, y, t = city(count)
    frame = pd.DataFrame({"x_m": x, "y_m": y, "day": t})
    timed(f"knox {count:,}, 20 m, 7 days, 99", lambda: knox(frame, "day", distance_m=20, lag=7, permutations=99))
    timed(f"jacquez {count:,}, 3, 99", lambda: jacquez(frame, "day", permutations=99))
    timed(f"ripley {count:,}, 20,40,60,80,100 m", lambda: ripley(frame, distances_m="20,40,60,80,100", simulations=0))


def main() -> None:
    count, large = (int(a) for a in (*sys.argv[1:3], "1000000", "0")[:2]) if len(sys.argv) != 2 else (int(sys.argv[1]), 0)
    print(f"{'':<58}{'wall s':>9}{'CPU s':>9}")
    dbscan_against_sklearn(count)
    interaction_against_pointpats(min(10_000, count))
    at_scale(count)
    if large:
        x, y, _ = city(large)
        timed(f"dbscan {large:,}, 20 m, 8", lambda: cluster(x, y, np.arange(large), 20.0, 8))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6:.1f} GB")


if __name__ == "__main__":
    main()
