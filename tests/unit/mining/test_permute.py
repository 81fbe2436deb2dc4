"""Keyed permutations: bijections, uniform where that can be counted, the same from anywhere, and esda's own where they are asked for."""

from __future__ import annotations

import math

import numpy as np
import pytest
from esda.crand import vec_permutations
from scipy.stats import chisquare

from transforms.mining.ground.permute import TABLE_LIMIT, draws, esda_draws, permutation, permutations, shifted, uniform


@pytest.mark.parametrize("size", [0, 1, 2, 17, TABLE_LIMIT, TABLE_LIMIT + 1, 10_007, 65_536])
def test_it_is_a_bijection(size: int) -> None:
    assert np.array_equal(np.sort(permutation(7, 3, size)), np.arange(size))


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_every_order_of_few_elements_comes_equally_often(size: int) -> None:
    each = 300
    found = permutations(11, np.arange(math.factorial(size) * each), size)
    _, counts = np.unique(found, axis=0, return_counts=True)
    assert len(counts) == math.factorial(size)
    assert chisquare(counts).pvalue > 1e-3


def test_neighbours_of_a_large_permutation_are_unrelated() -> None:
    size = 5_000
    found = permutations(3, np.arange(1_000), size) - (size - 1) / 2
    together = (found[:, :-1] * found[:, 1:]).mean() / found.var()
    assert abs(together) < 5 / math.sqrt(1_000 * size)


@pytest.mark.parametrize("size", [50, 100_000])
def test_a_draw_is_the_beginning_of_its_permutation(size: int) -> None:
    found = draws(5, np.array([0, 9]), 20, size)
    assert np.array_equal(found[1], permutation(5, 9, size)[:20])
    assert not np.array_equal(found[0], found[1])


def test_another_seed_is_another_permutation() -> None:
    assert not np.array_equal(permutation(1, 0, 100), permutation(2, 0, 100))


@pytest.mark.parametrize(("permutations", "count", "size"), [(25, 8, 299), (3, 1, 1), (9, 2, 2), (9, 5, 5), (99, 7, 64), (20, 40, 70_000)])
def test_esda_draws_are_esda_s(permutations: int, count: int, size: int) -> None:
    # The last case takes more raw numbers than are drawn at once.
    assert np.array_equal(esda_draws(12345, permutations, count, size), vec_permutations(count, size + 1, permutations, 12345))


def test_shifting_leaves_out_the_row_itself() -> None:
    assert shifted(np.array([0, 1, 2, 3]), 2).tolist() == [0, 1, 3, 4]


def test_uniform_numbers_are_uniform() -> None:
    found = uniform(1, np.arange(50_000))
    assert chisquare(np.histogram(found, 50, (0, 1))[0]).pvalue > 1e-3
    assert not np.array_equal(found, uniform(1, np.arange(50_000), stream=1))


def test_more_draws_than_elements_are_refused() -> None:
    with pytest.raises(ValueError, match="cannot be drawn"):
        draws(1, np.array([0]), 5, 4)
