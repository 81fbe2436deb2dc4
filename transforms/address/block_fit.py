"""The cheapest way to number a street's blocks in hundreds: dynamic programming over its crossings (compiled)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

MOST_RISE = 4
REACH = 16  # maximum number of crossings that one block may span
CORNER_M = 20.0
STUB_M = 40.0
DOOR_COST, PLACE_COST = 1.5, 0.1
START_COST, LEVEL_COST, OWN_COST, LENGTH_COST = 0.8, 0.1, 1.0, 0.2


@njit(cache=True)
def fitted(
    at: npt.NDArray[np.float64],
    end: float,
    main: npt.NDArray[np.float64],
    told_of: npt.NDArray[np.int64],
    told: npt.NDArray[np.float64],
    level: npt.NDArray[np.float64],
    doors_at: npt.NDArray[np.float64],
    doors: npt.NDArray[np.float64],
    begins_with_one: bool,
    block_m: float,
    size: int,
) -> tuple[float, Any, Any]:
    """Return the cost, and for each place of `at` the hundred that begins there (−1: none) and how many hundreds the block has.

    `at[0]` is the street's own start, followed by its crossings in ascending order; `end` is its other end. `main[k]` is how likely a
    crossing begins a hundred; `told[told_of[k]:told_of[k + 1]]` are (rise, weight) suggested for it by parallel streets; `level` is the
    hundred of parallel streets there, NaN if there is none; doors are sorted by place. `block_m` is a block's usual length.
    """
    count = len(at)
    best = np.full((count + 1, size), np.inf)
    came = np.full((count + 1, size), -1, np.int64)
    rose = np.zeros((count + 1, size), np.int64)
    skip = _skipped(main, told_of, told)
    for h in range(size):
        best[0, h] = START_COST * min(h, 3) if begins_with_one else _off_level(level[0], h)
    for k in range(1, count + 1):
        place = at[k] if k < count else end
        for m in range(max(0, k - REACH), k):
            length = place - at[m]
            between = skip[k] - skip[m + 1]
            for rise in range(1, MOST_RISE + 1):
                is_open = k == count or m == 0
                price = between + _length_price(length, rise, block_m, is_open)
                if k < count:
                    if m == 0 and length < STUB_M and rise > 1:
                        continue
                    price += OWN_COST * (1.0 - main[k])
                    for t in range(told_of[k], told_of[k + 1]):
                        price += told[t, 1] * min(abs(told[t, 0] - rise), 2.0)
                elif rise > 1:
                    continue
                is_same = k < count and m == 0 and length < STUB_M  # the crossing is where the street begins
                first, last = np.searchsorted(doors_at, at[m] - CORNER_M), np.searchsorted(doors_at, place + CORNER_M)
                for h in range(size):
                    to = h if is_same or k == count else h + rise
                    if to >= size or not np.isfinite(best[m, h]):
                        continue
                    total = best[m, h] + (price if not is_same else between)
                    if k < count:
                        total += _off_level(level[k], to)
                    if total >= best[k, to]:
                        continue
                    for d in range(first, last):
                        total += _door_price(doors[d], doors_at[d], at[m], place, h, rise, block_m, k == count, m == 0)
                    if total < best[k, to]:
                        best[k, to], came[k, to], rose[k, to] = total, m, 0 if is_same else rise
    return _cheapest(best, came, rose)


@njit(cache=True)
def _skipped(main: Any, told_of: Any, told: Any) -> Any:
    """Return the cost of beginning no hundred at the crossings before each place, accumulated from the street's start."""
    skip = np.zeros(len(main) + 1)
    for k in range(len(main)):
        price = OWN_COST * main[k] if k else 0.0
        for t in range(told_of[k], told_of[k + 1]):
            price += told[t, 1] * min(abs(told[t, 0]), 2.0)
        skip[k + 1] = skip[k] + price
    return skip


@njit(cache=True)
def _cheapest(best: Any, came: Any, rose: Any) -> tuple[float, Any, Any]:
    """Trace the cheapest path from the street's end back to its start."""
    count = len(best) - 1
    state = int(best[count].argmin())
    cost = best[count, state]
    begins, rises = np.full(count, -1, np.int64), np.zeros(count, np.int64)
    k = count
    while k > 0:
        m, rise = came[k, state], rose[k, state]
        if k < count:
            state -= rise
        begins[m], rises[m] = state, rise
        k = m
    return cost, begins, rises


@njit(cache=True, inline="always")
def _off_level(level: float, hundred: int) -> float:
    return 0.0 if np.isnan(level) else LEVEL_COST * min(abs(hundred - level), 3.0)


@njit(cache=True, inline="always")
def _length_price(length: float, rise: int, block_m: float, is_open: bool) -> float:
    """A block at an end of the street may be short."""
    ratio = max(length, 10.0) / (rise * block_m)
    return 0.0 if is_open and ratio < 1.0 else LENGTH_COST * min(abs(np.log2(ratio)), 3.0)


@njit(cache=True, inline="always")
def _door_price(
    number: float, place: float, start: float, end: float, hundred: int, rise: int, block_m: float, is_last: bool, is_first: bool
) -> float:
    """A door in the wrong block costs most, one in another part of its block little; a door at the corner may belong to either block."""
    low, high = 100.0 * hundred, 100.0 * (hundred + rise)
    off = low - number if number < low else number - high + 1 if number >= high else 0.0
    if place < start + CORNER_M or place > end - CORNER_M:
        inside = start <= place < end
        return 0.0 if not inside or off < 100.0 else 0.5 * DOOR_COST
    if off > 0:
        return DOOR_COST * min(0.5 + off / 200.0, 1.5)
    span = max(end - start, 1.0) if not is_last else max(end - start, block_m)
    expected = (place - start) / span * (high - low)
    if is_first and span < block_m:
        return 0.0
    return PLACE_COST * abs(number - low - expected) / (high - low)
