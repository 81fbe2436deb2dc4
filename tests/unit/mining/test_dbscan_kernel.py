"""DBSCAN on arrays against scikit-learn, and the rules that scikit-learn leaves open."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from sklearn.cluster import DBSCAN

from transforms.mining.clusters.dbscan_kernel import cluster


def patterns() -> dict[str, Any]:
    """Return points in metres: scattered, on a lattice with many equal distances and duplicates, and in knots far from the origin."""
    rng = np.random.default_rng(20)
    return {
        "scattered": rng.uniform(0, 100, (2, 900)),
        "lattice": rng.integers(0, 30, (2, 900)).astype(float),
        "knots": np.round(rng.normal(0, 20, (2, 900)), 1) + 3.2e6,
    }


def same_partition(a: Any, b: Any) -> bool:
    pairs = set(zip(a.tolist(), b.tolist(), strict=True))
    return len(pairs) == len({x for x, _ in pairs}) == len({y for _, y in pairs})


def nearest_core(x: Any, y: Any, t: Any, core: Any, rank: Any, i: int, eps: float, eps_t: float) -> int:
    sq, dt = (x - x[i]) ** 2 + (y - y[i]) ** 2, np.abs(t - t[i])
    near = np.flatnonzero(core & (sq <= eps * eps) & (dt <= eps_t))
    return int(min(near, key=lambda j: (sq[j], dt[j], rank[j])))


@pytest.mark.parametrize("name", ["scattered", "lattice", "knots"])
@pytest.mark.parametrize(("eps", "min_points"), [(1.0, 1), (2.0, 4), (5.0, 9), (40.0, 30)])
def test_core_noise_and_core_partition_are_those_of_scikit_learn(name: str, eps: float, min_points: int) -> None:
    x, y = patterns()[name]
    peer = DBSCAN(eps=eps, min_samples=min_points).fit(np.c_[x, y])
    is_core, label = cluster(x, y, np.arange(len(x)), eps, min_points)
    assert set(np.flatnonzero(is_core)) == set(peer.core_sample_indices_)
    assert np.array_equal(label < 0, peer.labels_ < 0)
    assert same_partition(label[is_core], peer.labels_[is_core])


@pytest.mark.parametrize("eps_t", [0.0, 1.0, 5.0])
def test_in_space_and_time_core_and_noise_are_those_of_the_whole_distance_matrix(eps_t: float) -> None:
    for name, (x, y) in patterns().items():
        t = np.random.default_rng(3).integers(0, 40, len(x)).astype(float)
        near = ((x[:, None] - x) ** 2 + (y[:, None] - y) ** 2 <= 9.0) & (np.abs(t[:, None] - t) <= eps_t)
        peer = DBSCAN(eps=1.0, min_samples=3, metric="precomputed").fit(np.where(near, 0.5, 2.0))
        is_core, label = cluster(x, y, np.arange(len(x)), 3.0, 3, t, eps_t)
        assert set(np.flatnonzero(is_core)) == set(peer.core_sample_indices_), name
        assert np.array_equal(label < 0, peer.labels_ < 0)
        assert same_partition(label[is_core], peer.labels_[is_core])


def test_a_border_point_joins_its_nearest_core_and_a_cluster_is_named_after_its_smallest_core() -> None:
    x, y = patterns()["lattice"]
    rank = np.random.default_rng(5).permutation(len(x))
    is_core, label = cluster(x, y, rank, 1.0, 5)
    border = np.flatnonzero(~is_core & (label >= 0))
    assert len(border) > 20
    for i in border:
        assert label[i] == label[nearest_core(x, y, np.zeros(len(x)), is_core, rank, i, 1.0, 0.0)]
    for value in set(label[label >= 0]):
        assert rank[is_core & (label == value)].min() == value


def test_the_order_of_the_input_changes_nothing() -> None:
    x, y = patterns()["lattice"]
    rank, shuffle = np.arange(len(x)), np.random.default_rng(1).permutation(len(x))
    is_core, label = cluster(x, y, rank, 1.0, 5)
    again_core, again = cluster(x[shuffle], y[shuffle], rank[shuffle], 1.0, 5)
    assert np.array_equal(is_core[shuffle], again_core)
    assert np.array_equal(label[shuffle], again)


def test_one_point_is_noise_or_a_cluster_of_its_own_and_none_is_nothing() -> None:
    one = np.array([5.0])
    assert [a.tolist() for a in cluster(one, one, np.array([7]), 1.0, 2)] == [[False], [-1]]
    assert [a.tolist() for a in cluster(one, one, np.array([7]), 1.0, 1)] == [[True], [7]]
    assert [len(a) for a in cluster(one[:0], one[:0], np.empty(0, np.int64), 1.0, 2)] == [0, 0]


def test_points_at_one_place_cost_no_square() -> None:
    """Three knots of 100,000 points, two of them just out of reach of each other: 10¹⁰ pairs, were they compared."""
    rng = np.random.default_rng(2)
    knot = rng.normal(0, 1e-3, (2, 100_000))
    x = np.concatenate([np.zeros(100_000), knot[0] + 50.0, knot[0] + 55.2])
    y = np.concatenate([np.zeros(100_000), knot[1], knot[1]])
    cluster(x[:10], y[:10], np.arange(10), 5.0, 5)
    started = time.process_time()
    _, label = cluster(x, y, np.arange(len(x)), 5.0, 5)
    assert len(set(label)) == 3
    assert time.process_time() - started < 5.0
