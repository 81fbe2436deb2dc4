"""Local statistics: which places are like their neighbours, unlike them, hot or cold.

`local_moran` (LISA), `local_geary` and `local_g` (Gi, Gi*) give each row of the frame its statistic with analytic and permutation
inference, adjusted for the number of tests. Rows may come in any order and number of partitions; the answer is the same to the last bit.
What is an island, and what its neighbours are, says `transforms.mining.weights.weights`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from schemas.messages import SanyuError
from transforms.mining.autocorrelation.local_kernels import Source
from transforms.mining.autocorrelation.local_request import (
    Request,
    labelled,
    require_edges,
    require_sums,
    require_varied,
    transformed_rows,
)
from transforms.mining.autocorrelation.local_statistics import (
    Alternative,
    Inference,
    Part,
    local_columns,
    whole,
)
from transforms.mining.ground.metres import points
from transforms.mining.shelf.frames import POSITION, Way, attached, collect, floats, in_process, note
from transforms.mining.shelf.tool import tool
from transforms.mining.weights.weights import Contiguity, DistanceBand, Kernel, Knn, Rule, Weights, resolve

RESULT = "mart.mining__local_statistic"


@tool("Local Moran's I (LISA)", "局部莫兰指数", result=RESULT)
def local_moran(
    frame: Any,
    value: str,
    *,
    weights: Any = None,
    k: int = 8,
    radius_m: float | None = None,
    transform: str = "r",
    permutations: int = 999,
    seed: int = 0,
    alternative: Alternative = "directed",
    alpha: float = 0.05,
    use_fdr: bool = True,
    draws: Source = "keyed",
    id_column: str | None = None,
) -> Any:
    """Return the frame with Anselin's local Moran statistic of `value` in each row.

    Adds `value`, `neighbour_count`, `lag` (of the standardised value), `statistic`, `expected`, `variance` (conditional randomisation),
    `z_score`, `p_analytic` (two-sided normal), `p_permuted`, `q_value` (Benjamini-Hochberg), `quadrant` (HH, LH, LL, HL) and `pattern`:
    High-High, Low-Low, High-Low, Low-High where q (p with `use_fdr=False`) is at most `alpha`, else Not significant, or Island.

    `weights` is a rule, `Weights`, an edge table or a libpysal graph; without it the `k` nearest, or all within `radius_m`. `draws="esda"`
    takes esda's permutations at `seed` and gives its p-values. SY-N009 missing values, SY-N020 too few rows, SY-N021 a constant.
    """
    inference = _inference(permutations, seed, alternative, draws)
    request = Request("moran", value, transform, False, alpha, inference, id_column, use_fdr)
    return _local(frame, request, weights, _default(k, radius_m))


@tool("Local Geary's c", "局部吉尔里指数", result=RESULT)
def local_geary(
    frame: Any,
    value: str,
    *,
    weights: Any = None,
    k: int = 8,
    radius_m: float | None = None,
    transform: str = "r",
    permutations: int = 999,
    seed: int = 0,
    alternative: Alternative = "directed",
    alpha: float = 0.05,
    use_fdr: bool = True,
    draws: Source = "keyed",
    id_column: str | None = None,
) -> Any:
    """Return the frame with the local Geary statistic Σ_j w_ij (z_i - z_j)² of each row; arguments, columns and errors as `local_moran`.

    `pattern` is Similar where the statistic is significant and below its expectation, Dissimilar where it is above. Expectation and
    variance are those under conditional randomisation.
    """
    inference = _inference(permutations, seed, alternative, draws)
    request = Request("geary", value, transform, False, alpha, inference, id_column, use_fdr)
    return _local(frame, request, weights, _default(k, radius_m))


@tool("Getis-Ord Gi and Gi*", "热点分析（Gi*）", result=RESULT)
def local_g(
    frame: Any,
    value: str,
    *,
    star: bool = True,
    weights: Any = None,
    k: int = 8,
    radius_m: float | None = None,
    transform: str = "b",
    permutations: int = 999,
    seed: int = 0,
    alternative: Alternative = "directed",
    alpha: float = 0.05,
    use_fdr: bool = True,
    draws: Source = "keyed",
    id_column: str | None = None,
) -> Any:
    """Return the frame with Getis and Ord's local G of `value`: Gi* counts the row itself (`star`), Gi does not.

    With `star` a row's own weight is its largest (1 for binary weights). `pattern` is Hot or Cold by the analytic z-score where its
    adjusted p-value is at most `alpha`. Other arguments, columns and errors as `local_moran`; values may be negative only as long as
    their sums are not 0 (SY-N023).
    """
    inference = _inference(permutations, seed, alternative, draws)
    request = Request("g", value, transform, star, alpha, inference, id_column, use_fdr)
    return _local(frame, request, weights, _default(k, radius_m))


def part_of(found: Weights, values: Any, request: Request) -> Part:
    """Return all rows as one part, with weights transformed as asked for."""
    rows = np.arange(found.count)
    transformed, own = transformed_rows(found.starts, found.weights, request.transform, request.star)
    return Part(rows, rows, values, found.starts, found.indices, transformed, own)


def is_tiled(weights: Any) -> bool:
    """Tell whether workers can find the neighbours of their own tile."""
    return weights is None or isinstance(weights, Knn | DistanceBand | Kernel)


def _local(frame: Any, request: Request, weights: Any, default: Rule) -> Any:
    if not in_process(frame) and is_tiled(weights):
        from transforms.mining.autocorrelation.local_tiles import distributed

        return distributed(frame, request, default if weights is None else weights)
    note(way=Way.IN_PROCESS)
    table = _table(frame, request, weights)
    values = floats(table, request.value)
    require_varied(request.value, values, f"local_{request.statistic}")
    found = resolve(weights, frame, table, request.id_column, default)
    require_edges(len(found.indices))
    require_sums(request, values, table)
    shared = whole(request.statistic, values, int(found.neighbour_counts.max()), request.inference, star=request.star)
    columns = labelled(local_columns(part_of(found, values, request), shared), request)
    added = pa.table({name: table.column(name) for name in ("id", POSITION) if name in table.column_names} | columns)
    return attached(frame, added, request.id_column)


def _table(frame: Any, request: Request, weights: Any) -> pa.Table:
    """Return ids and values, with places where the weights are still to be made from them."""
    if weights is None or (isinstance(weights, Rule) and not isinstance(weights, Contiguity)):
        return points(frame, [request.value], request.id_column, position=True)
    return collect(frame, [request.value], request.id_column, position=True)


def _inference(permutations: int, seed: int, alternative: Alternative, source: Source) -> Inference:
    if permutations < 0:
        raise SanyuError("SY-N003", tool="local", name="permutations", value=permutations, kind="number of 0 or more")
    if alternative not in ("directed", "two_sided", "greater", "lesser"):
        raise SanyuError("SY-N003", tool="local", name="alternative", value=alternative, kind="directed, two_sided, greater or lesser")
    return Inference(permutations, seed, alternative, source)


def _default(k: int, radius_m: float | None) -> Rule:
    return Knn(k) if radius_m is None else DistanceBand(radius_m)
