"""k-means and regions: planted parts are found, the sum of squares is no worse than scikit-learn's, order changes nothing."""

from __future__ import annotations

import itertools

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import KMeans

from schemas.messages import SanyuError
from transforms.mining.clusters.kmeans import kmeans
from transforms.mining.clusters.regionalise import regionalise, regions


def knots() -> tuple[pd.DataFrame, np.ndarray]:
    rng = np.random.default_rng(3)
    truth = np.repeat([0, 1, 2, 3], [70, 60, 50, 40])
    centres = np.array([[0, 0], [900, 100], [200, 800], [1000, 1000]])
    xy = centres[truth] + rng.normal(0, 60, (220, 2))
    return pd.DataFrame({"entity_id": [f"k{i:03}" for i in range(220)], "x_m": xy[:, 0], "y_m": xy[:, 1]}), truth


def test_planted_knots_are_found_and_numbered_by_size() -> None:
    frame, truth = knots()
    assert np.array_equal(kmeans(frame, k=4)["part"], truth)


def test_the_sum_of_squares_is_that_of_scikit_learn() -> None:
    frame, _ = knots()
    peer = KMeans(4, n_init=10, random_state=0).fit(frame[["x_m", "y_m"]].to_numpy())
    assert (kmeans(frame, k=4)["distance"] ** 2).sum() == pytest.approx(peer.inertia_, rel=1e-9)


def test_kmeans_knows_no_order() -> None:
    frame, _ = knots()
    mixed = kmeans(frame.sample(frac=1, random_state=2), k=7)
    pd.testing.assert_frame_equal(mixed.sort_values("entity_id"), kmeans(frame, k=7), check_exact=True)


def test_more_parts_than_different_rows_are_refused() -> None:
    heap = pd.DataFrame({"x_m": [1.0, 1.0, 2.0], "y_m": [0.0, 0.0, 0.0], "v": 1.0})
    assert kmeans(heap, k=2)["part"].tolist() == [0, 0, 1]
    with pytest.raises(SanyuError, match="SY-N032"):
        kmeans(heap, k=3)
    with pytest.raises(SanyuError, match="SY-N034"):
        kmeans(heap, k=2, values="v")


def lattice(side: int) -> tuple[pd.DataFrame, pa.Table]:
    """Return cells of a lattice whose left half is high and whose top right quarter is higher, and their rook edges."""
    i, j = (k.ravel() for k in np.mgrid[0:side, 0:side])
    value = np.where(j < side // 2, 10.0, np.where(i < side // 2, 30.0, 0.0)) + np.random.default_rng(1).normal(0, 0.5, side * side)
    at = np.arange(side * side)
    pairs = [(a, b) for a in at for b in at if abs(i[a] - i[b]) + abs(j[a] - j[b]) == 1]
    edges = pa.table({"id": [a for a, _ in pairs], "neighbour_id": [b for _, b in pairs], "weight": np.ones(len(pairs))})
    return pd.DataFrame({"id": at, "value": value, "x_m": j * 1.0, "y_m": i * 1.0}), edges


def test_planted_regions_are_found_and_each_is_connected() -> None:
    frame, edges = lattice(10)
    found = regionalise(frame, "value", k=3, weights=edges, id_column="id")
    truth = np.where(frame["x_m"] < 5, 0, np.where(frame["y_m"] < 5, 1, 2))
    assert len(set(zip(found["part"], truth, strict=True))) == 3
    finer = regionalise(frame, "value", k=9, weights=edges, id_column="id", least_rows=4)["part"].to_numpy()
    assert np.bincount(finer).min() >= 4
    a, b = edges.column("id").to_numpy(), edges.column("neighbour_id").to_numpy()
    inside = finer[a] == finer[b]
    graph = coo_array((np.ones(inside.sum()), (a[inside], b[inside])), shape=(100, 100))
    assert connected_components(graph, directed=False)[0] == 9


def test_the_first_cut_is_the_best_of_all_cuts_of_the_tree() -> None:
    data = np.random.default_rng(7).normal(size=(9, 2))
    chain = np.array(list(itertools.pairwise(range(9))))
    found = regions(data, chain[:, 0], chain[:, 1], 2, 1)

    def squares(part: np.ndarray) -> float:
        return float(sum(((data[part == p] - data[part == p].mean(axis=0)) ** 2).sum() for p in set(part)))

    assert squares(found) == pytest.approx(min(squares(np.arange(9) < cut) for cut in range(1, 9)))


def test_more_unconnected_parts_than_regions_are_refused() -> None:
    frame, edges = lattice(4)
    few = edges.filter(pa.array([False] * edges.num_rows))
    with pytest.raises(SanyuError, match="SY-N039"):
        regionalise(
            frame, "value", k=3, weights=few.append_column("x", pa.array([], pa.int64())).select(edges.column_names), id_column="id"
        )
