"""Monotonic trends per cell: the Mann-Kendall test with exact correction for ties, and Sen's slope with its intercept.

S = Σ_{i<j} sign(x_j - x_i); Var(S) = [n(n-1)(2n+5) - Σ_t t(t-1)(2t+5)] / 18 over groups of t equal values; z = (S - sign S)/√Var(S);
p = 2Φ(-|z|); τ = S / (n(n-1)/2) (τ_a). Sen's slope is the median of (x_j - x_i)/(j - i), the intercept median(x) - slope · median(i),
with i counted from 0 at the first step. Sources: Mann 1945; Kendall 1975; Sen 1968; Conover 1980 for the intercept.

NaN bins are left out, and the values after them keep their places on the time axis for the slope. A cell with fewer than two values, or
whose values are all equal, has S = 0, z = 0, p = 1 (no trend); with fewer than two values its slope is NaN. The test takes steps as
independent: where neighbouring steps are alike (as z-scores of Gi* are, whose neighbourhoods overlap in time) p-values are too small.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange
from scipy.special import ndtr

from schemas.messages import SanyuError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Trends:
    """The trend of each row: `count` values used, `score` S, its `variance`, `z`, `p` (two-sided), `tau`; Sen's `slope`, `intercept`."""

    count: Ints
    score: Ints
    variance: Floats
    z: Floats
    p: Floats
    tau: Floats
    slope: Floats
    intercept: Floats

    def signs(self, alpha: float = 0.05) -> npt.NDArray[np.int8]:
        """Return 1, -1 or 0 for rows that rise, fall or have no trend at the level `alpha`."""
        signs: npt.NDArray[np.int8] = np.where(self.p <= alpha, np.sign(self.z), 0.0).astype(np.int8)
        return signs


def trends(values: Any, *, slopes: bool = True) -> Trends:
    """Return the trend of each row of cells × steps; without `slopes` Sen's slope and intercept are NaN. SY-N065 without any step."""
    rows = np.atleast_2d(np.ascontiguousarray(values, dtype=np.float64))
    if rows.shape[1] < 1:
        raise SanyuError("SY-N065", steps=rows.shape[1], tool="mann_kendall", needed=1)
    count, score, variance = _scores(rows)
    z = np.where(score == 0, 0.0, (score - np.sign(score)) / np.sqrt(np.where(variance > 0, variance, 1.0)))
    pairs = count * (count - 1) / 2.0
    tau = np.divide(score, pairs, out=np.full(len(rows), np.nan), where=pairs > 0)
    slope, intercept = _sen(rows) if slopes else (np.full(len(rows), np.nan), np.full(len(rows), np.nan))
    return Trends(count, score, variance, z, 2.0 * ndtr(-np.abs(z)), tau, slope, intercept)


@njit(cache=True, parallel=True)
def _scores(rows: Floats) -> Any:
    """Return for each row the number of values, S, and the variance of S with ties."""
    cells, steps = rows.shape
    count, score, variance = np.zeros(cells, np.int64), np.zeros(cells, np.int64), np.zeros(cells)
    for cell in prange(cells):
        kept = np.empty(steps)
        n = 0
        for step in range(steps):
            if not math.isnan(rows[cell, step]):
                kept[n] = rows[cell, step]
                n += 1
        total = 0
        for i in range(n):
            own = kept[i]
            for j in range(i + 1, n):
                total += int(kept[j] > own) - int(kept[j] < own)
        ordered = np.sort(kept[:n])
        ties, run = 0, 1
        for i in range(1, n + 1):
            if i < n and ordered[i] == ordered[i - 1]:
                run += 1
            else:
                ties += run * (run - 1) * (2 * run + 5)
                run = 1
        count[cell], score[cell] = n, total
        variance[cell] = (n * (n - 1) * (2 * n + 5) - ties) / 18.0
    return count, score, variance


@njit(cache=True, parallel=True)
def _sen(rows: Floats) -> Any:
    """Return for each row the median of the pairwise slopes and the intercept."""
    cells, steps = rows.shape
    slope, intercept = np.full(cells, np.nan), np.full(cells, np.nan)
    for cell in prange(cells):
        kept, place = np.empty(steps), np.empty(steps)
        n = 0
        for step in range(steps):
            if not math.isnan(rows[cell, step]):
                kept[n], place[n] = rows[cell, step], float(step)
                n += 1
        if n < 2:
            continue
        slopes = np.empty(n * (n - 1) // 2)
        at = 0
        for i in range(n - 1):
            for j in range(i + 1, n):
                slopes[at] = (kept[j] - kept[i]) / (place[j] - place[i])
                at += 1
        slope[cell] = _median(slopes)
        intercept[cell] = _median(kept[:n].copy()) - _median(place[:n].copy()) * slope[cell]
    return slope, intercept


@njit(cache=True)
def _median(values: Floats) -> Any:
    """Return the median; the array is reordered."""
    n = len(values)
    upper = _select(values, n // 2)
    if n % 2:
        return upper
    lower = values[0]
    for k in range(1, n // 2):
        lower = max(lower, values[k])
    return (lower + upper) / 2.0


@njit(cache=True)
def _select(values: Floats, wanted: int) -> Any:
    """Return the value of rank `wanted`, all smaller ones moved before it (Hoare's selection, median of three)."""
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        a, b, c = values[low], values[middle], values[high]
        pivot = max(min(a, b), min(max(a, b), c))
        i, j = low, high
        while i <= j:
            while values[i] < pivot:
                i += 1
            while values[j] > pivot:
                j -= 1
            if i <= j:
                values[i], values[j] = values[j], values[i]
                i += 1
                j -= 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    return values[wanted]
