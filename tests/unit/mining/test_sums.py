"""Exact sums are `math.fsum`'s, whatever the size of the terms, and those of parts are those of the whole."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import numpy.typing as npt
import pytest

from transforms.mining.ground import sums

SIZES = (1, sums.FEW - 1, sums.FEW, 5_000)


def _terms(kind: str, size: int) -> npt.NDArray[np.float64]:
    rng = np.random.default_rng(size)
    plain = rng.normal(size=size)
    if kind == "wide":
        return np.ldexp(plain, rng.integers(-1070, 950, size))
    if kind == "cancelling":
        half = np.ldexp(plain, rng.integers(-300, 300, size))
        return rng.permutation(np.concatenate([half, -half, [1e-300]]))
    if kind == "subnormal":
        return plain * 5e-320
    if kind == "huge":
        return plain * 1e307 / size
    return {"plain": plain, "negative": -np.abs(plain), "zeros": plain * 0.0, "whole": np.round(plain * 1e15)}[kind]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["plain", "wide", "cancelling", "subnormal", "huge", "negative", "zeros", "whole"])
def test_a_sum_is_correctly_rounded(kind: str, size: int) -> None:
    terms = _terms(kind, size)
    assert sums.exact(terms) == math.fsum(terms) == float(sum(map(Fraction, terms.tolist()), Fraction(0)))


@pytest.mark.parametrize("kind", ["wide", "cancelling", "plain"])
def test_parts_make_the_sum_of_the_whole(kind: str) -> None:
    terms = _terms(kind, 5_000)
    for count in (1, 3, 40):
        found = [sums.parts(part) for part in np.array_split(terms, count)]
        assert sums.merged(found) == math.fsum(terms)
        assert max(map(len, found)) < 70


def test_what_is_not_finite_shows() -> None:
    terms = np.ones(5_000)
    terms[7] = np.nan
    assert math.isnan(sums.exact(terms))
    terms[7] = np.inf
    assert sums.exact(terms) == np.inf
    with pytest.raises(OverflowError):
        sums.exact(np.full(5_000, 1.7e308))
    assert math.isnan(sums.mean([]))
