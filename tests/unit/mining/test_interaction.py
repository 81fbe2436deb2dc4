"""Knox, Mantel, Jacquez and the space-time K against pointpats and counting by hand; the kernels against all pairs."""

from __future__ import annotations

import time
import warnings

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from libpysal import examples

from schemas.messages import SanyuError
from transforms.mining.interaction import interaction_kernel as kernel
from transforms.mining.interaction.knox import knox, space_time_k
from transforms.mining.interaction.mantel import jacquez, mantel

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import pointpats


@pytest.fixture(scope="module")
def burkitt() -> pd.DataFrame:
    """Return the 188 cases of Burkitt's lymphoma in Uganda, 1961–1975 (Williams et al. 1978), as libpysal ships them."""
    read = gpd.read_file(examples.get_path("burkitt.shp"))
    return pd.DataFrame({"x_m": read.geometry.x, "y_m": read.geometry.y, "day": read["T"]})


def lattice(n: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 12, n).astype(float), rng.integers(0, 12, n).astype(float), rng.integers(0, 60, n).astype(float)


def test_knox_counts_thirteen_and_expects_what_pointpats_expects(burkitt: pd.DataFrame) -> None:
    found = knox(burkitt, "day", distance_m=20, lag=5, permutations=999).iloc[0]
    peer = pointpats.Knox(burkitt[["x_m", "y_m"]].to_numpy(), burkitt[["day"]].to_numpy(), 20, 5, 0)
    assert found["statistic"] == 13
    assert (found["near_count"], found["soon_count"]) == (peer.observed[0].sum(), peer.observed[:, 0].sum())
    assert found["expected"] == pytest.approx(peer.expected[0, 0], rel=1e-12)
    assert found["p_permuted"] == pytest.approx(0.19, abs=0.05)


def test_jacquez_counts_twelve_for_three_neighbours(burkitt: pd.DataFrame) -> None:
    found = jacquez(burkitt, "day", k=3, permutations=199).iloc[0]
    assert found["statistic"] == 12
    assert found["mean_permuted"] == pytest.approx(found["expected"], rel=0.1)


def test_mantel_is_the_correlation_of_pointpats(burkitt: pd.DataFrame) -> None:
    found = mantel(burkitt, "day", permutations=99).iloc[0]
    peer = pointpats.mantel(burkitt[["x_m", "y_m"]].to_numpy(), burkitt[["day"]].to_numpy(), permutations=0)
    assert found["statistic"] == pytest.approx(peer, rel=1e-9)
    assert found["p_permuted"] <= 0.03
    plain = mantel(burkitt, "day", space_power=1.0, time_power=1.0, permutations=0).iloc[0]
    bare = pointpats.mantel(burkitt[["x_m", "y_m"]].to_numpy(), burkitt[["day"]].to_numpy(), permutations=0, spow=1.0, tpow=1.0)
    assert plain["statistic"] == pytest.approx(bare, rel=1e-9)


def test_each_row_of_the_space_time_k_is_a_knox_test(burkitt: pd.DataFrame) -> None:
    found = space_time_k(burkitt, "day", distances_m="10,20,40", lags=[5, 50], permutations=9)
    for row in found.itertuples():
        one = knox(burkitt, "day", distance_m=row.distance_m, lag=row.lag, permutations=0).iloc[0]
        assert (row.pair_count, row.near_count, row.soon_count) == (one["statistic"], one["near_count"], one["soon_count"])


def test_planted_contagion_is_found_and_independent_times_are_not() -> None:
    """Each of 100 events is followed by another within 10 m and 2 days."""
    rng = np.random.default_rng(8)
    first = pd.DataFrame({"x_m": rng.uniform(0, 5000, 100), "y_m": rng.uniform(0, 5000, 100), "day": rng.integers(0, 300, 100)})
    events = pd.concat([first, first + np.column_stack([rng.uniform(-5, 5, (2, 100)).T, rng.integers(0, 3, 100)])], ignore_index=True)
    shuffled = events.assign(day=rng.permutation(events["day"]))
    assert knox(events, "day", distance_m=10, lag=2).iloc[0]["p_permuted"] == 0.001
    assert jacquez(events, "day").iloc[0]["p_permuted"] == 0.001
    assert space_time_k(events, "day", distances_m="10,50", lags="2,10")["p_overall"].iloc[0] == 0.01
    assert knox(shuffled, "day", distance_m=10, lag=2).iloc[0]["p_permuted"] > 0.05


@pytest.mark.parametrize("seed", range(6))
def test_counts_over_owned_points_are_those_of_all_pairs(seed: int) -> None:
    x, y, t = lattice(300, seed)
    owned = np.random.default_rng(seed).random(300) < 0.6
    i, j = np.triu_indices(300, 1)
    sq, lag, weight = (x[i] - x[j]) ** 2 + (y[i] - y[j]) ** 2, np.abs(t[i] - t[j]), owned[i].astype(int) + owned[j]
    distances, lags = np.array([1.0, 2.0, 5.0, 20.0]), np.array([0.0, 3.0, 50.0])
    expected = [[int(weight[(sq <= r * r) & (lag <= s)].sum()) for s in (*lags, np.inf)] for r in distances]
    assert kernel.counts(x, y, t, owned, distances, lags).tolist() == expected
    assert kernel.time_pairs(t, lags).tolist() == [int((lag <= s).sum()) for s in lags]


def test_nearest_in_time_settles_ties_by_the_smaller_slot() -> None:
    _, _, t = lattice(200, 1)
    for i, row in enumerate(kernel.time_neighbours(t, 4)):
        assert row.tolist() == [j for _, j in sorted((abs(t[i] - t[j]), j) for j in range(200) if j != i)[:4]]


def test_events_at_one_place_cost_no_square() -> None:
    """200,000 events at one place beside 20,000 others: 2·10¹⁰ pairs, were they visited."""
    rng = np.random.default_rng(6)
    x, y = (
        np.concatenate([np.full(200_000, 7.0), rng.uniform(0, 1000, 20_000)]),
        np.concatenate([np.full(200_000, 7.0), rng.uniform(0, 1000, 20_000)]),
    )
    t = rng.integers(0, 300, 220_000).astype(float)
    kernel.counts(x[:9], y[:9], t[:9], np.ones(9, bool), np.array([5.0]), np.array([3.0]))
    started = time.process_time()
    found = kernel.counts(x, y, t, np.ones(220_000, bool), np.array([5.0, 20.0]), np.array([3.0]))
    assert found[0, 1] // 2 >= 200_000 * 199_999 // 2
    assert time.process_time() - started < 8


def test_instants_are_near_within_seconds_and_numbers_within_their_own_unit() -> None:
    frame = pd.DataFrame({"x_m": [0.0, 1.0, 2.0], "y_m": 0.0, "day": [0, 1, 9]})
    frame["at"] = pd.Timestamp("2026-01-01", tz="UTC") + pd.to_timedelta(frame["day"], "D")
    by_number = knox(frame, "day", distance_m=5, lag=1, permutations=9).iloc[0]
    by_instant = knox(frame, "at", distance_m=5, lag=86_400, permutations=9).iloc[0]
    assert by_number["statistic"] == by_instant["statistic"] == 1
    assert knox(frame, "at", distance_m=5, lag=86_399, permutations=0).iloc[0]["statistic"] == 0
    assert mantel(frame, "at", permutations=0).iloc[0]["statistic"] == pytest.approx(
        mantel(frame, "day", permutations=0).iloc[0]["statistic"]
    )


def test_bad_input_is_named() -> None:
    frame = pd.DataFrame(
        {"x_m": [0.0, 1.0, 5.0], "y_m": 0.0, "at": pd.to_datetime(["2026-01-01", None, "2026-01-02"]), "day": [1.0, 1.0, 1.0]}
    )
    with pytest.raises(SanyuError, match="SY-N031"):
        knox(frame, "at", distance_m=5, lag=1)
    with pytest.raises(SanyuError, match="SY-N030"):
        knox(frame, "day", distance_m=0, lag=1)
    with pytest.raises(SanyuError, match="SY-N034"):
        mantel(frame, "day")
    with pytest.raises(SanyuError, match="SY-N032"):
        jacquez(frame, "day", k=3)
    with pytest.raises(SanyuError, match="SY-N009"):
        knox(frame.assign(day=[1.0, np.nan, 2.0]), "day", distance_m=5, lag=1)
    with pytest.raises(SanyuError, match="SY-N012"):
        knox(frame.assign(x_m=[1.0, np.nan, 2.0]), "day", distance_m=5, lag=1)
