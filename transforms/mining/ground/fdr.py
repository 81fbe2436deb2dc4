"""Many tests at once: the false discovery rate of Benjamini and Hochberg (1995), as statsmodels `fdr_bh` and `esda.fdr`."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def adjusted(p_values: Any) -> npt.NDArray[np.float64]:
    """Return p-values adjusted for their number m: min over ranks r' ≥ r of p(r')·m/r', at most 1. NaN stays NaN and is no test."""
    given = np.asarray(p_values, dtype=np.float64)
    out = np.full(given.shape, np.nan)
    tested = np.flatnonzero(~np.isnan(given))
    if len(tested) == 0:
        return out
    order = tested[np.argsort(given[tested], kind="stable")]
    # As statsmodels divides: p / (r/m), not p·m/r, which rounds otherwise.
    ratio = given[order] / (np.arange(1, len(order) + 1) / len(order))
    out[order] = np.minimum(np.minimum.accumulate(ratio[::-1])[::-1], 1.0)
    return out


def cutoff(p_values: Any, alpha: float = 0.05) -> float:
    """Return the p-value at or below which a test is significant at the rate alpha; alpha/m where none is, as `esda.fdr`."""
    given = np.asarray(p_values, dtype=np.float64)
    ranked = np.sort(given[~np.isnan(given)])
    count = len(ranked)
    if count == 0:
        return alpha
    good = np.flatnonzero(ranked <= alpha * np.arange(1, count + 1) / count)
    return alpha * (int(good[-1]) + 1) / count if len(good) else alpha / count
