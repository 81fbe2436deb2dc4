"""Regions of connected places that are alike: SKATER (Assunção, Neves, Câmara, Da Costa Freitas 2006).

The edges of the weights are a graph; its minimum spanning tree by unlikeness is cut where a cut lowers the sum of squared deviations
most, until there are `k` regions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from schemas.messages import SanyuError
from transforms.mining.clusters.kmeans import features, named, ranked
from transforms.mining.ground.metres import points
from transforms.mining.ground.row_time import reach
from transforms.mining.shelf.frames import Way, attached, collect, column_names, note
from transforms.mining.shelf.tool import tool
from transforms.mining.weights.weights import Contiguity, Knn, Rule, resolve

Floats = npt.NDArray[np.float64]


@tool("Regionalisation (SKATER)", "区域划分", result="mart.mining__partition", columns=("value",))
def regionalise(
    frame: Any,
    value: str | Sequence[str],
    *,
    k: int,
    weights: Any = None,
    neighbours: int = 8,
    least_rows: int = 1,
    id_column: str | None = None,
) -> Any:
    """Return the frame with `part` (0 … k−1, largest first) and `distance` (from the region's mean, in standard deviations).

    `value` names one column or several (`a,b`), each standardised. `weights` is a rule, `Weights` or an edge table; by default polygons
    are neighbours where they touch, points the `neighbours` nearest. Every region is connected and has at least `least_rows`; ties go to
    the earlier ids. More unconnected parts than `k`, or no cut that leaves `least_rows`: SY-N039. SY-N009, SY-N030, SY-N034.
    """
    reach("regionalise", "k", k, least=1)
    reach("regionalise", "least_rows", least_rows, least=1)
    note(way=Way.IN_PROCESS)
    columns = named(value)
    default: Rule = Knn(neighbours)
    if weights is None and _has_areas(frame):
        default = Contiguity()
    located = weights is None or (isinstance(weights, Rule) and not isinstance(weights, Contiguity))
    located = located and not (weights is None and isinstance(default, Contiguity))
    table = points(frame, columns, id_column) if located else collect(frame, columns, id_column)
    data = features(table, columns, "regionalise")
    found = resolve(weights, frame, table, id_column, default)
    focal = np.repeat(np.arange(found.count), found.neighbour_counts)
    part = regions(data, focal, found.indices, k, least_rows)
    part = ranked(part)
    means = np.stack([np.bincount(part, column) / np.bincount(part) for column in data.T], axis=1)
    distance = np.sqrt(((data - means[part]) ** 2).sum(axis=1))
    note(row_count=len(part), region_count=int(part.max()) + 1)
    return attached(
        frame, pa.table([table.column("id"), pa.array(part, pa.int32()), distance], names=["id", "part", "distance"]), id_column
    )


def _has_areas(frame: Any) -> bool:
    """Tell whether a GeoDataFrame's geometries are areas, as far as it says so without being read."""
    geometry = getattr(frame, "geom_type", None)
    return geometry is not None and "x_m" not in column_names(frame) and bool(geometry.isin(["Polygon", "MultiPolygon"]).all())


def regions(data: Floats, focal: Any, other: Any, k: int, least_rows: int) -> npt.NDArray[np.int64]:
    """Return a region per row; SY-N039 where the graph has more parts than `k` or cannot be cut so often."""
    tree = spanning_tree(data, focal, other)
    edges, part = tree[:, :2], components(len(data), tree)
    count = int(part.max(initial=-1)) + 1
    if count > k:
        raise SanyuError("SY-N039", count=count, k=k, least=least_rows)
    alive = np.ones(len(edges), bool)
    while count < k:
        cuts = [best_cut(data, edges, alive, part, region, least_rows) for region in range(count)]
        gain, edge = max(cuts, key=lambda cut: (cut[0], -cut[1]), default=(-1.0, 0))
        if gain < 0:
            raise SanyuError("SY-N039", count=count, k=k, least=least_rows)
        alive[edge] = False
        part = components(len(data), edges[alive])
        count += 1
    return part


def spanning_tree(data: Floats, focal: Any, other: Any) -> npt.NDArray[np.int64]:
    """Return the edges of the minimum spanning forest by squared unlikeness, ties by the rows' positions (Kruskal)."""
    low, high = np.minimum(focal, other), np.maximum(focal, other)
    pairs = np.unique(np.stack([low, high], axis=1)[low != high], axis=0)
    cost = ((data[pairs[:, 0]] - data[pairs[:, 1]]) ** 2).sum(axis=1)
    order = np.lexsort((pairs[:, 1], pairs[:, 0], cost))
    return np.asarray(pairs[order][_kruskal(len(data), pairs[order])])


@njit(cache=True)
def _kruskal(n: int, pairs: Any) -> Any:  # pragma: no cover
    parent, kept = np.arange(n), np.zeros(len(pairs), np.bool_)
    for e in range(len(pairs)):
        a, b = pairs[e, 0], pairs[e, 1]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        if a != b:
            parent[max(a, b)] = min(a, b)
            kept[e] = True
    return kept


def components(n: int, edges: Any) -> npt.NDArray[np.int64]:
    """Return the connected part of each row, numbered by their first rows."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(edges), np.int8), (edges[:, 0], edges[:, 1])), shape=(n, n))
    found = connected_components(graph, directed=False)[1]
    _, first, place = np.unique(found, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[place], dtype=np.int64)


def best_cut(data: Floats, edges: Any, alive: Any, part: Any, region: int, least_rows: int) -> tuple[float, int]:
    """Return by how much the best cut of a region lowers its sum of squares, and the edge; −1 where none leaves enough rows."""
    rows = np.flatnonzero(part == region)
    inside = np.flatnonzero(alive & (part[edges[:, 0]] == region)) if len(edges) else np.empty(0, np.int64)
    if not len(inside):
        return -1.0, 0
    local = np.searchsorted(rows, edges[inside])
    gains = _gains(np.ascontiguousarray(data[rows]), local, least_rows)
    at = int(np.argmax(gains))
    return float(gains[at]), int(inside[at])


@njit(cache=True)
def _gains(data: Any, edges: Any, least: int) -> Any:  # pragma: no cover
    """Return for each edge of a tree what its cut gains: n₁n₂/n · |mean₁ − mean₂|²; −1 where a side has fewer rows than `least`."""
    n, wide = data.shape
    start = np.zeros(n + 1, np.int64)
    for e in range(len(edges)):
        start[edges[e, 0] + 1] += 1
        start[edges[e, 1] + 1] += 1
    start = np.cumsum(start)
    fill, near, through = start.copy(), np.empty(2 * len(edges), np.int64), np.empty(2 * len(edges), np.int64)
    for e in range(len(edges)):
        for a, b in ((edges[e, 0], edges[e, 1]), (edges[e, 1], edges[e, 0])):
            near[fill[a]], through[fill[a]] = b, e
            fill[a] += 1
    order, above, by = np.zeros(n, np.int64), np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    filled = 1
    for i in range(n):
        row = order[i]
        for s in range(start[row], start[row + 1]):
            if near[s] != above[row]:
                above[near[s]], by[near[s]] = row, through[s]
                order[filled] = near[s]
                filled += 1
    size, total = np.ones(n), data.copy()
    for i in range(n - 1, 0, -1):
        row = order[i]
        size[above[row]] += size[row]
        total[above[row]] += total[row]
    gains = np.full(len(edges), -1.0)
    for i in range(1, n):
        row = order[i]
        below, rest = size[row], n - size[row]
        if below >= least and rest >= least:
            gap = 0.0
            for d in range(wide):
                gap += (total[row, d] / below - (total[0, d] - total[row, d]) / rest) ** 2
            gains[by[row]] = below * rest / n * gap
    return gains
