"""Pairs of points by distance and time lag, counted as integers: what Knox, the space-time K and Ripley's K are made of.

A pair of points that is known from the boxes of two cells is not visited: where all of two cells' pairs fall into one distance bin, their
sizes (or their sorted times) are counted. So a million points at one place cost a sort, not a square.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange

from transforms.mining.ground import point_grid as dbscan_grid

STEPS = 2048  # entries of the table that starts the search for a distance's bin
HEAVY = 512  # points of a cell that is worth cutting
STACK = 32  # points at one place that make a cell of their own
LANES = 16  # permutations that share one walk over the pairs


def grid(x: Any, y: Any, t: Any, reach_m: float) -> dbscan_grid.Grid:
    """Return the grid for pairs up to `reach_m` apart, within each cell in the order of time; finer where there are many points."""
    by_time = np.argsort(t, kind="stable")
    x, y, t = (np.ascontiguousarray(a, np.float64)[by_time] for a in (x, y, t))
    area = max(float(np.ptp(x)) * float(np.ptp(y)), reach_m**2) if len(x) else reach_m**2
    cut = int(np.clip(np.sqrt(len(x) * reach_m**2 / area / 8), 1, 4))
    built = dbscan_grid.build(x, y, np.zeros(len(x)), reach_m * dbscan_grid.MARGIN / cut, cut, 1.0, 0)
    found = dbscan_grid.Grid(by_time[built.order], built.x, built.y, t[built.order], built.cells, built.box, built.rows)
    return refined(found) if np.diff(found.cells).max(initial=0) > HEAVY else found


def refined(g: dbscan_grid.Grid) -> dbscan_grid.Grid:
    """Return the grid with its heavy cells cut into 16 × 16, and a part of its own for each place with many points."""
    sizes = np.diff(g.cells)
    parent = np.repeat(np.arange(len(sizes)), sizes)
    heavy = sizes[parent] > HEAVY
    fine = np.zeros((2, len(parent)), np.int64)
    for axis, values in enumerate((g.x, g.y)):
        low, high = g.box[parent, 2 * axis], g.box[parent, 2 * axis + 1]
        fine[axis] = np.where(heavy, (values - low) / np.maximum(high - low, 1e-300) * 16, 0)
    by_place = np.lexsort((g.y, g.x))
    starts = np.ones(len(parent), bool)
    starts[1:] = (np.diff(g.x[by_place]) != 0) | (np.diff(g.y[by_place]) != 0)
    place = np.cumsum(starts) - 1
    stack = np.empty(len(parent), np.int64)
    stack[by_place] = np.where(np.bincount(place)[place] >= STACK, place, -1)
    stack[~heavy] = -1
    order = np.lexsort((g.t, stack, fine[1], fine[0], parent))
    keys = np.stack([parent, fine[0], fine[1], stack])[:, order]
    fresh = np.ones(len(parent), bool)
    fresh[1:] = (np.diff(keys, axis=1) != 0).any(axis=0)
    first = np.flatnonzero(fresh)
    x, y, t = g.x[order], g.y[order], g.t[order]
    box = np.zeros((len(first), 6))
    for axis, values in enumerate((x, y)):
        box[:, 2 * axis], box[:, 2 * axis + 1] = np.minimum.reduceat(values, first), np.maximum.reduceat(values, first)
    above = keys[0, first]
    begin = np.searchsorted(above, np.arange(len(sizes) + 1)).astype(np.int32)
    return dbscan_grid.Grid(g.order[order], x, y, t, np.append(first, len(x)).astype(np.int64), box, begin[g.rows[above]])


def counts(x: Any, y: Any, t: Any, owned: Any, distances: Any, lags: Any) -> Any:
    """Return how often two points are within each distance and lag: `[i, j]` counts d ≤ distances[i] and |Δt| ≤ lags[j], int64.

    The last column, after those of the lags, counts whatever the lag. A pair counts once for each of its points that is `owned`, so that
    the sum over tiles, each with its halo of neighbours that it does not own, is twice the number of pairs; d² is compared with r².
    """
    squares = np.square(np.asarray(distances, np.float64))
    bins = np.asarray(lags, np.float64)
    if len(x) < 2:
        return np.zeros((len(squares), len(bins) + 1), np.int64)
    g = grid(x, y, t, float(distances[-1]))
    table = np.searchsorted(squares, np.arange(STEPS) * (squares[-1] / STEPS)).astype(np.int64)
    own = np.ascontiguousarray(owned, np.bool_)[g.order]
    found = histogram(g.x, g.y, g.t, own, g.cells, g.box, g.rows, squares, bins, table)
    return found.cumsum(axis=0).cumsum(axis=1)


@njit(cache=True, inline="always")
def _bin(value: float, table: Any, squares: Any, scale: float) -> int:  # pragma: no cover
    h = table[min(int(value * scale), len(table) - 1)]
    if h > 0:  # the table's step may have been rounded up
        h -= 1
    while value > squares[h]:
        h += 1
    return int(h)


@njit(cache=True)
def histogram(
    x: Any, y: Any, t: Any, own: Any, cells: Any, box: Any, rows: Any, squares: Any, lags: Any, table: Any
) -> Any:  # pragma: no cover
    """Return the counts per single bin of distance and lag; what `counts` adds up."""
    out = np.zeros((len(squares), len(lags) + 1), np.int64)
    owned = np.zeros(len(cells) - 1, np.int64)
    for c in range(len(owned)):
        owned[c] = own[cells[c] : cells[c + 1]].sum()
    scale = len(table) / squares[-1]
    for c in range(len(owned)):
        for r in range(rows.shape[1]):
            for o in range(max(rows[c, r, 0], c), rows[c, r, 1]):
                if owned[c] == 0 and owned[o] == 0:
                    continue
                dx = max(box[o, 0] - box[c, 1], box[c, 0] - box[o, 1], 0.0)
                dy = max(box[o, 2] - box[c, 3], box[c, 2] - box[o, 3], 0.0)
                near = dx * dx + dy * dy
                if near > squares[-1]:
                    continue
                fx, fy = max(box[o, 1] - box[c, 0], box[c, 1] - box[o, 0]), max(box[o, 3] - box[c, 2], box[c, 3] - box[o, 2])
                far = fx * fx + fy * fy
                size = (cells[c + 1] - cells[c]) * (cells[o + 1] - cells[o])
                if size > 4 and far <= squares[-1] and _bin(near, table, squares, scale) == _bin(far, table, squares, scale):
                    _whole(t, own, cells, owned, c, o, lags, out[_bin(near, table, squares, scale)])
                else:
                    _each(x, y, t, own, cells, c, o, squares, lags, table, scale, out)
    return out


@njit(cache=True)
def _each(
    x: Any, y: Any, t: Any, own: Any, cells: Any, c: int, o: int, squares: Any, lags: Any, table: Any, scale: float, out: Any
) -> None:  # pragma: no cover
    last = squares[-1]
    for p in range(cells[c], cells[c + 1]):
        for q in range(p + 1 if o == c else cells[o], cells[o + 1]):
            dx, dy = x[q] - x[p], y[q] - y[p]
            sq = dx * dx + dy * dy
            if sq > last:
                continue
            lag, k = abs(t[q] - t[p]), 0
            while k < len(lags) and lag > lags[k]:
                k += 1
            out[_bin(sq, table, squares, scale), k] += np.int64(own[p]) + np.int64(own[q])


@njit(cache=True)
def _whole(t: Any, own: Any, cells: Any, owned: Any, c: int, o: int, lags: Any, out: Any) -> None:  # pragma: no cover
    """Count all pairs of two cells that lie in one distance bin: by their sizes, and per lag by a merge of their sorted times."""
    a0, a1, b0, b1 = cells[c], cells[c + 1], cells[o], cells[o + 1]
    below = np.int64(0)
    for k in range(len(lags)):
        within = np.int64(0)
        low = high = b0
        before_low = before_high = np.int64(0)
        for p in range(a0, a1):
            while high < b1 and (t[high] <= t[p] or abs(t[high] - t[p]) <= lags[k]):
                before_high += own[high]
                high += 1
            while low < high and t[low] < t[p] and abs(t[low] - t[p]) > lags[k]:
                before_low += own[low]
                low += 1
            within += (high - low) * np.int64(own[p]) + before_high - before_low
        if c == o:
            within = (within - 2 * owned[c]) // 2
        out[k] += within - below
        below = within
    total = owned[c] * (b1 - b0) + owned[o] * (a1 - a0)
    if c == o:
        total = owned[c] * (a1 - a0 - 1)
    out[len(lags)] += total - below


def time_pairs(t: Any, lags: Any) -> Any:
    """Return how many pairs are within each lag whatever their distance, int64."""
    ordered = np.sort(np.asarray(t, np.float64))
    return np.array([_within(ordered, float(lag)) for lag in lags], np.int64)


@njit(cache=True)
def _within(t: Any, lag: float) -> int:  # pragma: no cover
    low, total = 0, 0
    for i in range(len(t)):
        while t[i] - t[low] > lag:
            low += 1
        total += i - low
    return total


@njit(cache=True)
def neighbour_list(x: Any, y: Any, cells: Any, rows: Any, reach_m: float, size: int) -> tuple[Any, Any]:  # pragma: no cover
    """Return each pair up to `reach_m` apart once, as `(start, other)`: the partners of point p are `other[start[p]:start[p + 1]]`."""
    start, other = np.zeros(len(x) + 1, np.int64), np.empty(size, np.int32)
    at, sq = 0, reach_m * reach_m
    for c in range(len(cells) - 1):
        for p in range(cells[c], cells[c + 1]):
            for r in range(rows.shape[1]):
                first, end = max(rows[c, r, 0], c), rows[c, r, 1]
                if first >= end:
                    continue
                for q in range(max(cells[first], p + 1), cells[end]):
                    dx, dy = x[q] - x[p], y[q] - y[p]
                    if dx * dx + dy * dy <= sq:
                        other[at] = q
                        at += 1
            start[p + 1] = at
    return start, other


@njit(cache=True)
def close_in_time(start: Any, other: Any, times: Any, lag: float) -> Any:  # pragma: no cover
    """Return for each column of `times` (points × permutations) how many listed pairs are within the lag."""
    total = np.zeros(times.shape[1], np.int64)
    for p in range(len(start) - 1):
        for i in range(start[p], start[p + 1]):
            q = other[i]
            for k in range(times.shape[1]):
                total[k] += abs(times[p, k] - times[q, k]) <= lag
    return total


@njit(cache=True)
def time_neighbours(t: Any, k: int) -> Any:  # pragma: no cover
    """Return the `k` nearest others of each slot in time, ties by the smaller slot; a slot is a position in `t`, and there are > `k`."""
    n = len(t)
    order = np.argsort(t, kind="mergesort")
    group, value = np.empty(n + 1, np.int64), np.empty(n)
    groups = 0
    for i in range(n):
        if i == 0 or t[order[i]] != value[groups - 1]:
            group[groups], value[groups] = i, t[order[i]]
            groups += 1
    group[groups] = n
    out = np.empty((n, k), np.int64)
    for g in range(groups):
        for i in range(group[g], group[g + 1]):
            slot = order[i]
            got, j = 0, group[g]
            while got < k and j < group[g + 1]:
                if order[j] != slot:
                    out[slot, got] = order[j]
                    got += 1
                j += 1
            back, ahead = g - 1, g + 1
            while got < k:
                before = value[g] - value[back] if back >= 0 else np.inf
                after = value[ahead] - value[g] if ahead < groups else np.inf
                a, a_end, b, b_end = 0, 0, 0, 0
                if before <= after:
                    a, a_end = group[back], group[back + 1]
                    back -= 1
                if after <= before:
                    b, b_end = group[ahead], group[ahead + 1]
                    ahead += 1
                while got < k and (a < a_end or b < b_end):
                    if b >= b_end or (a < a_end and order[a] < order[b]):
                        out[slot, got] = order[a]
                        a += 1
                    else:
                        out[slot, got] = order[b]
                        b += 1
                    got += 1
    return out


@njit(cache=True)
def in_both(near: Any, soon: Any, image: Any) -> int:  # pragma: no cover
    """Return how many spatial neighbours `near[i]` are neighbours in time too, where point i has the time of slot `image[i]`."""
    total = 0
    for i in range(near.shape[0]):
        for a in range(near.shape[1]):
            slot = image[near[i, a]]
            for b in range(soon.shape[1]):
                total += soon[image[i], b] == slot
    return total


@njit(cache=True, parallel=True)
def cross(x: Any, y: Any, times: Any, first: int, end: int, space: Any, time: Any, whole: bool) -> Any:  # pragma: no cover
    """Return for each point of a range the sums over later points: σ, σ², τ, τ² of column 0 (if `whole`), στ of each column of `times`.

    σ = (d + space[0]) ** space[1], τ = (|Δt| + time[0]) ** time[1].
    """
    out = np.zeros((end - first, 4 + times.shape[1]))
    for p in prange(first, end):
        mine = out[p - first]
        for q in range(p + 1, len(x)):
            dx, dy = x[q] - x[p], y[q] - y[p]
            far = np.sqrt(dx * dx + dy * dy) + space[0]
            sigma = 1.0 / far if space[1] == -1.0 else far ** space[1]
            if time[1] == -1.0:
                for k in range(times.shape[1]):
                    mine[4 + k] += sigma / (abs(times[q, k] - times[p, k]) + time[0])
            else:
                for k in range(times.shape[1]):
                    mine[4 + k] += sigma * (abs(times[q, k] - times[p, k]) + time[0]) ** time[1]
            if whole:
                lag = abs(times[q, 0] - times[p, 0]) + time[0]
                tau = 1.0 / lag if time[1] == -1.0 else lag ** time[1]
                mine[0] += sigma
                mine[1] += sigma * sigma
                mine[2] += tau
                mine[3] += tau * tau
    return out


def border_counts(x: Any, y: Any, owned: Any, last: Any, distances: Any) -> Any:
    """Return per distance how many neighbours within it the owned points have, counting only points with `last` at or above that distance.

    `last` is per point the number of distances that do not reach beyond the window (minus sampling); int64.
    """
    squares = np.square(np.asarray(distances, np.float64))
    g = grid(x, y, np.zeros(len(x)), float(distances[-1]))
    table = np.searchsorted(squares, np.arange(STEPS) * (squares[-1] / STEPS)).astype(np.int64)
    stop = np.where(np.asarray(owned)[g.order], np.asarray(last, np.int64)[g.order], 0)
    return _border(g.x, g.y, stop, g.cells, g.box, g.rows, squares, table).cumsum()[:-1]


@njit(cache=True)
def _border(x: Any, y: Any, stop: Any, cells: Any, box: Any, rows: Any, squares: Any, table: Any) -> Any:  # pragma: no cover
    out = np.zeros(len(squares) + 1, np.int64)
    scale = len(table) / squares[-1]
    for c in range(len(cells) - 1):
        for p in range(cells[c], cells[c + 1]):
            if stop[p] == 0:
                continue
            for r in range(rows.shape[1]):
                for o in range(rows[c, r, 0], rows[c, r, 1]):
                    if dbscan_grid.nearest_sq(x[p], y[p], box, o) > squares[stop[p] - 1]:
                        continue
                    far = dbscan_grid.farthest_sq(x[p], y[p], box, o)
                    if far <= squares[0]:
                        inside = cells[o + 1] - cells[o] - (1 if o == c else 0)
                        out[0] += inside
                        out[stop[p]] -= inside
                        continue
                    for q in range(cells[o], cells[o + 1]):
                        dx, dy = x[q] - x[p], y[q] - y[p]
                        sq = dx * dx + dy * dy
                        if q != p and sq <= squares[stop[p] - 1]:
                            out[_bin(sq, table, squares, scale)] += 1
                            out[stop[p]] -= 1
    return out
