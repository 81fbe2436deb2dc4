"""Sums over the edges of a large Spark frame: the driver learns the values, the workers add up the edges of their tiles.

Every worker computes what a permutation brings to its rows from (seed, permutation, index), so nothing is shuffled for 999 permutations;
what comes back is two numbers per tile and permutation, whose sum is exact. Only S1 and S2, which need an edge's opposite, send each edge
once to either end.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.messages import SanyuError
from transforms.mining.autocorrelation.autocorrelation_kernels import PRODUCT, SQUARE, by_place, grids, simulated
from transforms.mining.autocorrelation.autocorrelation_parts import Draws, Moments, along_curve, largest_row_sum, terms
from transforms.mining.autocorrelation.local_request import require_edges, transform_of, transformed_rows
from transforms.mining.autocorrelation.local_tiles import prepared
from transforms.mining.ground import sums
from transforms.mining.shelf.frames import INDEX
from transforms.mining.weights.tiles import tile_rows
from transforms.mining.weights.weights import Kernel, Knn, Rule, moment_terms
from transforms.mining.weights.weights_kernels import row_sums

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
BUCKET = 50_000
_OBSERVED = -1
_FIRST, _SECOND, _ROWS, _EDGES, _LARGEST, _SUM = range(6)


class Tiled:
    """The edges of a Spark frame by a rule that looks at places; errors as in one process."""

    def __init__(self, frame: DataFrame, value: str, rule: Rule, transform: str, id_column: str | None) -> None:
        self._indexed, _, self.values, table = prepared(frame, value, id_column)
        self.ids = table.column("id")
        self._rule, self._transform = rule, transform_of(transform)
        if isinstance(rule, Knn | Kernel) and rule.k is not None and rule.k >= len(self.values):
            raise SanyuError("SY-N013", k=rule.k, count=len(self.values))

    def find_edges(self) -> None:
        """Find S0, S1, S2, the number of edges and of islands; SY-N022 where there is no edge."""
        from pyspark.sql import functions as F

        schema = f"{INDEX} long, other long, weight double"
        out = tile_rows(self._indexed, self._rule, _Edges(self._transform), schema, len(self.values))
        left = out.select(F.col(INDEX).alias("row"), "other", "weight", F.lit(False).alias("is_back"))
        back = out.select(F.col("other").alias("row"), F.col(INDEX).alias("other"), "weight", F.lit(True).alias("is_back"))
        bucket = F.expr(f"row div {BUCKET}").alias("bucket")
        parts = left.unionAll(back).withColumn("bucket", bucket).groupBy("bucket").applyInArrow(_moments, "what int, part double")
        found = parts.toArrow()
        what, part = found.column("what").to_numpy(), found.column("part").to_numpy()
        self.edge_count = int(part[what == _EDGES].sum())
        require_edges(self.edge_count)
        self.island_count = len(self.values) - int(part[what == _ROWS].sum())
        self.moments: Moments = (
            math.fsum(part[what == _SUM]),
            math.fsum(part[what == _FIRST]) / 2,
            math.fsum(part[what == _SECOND]),
        )
        self._largest = float(part[what == _LARGEST].max())

    def measured(self, x: Floats, kinds: Sequence[int], draws: Draws) -> tuple[list[float], list[Floats]]:
        """Return what `Edges.measured` asks for; the keyed source of permutations only."""
        permuted = [kind for kind in kinds if kind in (PRODUCT, SQUARE)]
        cuts = {kind: grids(x, self._largest, kind) for kind in permuted}
        kernel = _Measure(self._transform, x, tuple(kinds), cuts, draws)
        schema = f"{INDEX} long, kind int, number int, high double, low double"
        found = tile_rows(self._indexed, self._rule, kernel, schema, len(x)).toArrow()
        kind, number, high, low = (found.column(c).to_numpy() for c in ("kind", "number", "high", "low"))
        observed = [math.fsum(high[(kind == k) & (number == _OBSERVED)]) for k in kinds]
        drawn = []
        for k in permuted:
            own = (kind == k) & (number != _OBSERVED)
            both = np.zeros((draws.permutations, 2))
            np.add.at(both, number[own], np.stack([high[own], low[own]], axis=1))
            drawn.append(both.sum(axis=1))
        return observed, drawn


class _Edges:
    """The edges of a tile's own rows, weights transformed; an object, because it travels to the workers."""

    def __init__(self, transform: str) -> None:
        self._transform = transform

    def __call__(self, table: pa.Table, owned: Ints, starts: Ints, positions: Ints, distance: Floats, weights: Floats) -> dict[str, Any]:
        index = table.column(INDEX).to_numpy()
        transformed, _ = transformed_rows(starts, weights, self._transform)
        return {INDEX: index[np.repeat(owned, np.diff(starts))], "other": index[positions], "weight": transformed}


class _Measure:
    """The sums over a tile's own rows."""

    def __init__(self, transform: str, x: Floats, kinds: tuple[int, ...], cuts: dict[int, tuple[float, float]], draws: Draws) -> None:
        self._transform, self._x, self._kinds, self._cuts, self._draws = transform, x, kinds, cuts, draws

    def __call__(self, table: pa.Table, owned: Ints, starts: Ints, positions: Ints, distance: Floats, weights: Floats) -> dict[str, Any]:
        found: list[tuple[int, Ints, Floats]] = []
        if len(owned):
            index = table.column(INDEX).to_numpy()
            transformed, _ = transformed_rows(starts, weights, self._transform)
            values = self._x[index]
            for kind in self._kinds:
                parts = np.array(sums.parts(terms(kind, starts, positions, transformed, values, values[owned])))
                found.append((kind, np.full(len(parts), _OBSERVED), np.stack([parts, np.zeros(len(parts))], axis=1)))
            if self._draws.permutations:
                found += self._permuted(table, index, owned, (starts, positions, transformed))
        count = sum(len(numbers) for _, numbers, _ in found)
        both = np.concatenate([np.zeros((0, 2)), *(part for _, _, part in found)])
        return {
            INDEX: np.zeros(count, np.int64),
            "kind": np.concatenate([np.zeros(0, np.int32), *(np.full(len(n), k, np.int32) for k, n, _ in found)]),
            "number": np.concatenate([np.zeros(0, np.int32), *(n.astype(np.int32) for _, n, _ in found)]),
            "high": both[:, 0].copy(),
            "low": both[:, 1].copy(),
        }

    def _permuted(self, table: pa.Table, index: Ints, owned: Ints, edges: tuple[Ints, Ints, Floats]) -> list[tuple[int, Ints, Floats]]:
        x, y = (table.column(name).to_numpy() for name in ("x_m", "y_m"))
        halo = np.setdiff1d(np.arange(len(index)), owned, assume_unique=True)
        order = along_curve(x[owned], y[owned])
        sequence = np.concatenate([owned[order], halo[along_curve(x[halo], y[halo])]])
        rank = np.empty(len(index), np.int64)
        rank[sequence] = np.arange(len(index))
        near, numbers = by_place(*edges, order, rank), np.arange(self._draws.permutations)
        asked = (self._draws.permutations, self._draws.seed)
        return [(kind, numbers, simulated(index[sequence], *near, self._x, *asked, kind, cut)) for kind, cut in self._cuts.items()]


def _moments(table: pa.Table) -> pa.Table:
    """Return the parts of S0, S1 and S2 of a bucket of rows, given all edges that leave them or lead to them."""
    ordered = table.sort_by([("row", "ascending"), ("other", "ascending")])
    rows = np.unique(ordered.column("row").to_numpy())
    out, back = (_side(ordered, rows, is_back) for is_back in (False, True))
    first, second = moment_terms(out, back)
    listed = {
        _FIRST: sums.parts(first),
        _SECOND: sums.parts(second),
        _SUM: sums.parts(row_sums(out[0], out[2])),
        _ROWS: [float((np.diff(out[0]) > 0).sum())],
        _EDGES: [float(len(out[1]))],
        _LARGEST: [largest_row_sum(out[0], out[2])],
    }
    pairs = [(what, part) for what, some in listed.items() for part in some]
    return pa.table({"what": pa.array([w for w, _ in pairs], pa.int32()), "part": pa.array([p for _, p in pairs], pa.float64())})


def _side(ordered: pa.Table, rows: Ints, is_back: bool) -> tuple[Ints, Ints, Floats]:
    """Return the edges of one direction as compressed rows; copied, because kernels are compiled for writable arrays."""
    side = ordered.filter(pc.equal(ordered.column("is_back"), is_back)).combine_chunks()
    starts = np.searchsorted(side.column("row").to_numpy(), np.append(rows, np.iinfo(np.int64).max))
    return starts, np.array(side.column("other").to_numpy()), np.array(side.column("weight").to_numpy())
