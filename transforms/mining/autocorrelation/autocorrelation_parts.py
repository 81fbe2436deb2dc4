"""What global statistics are made of: sums over all edges, observed and under permutations, in this process.

`Here` and `autocorrelation_tiles.Tiled` answer the same questions with the same bits: a row's term is made from its neighbours in the
canonical order, and terms are added exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms.mining.autocorrelation.autocorrelation_kernels import PRODUCT, SQUARE, Source, by_place, grids, simulated
from transforms.mining.ground import sums
from transforms.mining.weights.weights import Weights
from transforms.mining.weights.weights_kernels import lag, row_sums, squared_differences
from transforms.space.hilbert import hilbert_key

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Moments = tuple[float, float, float]
OUT, INTO = 2, 3
_ORDER = 16


@dataclass(frozen=True)
class Draws:
    """The permutations asked for; `source` esda draws esda's own at a seed of NumPy's."""

    permutations: int
    seed: int
    source: Source


class Edges(Protocol):
    """The edges of all rows, wherever they are: `moments` are S0, S1 and S2."""

    values: Floats
    ids: pa.Array
    moments: Moments
    edge_count: int
    island_count: int

    def measured(self, x: Floats, kinds: Sequence[int], draws: Draws) -> tuple[list[float], list[Floats]]:
        """Return for each kind Σ_ij of `terms` over all edges, and those under the permutations of x for PRODUCT and SQUARE."""
        ...


class Here:
    """The edges in this process; `at` has the rows' places (`x_m`, `y_m`) where they are known."""

    def __init__(self, values: Floats, weights: Weights, at: pa.Table) -> None:
        self.values, self.ids, self.moments = values, weights.ids, weights.moments
        self.edge_count, self.island_count = len(weights.indices), len(weights.islands)
        self._weights, self._at = weights, at

    def measured(self, x: Floats, kinds: Sequence[int], draws: Draws) -> tuple[list[float], list[Floats]]:
        edges = (self._weights.starts, self._weights.indices, self._weights.weights)
        found = [sums.exact(terms(kind, *edges, x, x)) for kind in kinds]
        permuted = [kind for kind in kinds if kind in (PRODUCT, SQUARE)]
        if not draws.permutations:
            return found, [np.zeros(0) for _ in permuted]
        order = self._order()
        rank = np.empty(len(order), np.int64)
        rank[order] = np.arange(len(order))
        near = by_place(*edges, order, rank)
        most = largest_row_sum(edges[0], edges[2])
        asked = (draws.permutations, draws.seed)
        return found, [simulated(order, *near, x, *asked, kind, grids(x, most, kind), draws.source).sum(axis=1) for kind in permuted]

    def _order(self) -> Ints:
        if "x_m" not in self._at.column_names:
            return np.arange(len(self.values))
        return along_curve(self._at.column("x_m").to_numpy(), self._at.column("y_m").to_numpy())


def terms(kind: int, starts: Ints, indices: Ints, weights: Floats, x: Floats, own: Floats) -> Floats:
    """Return each row's Σ_j of w_ij times x_i·x_j (PRODUCT), (x_i-x_j)² (SQUARE), x_i (OUT) or x_j (INTO); `own` are the x_i."""
    if kind == SQUARE:
        return np.asarray(squared_differences(starts, indices, weights, x, own))
    if kind == OUT:
        return np.asarray(own * row_sums(starts, weights))
    lagged = np.asarray(lag(starts, indices, weights, x))
    return own * lagged if kind == PRODUCT else lagged


def largest_row_sum(starts: Ints, weights: Floats) -> float:
    """Return the largest Σ_j w_ij of a row."""
    return float(row_sums(starts, weights).max())


def along_curve(x: Floats, y: Floats) -> Ints:
    """Return the rows in an order in which near rows are near: along a Hilbert curve over their extent."""
    scaled = [(axis - axis.min(initial=np.inf)) / max(float(np.ptp(axis)), 1e-9) if len(axis) else axis for axis in (x, y)]
    return np.argsort(hilbert_key(scaled[0] * 360 - 180, scaled[1] * 180 - 90, _ORDER), kind="stable")
