"""The seventeen categories: literal sequences for each rule, and every sequence up to eight steps against a rule-by-rule oracle."""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from schemas.messages import SanyuError
from transforms.mining.cube.categories import KINDS, LABELS, NO_PATTERN, category_codes, hot_spot_category, labels

OPPOSITE = {"up": "down", "down": "up", "none": "none"}


@pytest.mark.parametrize(
    ("sequence", "trend", "kind"),
    [
        ([0, 0, 0, 1], "none", "New"),
        ([1], "none", "New"),
        ([-1, 0, -1, 1], "none", "New"),
        ([0, 0, 1, 1], "up", "Consecutive"),
        ([-1, 0, 1, 1], "none", "Consecutive"),
        ([1] * 10, "up", "Intensifying"),
        ([1, 1], "up", "Intensifying"),
        ([0] + [1] * 9, "none", "Persistent"),
        ([1] * 5 + [-1] + [1] * 4, "none", "Persistent"),
        ([0] + [1] * 9, "down", "Diminishing"),
        ([0, 1, 0, 1], "none", "Sporadic"),
        ([1, 0, 1, 1], "up", "Sporadic"),
        ([1, -1, 0, 1], "none", "Oscillating"),
        ([1] * 9 + [0], "none", "Historical"),
        ([1] * 9 + [0], "up", "Historical"),
    ],
)
def test_each_rule_has_its_label_hot_and_mirrored_cold(sequence: list[int], trend: Any, kind: str) -> None:
    assert hot_spot_category(sequence, trend=trend) == f"{kind} Hot Spot"
    mirrored: Any = OPPOSITE[trend]
    assert hot_spot_category([-s for s in sequence], trend=mirrored) == f"{kind} Cold Spot"


@pytest.mark.parametrize("sequence", [[0], [0, 0, 0], [1, 0], [1, 1, 1, 0], [1, 0, -1, 0], [1] * 8 + [0, 0]])
def test_what_meets_no_rule_has_no_pattern(sequence: list[int]) -> None:
    assert {hot_spot_category(sequence, trend=t) for t in ("up", "down", "none")} == {NO_PATTERN}


def test_a_spot_that_has_just_turned_belongs_to_its_new_sign() -> None:
    assert hot_spot_category([1] * 9 + [-1]) == "New Cold Spot"
    assert hot_spot_category([1, 1, 1, -1, 1, 1, 1, 1, 1, 1] * 3 + [-1]) == "Oscillating Cold Spot"


def _matches(sequence: tuple[int, ...], trend: str) -> set[str]:
    """Return the kinds of hot spot whose published text a sequence meets, each asked alone in plain Python."""
    n, hot, last = len(sequence), [i for i, s in enumerate(sequence) if s == 1], sequence[-1] == 1
    often, cold = 10 * len(hot) >= 9 * n, -1 in sequence
    met = set()
    if hot == [n - 1]:
        met.add("New")
    if len(hot) >= 2 and hot == list(range(n - len(hot), n)) and not often:
        met.add("Consecutive")
    if often and last:
        met.add({"up": "Intensifying", "none": "Persistent", "down": "Diminishing"}[trend])
    if last and not often:
        met.add("Oscillating" if cold else "Sporadic")
    if often and not last:
        met.add("Historical")
    return met


@pytest.mark.parametrize("trend", ["up", "down", "none"])
@pytest.mark.parametrize("steps", range(1, 9))
def test_every_sequence_has_exactly_one_label_whose_text_it_meets(steps: int, trend: str) -> None:
    sequences = np.array(list(product((-1, 0, 1), repeat=steps)))
    sign = {"up": 1, "down": -1, "none": 0}[trend]
    codes = category_codes(sequences, np.full(len(sequences), sign))
    mirrored = category_codes(-sequences, np.full(len(sequences), -sign))
    assert np.array_equal(codes, -mirrored)
    for sequence, code in zip(sequences.tolist(), codes.tolist(), strict=True):
        hot, cold = _matches(tuple(sequence), trend), _matches(tuple(-s for s in sequence), OPPOSITE[trend])
        if code == 0:
            assert not hot and not cold, sequence
        else:
            assert KINDS[abs(code) - 1] in (hot if code > 0 else cold), (sequence, LABELS[code])
            assert sequence[-1] == 0 or (sequence[-1] > 0) == (code > 0)


def test_there_are_seventeen_labels() -> None:
    assert len(set(LABELS.values())) == 17
    assert labels(np.array([0, 1, -8])).tolist() == [NO_PATTERN, "New Hot Spot", "Historical Cold Spot"]


@pytest.mark.parametrize("bad", [[], [0, 2], [0.5], ["hot"]])
def test_what_is_no_sequence_is_refused(bad: list[Any]) -> None:
    with pytest.raises(SanyuError, match="SY-N060"):
        hot_spot_category(bad)


def test_an_unknown_trend_is_refused() -> None:
    wrong: Any = "sideways"
    with pytest.raises(SanyuError, match="SY-N061"):
        hot_spot_category([1], trend=wrong)
