"""Neighbours in the plane by a k-d tree: the k nearest and those within a radius, exact, with ties settled by position.

Of two neighbours at the same distance the one earlier in the canonical order comes first, so a lattice and points on top of each other
have one answer. The bounds that prune are computed like the distances themselves, so rounding never cuts off a tie. Rows are searched in
the tree's order, which keeps what they touch in the cache. Distances are √(Δx²+Δy²) of the metres given, whatever else is in the tree:
a tile with its halo gives the same bits as the whole city.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
LEAF = 12
_DEEP = 64
_CHUNK = 512
_FAN = 16  # subtrees that are made side by side


class Tree:
    """A balanced k-d tree over `x`, `y` (metres); `order` lists the positions leaf by leaf."""

    def __init__(self, x: Floats, y: Floats) -> None:
        # Writable copies of what Arrow lends: a kernel is compiled anew for arrays that are read-only.
        self.x, self.y = (np.require(axis, np.float64, ["C", "W"]) for axis in (x, y))
        self.order, self.axis, self.split = _build(self.x, self.y)
        self._tx, self._ty = self.x[self.order], self.y[self.order]

    def nearest(self, k: int, rows: Ints | None = None) -> tuple[Ints, Floats]:
        """Return positions and distances (m) of the k nearest others of each row, ordered by position; fewer than k others: ValueError."""
        if k >= len(self.x):
            raise ValueError(f"{len(self.x)} points have no {k} neighbours each")
        asked = self._ranked(rows)
        return _nearest(self._tx, self._ty, self.order, self.axis, self.split, self.x, self.y, asked[0], asked[1], k)

    def counts(self, radius_m: float, rows: Ints | None = None) -> Ints:
        """Return how many others lie within the radius, the border included."""
        asked = self._ranked(rows)
        return np.asarray(
            _count(self._tx, self._ty, self.order, self.axis, self.split, self.x, self.y, asked[0], asked[1], float(radius_m)),
            dtype=np.int64,
        )

    def within(self, radius_m: float, counts: Ints, rows: Ints | None = None) -> tuple[Ints, Ints, Floats]:
        """Return starts, positions and distances (m) of the others within the radius, ordered by position; `counts` as counted."""
        asked = self._ranked(rows)
        starts = np.concatenate([[0], np.cumsum(counts)])
        places = (self._tx, self._ty, self.order, self.axis, self.split, self.x, self.y)
        found, distance = _fill(*places, asked[0], asked[1], float(radius_m), starts)
        return starts, found, distance

    def _ranked(self, rows: Ints | None) -> tuple[Ints, Ints]:
        """Return the rows asked for in the tree's order, and the place of each in the answer."""
        if rows is None:
            return self.order, self.order
        place = np.full(len(self.x), -1, dtype=np.int64)
        place[rows] = np.arange(len(rows))
        asked = self.order[place[self.order] >= 0]
        return asked, place[asked]


@njit(cache=True)
def _select(order: Any, key: Any, low: int, high: int, middle: int) -> None:
    """Partition order[low:high] by (key, position) so that `middle` holds what it would if sorted (Hoare's quickselect)."""
    high -= 1
    while low < high:
        pivot = order[(low + high) // 2]
        value = key[pivot]
        i, j = low, high
        while i <= j:
            while key[order[i]] < value or (key[order[i]] == value and order[i] < pivot):
                i += 1
            while key[order[j]] > value or (key[order[j]] == value and order[j] > pivot):
                j -= 1
            if i <= j:
                order[i], order[j] = order[j], order[i]
                i += 1
                j -= 1
        if middle <= j:
            high = j
        elif middle >= i:
            low = i
        else:
            return


@njit(cache=True, parallel=True)
def _build(x: Floats, y: Floats) -> tuple[Any, Any, Any]:
    n = x.size
    order = np.arange(n)
    nodes = 1
    width = n
    while width > LEAF:
        width = (width + 1) // 2
        nodes *= 2
    axis, split = np.zeros(2 * nodes, np.int8), np.zeros(2 * nodes)
    span = np.zeros((2 * _FAN, 2), np.int64)  # of the nodes of the first levels, which are made one after the other
    span[1, 1] = n
    for node in range(1, _FAN):
        low, high = span[node]
        if high - low > LEAF:
            _halve(order, x, y, axis, split, node, low, high)
            middle = (low + high) // 2
            span[2 * node, 0], span[2 * node, 1], span[2 * node + 1, 0], span[2 * node + 1, 1] = low, middle, middle, high
    for node in prange(_FAN, 2 * _FAN):
        _grow(order, x, y, axis, split, node, span[node, 0], span[node, 1])
    return order, axis, split


@njit(cache=True)
def _grow(order: Any, x: Floats, y: Floats, axis: Any, split: Any, root: int, first: int, end: int) -> None:
    """Make the tree below a node, over order[first:end]."""
    stack = np.empty((_DEEP, 3), np.int64)
    stack[0, 0], stack[0, 1], stack[0, 2] = root, first, end
    top = 1
    while top:
        top -= 1
        node, low, high = stack[top, 0], stack[top, 1], stack[top, 2]
        if high - low <= LEAF:
            continue
        _halve(order, x, y, axis, split, node, low, high)
        middle = (low + high) // 2
        stack[top, 0], stack[top, 1], stack[top, 2] = 2 * node, low, middle
        top += 1
        stack[top, 0], stack[top, 1], stack[top, 2] = 2 * node + 1, middle, high
        top += 1


@njit(cache=True)
def _halve(order: Any, x: Floats, y: Floats, axis: Any, split: Any, node: int, low: int, high: int) -> None:
    """Halve a node's points across the longer side of their bounds."""
    x0, x1, y0, y1 = np.inf, -np.inf, np.inf, -np.inf
    for i in range(low, high):
        p = order[i]
        x0, x1, y0, y1 = min(x0, x[p]), max(x1, x[p]), min(y0, y[p]), max(y1, y[p])
    by_y = y1 - y0 > x1 - x0
    middle = (low + high) // 2
    if by_y:
        _select(order, y, low, high, middle)
        split[node] = y[order[middle]]
    else:
        _select(order, x, low, high, middle)
        split[node] = x[order[middle]]
    axis[node] = 1 if by_y else 0


@njit(cache=True, inline="always")
def _push(nodes: Any, offs: Any, top: int, node: int, low: int, high: int, off_x: float, off_y: float) -> int:
    nodes[top, 0], nodes[top, 1], nodes[top, 2] = node, low, high
    offs[top, 0], offs[top, 1] = off_x, off_y
    return top + 1


@njit(cache=True)
def _descend(nodes: Any, offs: Any, top: int, axis: Any, split: Any, px: float, py: float) -> tuple[int, int, int]:
    """Pop a node, walk to its leaf nearest to the point, and push the far sides on the way; return the leaf's range and the new top."""
    top -= 1
    node, low, high = nodes[top, 0], nodes[top, 1], nodes[top, 2]
    off_x, off_y = offs[top, 0], offs[top, 1]
    while high - low > LEAF:
        middle = (low + high) // 2
        at = split[node]
        if axis[node] == 1:
            far_x, far_y, before = off_x, at - py, py < at
        else:
            far_x, far_y, before = at - px, off_y, px < at
        if before:
            top = _push(nodes, offs, top, 2 * node + 1, middle, high, far_x, far_y)
            node, high = 2 * node, middle
        else:
            top = _push(nodes, offs, top, 2 * node, low, middle, far_x, far_y)
            node, low = 2 * node + 1, middle
    return low, high, top


@njit(cache=True)
def _nearest_of(own: int, px: float, py: float, k: int, tree: Any, nodes: Any, offs: Any, best: Any, ids: Any) -> None:
    """Fill `best` (squared distances, ascending) and `ids` with the k nearest others of one point."""
    tx, ty, order, axis, split = tree
    best[:] = np.inf
    ids[:] = np.iinfo(np.int64).max
    top = _push(nodes, offs, 0, 1, 0, tx.size, 0.0, 0.0)
    while top:
        off_x, off_y = offs[top - 1, 0], offs[top - 1, 1]
        if off_x * off_x + off_y * off_y > best[k - 1]:
            top -= 1
            continue
        low, high, top = _descend(nodes, offs, top, axis, split, px, py)
        for i in range(low, high):
            dx, dy = tx[i] - px, ty[i] - py
            square = dx * dx + dy * dy
            if square > best[k - 1]:
                continue
            other = order[i]
            if other == own or (square == best[k - 1] and other > ids[k - 1]):
                continue
            at = k - 1
            while at > 0 and (best[at - 1] > square or (best[at - 1] == square and ids[at - 1] > other)):
                best[at], ids[at] = best[at - 1], ids[at - 1]
                at -= 1
            best[at], ids[at] = square, other


@njit(cache=True, parallel=True)
def _nearest(tx: Any, ty: Any, order: Any, axis: Any, split: Any, x: Any, y: Any, asked: Any, place: Any, k: int) -> tuple[Any, Any]:
    found, distance = np.empty((asked.size, k), np.int64), np.empty((asked.size, k))
    for chunk in prange(-(-asked.size // _CHUNK)):
        nodes, offs = np.empty((_DEEP, 3), np.int64), np.empty((_DEEP, 2))
        best, ids = np.empty(k), np.empty(k, np.int64)
        tree = (tx, ty, order, axis, split)
        for a in range(chunk * _CHUNK, min(asked.size, (chunk + 1) * _CHUNK)):
            own = asked[a]
            _nearest_of(own, x[own], y[own], k, tree, nodes, offs, best, ids)
            row = place[a]
            for m in range(k):
                found[row, m], distance[row, m] = ids[m], math.sqrt(best[m])
            _sort(found[row], distance[row])
    return found, distance


@njit(cache=True)
def _sort(ids: Any, distance: Any) -> None:
    """Sort a row's neighbours by position (insertion: rows are short)."""
    for i in range(1, ids.size):
        one, far = ids[i], distance[i]
        j = i - 1
        while j >= 0 and ids[j] > one:
            ids[j + 1], distance[j + 1] = ids[j], distance[j]
            j -= 1
        ids[j + 1], distance[j + 1] = one, far


@njit(cache=True)
def _around(own: int, px: float, py: float, radius: float, tree: Any, nodes: Any, offs: Any, found: Any, distance: Any) -> int:
    """Return how many others are within the radius; write them where `found` has room."""
    tx, ty, order, axis, split = tree
    count = 0
    top = _push(nodes, offs, 0, 1, 0, tx.size, 0.0, 0.0)
    while top:
        off_x, off_y = offs[top - 1, 0], offs[top - 1, 1]
        if math.sqrt(off_x * off_x + off_y * off_y) > radius:
            top -= 1
            continue
        low, high, top = _descend(nodes, offs, top, axis, split, px, py)
        for i in range(low, high):
            dx, dy = tx[i] - px, ty[i] - py
            far = math.sqrt(dx * dx + dy * dy)
            if far <= radius and order[i] != own:
                if count < found.size:
                    found[count], distance[count] = order[i], far
                count += 1
    return count


@njit(cache=True, parallel=True)
def _count(tx: Any, ty: Any, order: Any, axis: Any, split: Any, x: Any, y: Any, asked: Any, place: Any, radius: float) -> Any:
    counts = np.zeros(asked.size, np.int64)
    for chunk in prange(-(-asked.size // _CHUNK)):
        nodes, offs = np.empty((_DEEP, 3), np.int64), np.empty((_DEEP, 2))
        none, nowhere = np.empty(0, np.int64), np.empty(0)
        for a in range(chunk * _CHUNK, min(asked.size, (chunk + 1) * _CHUNK)):
            own = asked[a]
            counts[place[a]] = _around(own, x[own], y[own], radius, (tx, ty, order, axis, split), nodes, offs, none, nowhere)
    return counts


@njit(cache=True, parallel=True)
def _fill(
    tx: Any, ty: Any, order: Any, axis: Any, split: Any, x: Any, y: Any, asked: Any, place: Any, radius: float, starts: Any
) -> tuple[Any, Any]:
    found, distance = np.empty(starts[-1], np.int64), np.empty(starts[-1])
    for chunk in prange(-(-asked.size // _CHUNK)):
        nodes, offs = np.empty((_DEEP, 3), np.int64), np.empty((_DEEP, 2))
        for a in range(chunk * _CHUNK, min(asked.size, (chunk + 1) * _CHUNK)):
            own, row = asked[a], place[a]
            part = slice(starts[row], starts[row + 1])
            _around(own, x[own], y[own], radius, (tx, ty, order, axis, split), nodes, offs, found[part], distance[part])
            by = np.argsort(found[part])
            found[part], distance[part] = found[part][by], distance[part][by]
    return found, distance
