"""Sums that come out the same, to the last bit, however the rows were split and in whatever order they came.

`exact` is the correctly rounded sum (Shewchuk 1997, as in `math.fsum`) and knows no order. `parts` and `merged` are the same sum made in
several places. `chunked` is quicker and depends on the order of its rows: it is for columns in the canonical order (sorted by id), which
are the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Floats = npt.NDArray[np.float64]
CHUNK = 4096


def exact(values: Any) -> float:
    """Return the correctly rounded sum; NaN where a value is NaN, OverflowError beyond the range of doubles."""
    return math.fsum(np.asarray(values, dtype=np.float64).ravel())


def parts(values: Any) -> list[float]:
    """Return a few floats whose exact sum is that of the values, to be merged with those of other workers."""
    given = np.asarray(values, dtype=np.float64).ravel().tolist()
    found: list[float] = []
    while (left := math.fsum(given)) != 0.0:
        found.append(left)
        if not math.isfinite(left):
            break
        given.append(-left)
    return found


def merged(partial: Iterable[Iterable[float]]) -> float:
    """Return the exact sum of what `parts` gave in several places, whatever their order and number."""
    return math.fsum(value for part in partial for value in part)


def chunked(values: Any) -> float:
    """Return the sum of a column in canonical order: chunks of 4,096 summed one after the other, the chunks' sums exactly."""
    return math.fsum(_chunks(np.ascontiguousarray(values, dtype=np.float64).ravel()))


def mean(values: Any) -> float:
    """Return the exact sum over the number of values; NaN for none."""
    count = np.size(values)
    return exact(values) / count if count else math.nan


def moments(values: Any) -> tuple[float, float, float]:
    """Return mean, second and fourth central moment (over n) by exact sums."""
    given = np.asarray(values, dtype=np.float64)
    centre = mean(given)
    squared = (given - centre) ** 2
    return centre, mean(squared), mean(squared**2)


@njit(cache=True)
def _chunks(values: Floats) -> Floats:
    sums = np.zeros(-(-values.size // CHUNK))
    for i in range(values.size):
        sums[i // CHUNK] += values[i]
    return sums
