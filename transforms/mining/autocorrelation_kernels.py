"""Global statistics under many permutations: eight at a time, so that each edge is looked up once for eight.

Rows are renumbered by place (`order`), so that the values of neighbours lie near each other; what is permuted is the canonical order, so
the answer does not depend on it.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numba import njit, prange

from transforms.mining.permute import _fill, _seed, _sides

Source = Literal["keyed", "numpy"]
LANES = 8
PRODUCT, SQUARE = 0, 1


def simulated(
    starts: Any, indices: Any, weights: Any, values: Any, permutations: int, seed: int, *, kind: int, order: Any, uniform: bool
) -> Any:
    """Return Σ_ij w_ij·x_i·x_j (`kind` PRODUCT) or Σ_ij w_ij·(x_i-x_j)² (SQUARE) under each permutation 0, 1, … of the values.

    `order` lists the rows by place; with `uniform` weights each row's are one number.
    """
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    counts = np.diff(starts)[order]
    begin = np.concatenate([[0], np.cumsum(counts)])
    if begin[-1] < 2**31:
        begin = begin.astype(np.int32)
    edges = _reordered(starts, order, begin)
    a, b = _sides(len(values))
    return np.asarray(
        _simulate(
            begin,
            rank[indices[edges]].astype(np.int32),
            weights[edges],
            values,
            order,
            permutations,
            _seed(seed),
            kind,
            uniform,
            a,
            b,
        )
    )


@njit(cache=True)
def _reordered(starts: Any, order: Any, begin: Any) -> Any:
    """Return the edges' places when the rows come in `order`."""
    out = np.empty(begin[-1], np.int64)
    for r in range(order.size):
        for m in range(begin[r + 1] - begin[r]):
            out[begin[r] + m] = starts[order[r]] + m
    return out


@njit(cache=True)
def _lanes(begin: Any, near: Any, weights: Any, x: Any, kind: int, uniform: bool) -> Any:
    """Return the sums of LANES permutations, x[row, lane]; added in blocks of rows, so that rounding stays small."""
    total, block, row = np.zeros(LANES), np.zeros(LANES), np.zeros(LANES)
    for r in range(begin.size - 1):
        row[:] = 0.0
        for e in range(begin[r], begin[r + 1]):
            w = 1.0 if uniform else weights[e]
            j = near[e]
            if kind == PRODUCT:
                for lane in range(LANES):
                    row[lane] += w * x[j, lane]
            else:
                for lane in range(LANES):
                    d = x[r, lane] - x[j, lane]
                    row[lane] += w * d * d
        w = weights[begin[r]] if uniform and begin[r + 1] > begin[r] else 1.0
        for lane in range(LANES):
            block[lane] += w * row[lane] * (x[r, lane] if kind == PRODUCT else 1.0)
        if r % 1024 == 1023:
            for lane in range(LANES):
                total[lane] += block[lane]
                block[lane] = 0.0
    return total + block


@njit(cache=True, parallel=True)
def _simulate(
    begin: Any, near: Any, weights: Any, values: Any, order: Any, permutations: int, seed: Any, kind: int, uniform: bool, a: int, b: int
) -> Any:
    count = values.size
    out = np.empty(permutations)
    for batch in prange(-(-permutations // LANES)):
        x = np.zeros((count, LANES))
        image = np.empty(count, np.int32)
        first = batch * LANES
        lanes = min(LANES, permutations - first)
        for lane in range(lanes):
            _fill(seed, first + lane, count, a, b, image)
            for r in range(count):
                x[r, lane] = values[image[order[r]]]
        sums = _lanes(begin, near, weights, x, kind, uniform)
        out[first : first + lanes] = sums[:lanes]
    return out
