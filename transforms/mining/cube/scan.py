"""Kulldorff's space-time scan statistic: which cylinder (circle × days) has more cases than chance would put there.

Cylinders: circles around each place, over the places from near to far (places at the same distance come in together) up to `radius_m`,
`max_places` and half of the expectation (`max_share`), times windows of up to `max_days` days; with `prospective` only windows that last to
the end. For c cases found and μ expected of C in all,

    LLR = c ln(c/μ) + (C - c) ln((C - c)/(C - μ))   where c > μ, else 0

* `permutation` (default; Kulldorff et al. 2005): μ = cases of the zone × cases of the window / C; chance permutes the days among the cases.
* `poisson` (Kulldorff 1997, 2001): μ = C × share of the population × share of the days; chance draws C cases from these shares.

p = (1 + number of random data sets whose best cylinder is at least as good) / (1 + number of data sets). The best cylinder of each centre
competes; secondary clusters are those that share no place with a better one. Permutations are keyed by (seed, number).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from schemas.messages import SanyuError
from transforms.mining.cube.scan_kernel import best_of_centres, best_of_draws, best_of_permutations
from transforms.mining.ground.permute import _seed, _sides

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MODELS: Final = ("permutation", "poisson")


@dataclass(frozen=True)
class Cluster:
    """A cylinder: `places` (positions, near to far) around `centre`, the days `first` to `last` (both included), what it holds, and p."""

    centre: int
    places: Ints
    radius_m: float
    first: int
    last: int
    found: int
    expected: float
    llr: float
    p: float


@dataclass(frozen=True)
class ScanRule:
    """The parameters of a scan; SY-N062, SY-N063 for what is out of range."""

    radius_m: float
    max_days: int
    max_places: int = 50
    max_share: float = 0.5
    model: Literal["permutation", "poisson"] = "permutation"
    prospective: bool = False
    permutations: int = 999
    seed: int = 0

    def __post_init__(self) -> None:
        if self.model not in MODELS:
            raise SanyuError("SY-N062", argument="model", value=self.model, known=", ".join(MODELS))
        for argument, value, low, expected in (
            ("radius_m", self.radius_m, 0.0, "a length in metres from 0"),
            ("max_days", self.max_days, 1, "a whole number of days from 1"),
            ("max_places", self.max_places, 1, "a whole number from 1"),
            ("permutations", self.permutations, 0, "a whole number from 0"),
        ):
            if not (value >= low and math.isfinite(value)):
                raise SanyuError("SY-N063", argument=argument, value=value, expected=expected)
        if not 0.0 < self.max_share <= 1.0:
            raise SanyuError("SY-N063", argument="max_share", value=self.max_share, expected="a share above 0, at most 1")


@dataclass(frozen=True)
class Scan:
    """The result: clusters, best first, and the best LLR of each random data set."""

    clusters: tuple[Cluster, ...]
    simulated: Floats


def space_time_scan(x: Floats, y: Floats, place: Ints, day: Ints, days: int, rule: ScanRule, population: Floats | None = None) -> Scan:
    """Return the clusters among cases at `place` (positions in `x`, `y`, metres) on `day` (0 … days - 1); one row per case.

    `population` is what the Poisson model expects cases from, one figure per place. SY-N064 without any case, SY-N063 for a population that
    is missing or not above 0 in all, SY-N066 for a place that is not finite.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    place, day = np.asarray(place, np.int64), np.asarray(day, np.int64)
    _require(x, y, place, day, days, rule, population)
    near, groups, radii = nearest(x, y, rule)
    order = np.lexsort((day, place))
    starts = np.searchsorted(place[order], np.arange(len(x) + 1)).astype(np.int64)
    ordered = day[order]
    cases = len(ordered)
    if rule.model == "permutation":
        weight = np.diff(starts).astype(np.float64)
        elapsed = np.concatenate([[0.0], np.cumsum(np.bincount(ordered, minlength=days))]).astype(np.float64)
        rate, most = 1.0 / cases, rule.max_share * cases
    else:
        weight = np.asarray(population, np.float64)
        elapsed = np.arange(days + 1, dtype=np.float64)
        rate, most = cases / (float(weight.sum()) * days), rule.max_share * float(weight.sum())
    common = (weight, elapsed, rate, rule.max_days, rule.prospective, most)
    best = best_of_centres(near, groups, starts, ordered, *common)
    numbers = np.arange(rule.permutations, dtype=np.int64)
    if rule.model == "permutation":
        simulated = best_of_permutations(near, groups, starts, ordered, *common, _seed(rule.seed), numbers, _sides(cases))
    else:
        simulated = best_of_draws(near, groups, cases, *common, _seed(rule.seed), numbers)
    return Scan(_clusters(best, near, radii, simulated), simulated)


def nearest(x: Floats, y: Floats, rule: ScanRule) -> tuple[Ints, npt.NDArray[np.bool_], Floats]:
    """Return for each place the places from near to far (-1 beyond the last), whether a distance ends there, and the distances.

    A group of equal distances that `max_places` would cut is left out as a whole.
    """
    size = len(x)
    k = min(rule.max_places + 1, size)
    tree = cKDTree(np.column_stack([x, y]))
    far, near = (part.reshape(size, k) for part in tree.query(np.column_stack([x, y]), k=k))
    far = np.hypot(x[near] - x[:, None], y[near] - y[:, None])
    order = np.lexsort((near, far), axis=1)
    near, far = np.take_along_axis(near, order, axis=1), np.take_along_axis(far, order, axis=1)
    ends = np.ones((size, k), dtype=bool)
    ends[:, :-1] = far[:, 1:] > far[:, :-1]
    near = np.where(far <= rule.radius_m, near, -1)
    if k > rule.max_places:
        ends, near, far = ends[:, :-1], near[:, :-1], far[:, :-1]
    return np.ascontiguousarray(near), np.ascontiguousarray(ends), far


def _clusters(best: Floats, near: Ints, radii: Floats, simulated: Floats) -> tuple[Cluster, ...]:
    """Return the best cylinders that share no place, with their p-values; ties go to the smaller zone, then to the lower centre."""
    taken = np.zeros(len(best), dtype=bool)
    ordered = np.sort(simulated)
    found = []
    for centre in np.lexsort((np.arange(len(best)), best[:, 1], -best[:, 0])).tolist():
        llr, last = best[centre, 0], int(best[centre, 1])
        if llr <= 0.0:
            break
        places = near[centre, : last + 1]
        if taken[places].any():
            continue
        taken[places] = True
        as_good = len(ordered) - int(np.searchsorted(ordered, llr * (1.0 - 1e-12)))
        p = (1 + as_good) / (1 + len(ordered))
        first, end, cases, expected = best[centre, 2:6]
        found.append(Cluster(centre, places, float(radii[centre, last]), int(first), int(end), int(cases), float(expected), float(llr), p))
    return tuple(found)


def _require(x: Floats, y: Floats, place: Ints, day: Ints, days: int, rule: ScanRule, population: Any) -> None:
    if not len(place):
        raise SanyuError("SY-N064", rows=0, usable=0)
    bad = ~(np.isfinite(x) & np.isfinite(y))
    if bad.any():
        raise SanyuError("SY-N066", row=int(np.argmax(bad)), column="place", value="missing or not finite")
    if day.min() < 0 or day.max() >= days:
        raise SanyuError("SY-N063", argument="day", value=int(day.max()), expected=f"a number from 0 to {days - 1}")
    if place.min() < 0 or place.max() >= len(x):
        raise SanyuError("SY-N063", argument="place", value=int(place.max()), expected=f"a position from 0 to {len(x) - 1}")
    if rule.model == "poisson":
        given = np.asarray([] if population is None else population, np.float64)
        if len(given) != len(x) or not (np.isfinite(given) & (given >= 0)).all() or not given.sum() > 0:
            raise SanyuError("SY-N063", argument="population", value="missing" if population is None else "its column", expected="a number ≥ 0 for each place, not all 0")  # fmt: skip # noqa: E501
