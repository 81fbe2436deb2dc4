"""Loops over compressed rows of weights, each in the order of the rows, so that every machine adds in the same order."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange


@njit(cache=True)
def row_sums(starts: Any, weights: Any) -> Any:
    """Return Σ_j w_ij of each row."""
    out = np.zeros(starts.size - 1)
    for i in range(out.size):
        for e in range(starts[i], starts[i + 1]):
            out[i] += weights[e]
    return out


@njit(cache=True)
def transposed(starts: Any, indices: Any, weights: Any) -> tuple[Any, Any, Any]:
    """Return the same edges by their other end, those of a row in the order of where they come from."""
    count = starts.size - 1
    begin = np.zeros(count + 1, np.int64)
    for j in indices:
        begin[j + 1] += 1
    for i in range(count):
        begin[i + 1] += begin[i]
    at, origin, out = begin[:-1].copy(), np.empty(indices.size, np.int64), np.empty(indices.size)
    for i in range(count):
        for e in range(starts[i], starts[i + 1]):
            j = indices[e]
            origin[at[j]], out[at[j]] = i, weights[e]
            at[j] += 1
    return begin, origin, out


@njit(cache=True)
def is_uniform(starts: Any, weights: Any) -> bool:
    """Tell whether the weights within each row are one number."""
    for i in range(starts.size - 1):
        for e in range(starts[i] + 1, starts[i + 1]):
            if weights[e] != weights[starts[i]]:
                return False
    return True


@njit(cache=True, parallel=True)
def interaction(starts: Any, indices: Any, weights: Any, back_starts: Any, back_indices: Any, back_weights: Any) -> Any:
    """Return per row i the part of Σ_ij (w_ij + w_ji)² that its edges stand for; an edge without its opposite stands for both.

    The edges that lead to a row are given too (`transposed`); both ascend.
    """
    out = np.zeros(starts.size - 1)
    for i in prange(out.size):
        b, end = back_starts[i], back_starts[i + 1]
        for e in range(starts[i], starts[i + 1]):
            while b < end and back_indices[b] < indices[e]:
                b += 1
            if b < end and back_indices[b] == indices[e]:
                out[i] += (weights[e] + back_weights[b]) ** 2
            else:
                out[i] += weights[e] ** 2 * 2.0
    return out


@njit(cache=True, parallel=True)
def lag(starts: Any, indices: Any, weights: Any, values: Any) -> Any:
    """Return Σ_j w_ij x_j of each row."""
    out = np.zeros(starts.size - 1)
    for i in prange(out.size):
        total = 0.0
        for e in range(starts[i], starts[i + 1]):
            total += weights[e] * values[indices[e]]
        out[i] = total
    return out


@njit(cache=True, parallel=True)
def squared_differences(starts: Any, indices: Any, weights: Any, values: Any, own: Any) -> Any:
    """Return Σ_j w_ij (x_i - x_j)² of each row, x_i being `own[i]`."""
    out = np.zeros(starts.size - 1)
    for i in prange(out.size):
        total = 0.0
        for e in range(starts[i], starts[i + 1]):
            total += weights[e] * (own[i] - values[indices[e]]) ** 2
        out[i] = total
    return out
