"""Numbers of blocks on a planted grid city: avenues east-west, streets north-south, an alley half-way in each block of the avenues."""

from __future__ import annotations

import numpy as np
import pytest
import shapely

from transforms.address.blocks import number_blocks
from transforms.address.latin_numbers import NumberedStreet

BLOCK_M = 120.0
STREETS, AVENUES = 9, 7
ALLEY_AT = 4.5  # half-way in the block that begins with 400


def _streets() -> dict[str, NumberedStreet]:
    lines = {f"S{n}": [(n * BLOCK_M, 0), (n * BLOCK_M, (AVENUES - 1) * BLOCK_M)] for n in range(STREETS)}
    lines |= {f"A{m}": [(0, m * BLOCK_M), ((STREETS - 1) * BLOCK_M, m * BLOCK_M)] for m in range(AVENUES)}
    lines["ALLEY"] = [(ALLEY_AT * BLOCK_M, 2 * BLOCK_M), (ALLEY_AT * BLOCK_M, 3 * BLOCK_M)]
    return {key: NumberedStreet.of(shapely.LineString(xy), np.empty((0, 2)), np.empty(0)) for key, xy in lines.items()}


def _doors(*avenues: int, per_block: int = 3) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    numbers = np.array([100 * b + 20 + 25 * k for b in range(STREETS - 1) for k in range(per_block)], dtype=float)
    return {f"A{m}": (np.stack([numbers / 100 * BLOCK_M, np.full(len(numbers), m * BLOCK_M + 8.0)], axis=1), numbers) for m in avenues}


def _x(street: NumberedStreet, number: int) -> float:
    place = street.place_of(number)
    assert place is not None
    return float(place[0])


@pytest.fixture(scope="module")
def grid() -> dict[str, NumberedStreet]:
    streets = _streets()
    number_blocks(streets, _doors(1, 2, 3))
    return streets


@pytest.mark.parametrize("avenue", ["A0", "A2", "A4", "A6"])
@pytest.mark.parametrize("number", [150, 499, 550, 730])
def test_avenues_with_and_without_doors_have_the_hundreds_of_their_blocks(
    grid: dict[str, NumberedStreet], avenue: str, number: int
) -> None:
    assert _x(grid[avenue], number) == pytest.approx(number / 100 * BLOCK_M, abs=12)


def test_a_full_hundred_stands_where_its_own_block_begins(grid: dict[str, NumberedStreet]) -> None:
    for avenue in ("A2", "A4"):
        assert _x(grid[avenue], 400) == pytest.approx(4 * BLOCK_M, abs=12)


def test_an_alley_begins_no_hundred(grid: dict[str, NumberedStreet]) -> None:
    assert grid["A2"].number_at(ALLEY_AT * BLOCK_M - 4 * BLOCK_M) == pytest.approx(450, abs=12)
    assert grid["A2"].number_at(5 * BLOCK_M - 4 * BLOCK_M) == pytest.approx(500, abs=12)


def test_a_door_with_a_wrong_number_moves_no_block() -> None:
    streets, doors = _streets(), _doors(1, 2, 3)
    xy, numbers = doors["A2"]
    doors["A2"] = xy, np.where(numbers == 245, 1845, numbers)
    number_blocks(streets, doors)
    assert _x(streets["A2"], 350) == pytest.approx(3.5 * BLOCK_M, abs=12)


def test_streets_that_count_from_door_to_door_are_left_alone() -> None:
    streets = _streets()
    numbers = np.arange(1.0, 60.0)
    doors = {
        f"A{m}": (np.stack([numbers / 60 * (STREETS - 1) * BLOCK_M, np.full(len(numbers), m * BLOCK_M + 8.0)], axis=1), numbers)
        for m in range(3)
    }
    number_blocks(streets, doors)
    assert all(len(street.at) == 0 for street in streets.values())


def test_a_street_that_begins_elsewhere_keeps_its_own_count() -> None:
    streets, doors = _streets(), _doors(1, 2, 3)
    xy, numbers = doors.pop("A3")
    doors["A3"] = xy, numbers + 1500
    number_blocks(streets, doors)
    assert _x(streets["A3"], 1850) == pytest.approx(3.5 * BLOCK_M, abs=12)
    assert _x(streets["A2"], 350) == pytest.approx(3.5 * BLOCK_M, abs=12)
