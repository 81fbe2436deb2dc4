"""Cube, Gi*, trends, categories, change points and scan statistic, against esda, statsmodels and pymannkendall in the same run.

The peers get as much as they finish in seconds; times are wall and CPU seconds of this process. `--quick` is a tenth of the size.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pymannkendall
from esda import G_Local
from libpysal.weights import WSP
from scipy import sparse
from statsmodels.stats.multitest import multipletests

from transforms.mining.cells import CellRule
from transforms.mining.change_points import change_points
from transforms.mining.cube import CubeRule, cube_of_events
from transforms.mining.cube_time import StepRule
from transforms.mining.hot_spots import benjamini_hochberg, hot_spots
from transforms.mining.scan import ScanRule, space_time_scan
from transforms.mining.trend import trends


def timed(what: str, run: Callable[[], Any]) -> tuple[Any, float]:
    """Run once, print wall and CPU seconds, return the result and the CPU seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = run()
    cpu = time.process_time() - cpu
    print(f"{what:<68}{time.perf_counter() - wall:>9.2f}{cpu:>9.2f}", flush=True)
    return found, cpu


def events(cells_wide: int, weeks: int, size: int) -> dict[str, Any]:
    """Return random events over a square of cells of 100 m and as many weeks."""
    rng = np.random.default_rng(0)
    seconds = rng.integers(0, weeks * 7 * 86_400, size).astype("timedelta64[s]")
    at = np.datetime64("2024-01-01T16:00:00", "us") - np.timedelta64(1, "D") + seconds
    return {"at": at, "x": rng.uniform(0, cells_wide * 100.0, size), "y": rng.uniform(0, cells_wide * 100.0, size)}


def esda_gi_star(values: Any) -> Any:
    """Return esda's Gi* of a square lattice with queen neighbours in this step and the one before; a plain sparse matrix as weights."""
    cells, steps = values.shape
    wide = round(cells**0.5)
    line = sparse.diags([1.0, 1.0, 1.0], [-1, 0, 1], shape=(wide, wide))
    back = sparse.diags([1.0, 1.0], [-1, 0], shape=(steps, steps))
    matrix = sparse.kron(sparse.kron(line, line), back).tocsr()
    matrix.data[:] = 1.0
    w = WSP(matrix).to_W(silence_warnings=True)
    return G_Local(values.ravel(), w, transform="B", star=True, permutations=0).Zs.reshape(values.shape)


def warm() -> None:
    """Load the compiled kernels, so that compiling is not measured."""
    small = cube_of_events(CubeRule(CellRule("square", size_m=100.0), StepRule("week")), **events(5, 6, 2000))
    hot_spots(small)
    trends(small.values)
    change_points(small.values)
    rng = np.random.default_rng(0)
    space_time_scan(*rng.uniform(0, 1, (2, 9)), rng.integers(0, 9, 20), rng.integers(0, 5, 20), 5, ScanRule(9.0, 3, permutations=2))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true")
    scale = 10 if parser.parse_args().quick else 1
    warm()
    print(f"{'what':<68}{'wall s':>9}{'CPU s':>9}")
    wide = round((100_000 / scale) ** 0.5)
    many = events(wide, 104, 10_000_000 // scale)
    rule = CubeRule(CellRule("square", size_m=100.0), StepRule("week"))
    cube, first = timed(f"cube of {len(many['at']):,} events", lambda: cube_of_events(rule, **many))
    print(f"  {cube.shape[0]:,} cells × {cube.shape[1]} steps")
    found, second = timed("Gi*, FDR, Mann-Kendall of z, categories", lambda: hot_spots(cube))
    print(f"  together {first + second:.1f} CPU-s; bar: 120 s")
    slopes, _ = timed("Mann-Kendall and Sen's slope of the values", lambda: trends(cube.values))
    timed("change points, L2", lambda: change_points(cube.values))

    side = np.arange(len(cube.cells)).reshape(-1, 1)
    few = cube.values[side[:400, 0]]
    peer, peer_cpu = timed("peer pymannkendall, 400 cells", lambda: [pymannkendall.original_test(row) for row in few])
    same = all(p.s == s and p.slope == b for p, s, b in zip(peer, slopes.score, slopes.slope, strict=False))
    _, own_cpu = timed("own, the same 400 cells", lambda: trends(few))
    print(f"  S and slope equal: {same}; {peer_cpu / max(own_cpu, 1e-9):.0f} × faster")

    small = cube_of_events(rule, **events(40, 52, 100_000))
    z, esda_cpu = timed(f"peer esda G_Local with its weights, {small.values.size:,} bins", lambda: esda_gi_star(small.values))
    own, own_cpu = timed("own, the same bins with FDR, trends and categories", lambda: hot_spots(small))
    print(f"  largest difference of z: {np.abs(own.z - z).max():.1e}; {esda_cpu / max(own_cpu, 1e-9):.0f} × faster")
    p = found.p.ravel()
    reject, _ = timed(f"peer statsmodels fdr_bh, {p.size:,} p-values", lambda: multipletests(p, 0.05, method="fdr_bh")[0])
    limit, _ = timed("own", lambda: benjamini_hochberg(p, 0.05))
    print(f"  equal decisions: {np.array_equal(reject, p <= limit)}")

    rng = np.random.default_rng(1)
    places, cases = 10_000 // scale, 20_000 // scale
    x, y = rng.uniform(0, 30_000, (2, places))
    place, day = rng.integers(0, places, cases), rng.integers(0, 365, cases)
    permutations = 999 if scale == 1 else 99
    scan = ScanRule(1500.0, 30, 50, permutations=permutations)
    what = f"scan, {places:,} places × 365 days, {cases:,} cases, {permutations} permutations"
    timed(what, lambda: space_time_scan(x, y, place, day, 365, scan))


if __name__ == "__main__":
    main()
