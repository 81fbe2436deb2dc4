"""Change points of each cell's series: the exact optimum of cost plus penalty, by dynamic programming with pruning (PELT).

A series x_1 … x_n is cut so that Σ cost(segment) + penalty × (number of cuts) is least, each segment having at least `min_steps` values.

* `l2`: cost = Σ (x - mean)², for a change of the mean; default penalty 2 σ² ln n, σ from the median absolute difference of neighbours
  (σ = 1.4826 · median |x_{i+1} - x_i| / √2; where that is 0, the root of half the mean squared difference).
* `poisson`: cost = 2 (S - S ln(S/m)) for a segment of m values with sum S, twice the negative log likelihood less what all cuts
  share; default penalty 2 ln n. Values are counts, ≥ 0.

Of equal optima the one whose last cut comes first is taken. NaN bins are left out; a cut then stands at the first value after it. Sources:
Jackson et al. 2005 (optimal partitioning); Killick, Fearnhead and Eckley 2012 (PELT).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from schemas.messages import SanyuError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MODELS: Final = ("l2", "poisson")


@dataclass(frozen=True)
class ChangePoints:
    """One row per cut: `rows` (position of the series), `steps` (first step after the cut), the means `before` and `after` it."""

    rows: Ints
    steps: Ints
    before: Floats
    after: Floats


def change_points(values: Any, *, model: Literal["l2", "poisson"] = "l2", penalty: float | None = None, min_steps: int = 2) -> ChangePoints:
    """Return the change points of each row of cells × steps.

    SY-N062 for another model, SY-N063 for a penalty below 0, `min_steps` below 1 or a negative count.
    """
    rows = np.atleast_2d(np.ascontiguousarray(values, dtype=np.float64))
    if model not in MODELS:
        raise SanyuError("SY-N062", argument="model", value=model, known=", ".join(MODELS))
    if penalty is not None and not penalty >= 0:
        raise SanyuError("SY-N063", argument="penalty", value=penalty, expected="a number from 0")
    if min_steps != int(min_steps) or min_steps < 1:
        raise SanyuError("SY-N063", argument="min_steps", value=min_steps, expected="a whole number from 1")
    if model == "poisson" and (rows < 0).any():
        raise SanyuError("SY-N063", argument="value", value=float(rows[rows < 0][0]), expected="a count ≥ 0 for the Poisson cost")
    cuts, count = _cut_all(rows, model == "poisson", -1.0 if penalty is None else float(penalty), int(min_steps))
    owner = np.repeat(np.arange(len(rows)), count)
    steps = cuts[np.arange(cuts.shape[1]) < count[:, None]]
    before, after = np.empty(len(steps)), np.empty(len(steps))
    for n, (row, step) in enumerate(zip(owner.tolist(), steps.tolist(), strict=True)):
        first = steps[n - 1] if n and owner[n - 1] == row else 0
        end = steps[n + 1] if n + 1 < len(steps) and owner[n + 1] == row else rows.shape[1]
        before[n], after[n] = np.nanmean(rows[row, first:step]), np.nanmean(rows[row, step:end])
    return ChangePoints(owner, steps, before, after)


@njit(cache=True)
def _cost(sums: Floats, squares: Floats, first: int, end: int, poisson: bool) -> Any:
    total, size = sums[end] - sums[first], end - first
    if not poisson:
        return squares[end] - squares[first] - total * total / size
    return 2.0 * (total - total * np.log(total / size)) if total > 0.0 else 0.0


@njit(cache=True)
def _default(x: Floats, poisson: bool) -> Any:
    if poisson:
        return 2.0 * np.log(len(x))
    steps = np.abs(np.diff(x))
    spread = (1.4826 * np.median(steps)) ** 2 / 2.0
    if spread == 0.0:
        spread = np.mean(steps * steps) / 2.0
    return 2.0 * spread * np.log(len(x))


@njit(cache=True, parallel=True)
def _cut_all(rows: Floats, poisson: bool, penalty: float, shortest: int) -> Any:
    """Return the cuts of each row, ascending, and their number."""
    cells, width = rows.shape
    cuts, count = np.zeros((cells, max(width, 1)), np.int64), np.zeros(cells, np.int64)
    for cell in prange(cells):
        place = np.flatnonzero(~np.isnan(rows[cell]))
        n = len(place)
        if n < 2 * shortest:
            continue
        x = rows[cell][place]
        if x.min() == x.max():
            continue
        chosen = _cut(x if poisson else x - x.mean(), poisson, _default(x, poisson) if penalty < 0.0 else penalty, shortest)
        count[cell] = len(chosen)
        for k in range(len(chosen)):
            cuts[cell, k] = place[chosen[k]]
    return cuts, count


@njit(cache=True)
def _cut(x: Floats, poisson: bool, penalty: float, shortest: int) -> Any:
    """Return the cuts of one series, ascending: the positions at which a new segment begins."""
    n = len(x)
    sums, squares = np.zeros(n + 1), np.zeros(n + 1)
    for i in range(n):
        sums[i + 1], squares[i + 1] = sums[i] + x[i], squares[i] + x[i] * x[i]
    best, last = np.full(n + 1, np.inf), np.zeros(n + 1, np.int64)
    best[0] = -penalty
    starts, alive = np.empty(n + 1, np.int64), 1
    starts[0] = 0
    for end in range(shortest, n + 1):
        for k in range(alive):
            value = best[starts[k]] + _cost(sums, squares, starts[k], end, poisson) + penalty
            if value < best[end]:
                best[end], last[end] = value, starts[k]
        start = end + 1 - shortest  # the segments from here on can begin at this value
        if start < shortest:
            continue
        kept = 0
        for k in range(alive):  # a start that a cut here would already better can never win again
            if best[starts[k]] + _cost(sums, squares, starts[k], start, poisson) <= best[start] + 1e-9 * abs(best[start]):
                starts[kept] = starts[k]
                kept += 1
        starts[kept] = start
        alive = kept + 1
    found = np.empty(n, np.int64)
    number, end = 0, n
    while last[end] > 0:
        end = last[end]
        found[number] = end
        number += 1
    return found[:number][::-1].copy()
