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
def column_sums(starts: Any, indices: Any, weights: Any) -> Any:
    """Return Σ_i w_ij of each column."""
    out = np.zeros(starts.size - 1)
    for i in range(out.size):
        for e in range(starts[i], starts[i + 1]):
            out[indices[e]] += weights[e]
    return out


@njit(cache=True)
def is_uniform(starts: Any, weights: Any) -> bool:
    """Tell whether the weights within each row are one number."""
    for i in range(starts.size - 1):
        for e in range(starts[i] + 1, starts[i + 1]):
            if weights[e] != weights[starts[i]]:
                return False
    return True


@njit(cache=True)
def _weight_of(starts: Any, indices: Any, weights: Any, row: int, column: int) -> float:
    """Return w[row, column] by bisection, 0 where there is no edge."""
    low, high = starts[row], starts[row + 1]
    while low < high:
        middle = (low + high) // 2
        if indices[middle] < column:
            low = middle + 1
        else:
            high = middle
    return float(weights[low]) if low < starts[row + 1] and indices[low] == column else 0.0


@njit(cache=True, parallel=True)
def interaction(starts: Any, indices: Any, weights: Any) -> Any:
    """Return per row i the part of Σ_ij (w_ij + w_ji)² that its edges stand for; an edge without its opposite stands for both."""
    out = np.zeros(starts.size - 1)
    for i in prange(out.size):
        for e in range(starts[i], starts[i + 1]):
            back = _weight_of(starts, indices, weights, indices[e], i)
            out[i] += (weights[e] + back) ** 2 * (1.0 if back != 0.0 else 2.0)
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
