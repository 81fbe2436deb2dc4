"""Conditional permutation of a local statistic: each row keeps its value, its neighbours' values are drawn from all other rows.

As in esda one table of draws serves all rows: permutation p gives places 0, 1, … among the n-1 others, and row i skips itself by the shift
`j += j >= i`. Going through the rows in order, a place changes its value once, when the row passes it; so the table of drawn values is
kept instead of being gathered anew, and what a permutation adds up to is known for each number of neighbours. A row with equal weights
then costs one comparison per permutation, whatever its neighbours; others one multiplication per neighbour and permutation. The workers
need the drawn values only (`Drawn`), never the whole vector.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from transforms.mining.ground.permute import draws, esda_draws

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Source = Literal["keyed", "esda"]
TIE = 1e-12  # of the size of the terms: sums of equal values that were added in another order are equal
_ROWS = 8192


@dataclass(frozen=True)
class Drawn:
    """The draws of all permutations: `place` [neighbour, permutation] among n-1, `below` the value of row place, `above` of place + 1.

    `scale` is the largest absolute value of the whole vector.
    """

    place: Ints
    below: Floats
    above: Floats
    scale: float

    @property
    def permutations(self) -> int:
        return int(self.place.shape[1])


def drawn(values: Floats, most: int, permutations: int, seed: int, source: Source = "keyed") -> Drawn:
    """Draw neighbours for rows of up to `most` neighbours; `values` is the whole vector in canonical order."""
    others = len(values) - 1
    numbers = np.arange(permutations)
    found = esda_draws(seed, permutations, most, others) if source == "esda" else draws(seed, numbers, most, others)
    place = np.ascontiguousarray(found.T)
    return Drawn(place, values[place], values[place + 1], float(np.abs(values).max(initial=0.0)))


def linear_counts(rows: Ints, starts: Ints, weights: Floats, observed: Floats, uniform: bool, table: Drawn) -> tuple[Ints, Ints]:
    """Return for each row in how many permutations Σ w·x is at least, and at most, what was observed.

    `rows` are positions in canonical order, ascending. With `uniform` weights `observed` is the plain sum of the neighbours' values.
    """
    moments = np.zeros(0)
    return _counts(rows, starts, weights, observed, moments, uniform, False, *_parts(table))


def quadratic_counts(
    rows: Ints, starts: Ints, weights: Floats, observed: Floats, own: Floats, uniform: bool, table: Drawn
) -> tuple[Ints, Ints]:
    """Return the same for Σ w·(x_i - x)², `own` being x_i; with `uniform` weights `observed` is Σ(x_i - x)²."""
    return _counts(rows, starts, weights, observed, own, uniform, True, *_parts(table))


def _parts(table: Drawn) -> tuple[Any, ...]:
    """Return the table, and its places in the order in which ascending rows pass them."""
    flat = table.place.ravel()
    order = np.argsort(flat, kind="stable")
    return table.place, table.below, table.above, flat[order], order, table.scale


@njit(cache=True)
def _prefix(drawn_values: Any, sums: Any, squares: Any, p: int, quadratic: bool) -> None:
    """Write Σ and Σ² of the first 0, 1, … neighbours of permutation p."""
    total, square = 0.0, 0.0
    for m in range(drawn_values.shape[0]):
        value = drawn_values[m, p]
        total += value
        sums[m + 1, p] = total
        if quadratic:
            square += value * value
            squares[m + 1, p] = square


@njit(cache=True)
def _tally(simulated: Any, observed: float, slack: float) -> tuple[int, int]:
    at_least, at_most = 0, 0
    low, high = observed - slack, observed + slack
    for p in range(simulated.size):
        at_least += simulated[p] >= low
        at_most += simulated[p] <= high
    return at_least, at_most


@njit(cache=True)
def _tally_squares(sums: Any, squares: Any, own: float, count: int, observed: float, slack: float) -> tuple[int, int]:
    at_least, at_most = 0, 0
    low, high = observed - slack - count * own * own, observed + slack - count * own * own
    twice = 2.0 * own
    for p in range(sums.size):
        simulated = squares[p] - twice * sums[p]
        at_least += simulated >= low
        at_most += simulated <= high
    return at_least, at_most


@njit(cache=True, parallel=True)
def _counts(
    rows: Any,
    starts: Any,
    weights: Any,
    observed: Any,
    own: Any,
    uniform: bool,
    quadratic: bool,
    place: Any,
    below: Any,
    above: Any,
    passed: Any,
    order: Any,
    scale: float,
) -> tuple[Any, Any]:
    most, permutations = place.shape
    at_least, at_most = np.zeros(rows.size, np.int64), np.zeros(rows.size, np.int64)
    for chunk in prange(-(-rows.size // _ROWS)):
        first = chunk * _ROWS
        values = np.empty((most, permutations))
        for m in range(most):
            for p in range(permutations):
                values[m, p] = below[m, p] if place[m, p] < rows[first] else above[m, p]
        at = np.searchsorted(passed, rows[first])
        sums = np.zeros((most + 1 if uniform else 1, permutations))
        squares = np.zeros((most + 1 if uniform and quadratic else 1, permutations))
        if uniform:
            for p in range(permutations):
                _prefix(values, sums, squares, p, quadratic)
        simulated = np.empty(permutations)
        for r in range(first, min(rows.size, first + _ROWS)):
            while at < passed.size and passed[at] < rows[r]:
                m, p = order[at] // permutations, order[at] % permutations
                values[m, p] = below[m, p]
                if uniform:
                    _prefix(values, sums, squares, p, quadratic)
                at += 1
            count = starts[r + 1] - starts[r]
            if uniform:
                if quadratic:
                    slack = TIE * count * (abs(own[r]) + scale) ** 2
                    found = _tally_squares(sums[count], squares[count], own[r], count, observed[r], slack)
                else:
                    found = _tally(sums[count], observed[r], TIE * count * scale)
            else:
                simulated[:] = 0.0
                total = 0.0
                for m in range(count):
                    w = weights[starts[r] + m]
                    total += w
                    for p in range(permutations):
                        simulated[p] += w * (own[r] - values[m, p]) ** 2 if quadratic else w * values[m, p]
                slack = TIE * total * ((abs(own[r]) + scale) ** 2 if quadratic else scale)
                found = _tally(simulated, observed[r], slack)
            at_least[r], at_most[r] = found
    return at_least, at_most
