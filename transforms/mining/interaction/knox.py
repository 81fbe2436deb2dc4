"""Knox's test and the space-time K function: are events that are near in space near in time too? (Knox 1964; Diggle et al. 1995)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import poisson

from schemas.messages import SanyuError
from transforms.mining.ground.permute import permutation
from transforms.mining.ground.row_time import reach
from transforms.mining.ground.steps import steps
from transforms.mining.interaction.interaction import Floats, Ints, batches, events, is_here, tile_counts, upper_p
from transforms.mining.interaction.interaction_kernel import close_in_time, counts, grid, neighbour_list, time_pairs
from transforms.mining.shelf.frames import like, note
from transforms.mining.shelf.tool import tool

MOST_PAIRS = 200_000_000


@tool("Knox test", "诺克斯时空交互检验", result="mart.mining__interaction", grain="summary", columns=("time",))
def knox(
    frame: Any,
    time: str,
    *,
    distance_m: float,
    lag: float,
    permutations: int = 999,
    seed: int = 0,
    id_column: str | None = None,
    tile_m: float | None = None,
) -> Any:
    """Return one row: pairs near in space, near in time and both (`statistic`), its expectation and p-values.

    Near is d ≤ `distance_m` and |Δt| ≤ `lag` (seconds for instants and dates, else the column's unit). `expected` is near pairs × soon
    pairs / all pairs; `p_poisson` is P(X ≥ statistic) for it; `p_permuted` counts permutations of the times with at least the statistic.
    SY-N030, SY-N031, SY-N032 below two rows, SY-N033 more pairs than a permutation test keeps.
    """
    reach("knox", "distance_m", distance_m, above=True)
    reach("knox", "lag", lag)
    here = is_here(frame, tile_m)
    x, y, t, factor = events(frame, time, id_column, "knox", 2)
    distances, lags = np.array([float(distance_m)]), np.array([lag * factor])
    if here:
        found = counts(x, y, t, np.ones(len(x), bool), distances, lags) // 2
    else:
        found = tile_counts(frame, time, id_column, distances, np.array([float(lag)]), tile_m)
    both, near = int(found[0, 0]), int(found[0, 1])
    if permutations and near > MOST_PAIRS:
        raise SanyuError("SY-N033", tool="knox", count=near, distance_m=distance_m, limit=MOST_PAIRS)
    drawn = _permuted(x, y, t, distance_m, near, lags[0], permutations, seed)
    soon, pairs = int(time_pairs(t, lags)[0]), len(x) * (len(x) - 1) // 2
    expected = near * soon / pairs
    return summary(frame, "knox", both, expected, drawn, len(x), seed, near, soon, float(poisson.sf(both - 1, expected)))


def summary(
    frame: Any,
    name: str,
    statistic: float,
    expected: float | None,
    drawn: Any,
    rows: int,
    seed: int,
    near: int | None = None,
    soon: int | None = None,
    p_poisson: float | None = None,
) -> Any:
    """Return the one row of an interaction test as a frame of the kind of `frame`."""
    p = upper_p(drawn, statistic)
    figures = [
        ("statistic_name", name, pa.string()),
        ("statistic", float(statistic), pa.float64()),
        ("expected", expected, pa.float64()),
        ("near_count", near, pa.int64()),
        ("soon_count", soon, pa.int64()),
        ("p_poisson", p_poisson, pa.float64()),
        ("p_permuted", p, pa.float64()),
        ("mean_permuted", float(np.mean(drawn)) if len(drawn) else None, pa.float64()),
        ("deviation_permuted", float(np.std(drawn)) if len(drawn) else None, pa.float64()),
        ("permutations", len(drawn), pa.int32()),
        ("seed", seed, pa.int64()),
        ("row_count", rows, pa.int64()),
    ]
    note(statistic=float(statistic), p_permuted=p)
    return like(frame, pa.table([pa.array([v], k) for _, v, k in figures], names=[n for n, _, _ in figures]))


def _permuted(x: Floats, y: Floats, t: Floats, distance_m: float, near: int, lag: float, permutations: int, seed: int) -> Ints:
    if not permutations:
        return np.empty(0, np.int64)
    g = grid(x, y, t, float(distance_m))
    start, other = neighbour_list(g.x, g.y, g.cells, g.rows, float(distance_m), near)
    return np.concatenate([close_in_time(start, other, lanes, lag) for lanes in batches(t, g.order, permutations, seed)])


@tool("Space-time K function", "时空K函数", result="mart.mining__space_time_k", grain="own", columns=("time",))
def space_time_k(
    frame: Any,
    time: str,
    *,
    distances_m: str | Sequence[float],
    lags: str | Sequence[float],
    permutations: int = 99,
    seed: int = 0,
    id_column: str | None = None,
    tile_m: float | None = None,
) -> Any:
    """Return a row per distance and lag: the pairs within both, within each alone, and how many more there are than without interaction.

    `excess` is observed − near · soon / pairs, `excess_share` (Diggle's D₀) that over the expected; `p_permuted` is the row's, `p_overall`
    for the sum of all standardised excesses. No edge correction: it would cancel in the permutations. Lists may be texts: `100,200`.
    SY-N030 to SY-N036.
    """
    s, lag = steps("space_time_k", "distances_m", distances_m), steps("space_time_k", "lags", lags)
    here = is_here(frame, tile_m)
    x, y, t, factor = events(frame, time, id_column, "space_time_k", 2)
    owned = np.ones(len(x), bool)
    found = counts(x, y, t, owned, s, lag * factor) // 2 if here else tile_counts(frame, time, id_column, s, lag, tile_m)
    drawn = [counts(x, y, t[permutation(seed, p, len(t))], owned, s, lag * factor)[:, :-1] // 2 for p in range(permutations)]
    observed, near = found[:, :-1], found[:, -1]
    soon, pairs = time_pairs(t, lag * factor), len(x) * (len(x) - 1) // 2
    expected = near[:, None] * soon[None, :] / pairs
    every, overall = np.array([]), None
    if drawn:
        every = np.stack(drawn)
        spread = np.where(every.std(axis=0) > 0, every.std(axis=0), np.inf)
        overall = upper_p(((every - expected) / spread).sum(axis=(1, 2)), float(((observed - expected) / spread).sum()))
        above: Any = (1 + (every >= observed).sum(axis=0)) / (1 + permutations)
    else:
        above = np.full(observed.shape, np.nan)
    i, j = (k.ravel() for k in np.indices(observed.shape))
    share = np.divide(observed - expected, expected, out=np.full(expected.shape, np.nan), where=expected > 0)
    note(p_overall=overall)
    columns = {
        "distance_m": s[i],
        "lag": lag[j],
        "pair_count": observed.ravel(),
        "near_count": near[i],
        "soon_count": soon[j],
        "expected": expected.ravel(),
        "excess": (observed - expected).ravel(),
        "excess_share": share.ravel(),
        "p_permuted": above.ravel(),
        "p_overall": np.full(len(i), np.nan if overall is None else overall),
    }
    return like(frame, pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()}))
