"""HDBSCAN against scikit-learn, and what it says of few, equal and shuffled rows."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.cluster import HDBSCAN

from schemas.messages import SanyuError
from transforms.mining.clusters.hdbscan import clusters, hdbscan


def knots(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    dense = [rng.normal(c, s, (n, 2)) for c, s, n in ((0, 10, 80), (200, 40, 120), (90, 5, 40))]
    return np.concatenate([*dense, rng.uniform(-200, 400, (60, 2))])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("size", "least"), [(5, 5), (10, 4), (20, 12)])
def test_the_clusters_are_those_of_scikit_learn_but_for_ties(seed: int, size: int, least: int) -> None:
    xy = knots(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = HDBSCAN(min_cluster_size=size, min_samples=least, copy=True).fit(xy).labels_
    found = clusters(xy[:, 0], xy[:, 1], size, least)
    assert len(set(found)) == len(set(peer)) > 2
    common = np.zeros((len(set(found)), len(set(peer))), int)
    np.add.at(common, (np.unique(found, return_inverse=True)[1], np.unique(peer, return_inverse=True)[1]), 1)
    assert common.max(axis=1).sum() >= len(xy) - 2 * len(set(peer))  # a row between two clusters goes with either in scikit-learn


@pytest.mark.parametrize("seed", range(5))
def test_edges_of_one_length_are_taken_at_once_so_that_order_is_nothing(seed: int) -> None:
    xy = np.round(knots(seed))
    shuffle = np.random.default_rng(seed).permutation(len(xy))
    found, again = clusters(xy[:, 0], xy[:, 1], 10, 5), clusters(xy[shuffle, 0], xy[shuffle, 1], 10, 5)
    pairs = set(zip(found[shuffle].tolist(), again.tolist(), strict=True))
    assert len(pairs) == len(set(found.tolist())) == len(set(again.tolist())) > 2


def test_a_cluster_is_named_after_its_smallest_id_whatever_the_order() -> None:
    xy = knots(1)
    frame = pd.DataFrame({"entity_id": [f"p{i:03}" for i in range(len(xy))], "x_m": xy[:, 0], "y_m": xy[:, 1]})
    found = hdbscan(frame, min_cluster_size=10)
    named = found.dropna(subset="cluster_id")
    assert (named.groupby("cluster_id")["entity_id"].min() == named.groupby("cluster_id")["cluster_id"].first()).all()
    mixed = hdbscan(frame.sample(frac=1, random_state=4), min_cluster_size=10)
    pd.testing.assert_frame_equal(mixed.sort_values("entity_id"), found)


def test_few_rows_are_noise_and_heaps_of_duplicates_are_clusters() -> None:
    few = pd.DataFrame({"x_m": [0.0, 1.0], "y_m": 0.0})
    assert hdbscan(few)["cluster_role"].tolist() == ["noise", "noise"]
    heaps = pd.DataFrame({"x_m": [0.0] * 6 + [100.0] * 6, "y_m": 0.0})
    assert hdbscan(heaps)["cluster_id"].tolist() == ["0"] * 6 + ["6"] * 6
    with pytest.raises(SanyuError, match="SY-N030"):
        hdbscan(few, min_cluster_size=1)
