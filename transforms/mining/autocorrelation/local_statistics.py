"""The local statistics of some rows, given their neighbours' values and what has to be known about all rows.

The same functions serve the whole city in this process and one tile of it on a worker. Sources: Anselin, Local indicators of spatial
association, 1995; Sokal, Oden and Thomson, Local spatial autocorrelation in a biological model, 1998 (eqs. A7, A8); Getis and Ord 1992,
Ord and Getis 1995. Equal to esda 2.9 within rounding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

from transforms.mining.autocorrelation.local_kernels import Drawn, Source, drawn, linear_counts, quadratic_counts
from transforms.mining.ground import sums
from transforms.mining.weights.weights_kernels import is_uniform, lag, row_sums, squared_differences

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Columns = dict[str, Any]
Statistic = Literal["moran", "geary", "g"]
Alternative = Literal["directed", "two_sided", "greater", "lesser"]
QUADRANTS = np.array(["HH", "LH", "LL", "HL"], dtype=object)
LABELS = {"HH": "High-High", "LH": "Low-High", "LL": "Low-Low", "HL": "High-Low"}


@dataclass(frozen=True)
class Inference:
    """How significance is found: `permutations` of `source` at `seed`, and which tail counts."""

    permutations: int = 999
    seed: int = 0
    alternative: Alternative = "directed"
    source: Source = "keyed"


@dataclass(frozen=True)
class Whole:
    """What a row must know of all rows: their number, mean and power sums (of the standardised values for Moran and Geary), the draws."""

    statistic: Statistic
    star: bool
    count: int
    mean: float
    deviation: float
    powers: tuple[float, float, float, float]
    table: Drawn | None
    inference: Inference

    def scaled(self, values: Floats) -> Floats:
        """Return the values as the statistic takes them: standardised, or for G as they are."""
        return values if self.statistic == "g" else (values - self.mean) / self.deviation


@dataclass(frozen=True)
class Part:
    """Some rows: `rows` are their places in canonical order (ascending), `at` their places in `values`, which hold the neighbours' too.

    The neighbours of row r are `indices[starts[r]:starts[r + 1]]`, in canonical order; `weights` are transformed, without a self-weight,
    which stands in `own_weights`.
    """

    rows: Ints
    at: Ints
    values: Floats
    starts: Ints
    indices: Ints
    weights: Floats
    own_weights: Floats


def whole(statistic: Statistic, values: Floats, most: int, inference: Inference, *, star: bool = False) -> Whole:
    """Return what all rows share; `values` in canonical order, `most` the largest number of neighbours."""
    centre, variance, _ = sums.moments(values)
    shared = Whole(statistic, star, len(values), centre, float(np.sqrt(variance)), (0.0,) * 4, None, inference)
    scaled = shared.scaled(values)
    powers = (sums.exact(scaled), sums.exact(scaled**2), sums.exact(scaled**3), sums.exact(scaled**4))
    table = drawn(scaled, most, inference.permutations, inference.seed, inference.source) if inference.permutations and most else None
    return Whole(statistic, star, len(values), centre, shared.deviation, powers, table, inference)


def local_columns(part: Part, shared: Whole) -> Columns:
    """Return the statistic's columns for the part's rows; without `q_value` and `pattern`, which need all rows."""
    values = shared.scaled(part.values)
    own = values[part.at]
    formula = {"moran": _moran, "geary": _geary, "g": _g}[shared.statistic]
    columns, counts = formula(part, shared, values, own)
    island = np.diff(part.starts) == 0
    with np.errstate(divide="ignore", invalid="ignore"):
        z = (columns["statistic"] - columns["expected"]) / np.sqrt(columns["variance"])
    columns["z_score"] = np.where(np.isfinite(z) & ~island, z, np.nan)
    columns["p_analytic"] = 2 * ndtr(-np.abs(columns["z_score"]))
    columns["p_permuted"] = (
        np.where(island, np.nan, p_values(counts[0], counts[1], shared.inference)) if counts else np.full(len(own), np.nan)
    )
    return {"value": part.values[part.at], "neighbour_count": np.diff(part.starts).astype(np.int32), **columns}


def p_values(at_least: Ints, at_most: Ints, inference: Inference) -> Floats:
    """Return pseudo p-values (M + 1) / (R + 1).

    `directed` is esda's: the smaller tail, chosen after the fact; `two_sided` is twice that, at most 1. A simulated value equal to the
    observed one counts for both tails; with draws of esda for the upper one only, as there.
    """
    total = inference.permutations
    lower = total - at_least if inference.source == "esda" else at_most
    extreme = {"greater": at_least, "lesser": at_most}.get(inference.alternative, np.minimum(at_least, lower))
    p = (extreme + 1.0) / (total + 1.0)
    return np.asarray(np.minimum(1.0, 2 * p) if inference.alternative == "two_sided" else p)


def _moran(part: Part, shared: Whole, z: Floats, own: Floats) -> tuple[Columns, Any]:
    count = shared.count
    second = shared.powers[1] / count
    weight, square = row_sums(part.starts, part.weights), row_sums(part.starts, part.weights**2)
    lagged = lag(part.starts, part.indices, part.weights, z)
    scale = (count - 1) / shared.powers[1]
    quadrant = QUADRANTS[np.where(own > 0, np.where(lagged > 0, 0, 3), np.where(lagged > 0, 1, 2))]
    quadrant[np.diff(part.starts) == 0] = None
    columns = {
        "lag": lagged,
        "statistic": scale * own * lagged,
        "expected": -(own**2) * weight / ((count - 1) * second),
        "variance": (own / second) ** 2 * count / (count - 2) * (square - weight**2 / (count - 1)) * (second - own**2 / (count - 1)),
        "quadrant": quadrant,
    }
    counts = _linear(part, shared, z, lagged)
    return columns, counts and _oriented(counts, np.sign(own), shared.inference.permutations)


def _geary(part: Part, shared: Whole, z: Floats, own: Floats) -> tuple[Columns, Any]:
    others = shared.count - 1
    first, second, third, fourth = shared.powers
    weight, square = row_sums(part.starts, part.weights), row_sums(part.starts, part.weights**2)
    observed = squared_differences(part.starts, part.indices, part.weights, z, own)
    # Over the other rows: mean of (z_i - z)² and of its square, then the variance of a weighted sum drawn without replacement.
    mean = (shared.count * own**2 - 2 * own * first + second) / others
    mean_square = (shared.count * own**4 - 4 * own**3 * first + 6 * own**2 * second - 4 * own * third + fourth) / others
    spread = (mean_square - mean**2) * others / (others - 1)
    columns = {
        "lag": lag(part.starts, part.indices, part.weights, z),
        "statistic": observed,
        "expected": weight * mean,
        "variance": spread * (square - weight**2 / others),
    }
    if shared.table is None:
        return columns, None
    uniform = bool(is_uniform(part.starts, part.weights))
    compared = squared_differences(part.starts, part.indices, np.ones(len(part.weights)), z, own) if uniform else observed
    return columns, quadratic_counts(part.rows, part.starts, part.weights, compared, own, uniform, shared.table)


def _g(part: Part, shared: Whole, values: Floats, own: Floats) -> tuple[Columns, Any]:
    total, squares = shared.powers[0], shared.powers[1]
    left_out = 0.0 if shared.star else own
    others = shared.count - (0 if shared.star else 1)
    weight = row_sums(part.starts, part.weights) + part.own_weights
    lagged = lag(part.starts, part.indices, part.weights, values)
    rest = total - left_out
    mean = rest / others
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = (squares - left_out * np.asarray(left_out)) / others - mean**2
        # As esda: the number of neighbours in the variance is the sum of the weights.
        variance = weight * (others - weight) / (others - 1) / others**2 * (spread / mean**2)
        columns = {
            "lag": lagged + part.own_weights * own,
            "statistic": (lagged + part.own_weights * own) / rest,
            "expected": weight / others,
            "variance": variance,
        }
    counts = _linear(part, shared, values, lagged)
    return columns, counts and _oriented(counts, np.sign(rest) * np.ones(len(own)), shared.inference.permutations)


def _linear(part: Part, shared: Whole, values: Floats, lagged: Floats) -> Any:
    if shared.table is None:
        return None
    uniform = bool(is_uniform(part.starts, part.weights))
    observed = lag(part.starts, part.indices, np.ones(len(part.weights)), values) if uniform else lagged
    return linear_counts(part.rows, part.starts, part.weights, observed, uniform, shared.table)


def _oriented(counts: tuple[Ints, Ints], sign: Floats, permutations: int) -> tuple[Ints, Ints]:
    """Turn counts of the lag into counts of `sign` times the lag; with sign 0 every permutation equals the observed value."""
    at_least, at_most = counts
    turned = (np.where(sign < 0, at_most, at_least), np.where(sign < 0, at_least, at_most))
    return tuple(np.where(sign == 0, permutations, c) for c in turned)  # type: ignore[return-value]
