"""Sums that come out the same, to the last bit, however the rows were split and in whatever order they came.

`exact` is the correctly rounded sum (as `math.fsum`; many values are first added as one long whole number, Neal 2015) and knows no order.
`parts` and `merged` are the same sum made in several places. `chunked` is quicker and depends on the order of its rows: it is for columns
in the canonical order (sorted by id), which are the same on every machine.
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
FEW = 256  # values that `math.fsum` adds as quickly
LARGE = 2.0**960  # values from here on are left to it too: what they add up to may be beyond a double


def exact(values: Any) -> float:
    """Return the correctly rounded sum; NaN where a value is NaN, OverflowError beyond the range of doubles."""
    given = np.ascontiguousarray(values, dtype=np.float64).ravel()
    if given.size < FEW or not np.abs(given).max() < LARGE:
        return math.fsum(given)
    return math.fsum(_pieces(_limbs(given)))


def parts(values: Any) -> list[float]:
    """Return a few floats whose exact sum is that of the values, to be merged with those of other workers."""
    found: list[float] = []
    given = np.ascontiguousarray(values, dtype=np.float64).ravel()
    rest = _pieces(_limbs(given)) if given.size >= FEW and np.abs(given).max() < LARGE else given.tolist()
    while (left := math.fsum(rest)) != 0.0:
        found.append(left)
        if not math.isfinite(left):
            break
        rest.append(-left)
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


def _pieces(limbs: Any) -> list[float]:
    """Return floats whose exact sum is a long number's."""
    used = np.flatnonzero(limbs)
    high, low = limbs[used] >> 32, limbs[used] & 0xFFFFFFFF
    return [*np.ldexp(high.astype(np.float64), 32 * used - 1042).tolist(), *np.ldexp(low.astype(np.float64), 32 * used - 1074).tolist()]


@njit(cache=True)
def _limbs(values: Floats) -> Any:
    """Return the exact sum of fewer than 2²⁹ finite values as limbs: Σ limbs[k] · 2^(32k - 1074) (Neal, Fast exact summation, 2015)."""
    lanes, mask = np.zeros((4, 70), np.int64), np.int64(0xFFFFFFFF)  # so that one addition needn't wait for the one before
    words = values.view(np.int64)
    for i in range(words.size):
        bits, limbs = words[i], lanes[i & 3]
        exponent, fraction = (bits >> 52) & 0x7FF, bits & 0xFFFFFFFFFFFFF
        if exponent:
            fraction, exponent = fraction | 0x10000000000000, exponent - 1
        limb, shift = exponent >> 5, exponent & 31
        low, high = (fraction & mask) << shift, (fraction >> 32) << shift
        sign = np.int64(-1 if bits < 0 else 1)
        limbs[limb] += sign * (low & mask)
        limbs[limb + 1] += sign * (((low >> 32) & mask) + (high & mask))
        limbs[limb + 2] += sign * (high >> 32)
    return lanes.sum(axis=0)
