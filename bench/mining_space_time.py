"""Rows of the space-time half: cube, hot spots, trends, change points, scan, against esda, statsmodels and pymannkendall."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import pymannkendall
from esda import G_Local
from libpysal.weights import WSP
from scipy import sparse
from statsmodels.stats.multitest import multipletests

from bench.mining_common import line, once, require, timed
from transforms.mining.cube.cells import CellRule
from transforms.mining.cube.change_points import change_points
from transforms.mining.cube.cube import CubeRule, cube_of_events
from transforms.mining.cube.cube_time import StepRule
from transforms.mining.cube.hot_spots import benjamini_hochberg, hot_spots
from transforms.mining.cube.scan import ScanRule, space_time_scan
from transforms.mining.cube.trend import trends

WEEKS = 104
RULE = CubeRule(CellRule("square", size_m=100.0), StepRule("week"))


@functools.cache
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
    row = sparse.diags([1.0, 1.0, 1.0], [-1, 0, 1], shape=(wide, wide))
    back = sparse.diags([1.0, 1.0], [-1, 0], shape=(steps, steps))
    matrix = sparse.kron(sparse.kron(row, row), back).tocsr()
    matrix.data[:] = 1.0
    w = WSP(matrix).to_W(silence_warnings=True)
    return G_Local(values.ravel(), w, transform="B", star=True, permutations=0).Zs.reshape(values.shape)


def warm() -> None:
    """Load the compiled kernels."""
    small = cube_of_events(RULE, **events(5, 6, 2000))
    hot_spots(small)
    trends(small.values)
    change_points(small.values)
    rng = np.random.default_rng(0)
    space_time_scan(*rng.uniform(0, 1, (2, 9)), rng.integers(0, 9, 20), rng.integers(0, 5, 20), 5, ScanRule(9.0, 3, permutations=2))


def cube(cells: int = 100_000) -> None:
    """Cube of 100 events a cell, categories and what they rest on; the peers get as much as they finish in seconds."""
    many = events(round(cells**0.5), WEEKS, 100 * cells)
    made, first = timed(lambda: cube_of_events(RULE, **many))
    found, second = timed(lambda: hot_spots(made))
    line(
        f"cube and categories, {made.shape[0]:,} × {made.shape[1]}", first + second, None, "≤ 120 s:", f"{100 * cells:,} events", most=120.0
    )
    slopes, _ = timed(lambda: trends(made.values))
    few = made.values[:400]
    wanted, theirs = once("mann-kendall", lambda: [pymannkendall.original_test(row) for row in few])
    own, ours = timed(lambda: trends(few))
    require(all(w.s == s and w.slope == b for w, s, b in zip(wanted, slopes.score, slopes.slope, strict=False)), "Mann-Kendall")
    line("Mann-Kendall and Sen, 400 series, pymannkendall", ours, theirs, "exact:", "S and slope equal")
    small = cube_of_events(RULE, **events(40, 52, 100_000))
    z, theirs = once("esda cube", lambda: esda_gi_star(small.values))
    own, ours = timed(lambda: hot_spots(small))
    apart = float(np.max(np.abs(own.z - z) / np.maximum(np.abs(z), 1e-9)))
    require(apart <= 1e-9, f"Gi* of the cube, {apart:.1e}")
    line(f"Gi* with all that follows, {small.values.size:,} bins, esda", ours, theirs, "1e-9:", f"largest relative gap {apart:.0e}")
    p = found.p.ravel()
    reject, theirs = once("fdr", lambda: multipletests(p, 0.05, method="fdr_bh")[0])
    limit, ours = timed(lambda: benjamini_hochberg(p, 0.05))
    require(np.array_equal(reject, p <= limit), "FDR")
    line(f"FDR, {p.size:,} p-values, statsmodels", ours, theirs, "equal:", "equal decisions")


def cases(places: int) -> tuple[Any, ...]:
    """Return x, y of places and place, day of two cases a place; 365 days."""
    rng = np.random.default_rng(1)
    x, y = rng.uniform(0, 30_000, (2, places))
    return x, y, rng.integers(0, places, 2 * places), rng.integers(0, 365, 2 * places)


def scan(places: int = 10_000, permutations: int = 999) -> None:
    """The scan at its size; no peer in Python: that it is brute force's answer is a unit test."""
    x, y, place, day = cases(places)
    rule = ScanRule(1500.0, 30, 50, permutations=permutations)
    _, ours = timed(lambda: space_time_scan(x, y, place, day, 365, rule))
    line(f"scan, {places:,} places × 365 days × {permutations}", ours, None, "finishes: met;", f"{2 * places:,} cases")
