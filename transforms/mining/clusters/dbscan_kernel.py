"""DBSCAN and ST-DBSCAN on arrays: exact, deterministic, near-linear in the points for a fixed `min_points`.

A cell's diagonal is one reach, so a full cell (≥ `min_points`) is all core, and the core points of a cell are one node of the union-find;
only the closeness of two core cells has to be found out. A point in a cell that is not full meets every neighbouring cell, but a cell has
fewer than `min_points` such points, so a million points at one place cost no square. Sources: Ester, Kriegel, Sander, Xu (1996); Birant,
Kut (2007); the grid is Gunawan's (2013).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from transforms.mining.ground import point_grid as dbscan_grid
from transforms.mining.ground.point_grid import MARGIN, farthest_sq, farthest_t, nearest_sq, nearest_t

ROLES = ("noise", "border", "core")
BRUTE = 1024  # pairs that are cheaper to try than to split
BIG = 64  # core points of a cell that are worth sorting along a curve


def cluster(x: Any, y: Any, rank: Any, eps: float, min_points: int, t: Any = None, eps_t: float = 0.0, core: Any = None) -> tuple[Any, Any]:
    """Return `(is_core, label)`: label is the smallest `rank` among the core points of the point's cluster, −1 for noise.

    `x`, `y` float64 metres, `rank` int64 and unique (the order of the ids), `t` any number with reach `eps_t`. Two points are neighbours
    where d² ≤ eps² and |Δt| ≤ eps_t; a point is its own neighbour; a core point has ≥ `min_points` neighbours. A point that is not core
    joins the cluster of its nearest core neighbour; ties go to the smaller |Δt|, then to the smaller rank. Where it is known which points
    are `core`, that is not found out again.
    """
    n = len(x)
    timed = t is not None
    if timed and eps_t == 0.0:
        t, eps_t = np.unique(t, return_inverse=True)[1].astype(np.float64), 0.5
    times = np.ascontiguousarray(t, np.float64) if timed else np.zeros(n)
    grid = dbscan_grid.build(
        np.ascontiguousarray(x, np.float64),
        np.ascontiguousarray(y, np.float64),
        times,
        eps * 0.7071,
        2,
        eps_t * MARGIN if timed else 1.0,
        int(timed),
    )
    ranks = np.ascontiguousarray(rank, np.int64)[grid.order]
    if core is None:
        full = full_cells(grid.box, eps, eps_t)
        core = core_points(grid.x, grid.y, grid.t, grid.cells, grid.box, grid.rows, full, eps, eps_t, min_points)
    else:
        core = np.ascontiguousarray(core, np.bool_)[grid.order]
    where = np.flatnonzero(core)
    core_cells = np.concatenate([[0], np.cumsum(core)])[grid.cells].astype(np.int64)
    cx, cy, ct, cr = grid.x[where], grid.y[where], grid.t[where], ranks[where]
    curve(cx, cy, ct, cr, core_cells)
    box = boxes(cx, cy, ct, core_cells)
    top = components(cx, cy, ct, core_cells, box, grid.rows, eps, eps_t)
    label_of = smallest(top, cr)
    sorted_label = np.full(n, -1, np.int64)
    sorted_label[where] = _back(ranks[where], cr, label_of)
    border(grid.x, grid.y, grid.t, grid.cells, core, sorted_label, grid.rows, cx, cy, ct, cr, label_of, core_cells, box, eps, eps_t)
    is_core, label = np.empty(n, bool), np.empty(n, np.int64)
    is_core[grid.order], label[grid.order] = core, sorted_label
    return is_core, label


def _back(wanted: Any, ranks: Any, labels: Any) -> Any:
    """Return the labels of core points in the order of `wanted`; `ranks` are the same points as `curve` left them."""
    if np.array_equal(wanted, ranks):
        return labels
    out = np.empty_like(labels)
    out[np.argsort(wanted)] = labels[np.argsort(ranks)]
    return out


@njit(cache=True)
def full_cells(box: Any, eps: float, eps_t: float) -> Any:  # pragma: no cover
    """Return which cells hold none but neighbours of each other."""
    full = np.empty(len(box), np.bool_)
    for c in range(len(box)):
        dx, dy, dt = box[c, 1] - box[c, 0], box[c, 3] - box[c, 2], box[c, 5] - box[c, 4]
        full[c] = dx * dx + dy * dy <= eps * eps and dt <= eps_t
    return full


@njit(cache=True, parallel=True)
def core_points(
    x: Any, y: Any, t: Any, cells: Any, box: Any, rows: Any, full: Any, eps: float, eps_t: float, min_points: int
) -> Any:  # pragma: no cover
    """Return which points have at least `min_points` neighbours, themselves included; counting stops there."""
    core = np.zeros(len(x), np.bool_)
    sq = eps * eps
    for c in prange(len(cells) - 1):
        start, end = cells[c], cells[c + 1]
        if full[c] and end - start >= min_points:
            core[start:end] = True
            continue
        for p in range(start, end):
            count = end - start if full[c] else 0
            for r in range(rows.shape[1]):
                for other in range(rows[c, r, 0], rows[c, r, 1]):
                    if other == c and full[c]:
                        continue
                    if nearest_sq(x[p], y[p], box, other) > sq or nearest_t(t[p], box, other) > eps_t:
                        continue
                    if farthest_sq(x[p], y[p], box, other) <= sq and farthest_t(t[p], box, other) <= eps_t:
                        count += cells[other + 1] - cells[other]
                    else:
                        for q in range(cells[other], cells[other + 1]):
                            dx, dy = x[q] - x[p], y[q] - y[p]
                            if dx * dx + dy * dy <= sq and abs(t[q] - t[p]) <= eps_t:
                                count += 1
                                if count >= min_points:
                                    break
                    if count >= min_points:
                        break
                if count >= min_points:
                    core[p] = True
                    break
    return core


@njit(cache=True)
def boxes(x: Any, y: Any, t: Any, cells: Any) -> Any:  # pragma: no cover
    """Return the bounding box of each cell's points (see `Grid.box`); an empty cell has its minima above its maxima."""
    box = np.empty((len(cells) - 1, 6))
    for c in range(len(cells) - 1):
        box[c, 0::2], box[c, 1::2] = np.inf, -np.inf
        for p in range(cells[c], cells[c + 1]):
            box[c, 0], box[c, 1] = min(box[c, 0], x[p]), max(box[c, 1], x[p])
            box[c, 2], box[c, 3] = min(box[c, 2], y[p]), max(box[c, 3], y[p])
            box[c, 4], box[c, 5] = min(box[c, 4], t[p]), max(box[c, 5], t[p])
    return box


@njit(cache=True)
def curve(x: Any, y: Any, t: Any, rank: Any, cells: Any) -> None:  # pragma: no cover
    """Sort the points of big cells along a Z curve in place, so that halves of a cell are compact when two cells are compared."""
    for c in range(len(cells) - 1):
        start, end = cells[c], cells[c + 1]
        if end - start < BIG:
            continue
        a, b = x[start:end].copy(), y[start:end].copy()
        left, bottom = a.min(), b.min()
        wide, high = a.max() - left, b.max() - bottom
        key = np.zeros(end - start, np.int64)
        for i in range(end - start):
            u = int((a[i] - left) / wide * 255) if wide > 0.0 else 0
            v = int((b[i] - bottom) / high * 255) if high > 0.0 else 0
            for bit in range(8):
                key[i] |= ((u >> bit) & 1) << (2 * bit) | ((v >> bit) & 1) << (2 * bit + 1)
        by = np.argsort(key)
        x[start:end], y[start:end] = a[by], b[by]
        t[start:end], rank[start:end] = t[start:end][by], rank[start:end][by]


@njit(cache=True)
def find(parent: Any, i: int) -> int:  # pragma: no cover
    """Return the root of a node, halving its path."""
    while parent[i] != i:
        parent[i] = parent[parent[i]]
        i = parent[i]
    return i


@njit(cache=True)
def _span(x: Any, y: Any, t: Any, start: int, end: int) -> tuple[float, float, float, float, float, float]:  # pragma: no cover
    x0, x1, y0, y1, t0, t1 = x[start], x[start], y[start], y[start], t[start], t[start]
    for p in range(start + 1, end):
        x0, x1 = min(x0, x[p]), max(x1, x[p])
        y0, y1 = min(y0, y[p]), max(y1, y[p])
        t0, t1 = min(t0, t[p]), max(t1, t[p])
    return x0, x1, y0, y1, t0, t1


@njit(cache=True)
def _between(a: Any, b: Any) -> tuple[float, float, float, float]:  # pragma: no cover
    """Return least and greatest squared distance, least and greatest time between two boxes."""
    dx, dy, dt = max(b[0] - a[1], a[0] - b[1], 0.0), max(b[2] - a[3], a[2] - b[3], 0.0), max(b[4] - a[5], a[4] - b[5], 0.0)
    fx, fy, ft = max(b[1] - a[0], a[1] - b[0]), max(b[3] - a[2], a[3] - b[2]), max(b[5] - a[4], a[5] - b[4])
    return dx * dx + dy * dy, fx * fx + fy * fy, dt, ft


@njit(cache=True)
def touching(x: Any, y: Any, t: Any, a0: int, a1: int, b0: int, b1: int, eps: float, eps_t: float) -> bool:  # pragma: no cover
    """Return whether any point of a range is a neighbour of any point of another; large ranges are halved, boxes decide."""
    sq = eps * eps
    stack = [(a0, a1, b0, b1)]
    while stack:
        a0, a1, b0, b1 = stack.pop()
        if (a1 - a0) * (b1 - b0) <= BRUTE:
            for p in range(a0, a1):
                for q in range(b0, b1):
                    dx, dy = x[q] - x[p], y[q] - y[p]
                    if dx * dx + dy * dy <= sq and abs(t[q] - t[p]) <= eps_t:
                        return True
            continue
        near, far, soon, late = _between(_span(x, y, t, a0, a1), _span(x, y, t, b0, b1))
        if far <= sq and late <= eps_t:
            return True
        if near > sq or soon > eps_t:
            continue
        if a1 - a0 >= b1 - b0:
            half = (a0 + a1) // 2
            stack.append((a0, half, b0, b1))
            stack.append((half, a1, b0, b1))
        else:
            half = (b0 + b1) // 2
            stack.append((a0, a1, b0, half))
            stack.append((a0, a1, half, b1))
    return False


@njit(cache=True)
def components(x: Any, y: Any, t: Any, cells: Any, box: Any, rows: Any, eps: float, eps_t: float) -> Any:  # pragma: no cover
    """Return the union-find root of each core point; cells whose core points are all neighbours are joined as one."""
    parent = np.arange(len(x))
    whole = full_cells(box, eps, eps_t)
    for c in range(len(cells) - 1):
        if whole[c]:
            parent[cells[c] : cells[c + 1]] = cells[c]
        else:
            _join_each(x, y, t, cells[c], cells[c + 1], cells[c], cells[c + 1], parent, eps, eps_t)
    sq = eps * eps
    for c in range(len(cells) - 1):
        if cells[c] == cells[c + 1]:
            continue
        for r in range(rows.shape[1]):
            for other in range(max(rows[c, r, 0], c + 1), rows[c, r, 1]):
                if cells[other] == cells[other + 1]:
                    continue
                near, far, soon, late = _between(box[c], box[other])
                if near > sq or soon > eps_t:
                    continue
                if not (whole[c] and whole[other]):
                    _join_each(x, y, t, cells[c], cells[c + 1], cells[other], cells[other + 1], parent, eps, eps_t)
                    continue
                a, b = find(parent, cells[c]), find(parent, cells[other])
                if a != b and (
                    (far <= sq and late <= eps_t) or touching(x, y, t, cells[c], cells[c + 1], cells[other], cells[other + 1], eps, eps_t)
                ):
                    parent[max(a, b)] = min(a, b)
    for p in range(len(x)):
        parent[p] = find(parent, p)
    return parent


@njit(cache=True)
def _join_each(
    x: Any, y: Any, t: Any, a0: int, a1: int, b0: int, b1: int, parent: Any, eps: float, eps_t: float
) -> None:  # pragma: no cover
    for p in range(a0, a1):
        for q in range(b0, b1):
            dx, dy = x[q] - x[p], y[q] - y[p]
            if dx * dx + dy * dy <= eps * eps and abs(t[q] - t[p]) <= eps_t:
                a, b = find(parent, p), find(parent, q)
                parent[max(a, b)] = min(a, b)


@njit(cache=True)
def smallest(top: Any, rank: Any) -> Any:  # pragma: no cover
    """Return per core point the smallest rank of its component."""
    least = rank.copy()
    for p in range(len(top)):
        least[top[p]] = min(least[top[p]], rank[p])
    return least[top]


@njit(cache=True)
def border(
    x: Any, y: Any, t: Any, cells: Any, core: Any, label: Any, rows: Any,
    cx: Any, cy: Any, ct: Any, cr: Any, core_label: Any, core_cells: Any, box: Any, eps: float, eps_t: float,
) -> None:  # pragma: no cover  # fmt: skip
    """Give each point that is not core the label of its nearest core neighbour, in place."""
    for c in range(len(cells) - 1):
        for p in range(cells[c], cells[c + 1]):
            if core[p]:
                continue
            best, soonest, least = eps * eps, eps_t, np.int64(2**62)
            for r in range(rows.shape[1]):
                for other in range(rows[c, r, 0], rows[c, r, 1]):
                    if core_cells[other] == core_cells[other + 1] or nearest_sq(x[p], y[p], box, other) > best:
                        continue
                    for q in range(core_cells[other], core_cells[other + 1]):
                        dx, dy, dt = cx[q] - x[p], cy[q] - y[p], abs(ct[q] - t[p])
                        sq = dx * dx + dy * dy
                        if dt > eps_t or sq > best:
                            continue
                        if sq < best or dt < soonest or (dt == soonest and cr[q] < least) or least == 2**62:
                            best, soonest, least = sq, dt, cr[q]
                            label[p] = core_label[q]
