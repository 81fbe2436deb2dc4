"""Change points: the least cost of all ways to cut a series, planted steps, gaps, and what has none."""

from __future__ import annotations

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest

from schemas.messages import SanyuError
from transforms.mining.cube.change_points import change_points


def _cost(x: Any, cuts: tuple[int, ...], model: str, penalty: float) -> float:
    total = penalty * len(cuts)
    for a, b in zip((0, *cuts), (*cuts, len(x)), strict=True):
        part = x[a:b]
        if model == "l2":
            total += float(((part - part.mean()) ** 2).sum())
        elif part.sum() > 0:
            total += 2.0 * (part.sum() - part.sum() * math.log(part.mean()))
    return total


@pytest.mark.parametrize("model", ["l2", "poisson"])
@pytest.mark.parametrize(("penalty", "shortest"), [(0.5, 1), (3.0, 1), (3.0, 2), (8.0, 3)])
def test_no_way_to_cut_costs_less(model: Any, penalty: float, shortest: int) -> None:
    rows = np.random.default_rng(3).poisson(np.repeat([2.0, 6.0, 1.0], [4, 3, 3]), (25, 10)).astype(float)
    found = change_points(rows, model=model, penalty=penalty, min_steps=shortest)
    for n, x in enumerate(rows):
        ways = [c for k in range(10) for c in combinations(range(1, 10), k) if min(np.diff((0, *c, 10))) >= shortest]
        least = min(_cost(x, c, model, penalty) for c in ways)
        mine = tuple(found.steps[found.rows == n].tolist())
        assert mine in ways
        assert _cost(x, mine, model, penalty) == pytest.approx(least, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("model", ["l2", "poisson"])
def test_planted_steps_are_found_where_they_are(model: Any) -> None:
    rng = np.random.default_rng(5)
    rows = rng.poisson(np.repeat([4.0, 20.0, 9.0], [40, 30, 34]), (20, 104)).astype(float)
    found = change_points(rows, model=model)
    hits = [np.abs(found.steps[found.rows == n][:, None] - [40, 70]).min(axis=0).max() <= 3 for n in range(20)]
    assert np.mean(hits) >= 0.9
    quiet = change_points(rng.poisson(6.0, (200, 104)).astype(float), model=model)
    assert len(set(quiet.rows.tolist())) <= 40


def test_means_and_gaps() -> None:
    row = [1.0, 1.0, np.nan, 1.0, np.nan, 9.0, 9.0, 9.0]
    found = change_points(row, penalty=1.0)
    assert (found.steps.tolist(), found.before.tolist(), found.after.tolist()) == ([5], [1.0], [9.0])


def test_constant_short_and_empty_series_have_none() -> None:
    rows = np.array([[2.0] * 6, [np.nan] * 6, [1.0, np.nan, np.nan, np.nan, np.nan, 9.0]])
    assert change_points(rows).rows.size == 0


@pytest.mark.parametrize(
    "wrong", [{"model": "l1"}, {"penalty": -1.0}, {"min_steps": 0}, {"model": "poisson", "values": [[1.0, -1.0, 2.0]]}]
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SanyuError, match=r"SY-N06[23]"):
        change_points(**({"values": [[1.0, 2.0, 3.0]]} | wrong))
