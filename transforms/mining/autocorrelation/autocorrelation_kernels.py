"""Global statistics under many permutations: sixteen at a time, so that each edge is looked up once for sixteen.

Rows come by place, so that the values of neighbours lie near each other in memory; what is permuted is the canonical order, and a row's
term depends on its neighbours in that order alone. Terms are added exactly: each is cut into two parts on fixed grids, on which sums of
doubles have no rounding (Demmel and Nguyen, Fast reproducible floating-point summation, 2013). So neither the order of the rows nor their
division among workers shows in the sums, not in the last bit.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import numba
import numpy as np
import numpy.typing as npt
from numba import njit, prange

from transforms.mining.ground.permute import TABLE_LIMIT, _fill, _keys, _network, _seed, _sides, _walk

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Source = Literal["keyed", "esda"]
LANES = 16
PRODUCT, SQUARE = 0, 1
_BLOCK = 256
_GIVEN = 64  # esda's permutations come from one sequence and are drawn so many at a time
_MANTISSA = 52


def grids(values: Floats, most: float, kind: int) -> tuple[float, float]:
    """Return what cuts the terms of all rows (`values`, weights that sum to `most` at most in a row) into parts that add exactly."""
    largest = float(np.abs(values).max()) * (1.0 if kind == PRODUCT else 2.0)
    first = math.ceil(math.log2(len(values) * largest * largest * most))
    second = first - _MANTISSA + math.ceil(math.log2(len(values)))
    return 1.5 * 2.0**first, 1.5 * 2.0**second


def simulated(
    rows: Ints, starts: Ints, near: Any, weights: Floats, values: Floats, permutations: int, seed: int, kind: int, cut: tuple[float, float],
    source: Source = "keyed",
) -> Floats:  # fmt: skip
    """Return both parts of Σ_ij w_ij·x_i·x_j (`kind` PRODUCT) or Σ_ij w_ij·(x_i-x_j)² (SQUARE) under permutations 0, 1, …: [number, 2].

    `rows` are places in the canonical order, of which `values` are all; the first of them have edges, row r those to the positions
    `near[starts[r]:starts[r + 1]]` in `rows`. Parts of several workers are added up, then to each other.
    """
    even = _even(starts, weights)
    common = (starts, near, weights, even, values, rows, kind, *cut)
    if source == "keyed":
        return np.asarray(_keyed(*common, permutations, _seed(seed), *_sides(len(values)), numba.get_num_threads()))
    random = np.random.RandomState(seed & 0xFFFFFFFF)
    out = np.empty((permutations, 2))
    for first in range(0, permutations, _GIVEN):
        images = np.stack([random.permutation(len(values)) for _ in range(min(_GIVEN, permutations - first))]).astype(np.int32)
        out[first : first + len(images)] = _given(*common, images, numba.get_num_threads())
    return out


@njit(cache=True)
def by_place(starts: Any, indices: Any, weights: Any, order: Any, rank: Any) -> tuple[Any, Any, Any]:
    """Return compressed rows in another order: row `order[r]` comes as r, its neighbours keep their order and are renumbered by `rank`."""
    count = order.size
    begin, near, out = np.empty(count + 1, np.int64), np.empty(indices.size, np.int32), np.empty(indices.size)
    begin[0] = 0
    for r in range(count):
        at, first = begin[r], starts[order[r]]
        size = starts[order[r] + 1] - first
        for m in range(size):
            near[at + m], out[at + m] = rank[indices[first + m]], weights[first + m]
        begin[r + 1] = at + size
    return begin, near, out


@njit(cache=True)
def _even(starts: Any, weights: Any) -> Any:
    """Return the weight of rows whose weights are all one number, NaN for others; 0 for rows without any."""
    out = np.zeros(starts.size - 1)
    for r in range(out.size):
        if starts[r] == starts[r + 1]:
            continue
        out[r] = weights[starts[r]]
        for e in range(starts[r] + 1, starts[r + 1]):
            if weights[e] != weights[starts[r]]:
                out[r] = np.nan
    return out


@njit(cache=True)
def _keyed_lanes(x: Any, lanes: int, values: Any, rows: Any, seed: Any, first: int, a: int, b: int) -> None:
    """Write the values that permutations `first`, `first` + 1, … bring to each row: x[row, lane]."""
    size = values.size
    if size <= TABLE_LIMIT:
        table = np.empty(size, np.int64)
        for lane in range(lanes):
            _fill(seed, first + lane, size, a, b, table)
            for r in range(rows.size):
                x[r, lane] = values[table[rows[r]]]
        return
    left, right, image = np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.uint32), np.empty(_BLOCK, np.uint32)
    wide, high = np.uint32(a), np.uint32(b)
    keys = np.empty((lanes, 4), np.uint32)
    for lane in range(lanes):
        keys[lane] = _keys(seed, first + lane)
    for start in range(0, rows.size, _BLOCK):
        count = min(_BLOCK, rows.size - start)
        for m in range(count):
            left[m], right[m] = np.uint32(rows[start + m] % a), np.uint32(rows[start + m] // a)
        for lane in range(lanes):
            own = keys[lane]
            for m in range(count):
                image[m] = _network(left[m], right[m], wide, high, own)
            for m in range(count):
                place = image[m] if image[m] < size else _walk(image[m], size, wide, high, own)
                x[start + m, lane] = values[place]


@njit(cache=True)
def _add_plain(row: Any, x: Any, lanes: int, near: Any, first: int, end: int) -> None:
    """Add the neighbours' values, four rows at a time."""
    e = first
    while e + 4 <= end:
        a, b, c, d = x[near[e]], x[near[e + 1]], x[near[e + 2]], x[near[e + 3]]
        for lane in range(lanes):
            row[lane] += (a[lane] + b[lane]) + (c[lane] + d[lane])
        e += 4
    while e < end:
        a = x[near[e]]
        for lane in range(lanes):
            row[lane] += a[lane]
        e += 1


@njit(cache=True)
def _add_weighted(row: Any, x: Any, lanes: int, near: Any, weights: Any, first: int, end: int) -> None:
    for e in range(first, end):
        w, a = weights[e], x[near[e]]
        for lane in range(lanes):
            row[lane] += w * a[lane]


@njit(cache=True)
def _add_squares(row: Any, own: Any, x: Any, lanes: int, near: Any, weights: Any, even: bool, first: int, end: int) -> None:
    for e in range(first, end):
        w, a = 1.0 if even else weights[e], x[near[e]]
        for lane in range(lanes):
            d = own[lane] - a[lane]
            row[lane] += w * (d * d)


@njit(cache=True)
def _sweep(
    starts: Any, near: Any, weights: Any, even: Any, x: Any, lanes: int, kind: int, coarse: float, fine: float, out: Any
) -> None:  # fmt: skip
    """Add up the rows' terms under each lane's permutation; out[lane, part]."""
    row, high, low = np.empty(lanes), np.zeros(lanes), np.zeros(lanes)
    for r in range(starts.size - 1):
        first, end = starts[r], starts[r + 1]
        if first == end:
            continue
        own, is_even = x[r], not np.isnan(even[r])
        row[:] = 0.0
        if kind == SQUARE:
            _add_squares(row, own, x, lanes, near, weights, is_even, first, end)
        elif is_even:
            _add_plain(row, x, lanes, near, first, end)
        else:
            _add_weighted(row, x, lanes, near, weights, first, end)
        w = even[r] if is_even else 1.0
        for lane in range(lanes):
            term = w * row[lane] * (own[lane] if kind == PRODUCT else 1.0)
            part = (term + coarse) - coarse
            high[lane] += part
            low[lane] += ((term - part) + fine) - fine
    out[:, 0], out[:, 1] = high, low


@njit(cache=True, parallel=True)
def _keyed(
    starts: Any, near: Any, weights: Any, even: Any, values: Any, rows: Any, kind: int, coarse: float, fine: float,
    permutations: int, seed: Any, a: int, b: int, workers: int,
) -> Any:  # fmt: skip
    out = np.empty((permutations, 2))
    batches = -(-permutations // LANES)
    for worker in prange(workers):
        x = np.empty((rows.size, LANES))
        for batch in range(worker, batches, workers):
            first = batch * LANES
            lanes = min(LANES, permutations - first)
            _keyed_lanes(x, lanes, values, rows, seed, first, a, b)
            _sweep(starts, near, weights, even, x, lanes, kind, coarse, fine, out[first : first + lanes])
    return out


@njit(cache=True, parallel=True)
def _given(
    starts: Any, near: Any, weights: Any, even: Any, values: Any, rows: Any, kind: int, coarse: float, fine: float,
    images: Any, workers: int,
) -> Any:  # fmt: skip
    permutations = images.shape[0]
    out = np.empty((permutations, 2))
    batches = -(-permutations // LANES)
    for worker in prange(workers):
        x = np.empty((rows.size, LANES))
        for batch in range(worker, batches, workers):
            first = batch * LANES
            lanes = min(LANES, permutations - first)
            for lane in range(lanes):
                for r in range(rows.size):
                    x[r, lane] = values[images[first + lane, rows[r]]]
            _sweep(starts, near, weights, even, x, lanes, kind, coarse, fine, out[first : first + lanes])
    return out
