"""Gi* against esda with an explicit space-time weights matrix, false discovery rate against statsmodels, and what is refused."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from schemas.messages import SanyuError
from transforms.mining.cube.cells import CellRule, lattice_cells, neighbours, offsets
from transforms.mining.cube.cube import Cube, CubeRule
from transforms.mining.cube.cube_time import StepRule
from transforms.mining.cube.hot_spots import HotSpotRule, benjamini_hochberg, gi_star, hot_spots, moments


def cube_of(values: Any, kind: Any = "square", wide: int = 6) -> Cube:
    """Return a cube of days over a lattice `wide` cells wide; the values are cells × steps."""
    values = np.asarray(values, dtype=np.float64)
    place = np.arange(len(values))
    rule = CubeRule(CellRule(kind, size_m=100.0), StepRule("day"), "sum", "skip")
    edges = np.datetime64("2025-01-01", "us") + np.arange(values.shape[1] + 1) * np.timedelta64(86_400_000_000, "us")
    cells = lattice_cells(rule.cells, place // wide, place % wide)
    return Cube(rule, cells, edges, values, (~np.isnan(values)).astype(np.int64))


def _peer(values: np.ndarray, starts: Any, others: Any, back: int) -> np.ndarray:
    """Return esda's Gi* of all bins that are there, by a weights matrix built pair by pair."""
    from esda import G_Local
    from libpysal.weights import WSP

    cells, steps = values.shape
    there = ~np.isnan(values.ravel())
    pairs = [
        (c * steps + t, o * steps + s)
        for c in range(cells)
        for o in others[starts[c] : starts[c + 1]].tolist()
        for t in range(steps)
        for s in range(max(0, t - back), t + 1)
    ]
    a, b = np.array(pairs).T
    matrix = sparse.csr_matrix((np.ones(len(a)), (a, b)), shape=(values.size, values.size))[there][:, there]
    w = WSP(matrix).to_W(silence_warnings=True)
    z = np.full(values.size, np.nan)
    z[there] = G_Local(values.ravel()[there], w, transform="B", star=True, permutations=0).Zs
    return z.reshape(values.shape)


@pytest.mark.parametrize(("kind", "back", "gaps"), [("square", 1, False), ("hexagon", 2, False), ("square", 0, True), ("square", 1, True)])
def test_gi_star_is_esdas_with_space_time_weights(kind: str, back: int, gaps: bool) -> None:
    rng = np.random.default_rng(3)
    values = rng.poisson(4.0, (30, 7)).astype(float)
    if gaps:
        values[rng.random(values.shape) < 0.15] = np.nan
    cube = cube_of(values, kind)
    starts, others = neighbours(cube.cells)
    np.testing.assert_allclose(gi_star(values, starts, others, back), _peer(values, starts, others, back), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.3])
def test_the_discovery_rate_is_that_of_statsmodels(alpha: float) -> None:
    rng = np.random.default_rng(5)
    p = np.concatenate([rng.random(400), rng.random(60) / 500.0, [0.0, 1.0]])
    reject = multipletests(p, alpha=alpha, method="fdr_bh")[0]
    assert reject.any()
    assert np.array_equal(p <= benjamini_hochberg(p, alpha), reject)


def test_no_bin_is_significant_where_nothing_is() -> None:
    assert benjamini_hochberg(np.array([0.4, 0.9, np.nan]), 0.05) == -1.0


def test_the_whole_analysis_finds_a_new_and_a_persistent_spot() -> None:
    rng = np.random.default_rng(11)
    values = rng.poisson(5.0, (144, 20)).astype(float)
    place = np.arange(144)
    west = (place // 12 <= 2) & (place % 12 <= 2)
    east = (place // 12 >= 9) & (place % 12 >= 9)
    values[west] += 25.0
    values[np.ix_(east, [19])] += 40.0
    found = hot_spots(cube_of(values, wide=12))
    assert found.categories[13] == "Persistent Hot Spot"
    assert found.categories[-14] == "New Hot Spot"
    assert (found.categories == "No Pattern Detected").sum() > 60
    assert np.array_equal(found.signs != 0, multipletests(found.p.ravel(), 0.05, method="fdr_bh")[0].reshape(found.p.shape))
    np.testing.assert_allclose(found.p, 2 * norm.sf(np.abs(found.z)), rtol=1e-12)


def test_chance_alone_makes_next_to_no_pattern() -> None:
    found = hot_spots(cube_of(np.random.default_rng(8).poisson(5.0, (400, 20)), wide=20))
    assert (found.codes != 0).mean() < 0.02


def test_the_neighbourhood_is_told_by_rings_corners_or_metres() -> None:
    square, hexagon = CellRule("square", size_m=100.0), CellRule("hexagon", size_m=100.0)
    assert [len(offsets(square)), len(offsets(square, 1, "rook")), len(offsets(square, 2)), len(offsets(square, 2, "rook"))] == [
        9,
        5,
        25,
        13,
    ]
    assert [len(offsets(hexagon)), len(offsets(hexagon, 2)), len(offsets(hexagon, 0))] == [7, 19, 1]
    assert len(offsets(square, distance_m=100.0)) == 5 and len(offsets(square, distance_m=142.0)) == 9
    assert len(offsets(hexagon, distance_m=100.0)) == 7 and len(offsets(hexagon, distance_m=173.3)) == 13


def test_bins_left_out_have_no_score_and_no_say() -> None:
    values = np.random.default_rng(1).normal(10, 2, (36, 6))
    values[7, 2] = np.nan
    found = hot_spots(cube_of(values))
    assert np.isnan(found.z[7, 2]) and found.signs[7, 2] == 0
    assert found.local.sizes[7, 2] == 17 and found.local.sizes[7, 0] == 9
    assert found.mean == pytest.approx(np.nanmean(values))


@pytest.mark.parametrize(
    ("values", "code"),
    [
        (np.ones((9, 1)), "SY-N065"),
        (np.full((9, 4), 3.0), "SY-N068"),
        (np.where(np.arange(4) == 2, np.nan, np.arange(36.0).reshape(9, 4)), "SY-N070"),
    ],
    ids=["one step", "constant", "a step without any value"],
)
def test_a_cube_that_can_say_nothing_is_refused(values: np.ndarray, code: str) -> None:
    with pytest.raises(SanyuError, match=code):
        hot_spots(cube_of(values, wide=3))


@pytest.mark.parametrize("wrong", [{"alpha": 0.0}, {"trend_alpha": 1.5}, {"steps_back": -1}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SanyuError, match="SY-N063"):
        HotSpotRule(**wrong)


def test_moments_are_exact() -> None:
    values = np.array([[1e16, 1.0, -1e16, 3.0]])
    assert moments(values)[0] == 1.0


def test_times_of_the_fixture_are_days() -> None:
    assert cube_of(np.ones((2, 3))).edges[3].astype(datetime) == datetime(2025, 1, 4)
