"""Quadrat counts, nearest neighbour index and grain: is a pattern random, clustered or even, and how finely is it known?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.special import ndtr
from scipy.stats import chi2

from transforms.mining.density.distribution import Floats, Window, area_of, one_row, placed, window_of
from transforms.mining.ground import sums
from transforms.mining.ground.permute import uniform
from transforms.mining.ground.row_time import reach
from transforms.mining.ground.steps import steps
from transforms.mining.shelf.frames import Way, like, note
from transforms.mining.shelf.tool import tool
from transforms.mining.weights.weights_tree import Tree


def cell_counts(x: Floats, y: Floats, window: Window, columns: int, rows: int) -> Any:
    """Return how many points lie in each cell of a window cut into columns and rows, int64; the upper edges belong to the last cells."""
    i = np.minimum(((x - window[0]) / (window[2] - window[0]) * columns).astype(np.int64), columns - 1)
    j = np.minimum(((y - window[1]) / (window[3] - window[1]) * rows).astype(np.int64), rows - 1)
    return np.bincount(j * columns + i, minlength=columns * rows)


@tool("Quadrat test", "样方检验", result="mart.mining__quadrat", grain="summary", columns=())
def quadrat(
    frame: Any, *, column_count: int = 10, line_count: int = 10, window: str | Sequence[float] | None = None, id_column: str | None = None
) -> Any:
    """Return one row: χ² of the cells' counts against equal ones, and their variance-to-mean ratio (1 for a random pattern).

    `p_chi2` is the upper tail with cells − 1 degrees of freedom (clustered), `p_even` the lower. The variance is over cells − 1.
    `window` is xmin,ymin,xmax,ymax in metres, by default the box around the rows. SY-N030, SY-N032, SY-N038.
    """
    reach("quadrat", "column_count × line_count", column_count * line_count if min(column_count, line_count) > 0 else 0, least=2)
    note(way=Way.IN_PROCESS)
    x, y, ids = placed(frame, id_column, "quadrat", 2)
    count = cell_counts(x, y, window_of("quadrat", window, x, y, ids), column_count, line_count)
    cells, squares = len(count), int((count * count).sum())
    statistic = squares * cells / len(x) - len(x)
    figures = {
        "cell_count": cells,
        "row_count": len(x),
        "mean_count": len(x) / cells,
        "variance": statistic * len(x) / cells / (cells - 1),
        "variance_mean_ratio": statistic / (cells - 1),
        "chi2": statistic,
        "p_chi2": float(chi2.sf(statistic, cells - 1)),
        "p_even": float(chi2.cdf(statistic, cells - 1)),
    }
    return like(frame, one_row(figures))


@tool("Nearest neighbour index", "最近邻指数", result="mart.mining__nearest_neighbour", grain="summary", columns=())
def nearest_neighbour(
    frame: Any, *, area_m2: float | None = None, window: str | Sequence[float] | None = None, id_column: str | None = None
) -> Any:
    """Return one row: mean distance to the nearest other row over that of a random pattern (Clark and Evans 1954), with its z-score.

    `expected_m` is 0.5 √(A/n), the standard error 0.26136 √A / n; no edge correction, so in a narrow window the index is too large.
    `area_m2` is A where given, else the window's. Rows at one place are 0 m apart. SY-N030, SY-N032, SY-N038.
    """
    note(way=Way.IN_PROCESS)
    x, y, ids = placed(frame, id_column, "nearest_neighbour", 2)
    if area_m2 is None:
        area_m2 = area_of(window_of("nearest_neighbour", window, x, y, ids))
    reach("nearest_neighbour", "area_m2", area_m2, above=True)
    _, distance = Tree(x, y).nearest(1)
    n, observed = len(x), sums.mean(distance)
    expected = 0.5 * math.sqrt(area_m2 / n)
    z = (observed - expected) / ((4 - math.pi) ** 0.5 / (2 * math.pi**0.5) * math.sqrt(area_m2) / n)
    figures = {
        "observed_m": observed,
        "expected_m": expected,
        "index": observed / expected,
        "z_score": z,
        "p_value": float(2 * ndtr(-abs(z))),
        "area_m2": float(area_m2),
        "row_count": n,
    }
    return like(frame, one_row(figures))


@tool("Grain selection", "粒度选择", result="mart.mining__grain", grain="own", columns=())
def grain(
    frame: Any,
    *,
    cells_m: str | Sequence[float],
    reliability: float = 0.8,
    splits: int = 20,
    seed: int = 0,
    id_column: str | None = None,
) -> Any:
    """Return a row per cell size: how far a map of counts at this size would come out the same from other data of the same kind.

    The rows are split into halves (keyed by the place of the id), the cells' counts of both correlated over all cells of the box around the
    rows, and the mean over `splits` stepped up to the whole number by Spearman and Brown (1910): r' = 2r/(1+r). `is_supported` says r' ≥
    `reliability`, `is_chosen` marks the smallest such size from which on all coarser ones are supported too. Below 4 cells there is no
    figure. SY-N030, SY-N032, SY-N036.
    """
    sizes = steps("grain", "cells_m", cells_m)
    reach("grain", "reliability", reliability)
    reach("grain", "splits", splits, least=1)
    note(way=Way.IN_PROCESS)
    x, y, _ = placed(frame, id_column, "grain", 4)
    n = len(x)
    halves = [uniform(seed, np.arange(n), stream) < 0.5 for stream in range(splits)]
    rows = [_grain_row(x, y, float(size), halves) for size in sizes]
    supported = [row["reliability"] >= reliability for row in rows]
    chosen = len(rows)
    while chosen > 0 and supported[chosen - 1]:
        chosen -= 1
    for k, row in enumerate(rows):
        row |= {"is_supported": supported[k], "is_chosen": k == chosen}
    note(chosen_m=float(sizes[chosen]) if chosen < len(rows) else None)
    return like(frame, pa.table({name: pa.array([row[name] for row in rows], from_pandas=True) for name in rows[0]}))


def _grain_row(x: Floats, y: Floats, size: float, halves: list[Any]) -> dict[str, Any]:
    i, j = (np.floor((v - v.min()) / size).astype(np.int64) for v in (x, y))
    cells = (int(i.max()) + 1) * (int(j.max()) + 1)
    place = np.unique(i * (int(j.max()) + 1) + j, return_inverse=True)[1]
    count = np.bincount(place)
    n, squares = len(x), int((count.astype(np.int64) ** 2).sum())
    found = [_correlation(np.bincount(place[h], minlength=len(count)), np.bincount(place[~h], minlength=len(count)), cells) for h in halves]
    r = math.fsum(found) / len(found) if cells >= 4 else math.nan
    return {
        "cell_m": size,
        "cell_count": cells,
        "empty_share": 1 - len(count) / cells,
        "mean_count": n / cells,
        "variance_mean_ratio": (squares * cells / n - n) / (cells - 1) if cells > 1 else math.nan,
        "morisita": cells * (squares - n) / (n * (n - 1)),
        "reliability": 2 * r / (1 + r) if r > -1 else math.nan,
    }


def _correlation(a: Any, b: Any, cells: int) -> float:
    """Return Pearson's r of two columns of counts over `cells` cells, those not listed being 0 in both; whole numbers up to the root."""
    a, b = a.astype(np.int64), b.astype(np.int64)
    ab, aa, bb = (int((u * v).sum()) * cells for u, v in ((a, b), (a, a), (b, b)))
    sa, sb = int(a.sum()), int(b.sum())
    spread = (aa - sa * sa) * (bb - sb * sb)
    return (ab - sa * sb) / math.sqrt(spread) if spread > 0 else 0.0
