"""A grid of points for neighbour searches: points sorted by cell, a box per cell, and the neighbouring cells as index ranges.

Every test that prunes or accepts a whole cell is made on the cell's own bounding box with the same float operations as the test between two
points. Rounding is monotone, so a box never decides otherwise than its points would: results do not depend on the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit, prange

MARGIN = 1.0 + 1e-6  # keeps rounding from putting two points of one reach farther apart than the cells that are searched


@dataclass(frozen=True)
class Grid:
    """Points in cell order: `order` (row of the input), `x`, `y`, `t`, `cells` (index of the first point per cell, one more at the end),
    `box` (per cell xmin, xmax, ymin, ymax, tmin, tmax), `rows` (per cell and row of neighbouring cells: first cell, end)."""

    order: Any
    x: Any
    y: Any
    t: Any
    cells: Any
    box: Any
    rows: Any


def build(x: Any, y: Any, t: Any, side: float, reach: int, t_side: float, t_reach: int) -> Grid:
    """Return the grid of points with square cells of `side` metres and slices of `t_side`; a cell's neighbours are `reach` cells away.

    Points that differ by no more than `reach · side / MARGIN` in x and y and `t_reach · t_side / MARGIN` in time are in neighbouring cells.
    """
    cx, cy, ct = _index(x, side), _index(y, side), _index(t, t_side)
    ny, nt = int(cy.max(initial=0)) + 1, int(ct.max(initial=0)) + 1
    if (int(cx.max(initial=0)) + 1) * ny * nt < 2**62:
        order = np.argsort((cx * nt + ct) * ny + cy, kind="stable")
    else:
        order = np.lexsort((cy, ct, cx))
    cx, cy, ct = cx[order], cy[order], ct[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (np.diff(cx) != 0) | (np.diff(cy) != 0) | (np.diff(ct) != 0)
    first = np.flatnonzero(fresh)
    cells = np.append(first, len(order)).astype(np.int64)
    xs, ys, ts = x[order], y[order], t[order]
    box = np.empty((len(first), 6))
    if len(first):
        for k, values in enumerate((xs, ys, ts)):
            box[:, 2 * k] = np.minimum.reduceat(values, first)
            box[:, 2 * k + 1] = np.maximum.reduceat(values, first)
    return Grid(order, xs, ys, ts, cells, box, neighbour_rows(cx[first], ct[first], cy[first], reach, t_reach))


def _index(values: Any, side: float) -> Any:
    return np.floor((values - values.min(initial=np.inf)) / side).astype(np.int64) if len(values) else np.empty(0, np.int64)


@njit(cache=True, parallel=True)
def neighbour_rows(cx: Any, ct: Any, cy: Any, reach: int, t_reach: int) -> Any:  # pragma: no cover
    """Return per cell, in the order of (cx, ct, cy), the ranges of cells within `reach` in x and y and `t_reach` in t, one per (dx, dt)."""
    n, deep = len(cx), 2 * t_reach + 1
    rows = np.empty((n, (2 * reach + 1) * deep, 2), np.int32)
    for row in prange((2 * reach + 1) * deep):
        dx, dt = row // deep - reach, row % deep - t_reach
        low, high = 0, 0
        for c in range(n):
            x, t = cx[c] + dx, ct[c] + dt
            bottom, top = cy[c] - reach, cy[c] + reach
            while low < n and (cx[low] < x or (cx[low] == x and (ct[low] < t or (ct[low] == t and cy[low] < bottom)))):
                low += 1
            high = max(high, low)
            while high < n and (cx[high] < x or (cx[high] == x and (ct[high] < t or (ct[high] == t and cy[high] <= top)))):
                high += 1
            rows[c, row, 0], rows[c, row, 1] = low, high
    return rows


@njit(cache=True, inline="always")
def nearest_sq(x: float, y: float, box: Any, c: int) -> float:  # pragma: no cover
    """Return the square of the distance from a point to a cell's box, in m²; 0 within it."""
    dx = box[c, 0] - x if x < box[c, 0] else (x - box[c, 1] if x > box[c, 1] else 0.0)
    dy = box[c, 2] - y if y < box[c, 2] else (y - box[c, 3] if y > box[c, 3] else 0.0)
    return float(dx * dx + dy * dy)


@njit(cache=True, inline="always")
def farthest_sq(x: float, y: float, box: Any, c: int) -> float:  # pragma: no cover
    """Return the square of the distance from a point to the farthest corner of a cell's box, in m²."""
    dx = max(abs(x - box[c, 0]), abs(box[c, 1] - x))
    dy = max(abs(y - box[c, 2]), abs(box[c, 3] - y))
    return float(dx * dx + dy * dy)


@njit(cache=True, inline="always")
def nearest_t(t: float, box: Any, c: int) -> float:  # pragma: no cover
    """Return how far a time is from a cell's span; 0 within it."""
    return float(box[c, 4] - t if t < box[c, 4] else (t - box[c, 5] if t > box[c, 5] else 0.0))


@njit(cache=True, inline="always")
def farthest_t(t: float, box: Any, c: int) -> float:  # pragma: no cover
    """Return how far a time is from the farther end of a cell's span."""
    return float(max(abs(t - box[c, 4]), abs(box[c, 5] - t)))
