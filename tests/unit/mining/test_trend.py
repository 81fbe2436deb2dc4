"""Mann-Kendall and Sen against pymannkendall, ties and gaps included; what has no trend says so."""

from __future__ import annotations

import numpy as np
import pymannkendall
import pytest

from schemas.messages import SanyuError
from transforms.mining.cube.trend import trends


def _rows(kind: str) -> np.ndarray:
    rng = np.random.default_rng(7)
    rows = rng.normal(size=(40, 23)) + np.linspace(0, 1.5, 23)
    if kind == "ties":
        return np.round(rows).astype(float)
    if kind == "gaps":
        rows[rng.random(rows.shape) < 0.2] = np.nan
    return rows


@pytest.mark.parametrize("kind", ["plain", "ties", "gaps"])
def test_figures_are_those_of_pymannkendall(kind: str) -> None:
    rows = _rows(kind)
    found = trends(rows)
    for n, row in enumerate(rows):
        peer = pymannkendall.original_test(row)
        assert (found.score[n], found.variance[n]) == (peer.s, pytest.approx(peer.var_s, rel=1e-14))
        assert found.z[n] == pytest.approx(peer.z, rel=1e-13)
        assert found.p[n] == pytest.approx(peer.p, rel=1e-9, abs=1e-15)
        assert found.tau[n] == pytest.approx(peer.Tau, rel=1e-14)
        assert found.slope[n] == peer.slope
        assert found.intercept[n] == pytest.approx(peer.intercept, rel=1e-12, abs=1e-12)


def test_a_worked_number() -> None:
    found = trends([1.0, 2.0, 2.0, 4.0])  # S = 5 of 6 pairs, one tie of two: Var = (4·3·13 - 2·1·9)/18 = 23/3
    assert (found.score[0], found.variance[0]) == (5, 23 / 3)
    assert found.z[0] == 4 / np.sqrt(23 / 3)
    assert (found.slope[0], found.intercept[0]) == (1.0, 0.5)


def test_constant_and_short_rows_have_no_trend() -> None:
    found = trends([[3.0, 3.0, 3.0], [np.nan, 5.0, np.nan], [np.nan, np.nan, np.nan]])
    assert found.signs().tolist() == [0, 0, 0]
    assert found.p.tolist() == [1.0, 1.0, 1.0]
    assert found.slope[0] == 0.0 and np.isnan(found.slope[1:]).all()
    assert found.count.tolist() == [3, 1, 0]


def test_rising_and_falling_rows_have_opposite_signs() -> None:
    up = np.arange(12.0)
    assert trends([up, -up]).signs().tolist() == [1, -1]


def test_a_cube_without_steps_is_refused() -> None:
    with pytest.raises(SanyuError, match="SY-N065"):
        trends(np.empty((3, 0)))
