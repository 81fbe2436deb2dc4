"""Centres, ellipse, quadrats, nearest neighbours, Ripley's functions and grain against pointpats, scipy and planted patterns."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.spatial.distance import pdist, squareform

from schemas.messages import SanyuError
from transforms.mining.density.distribution import centres
from transforms.mining.density.quadrat import grain, nearest_neighbour, quadrat
from transforms.mining.interaction.ripley import ripley

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from pointpats import centrography, distance_statistics

R = (40.0, 100.0, 170.0)


def pattern(count: int = 400, seed: int = 4) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame({"x_m": rng.uniform(0, 2000, count) + 5e5, "y_m": rng.gamma(2.0, 200.0, count) + 3.3e6})


def first(frame: Any) -> dict[str, Any]:
    assert len(frame) == 1
    return dict(frame.iloc[0])


def test_centres_standard_distance_and_ellipse_are_those_of_pointpats() -> None:
    frame = pattern()
    found, xy = first(centres(frame)), frame.to_numpy() - [5e5, 3.3e6]
    major, minor, _ = centrography.ellipse(xy)
    assert found["standard_distance_m"] == pytest.approx(centrography.std_distance(xy), rel=1e-10)
    assert (found["major_m"], found["minor_m"]) == pytest.approx((major, minor), rel=1e-10)
    assert (found["mean_x_m"] - 5e5, found["mean_y_m"] - 3.3e6) == pytest.approx(tuple(xy.mean(axis=0)), rel=1e-9)
    assert (found["median_x_m"] - 5e5, found["median_y_m"] - 3.3e6) == pytest.approx(tuple(centrography.euclidean_median(xy)), abs=0.05)


def test_the_ellipse_points_where_the_pattern_runs() -> None:
    """Points on a line to the north-east: azimuth 45°, no width."""
    found = first(centres(pd.DataFrame({"x_m": [0.0, 1.0, 2.0, 3.0], "y_m": [0.0, 1.0, 2.0, 3.0]})))
    assert found["azimuth_deg"] == pytest.approx(45.0)
    assert found["minor_m"] == pytest.approx(0.0, abs=1e-9)


def test_the_median_centre_stays_on_a_row_that_outweighs_the_others() -> None:
    frame = pd.DataFrame({"x_m": [0.0, 10.0, 20.0], "y_m": [0.0, 0.0, 5.0], "w": [9.0, 1.0, 1.0]})
    found = first(centres(frame, weight="w"))
    assert (found["median_x_m"], found["median_y_m"]) == pytest.approx((0.0, 0.0), abs=1e-6)
    assert found["mean_x_m"] == pytest.approx(30 / 11)


def test_one_row_has_a_centre_but_no_ellipse_and_none_is_an_error() -> None:
    found = first(centres(pd.DataFrame({"x_m": [3.0], "y_m": [4.0]})))
    assert (found["mean_x_m"], found["median_y_m"], found["standard_distance_m"]) == (3.0, 4.0, 0.0)
    assert math.isnan(found["major_m"])
    with pytest.raises(SanyuError, match="SY-N032"):
        centres(pattern().iloc[:0])


def test_quadrat_counts_by_hand() -> None:
    """Counts 3, 1, 0, 0 in four cells: mean 1, χ² = 4 + 0 + 1 + 1 = 6, variance 6/3."""
    frame = pd.DataFrame({"x_m": [1.0, 2.0, 3.0, 7.0], "y_m": [1.0, 2.0, 3.0, 2.0]})
    found = first(quadrat(frame, column_count=2, line_count=2, window=(0, 0, 10, 10)))
    assert (found["chi2"], found["variance"], found["variance_mean_ratio"]) == pytest.approx((6.0, 2.0, 2.0))
    assert found["p_chi2"] == pytest.approx(0.11161, abs=1e-5)


def test_the_nearest_neighbour_index_is_two_on_a_square_lattice_and_zero_on_one_spot() -> None:
    i, j = (k.ravel().astype(float) for k in np.mgrid[0:30, 0:30])
    even = first(nearest_neighbour(pd.DataFrame({"x_m": i, "y_m": j}), area_m2=900.0))
    assert even["index"] == pytest.approx(2.0)
    assert even["z_score"] > 50
    heap = first(nearest_neighbour(pd.DataFrame({"x_m": [5.0] * 9, "y_m": [5.0] * 9}), area_m2=900.0))
    assert (heap["observed_m"], heap["index"]) == (0.0, 0.0)


def test_k_and_l_are_those_of_pointpats_and_the_pairs_are_whole_numbers() -> None:
    frame = pattern()
    xy = frame.to_numpy() - [5e5, 3.3e6]
    found = ripley(frame, distances_m=R, simulations=0)
    pairs = (pdist(frame.to_numpy())[None, :] <= np.array(R)[:, None]).sum(axis=1)
    assert found["pair_count"].tolist() == pairs.tolist()
    _, peer = distance_statistics.k(xy, support=np.array(R))
    hull_area = distance_statistics._area(distance_statistics._prepare_hull(xy, None))
    area = np.ptp(xy[:, 0]) * np.ptp(xy[:, 1])
    assert found["k_m2"].to_numpy() / area == pytest.approx(peer / hull_area, rel=1e-9)
    assert found["l_m"].to_numpy() == pytest.approx(np.sqrt(found["k_m2"].to_numpy() / np.pi))


def test_g_is_the_share_of_a_ring_and_border_correction_leaves_out_points_at_the_edge() -> None:
    frame = pattern()
    window = (5e5, 3.3e6, 5e5 + 2000, 3.3e6 + 3000)
    found = ripley(frame, distances_m=R, window=window, edge="border", simulations=0)
    x, y = frame["x_m"].to_numpy(), frame["y_m"].to_numpy()
    inward = np.min([x - window[0], window[2] - x, y - window[1], window[3] - y], axis=0)
    near = squareform(pdist(frame.to_numpy()))
    for row, r in zip(found.itertuples(), R, strict=True):
        inner = inward >= r
        assert (row.counted_points, row.pair_count) == (inner.sum(), ((near <= r).sum(axis=1) - 1)[inner].sum())
    plain = ripley(frame, distances_m=R, window=window, simulations=0)
    ring = np.diff(plain["pair_count"], prepend=0) * 2 * 6e6 / 400**2 / (np.pi * np.diff(np.square([0.0, *R])))
    assert plain["g"].to_numpy() == pytest.approx(ring)


def test_the_envelope_holds_a_random_pattern_and_not_a_clustered_one() -> None:
    rng = np.random.default_rng(9)
    random = pd.DataFrame({"x_m": rng.uniform(0, 1000, 300), "y_m": rng.uniform(0, 1000, 300)})
    clustered = pd.DataFrame(np.repeat(rng.uniform(50, 950, (30, 2)), 10, axis=0) + rng.normal(0, 10, (300, 2)), columns=["x_m", "y_m"])
    box = (-50.0, -50.0, 1050.0, 1050.0)
    quiet = ripley(random, distances_m="20,50,80", window=(0, 0, 1000, 1000), simulations=99)
    loud = ripley(clustered, distances_m="20,50,80", window=box, simulations=99)
    assert (quiet["p_overall"] > 0.05).all()
    assert ((quiet["l_m"] >= quiet["l_low"]) & (quiet["l_m"] <= quiet["l_high"])).all()
    assert (loud["p_overall"] == 0.01).all()
    assert (loud["l_m"] > loud["l_high"]).all()


def test_shuffled_rows_give_the_same_bits() -> None:
    frame = pattern().assign(id=range(400))
    mixed = frame.sample(frac=1, random_state=3)
    for tool, more in ((centres, {}), (nearest_neighbour, {}), (quadrat, {}), (ripley, {"distances_m": R, "simulations": 5})):
        again = tool(mixed, id_column="id", **more)  # type: ignore[operator]
        pd.testing.assert_frame_equal(tool(frame, id_column="id", **more), again, check_exact=True)  # type: ignore[operator]


def test_grain_finds_the_size_of_planted_blocks_and_none_in_noise() -> None:
    """Blocks of 100 m are dense or empty: cells of 100 m repeat from half to half, and cells of 5 m hold less than a point each."""
    rng = np.random.default_rng(2)
    dense = rng.random((20, 20)) < 0.3
    block = np.argwhere(dense)[rng.integers(0, dense.sum(), 4000)]
    planted = pd.DataFrame(block * 100.0 + rng.uniform(0, 100, (4000, 2)), columns=["x_m", "y_m"])
    found = grain(planted, cells_m="5,25,50,100")
    assert found["is_supported"].tolist() == [False, False, True, True]
    assert found.loc[found["is_chosen"], "cell_m"].tolist() == [50.0]
    noise = grain(pd.DataFrame(rng.uniform(0, 2000, (4000, 2)), columns=["x_m", "y_m"]), cells_m="25,50,100")
    assert not noise["is_supported"].any()


@pytest.mark.parametrize(
    ("distances", "window", "code"), [("1,x", None, "SY-N036"), ("3,2", None, "SY-N036"), ("3", (0, 0, 1, 1), "SY-N038")]
)
def test_a_list_that_does_not_rise_and_a_window_that_leaves_out_rows_are_refused(distances: str, window: Any, code: str) -> None:
    with pytest.raises(SanyuError, match=code):
        ripley(pattern(), distances_m=distances, window=window)


def test_rows_on_one_line_have_no_window() -> None:
    with pytest.raises(SanyuError, match="SY-N038"):
        quadrat(pd.DataFrame({"x_m": [1.0, 2.0], "y_m": [0.0, 0.0]}))
