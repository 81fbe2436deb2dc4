"""Planted events: the same for a seed, and found again by the shelf; precision and recall are printed (`pytest -s`)."""

from __future__ import annotations

import pandas as pd
import pytest

from demo.events import KINDS, PARAMETERS, Planted, planted_events, score
from transforms.mining.cube.cube_tools import emerging_hot_spots


@pytest.fixture(scope="module")
def planted() -> Planted:
    return planted_events()


def test_a_seed_gives_the_same_events_and_another_gives_others(planted: Planted) -> None:
    pd.testing.assert_frame_equal(planted_events().events, planted.events)
    assert len(planted_events(seed=1).events) != len(planted.events)


def test_planted_discs_are_found_again(planted: Planted) -> None:
    found = emerging_hot_spots(planted.events, **PARAMETERS)
    scores = score(found, planted.truth).set_index("kind")
    print(f"\n{scores.round(3).to_string()}")
    assert set(scores.index) == set(KINDS)
    assert (scores["core_cells"] >= 10).all()
    assert (scores["disc_recall"] >= 0.5).all()  # a steady disc shows a trend by chance now and then
    assert (scores["recall"] >= 0.75).all()
    assert (scores["precision"] >= 0.5).all()  # cells on a disc's rim are hot now and then only, and so Sporadic by the rules


def test_shuffled_events_give_the_same_cells(planted: Planted) -> None:
    few = planted.events.iloc[::7]
    one = emerging_hot_spots(few, **PARAMETERS)
    other = emerging_hot_spots(few.sample(frac=1.0, random_state=3), **PARAMETERS)
    pd.testing.assert_frame_equal(one, other)
