"""Global autocorrelation: is the whole map clustered, dispersed or neither.

Moran's I, Geary's c, Getis and Ord's G and join counts, each as one row of figures with the moments under normality and under
randomisation, and a permutation test. Sources: Cliff and Ord, Spatial processes, 1981; Getis and Ord 1992. Equal to esda 2.9. A large
Spark frame is added up by its workers (`autocorrelation_tiles`), with the same bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import ndtr
from scipy.stats import chi2

from schemas.messages import SanyuError
from transforms.mining.autocorrelation.autocorrelation_kernels import PRODUCT, SQUARE, Source
from transforms.mining.autocorrelation.autocorrelation_parts import INTO, OUT, Draws, Edges, Here
from transforms.mining.autocorrelation.local import is_tiled
from transforms.mining.autocorrelation.local_request import LEAST_ROWS, require_edges, require_varied
from transforms.mining.ground import sums
from transforms.mining.ground.metres import points
from transforms.mining.shelf.frames import Way, collect, floats, in_process, like, note
from transforms.mining.shelf.tool import tool
from transforms.mining.weights.weights import Contiguity, DistanceBand, Knn, Rule, resolve

Floats = npt.NDArray[np.float64]
RESULT = "mart.mining__global_statistic"


@tool("Global Moran's I", "全局莫兰指数", result=RESULT, grain="summary")
def moran(
    frame: Any,
    value: str,
    *,
    weights: Any = None,
    k: int = 8,
    radius_m: float | None = None,
    transform: str = "r",
    permutations: int = 999,
    seed: int = 0,
    draws: Source = "keyed",
    id_column: str | None = None,
) -> Any:
    """Return one row with Moran's I of `value`: near +1 alike values are neighbours, near -1 unlike, near `expected` neither.

    Columns: `statistic`, `expected`, `variance_normal`, `z_normal`, `p_normal`, `variance_random`, `z_random`, `p_random` (two-sided),
    `p_permuted`, `mean_permuted`, `deviation_permuted`, `z_permuted`, and `row_count`, `edge_count`, `island_count`, `s0`, `s1`, `s2`.
    Arguments and errors as `local_moran`.
    """
    values, found, asked = _prepared(frame, value, weights, _default(k, radius_m), transform, id_column, "moran", permutations, seed, draws)
    n, z = len(values), values - sums.mean(values)
    square, fourth = sums.exact(z**2), sums.exact(z**4)
    s0, s1, s2 = found.moments
    (product,), (drawn,) = found.measured(z, (PRODUCT,), asked)
    scale = n / s0 / square
    statistic, expected = scale * product, -1.0 / (n - 1)
    kurtosis = (fourth / n) / (square / n) ** 2
    normal = (n * n * s1 - n * s2 + 3 * s0 * s0) / ((n - 1) * (n + 1) * s0 * s0) - expected**2
    first = n * ((n * n - 3 * n + 3) * s1 - n * s2 + 3 * s0 * s0)
    second = kurtosis * ((n * n - n) * s1 - 2 * n * s2 + 6 * s0 * s0)
    random = (first - second) / ((n - 1) * (n - 2) * (n - 3) * s0 * s0) - expected**2
    return _row(frame, "moran", found, asked, statistic, expected, {"normal": normal, "random": random}, scale * drawn)


@tool("Global Geary's c", "全局吉尔里指数", result=RESULT, grain="summary")
def geary(
    frame: Any,
    value: str,
    *,
    weights: Any = None,
    k: int = 8,
    radius_m: float | None = None,
    transform: str = "r",
    permutations: int = 999,
    seed: int = 0,
    draws: Source = "keyed",
    id_column: str | None = None,
) -> Any:
    """Return one row with Geary's c of `value`: below 1 alike values are neighbours, above 1 unlike; columns and errors as `moran`."""
    values, found, asked = _prepared(frame, value, weights, _default(k, radius_m), transform, id_column, "geary", permutations, seed, draws)
    n, z = len(values), values - sums.mean(values)
    square, fourth = sums.exact(z**2), sums.exact(z**4)
    s0, s1, s2 = found.moments
    (differences,), (drawn,) = found.measured(z, (SQUARE,), asked)
    scale = (n - 1) / (2 * s0 * square)
    kurtosis = (fourth / n) / (square / n) ** 2
    a = (n - 1) * s1 * (n * n - 3 * n + 3 - (n - 1) * kurtosis)
    b = 0.25 * ((n - 1) * s2 * (n * n + 3 * n - 6 - (n * n - n + 2) * kurtosis))
    c = s0 * s0 * (n * n - 3 - (n - 1) ** 2 * kurtosis)
    random = (a - b + c) / (n * (n - 2) * (n - 3) * s0 * s0)
    normal = (1 / (2 * (n + 1) * s0 * s0)) * ((2 * s1 + s2) * (n - 1) - 4 * s0 * s0)
    return _row(frame, "geary", found, asked, scale * differences, 1.0, {"normal": normal, "random": random}, scale * drawn)


@tool("Getis-Ord general G", "全局 G 统计量", result=RESULT, grain="summary")
def general_g(
    frame: Any,
    value: str,
    *,
    weights: Any = None,
    k: int = 8,
    radius_m: float | None = None,
    permutations: int = 999,
    seed: int = 0,
    draws: Source = "keyed",
    id_column: str | None = None,
) -> Any:
    """Return one row with the general G of `value` under binary weights: above `expected` high values cluster, below low values do.

    Values are 0 or more (SY-N023); columns and other errors as `moran`, the variance being that of esda.
    """
    values, found, asked = _prepared(frame, value, weights, _default(k, radius_m), "b", id_column, "general_g", permutations, seed, draws)
    if (values < 0).any():
        row = int(np.argmax(values < 0))
        named = {"column": value, "value": float(values[row]), "id": found.ids[row].as_py(), "tool": "general_g"}
        raise SanyuError("SY-N023", **named, wanted="values of 0 or more")
    n = len(values)
    m1, m2, m3, m4 = (sums.exact(values**power) for power in (1, 2, 3, 4))
    s0, s1, s2 = found.moments
    b0 = (n * n - 3 * n + 3) * s1 - n * s2 + 3 * s0 * s0
    b1 = -((n * n - n) * s1 - 2 * n * s2 + 6 * s0 * s0)
    b2 = -(2 * n * s1 - (n + 3) * s2 + 6 * s0 * s0)
    b3 = 4 * (n - 1) * s1 - 2 * (n + 1) * s2 + 8 * s0 * s0
    b4 = s1 - s2 + s0 * s0
    pairs = m1 * m1 - m2
    expected = s0 / (n * (n - 1))
    raised = b0 * m2 * m2 + b1 * m4 + b2 * m1 * m1 * m2 + b3 * m1 * m3 + b4 * m1**4
    variance = raised / (pairs * pairs * n * (n - 1) * (n - 2) * (n - 3)) - expected**2
    (product,), (drawn,) = found.measured(values, (PRODUCT,), asked)
    return _row(frame, "general_g", found, asked, product / pairs, expected, {"random": variance}, drawn / pairs)


@tool("Join counts", "连接数统计", result=RESULT, grain="summary")
def join_counts(
    frame: Any,
    value: str,
    *,
    weights: Any = None,
    k: int = 8,
    radius_m: float | None = None,
    permutations: int = 999,
    seed: int = 0,
    draws: Source = "keyed",
    id_column: str | None = None,
) -> Any:
    """Return one row with the joins between rows of `value` 1 (black) and 0 (white): `bb`, `ww`, `bw`, their number `statistic` = bb.

    `expected` is bb under free sampling without replacement, `p_permuted` that of bb, `p_permuted_bw` that of bw (both: at least as many),
    `chi2` and `p_chi2` the test of independence with Yates' correction, as esda. SY-N023 on another value than 0 and 1.
    """
    values, found, asked = _prepared(frame, value, weights, _default(k, radius_m), "b", id_column, "join_counts", permutations, seed, draws)
    other = (values != 0) & (values != 1)
    if other.any():
        row = int(np.argmax(other))
        named = {"column": value, "value": float(values[row]), "id": found.ids[row].as_py(), "tool": "join_counts"}
        raise SanyuError("SY-N023", **named, wanted="0 and 1")
    n, black, joins = len(values), sums.exact(values), found.moments[0] / 2
    (both, _, out_black, in_black), (drawn_bb, drawn_bw) = found.measured(values, (PRODUCT, SQUARE, OUT, INTO), asked)
    bb, drawn_bb, drawn_bw = both / 2, drawn_bb / 2, drawn_bw / 2
    bw_half, wb_half = (out_black - 2 * bb) / 2, (in_black - 2 * bb) / 2
    ww = joins - bb - bw_half - wb_half
    test, p_test = _independence(np.array([[ww, wb_half], [bw_half, bb]]))
    bw = bw_half + wb_half
    expected = joins * black * (black - 1) / (n * (n - 1))
    more = {"bb": bb, "ww": ww, "bw": bw, "chi2": test, "p_chi2": p_test, "p_permuted_bw": _upper(drawn_bw, bw)}
    return _row(frame, "join_counts", found, asked, bb, expected, {}, drawn_bb, p_permuted=_upper(drawn_bb, bb), **more)


def _prepared(
    frame: Any,
    value: str,
    weights: Any,
    default: Rule,
    transform: str,
    id_column: str | None,
    name: str,
    permutations: int,
    seed: int,
    source: Source,
) -> tuple[Floats, Edges, Draws]:
    """Return the values in canonical order, the edges, and the permutations asked for.

    A Spark frame of a million rows or more stays with its workers; edges that were given, contiguity and esda's permutations are collected.
    """
    asked = Draws(permutations, seed, source)
    if not in_process(frame) and is_tiled(weights) and source == "keyed":
        from transforms.mining.autocorrelation.autocorrelation_tiles import Tiled

        tiled = Tiled(frame, value, default if weights is None else weights, transform, id_column)
        require_varied(value, tiled.values, name, LEAST_ROWS)
        tiled.find_edges()
        note(island_count=tiled.island_count, edge_count=tiled.edge_count)
        return tiled.values, tiled, asked
    note(way=Way.IN_PROCESS)
    located = weights is None or (isinstance(weights, Rule) and not isinstance(weights, Contiguity))
    table = points(frame, [value], id_column) if located else collect(frame, [value], id_column)
    values = floats(table, value)
    require_varied(value, values, name, LEAST_ROWS)
    found = resolve(weights, frame, table, id_column, default).transformed(transform)
    require_edges(len(found.indices))
    return values, Here(values, found, table), asked


def _row(
    frame: Any,
    name: str,
    found: Edges,
    asked: Draws,
    statistic: float,
    expected: float,
    variances: dict[str, float],
    drawn: Floats,
    *,
    p_permuted: float | None = None,
    **more: float,
) -> Any:
    s0, s1, s2 = found.moments
    figures: dict[str, Any] = {"statistic_name": name, "statistic": statistic, "expected": expected}
    for null in ("normal", "random"):
        variance = variances.get(null, math.nan)
        z = (statistic - expected) / math.sqrt(variance) if variance > 0 else math.nan
        figures |= {f"variance_{null}": variance, f"z_{null}": z, f"p_{null}": float(2.0 * ndtr(-abs(z)))}
    deviation = float(drawn.std()) if len(drawn) else math.nan
    centre = sums.mean(drawn)
    figures |= {
        "p_permuted": _directed(drawn, statistic, asked.source) if p_permuted is None else p_permuted,
        "mean_permuted": centre,
        "deviation_permuted": deviation,
        "z_permuted": (statistic - centre) / deviation if len(drawn) and deviation > 0 else math.nan,
        "permutations": len(drawn),
        "row_count": len(found.values),
        "edge_count": found.edge_count,
        "island_count": found.island_count,
        **{"s0": s0, "s1": s1, "s2": s2},
        **more,
    }
    note(statistic=statistic, p_permuted=figures["p_permuted"], z_random=figures["z_random"])
    return like(frame, pa.table({key: [value] for key, value in figures.items()}))


def _directed(drawn: Floats, statistic: float, source: Source) -> float:
    """Return esda's pseudo p-value: the smaller tail; ties count for both, with esda's permutations for the upper one only, as there."""
    if not len(drawn):
        return math.nan
    slack = 1e-12 * abs(statistic)
    larger = int((drawn >= statistic - slack).sum())
    smaller = len(drawn) - larger if source == "esda" else int((drawn <= statistic + slack).sum())
    return (min(larger, smaller) + 1.0) / (len(drawn) + 1.0)


def _upper(drawn: Floats, statistic: float) -> float:
    return (int((drawn >= statistic - 1e-12 * abs(statistic)).sum()) + 1.0) / (len(drawn) + 1.0) if len(drawn) else math.nan


def _independence(table: Any) -> tuple[float, float]:
    """Return χ² of a 2×2 table with Yates' correction and its p-value (1 degree of freedom); NaN where a margin is empty."""
    expected = np.outer(table.sum(1), table.sum(0)) / table.sum()
    if (expected == 0).any():
        return math.nan, math.nan
    off = table - expected
    statistic = float(((np.abs(off) - np.minimum(0.5, np.abs(off))) ** 2 / expected).sum())
    return statistic, float(chi2.sf(statistic, 1))


def _default(k: int, radius_m: float | None) -> Rule:
    return Knn(k) if radius_m is None else DistanceBand(radius_m)
