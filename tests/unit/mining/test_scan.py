"""The scan statistic against every cylinder counted one by one, planted clusters, and p-values."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import groupby
from typing import Any

import numpy as np
import pytest

from schemas.messages import SanyuError
from transforms.mining.cube.scan import ScanRule, space_time_scan
from transforms.mining.ground.permute import permutation


def _cases(seed: int = 0, size: int = 60, places: int = 14, days: int = 12) -> tuple[Any, ...]:
    rng = np.random.default_rng(seed)
    x, y = rng.integers(0, 6, (2, places)).astype(float)  # many equal distances, some places at one spot
    return x, y, rng.integers(0, places, size), rng.integers(0, days, size), days


def _brute(x: Any, y: Any, place: Any, day: Any, days: int, rule: ScanRule, population: Any = None) -> float:
    """Return the greatest ratio over all cylinders."""
    total, best = len(place), 0.0
    for centre in range(len(x)):
        far = sorted((math.hypot(x[i] - x[centre], y[i] - y[centre]), i) for i in range(len(x)))
        zone: set[int] = set()
        for distance, members in groupby(far, key=lambda m: m[0]):
            zone |= {i for _, i in members}
            inside = np.isin(place, list(zone))
            share = inside.sum() / total if population is None else population[list(zone)].sum() / population.sum()
            if distance > rule.radius_m or len(zone) > rule.max_places or share > rule.max_share:
                break
            for first in range(days):
                for last in range(first, min(days, first + rule.max_days)):
                    if rule.prospective and last != days - 1:
                        continue
                    window = (day >= first) & (day <= last)
                    c = int((inside & window).sum())
                    mu = share * total * (window.sum() / total if population is None else (last - first + 1) / days)
                    if c > mu:
                        outside = (total - c) * math.log((total - c) / (total - mu)) if c < total else 0.0
                        best = max(best, c * math.log(c / mu) + outside)
    return best


@pytest.mark.parametrize("prospective", [False, True])
@pytest.mark.parametrize("model", ["permutation", "poisson"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_best_cylinder_is_the_best_of_all(seed: int, model: Any, prospective: bool) -> None:
    data = _cases(seed)
    population = np.random.default_rng(seed).integers(1, 9, 14).astype(float) if model == "poisson" else None
    for rule in (
        ScanRule(3.0, 4, 14, model=model, prospective=prospective, permutations=0),
        ScanRule(9.0, 12, 6, 0.8, model=model, prospective=prospective, permutations=0),
    ):
        found = space_time_scan(*data, rule, population)
        assert found.clusters[0].llr == pytest.approx(_brute(*data, rule, population), rel=1e-12)


@pytest.mark.parametrize("places", [40, 800])  # many and few cases in reach of a centre
def test_centres_that_are_passed_over_have_nothing_better(places: int) -> None:
    rng = np.random.default_rng(places)
    x, y = rng.uniform(0, 10, (2, places))
    place, day = rng.integers(0, places, 300), rng.integers(0, 60, 300)
    rule = ScanRule(3.0, 14, 30, permutations=25, seed=2)
    found = space_time_scan(x, y, place, day, 60, rule)
    order = np.lexsort((day, place))
    for number in range(25):
        moved = day[order][permutation(2, number, 300)]
        alone = space_time_scan(x, y, place[order], moved, 60, replace(rule, permutations=0))
        assert found.simulated[number] == pytest.approx(alone.clusters[0].llr, rel=1e-12)


def test_permutations_have_the_best_of_their_own_data() -> None:
    from transforms.mining.ground.permute import permutation

    x, y, place, day, days = _cases(4)
    rule = ScanRule(3.0, 4, 14, permutations=5, seed=7)
    found = space_time_scan(x, y, place, day, days, rule)
    order = np.lexsort((day, place))
    for number, value in enumerate(found.simulated):
        moved = day[order][permutation(7, number, len(day))]
        assert value == pytest.approx(_brute(x, y, place[order], moved, days, rule), rel=1e-12)


def planted() -> tuple[Any, ...]:
    rng = np.random.default_rng(12)
    x, y = rng.uniform(0, 10_000, (2, 200))
    near = np.argsort(np.hypot(x - 3000, y - 3000))[:8]
    far = np.argsort(np.hypot(x - 8000, y - 8000))[:6]
    place = np.concatenate([rng.integers(0, 200, 1500), rng.choice(near, 60), rng.choice(far, 40)])
    day = np.concatenate([rng.integers(0, 60, 1500), rng.integers(20, 25, 60), rng.integers(50, 53, 40)])
    return (x, y, place, day, 60), set(near.tolist()), set(far.tolist())


@pytest.mark.parametrize("model", ["permutation", "poisson"])
def test_planted_clusters_are_found_with_their_days_and_share_no_place(model: Any) -> None:
    data, near, far = planted()
    found = space_time_scan(*data, ScanRule(3000.0, 14, model=model, permutations=199), np.ones(200))
    by_days = {(c.first, c.last): c for c in found.clusters[:2]}
    assert set(by_days) == {(20, 24), (50, 52)}
    for days, planted_places in (((20, 24), near), ((50, 52), far)):
        assert by_days[days].p == 0.005
        assert len(set(by_days[days].places.tolist()) & planted_places) >= 4
    places = np.concatenate([c.places for c in found.clusters])
    assert len(places) == len(set(places.tolist()))


def test_chance_alone_has_no_small_p_and_the_order_of_cases_changes_nothing() -> None:
    x, y, place, day, days = _cases(21, size=300, places=40, days=30)
    rule = ScanRule(2.0, 7, permutations=99, seed=3)
    one = space_time_scan(x, y, place, day, days, rule)
    order = np.random.default_rng(0).permutation(300)
    other = space_time_scan(x, y, place[order], day[order], days, rule)
    assert one.clusters[0].p > 0.05
    assert one.simulated.tobytes() == other.simulated.tobytes()
    assert [(c.centre, c.llr, c.p) for c in one.clusters] == [(c.centre, c.llr, c.p) for c in other.clusters]


@pytest.mark.parametrize(
    ("change", "rule", "code"),
    [
        ({"place": np.array([], int), "day": np.array([], int)}, {}, "SY-N064"),
        ({"x": np.array([0.0, np.nan])}, {}, "SY-N066"),
        ({"day": np.array([0, 5])}, {}, "SY-N063"),
        ({}, {"model": "poisson"}, "SY-N063"),
        ({}, {"model": "bernoulli"}, "SY-N062"),
        ({}, {"max_share": 0.0}, "SY-N063"),
    ],
)
def test_what_cannot_be_scanned_is_refused(change: dict[str, Any], rule: dict[str, Any], code: str) -> None:
    data = {"x": np.array([0.0, 1.0]), "y": np.array([0.0, 1.0]), "place": np.array([0, 1]), "day": np.array([0, 1]), "days": 3} | change
    with pytest.raises(SanyuError, match=code):
        space_time_scan(**data, rule=ScanRule(**({"radius_m": 10.0, "max_days": 2} | rule)))
