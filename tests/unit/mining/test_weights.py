"""Weights: neighbours as libpysal finds them, ties and duplicates settled, tiles like the whole, bad input named."""

from __future__ import annotations

import warnings

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from schemas.messages import SanyuError
from transforms.mining.weights.weights import (
    Contiguity,
    DistanceBand,
    Kernel,
    Knn,
    Rule,
    Weights,
    build,
    edge_table,
    from_edges,
    neighbours,
)
from transforms.mining.weights.weights_tools import knn
from transforms.mining.weights.weights_tree import Tree

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from libpysal.graph import Graph
    from libpysal.kernels import kernel as libpysal_kernel

RNG = np.random.default_rng(1)


def points(count: int = 300) -> gpd.GeoDataFrame:
    at = RNG.uniform(0, 3_000, (count, 2)) + np.array([500_000, 3_300_000])
    return gpd.GeoDataFrame(geometry=gpd.points_from_xy(*at.T), crs=4549)


def lattice(wide: int, high: int) -> gpd.GeoDataFrame:
    boxes = [shapely.box(500_000 + i, 3_300_000 + j, 500_001 + i, 3_300_001 + j) for i in range(wide) for j in range(high)]
    return gpd.GeoDataFrame(geometry=boxes, crs=4549)


def same(found: Weights, graph: Graph) -> None:
    wanted = from_edges(edge_table(graph), found.ids)
    assert np.array_equal(found.starts, wanted.starts)
    assert np.array_equal(found.indices, wanted.indices)
    np.testing.assert_allclose(found.weights, wanted.weights, rtol=1e-12)


def test_knn_and_bands_are_libpysal_s() -> None:
    frame = points()
    same(build(Knn(6), frame), Graph.build_knn(frame, 6))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # islands
        same(build(DistanceBand(150), frame), Graph.build_distance_band(frame, 150))
        same(build(DistanceBand(200, 1.0), frame), Graph.build_distance_band(frame, 200, binary=False, alpha=-1.0))


@pytest.mark.parametrize("kind", ["queen", "rook"])
@pytest.mark.parametrize("shape", ["lattice", "voronoi"])
def test_contiguity_is_libpysal_s(kind: str, shape: str) -> None:
    cells = shapely.voronoi_polygons(shapely.multipoints(shapely.get_coordinates(points(150).geometry.array)))
    frame = lattice(7, 5) if shape == "lattice" else gpd.GeoDataFrame(geometry=list(cells.geoms), crs=4549)
    same(build(Contiguity(kind), frame), Graph.build_contiguity(frame, rook=kind == "rook"))  # type: ignore[arg-type]


@pytest.mark.parametrize("kernel", ["triangular", "parabolic", "gaussian", "bisquare"])
def test_kernels_are_libpysal_s(kernel: str) -> None:
    found = build(Kernel(300, kernel), points())  # type: ignore[arg-type]
    assert found.distance_m is not None
    np.testing.assert_allclose(found.weights, libpysal_kernel(found.distance_m, 300, kernel=kernel), rtol=1e-12)


def test_moments_are_libpysal_s() -> None:
    frame = points()
    summary = Graph.build_knn(frame, 5).transform("r").summary()
    np.testing.assert_allclose(build(Knn(5), frame).row_standardised().moments, (summary.s0, summary.s1, summary.s2), rtol=1e-12)


@pytest.mark.parametrize(
    "at",
    [
        np.stack(np.meshgrid(np.arange(15.0), np.arange(15.0)), axis=-1).reshape(-1, 2) * 100,
        np.zeros((40, 2)),
        RNG.integers(0, 4, (200, 2)).astype(float),
    ],
    ids=["lattice", "one point", "duplicates"],
)
def test_ties_go_to_the_earlier_row(at: np.ndarray) -> None:
    x, y = at.T
    square = (x[:, None] - x) ** 2 + (y[:, None] - y) ** 2
    np.fill_diagonal(square, np.inf)
    wanted = np.sort([np.lexsort((np.arange(len(x)), row))[:8] for row in square], axis=1)
    assert np.array_equal(Tree(x, y).nearest(8)[0], wanted)


def test_some_rows_are_answered_like_all() -> None:
    x, y = RNG.uniform(0, 1_000, (2, 500))
    rows = np.array([499, 3, 77])
    starts, found, distance, _ = neighbours(DistanceBand(90), x, y)
    some = neighbours(DistanceBand(90), x, y, rows)
    for n, row in enumerate(rows):
        whole, part = slice(starts[row], starts[row + 1]), slice(some[0][n], some[0][n + 1])
        assert np.array_equal(found[whole], some[1][part])
        assert np.array_equal(distance[whole], some[2][part])


def test_an_edge_table_is_the_weights() -> None:
    frame = points(50)
    edges = knn(frame, 4)
    assert list(edges.columns) == ["id", "neighbour_id", "weight", "distance_m"]
    found = from_edges(edge_table(edges.sample(frac=1, random_state=1)), build(Knn(4), frame).ids)
    assert np.array_equal(found.indices, build(Knn(4), frame).indices)


def test_islands_stay_without_neighbours() -> None:
    frame = gpd.GeoDataFrame(geometry=gpd.points_from_xy([0, 10, 9_000], [3_300_000] * 3), crs=4549)
    found = build(DistanceBand(100), frame)
    assert found.islands.tolist() == [2]
    assert found.row_standardised().weights.tolist() == [1.0, 1.0]


@pytest.mark.parametrize(
    ("rule", "code"),
    [
        (Knn(300), "SY-N013"),
        (Knn(0), "SY-N014"),
        (DistanceBand(-1), "SY-N014"),
        (DistanceBand(float("nan")), "SY-N014"),
        (Kernel(), "SY-N014"),
        (Kernel(10, "round"), "SY-N003"),  # type: ignore[arg-type]
    ],
)
def test_a_rule_that_cannot_be_followed_is_refused(rule: Rule, code: str) -> None:
    with pytest.raises(SanyuError, match=code):
        build(rule, points())


def test_inverse_distance_of_duplicates_is_refused() -> None:
    frame = gpd.GeoDataFrame(geometry=gpd.points_from_xy([500_000] * 3, [3_300_000] * 3), crs=4549)
    with pytest.raises(SanyuError, match="SY-N016"):
        build(DistanceBand(10, 1.0), frame)


@pytest.mark.parametrize(
    ("edges", "code"),
    [
        ({"id": [0], "neighbour_id": [9]}, "SY-N017"),
        ({"id": [0, 0], "neighbour_id": [1, 1]}, "SY-N017"),
        ({"id": [1], "neighbour_id": [1]}, "SY-N017"),
        ({"id": [0], "neighbour_id": [1], "weight": [-1.0]}, "SY-N018"),
        ({"id": [0]}, "SY-N005"),
    ],
)
def test_edges_that_are_none_are_refused(edges: dict[str, list[float]], code: str) -> None:
    ids = build(Knn(1), points(3)).ids
    with pytest.raises(SanyuError, match=code):
        from_edges(edge_table(pd.DataFrame(edges)), ids)
