"""The seventeen published categories of emerging hot spots, from the significant steps of a cell and the trend of its z-scores.

Source: Esri, "How Emerging Hot Spot Analysis works", table of definitions (eight of hot spots, eight of cold spots, none). For a cell with
n steps, hot meaning significantly hot, in the order in which they are asked:

1. New: hot in the last step and never before.
2. Consecutive: one run of two or more hot steps at the end, never hot before it, less than 90 % of the steps hot.
3. Intensifying, Persistent, Diminishing: at least 90 % hot with the last; z rises significantly, has no trend, falls.
4. Oscillating: last hot, less than 90 % hot, cold in some earlier step.
5. Sporadic: last hot, less than 90 % hot, never cold.
6. Historical: last not hot, at least 90 % of the steps hot.

Cold spots are the mirror image: signs and trend negated. Where the texts leave it open: the sign of the last step chooses between hot and
cold, so that a Historical spot has a last step that is neither (one that has just turned to the other sign is a New, Consecutive, … spot of
that sign); Persistent needs a hot last step, else Historical would be left with cells that have a trend; a single hot step is New although
100 % of the steps are hot; the share is compared in whole numbers (10 · hot ≥ 9 · n).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from schemas.messages import SanyuError

Trend = Literal["up", "down", "none"]
KINDS: Final = ("New", "Consecutive", "Intensifying", "Persistent", "Diminishing", "Sporadic", "Oscillating", "Historical")
NO_PATTERN: Final = "No Pattern Detected"
TRENDS: Final[dict[str, int]] = {"up": 1, "down": -1, "none": 0}
_NEW, _CONSECUTIVE, _INTENSIFYING, _PERSISTENT, _DIMINISHING, _SPORADIC, _OSCILLATING, _HISTORICAL = range(1, 9)
LABELS: Final[dict[int, str]] = {
    0: NO_PATTERN,
    **{code: f"{kind} Hot Spot" for code, kind in enumerate(KINDS, start=1)},
    **{-code: f"{kind} Cold Spot" for code, kind in enumerate(KINDS, start=1)},
}


def hot_spot_category(sequence: Sequence[int] | npt.NDArray[Any], trend: Trend = "none") -> str:
    """Return the published label of one cell: its steps oldest first (1 hot, -1 cold, 0 not significant) and the trend of its z-scores.

    SY-N060 for an empty sequence or another value than -1, 0, 1; SY-N061 for another trend. The module docstring states the rules.
    """
    if trend not in TRENDS:
        raise SanyuError("SY-N061", trend=trend, known=", ".join(TRENDS))
    codes = category_codes(np.asarray(sequence)[None, ...], np.array([TRENDS[trend]]))
    return LABELS[int(codes[0])]


def category_codes(signs: npt.NDArray[Any], trends: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Return the category of each cell as a key of `LABELS`: 1 to 8 hot, -1 to -8 cold (in the order of `KINDS`), 0 no pattern.

    `signs` is cells × steps of -1, 0, 1, oldest first; `trends` has -1, 0, 1 for each cell. SY-N060 as `hot_spot_category`.
    """
    if signs.ndim != 2 or signs.shape[1] == 0:
        raise SanyuError("SY-N060", value="an empty sequence")
    wrong = ~np.isin(signs, (-1, 0, 1))
    if wrong.any():
        raise SanyuError("SY-N060", value=signs[wrong][0].item())
    signs = signs.astype(np.int8)
    hot = _family(signs, np.asarray(trends))
    cold = _family(-signs, -np.asarray(trends))
    codes: npt.NDArray[np.int8] = np.where((signs[:, -1] > 0) | ((signs[:, -1] == 0) & (hot != 0)), hot, -cold).astype(np.int8)
    return codes


def labels(codes: npt.NDArray[Any]) -> npt.NDArray[np.object_]:
    """Return the published labels of an array of category codes."""
    table = np.array([LABELS[code] for code in range(-8, 9)], dtype=object)
    found: npt.NDArray[np.object_] = table[np.asarray(codes).astype(np.intp) + 8]
    return found


def _family(signs: npt.NDArray[np.int8], trends: npt.NDArray[Any]) -> npt.NDArray[np.int8]:
    """Return the hot category (1 to 8) of each cell, or 0."""
    hot = signs > 0
    steps = signs.shape[1]
    count = hot.sum(axis=1)
    last = hot[:, -1]
    run = np.where(hot.all(axis=1), steps, np.argmin(hot[:, ::-1], axis=1))
    mostly = 10 * count >= 9 * steps
    once_cold = (signs < 0).any(axis=1)
    rules = (
        (last & (count == 1), _NEW),
        (last & (run == count) & ~mostly, _CONSECUTIVE),
        (last & mostly & (trends > 0), _INTENSIFYING),
        (last & mostly & (trends < 0), _DIMINISHING),
        (last & mostly, _PERSISTENT),
        (last & once_cold, _OSCILLATING),
        (last, _SPORADIC),
        (mostly, _HISTORICAL),
    )
    codes: npt.NDArray[np.int8] = np.select([rule for rule, _ in rules], [code for _, code in rules], 0).astype(np.int8)
    return codes
