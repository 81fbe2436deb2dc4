"""Density clusters without a reach: HDBSCAN (Campello, Moulavi, Sander 2013; McInnes, Healy 2017), the clusters that last longest.

The minimum spanning tree of the mutual reachability distance is taken apart from its longest edges on, edges of the same length at once; a
part below `min_cluster_size` falls off, and of the clusters that remain those with the greatest excess of mass are kept. Other
implementations take edges of the same length one by one, which leaves a row between two clusters to the order of the rows. The tree is
Prim's over all pairs: exact, and for up to 100,000 rows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from numba import njit

from schemas.messages import SanyuError
from transforms.mining.clusters.dbscan import RESULT
from transforms.mining.density.distribution import Floats
from transforms.mining.ground.metres import points
from transforms.mining.ground.row_time import reach
from transforms.mining.shelf.frames import Way, attached, floats, note
from transforms.mining.shelf.tool import tool
from transforms.mining.weights.weights_tree import Tree

Ints = npt.NDArray[np.int64]
MOST_ROWS = 100_000
LEAST_M = 1e-6  # duplicates are taken as a micrometre apart, so that their density is a number


@tool("HDBSCAN", "层次密度聚类", result=RESULT, columns=())
def hdbscan(frame: Any, *, min_cluster_size: int = 5, min_points: int | None = None, id_column: str | None = None) -> Any:
    """Return the frame with `cluster_id` (the smallest id of the cluster, null for noise) and `cluster_role` (core or noise).

    The core distance of a row is that to its `min_points`-th nearest, itself included; by default `min_cluster_size`. The whole frame is
    never one cluster. A Spark frame is collected. SY-N030, SY-N037.
    """
    reach("hdbscan", "min_cluster_size", min_cluster_size, least=2)
    least = min_cluster_size if min_points is None else min_points
    reach("hdbscan", "min_points", least, least=1)
    note(way=Way.IN_PROCESS)
    table = points(frame, [], id_column)
    if table.num_rows > MOST_ROWS:
        raise SanyuError("SY-N037", tool="hdbscan", count=table.num_rows, limit=MOST_ROWS)
    label = clusters(floats(table, "x_m"), floats(table, "y_m"), min_cluster_size, least)
    ids = table.column("id").combine_chunks()
    named = ids.cast(pa.string()).take(pa.array(label, mask=label < 0))
    roles = pa.array(["core", "noise"]).take(pa.array((label < 0).astype(np.int64)))
    note(row_count=len(label), cluster_count=len(np.unique(label[label >= 0])), noise_count=int((label < 0).sum()))
    return attached(frame, pa.table([ids, named, roles], names=["id", "cluster_id", "cluster_role"]), id_column)


def clusters(x: Floats, y: Floats, min_cluster_size: int, min_points: int) -> Ints:
    """Return the first row of each row's cluster, −1 for noise."""
    n = len(x)
    if n < max(min_cluster_size, min_points, 2):
        return np.full(n, -1, np.int64)
    core = Tree(x, y).nearest(min_points - 1)[1].max(axis=1) if min_points > 1 else np.zeros(n)
    head, tail, far = spanning_tree(x, y, core)
    order = np.lexsort((np.maximum(head, tail), np.minimum(head, tail), far))
    merge, size = linkage(head[order], tail[order])
    return _labels(merge, size, np.maximum(far[order], LEAST_M), n, min_cluster_size)


@njit(cache=True)
def spanning_tree(x: Any, y: Any, core: Any) -> Any:  # pragma: no cover
    """Return the edges and lengths (m) of the minimum spanning tree of max(core, core', distance), from row 0 on (Prim)."""
    n = len(x)
    best, above, left = np.full(n, np.inf), np.zeros(n, np.int64), np.arange(1, n)
    head, tail, far = np.empty(n - 1, np.int64), np.empty(n - 1, np.int64), np.empty(n - 1)
    here, count = 0, n - 1
    for e in range(n - 1):
        least, place = np.inf, -1
        for i in range(count):
            row = left[i]
            dx, dy = x[row] - x[here], y[row] - y[here]
            length = max(np.sqrt(dx * dx + dy * dy), core[row], core[here])
            if length < best[row]:
                best[row], above[row] = length, here
            if best[row] < least or (best[row] == least and row < left[place]):
                least, place = best[row], i
        here = left[place]
        head[e], tail[e], far[e] = above[here], here, least
        count -= 1
        left[place] = left[count]
    return head, tail, far


@njit(cache=True)
def linkage(head: Any, tail: Any) -> Any:  # pragma: no cover
    """Return the two nodes that each edge joins (rows, then n + the edge's number), and each node's size."""
    n = len(head) + 1
    parent, merge, size = np.arange(2 * n - 1), np.empty((n - 1, 2), np.int64), np.ones(2 * n - 1, np.int64)
    for e in range(n - 1):
        for side in range(2):
            top = head[e] if side == 0 else tail[e]
            while parent[top] != top:
                parent[top] = parent[parent[top]]
                top = parent[top]
            merge[e, side] = top
            parent[top] = n + e
        size[n + e] = size[merge[e, 0]] + size[merge[e, 1]]
    return merge, size


def _labels(merge: Ints, size: Ints, far: Floats, n: int, least: int) -> Ints:
    """Condense the tree, keep the clusters of the greatest excess of mass, and name each after its first row."""
    owner, above, stability = _condensed(merge, size, 1.0 / far, n, least)
    count = len(above)
    chosen, below = np.zeros(count, bool), np.zeros(count)
    for c in range(count - 1, 0, -1):
        chosen[c] = stability[c] >= below[c]
        below[above[c]] += max(stability[c], below[c])
    top = np.full(count, -1, np.int64)
    for c in range(1, count):
        top[c] = top[above[c]] if top[above[c]] >= 0 else (c if chosen[c] else -1)
    found = top[owner]
    first = np.full(count, n, np.int64)
    inside = found >= 0
    np.minimum.at(first, found[inside], np.flatnonzero(inside))
    return np.where(inside, first[found], -1)


@njit(cache=True)
def _condensed(merge: Any, size: Any, density: Any, n: int, least: int) -> Any:  # pragma: no cover
    """Return the cluster that each row last was in, the cluster above each cluster, and the excess of mass of each; 0 is the root."""
    total = 2 * n - 1
    cluster, above, born, mass = np.zeros(total, np.int64), np.zeros(n, np.int64), np.zeros(n), np.zeros(n)
    done, stack, parts = np.zeros(total, np.bool_), np.empty(total, np.int64), np.empty(total, np.int64)
    count = 1
    for e in range(n - 2, -1, -1):
        node, level, own = n + e, density[e], cluster[n + e]
        if done[node]:
            continue
        if own < 0:  # fallen off with its whole branch
            cluster[merge[e, 0]] = cluster[merge[e, 1]] = own
            continue
        stack[0], height, found, large = node, 1, 0, 0
        while height > 0:
            height -= 1
            joined = stack[height] - n
            for side in range(2):
                child = merge[joined, side]
                if child >= n and density[child - n] == level:
                    done[child] = True
                    stack[height] = child
                    height += 1
                else:
                    parts[found] = child
                    found += 1
                    large += size[child] >= least
        if large > 1:
            mass[own] += (level - born[own]) * size[node]
        for i in range(found):
            child = parts[i]
            if size[child] < least:
                mass[own] += 0.0 if large > 1 else (level - born[own]) * size[child]
                cluster[child] = -own - 1
            elif large > 1:
                cluster[child], above[count], born[count] = count, own, level
                count += 1
            else:
                cluster[child] = own
    owner = cluster[:n].copy()
    for i in range(n):
        if owner[i] < 0:
            owner[i] = -owner[i] - 1
    return owner, above[:count], mass[:count]
