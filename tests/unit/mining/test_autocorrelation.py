"""Autocorrelation: esda's numbers to 1e-9, its p-values at its seed row for row, and what it would answer silently, said."""

from __future__ import annotations

import math
import warnings
from typing import Any

import geopandas as gpd
import numpy as np
import pytest

from schemas.messages import SanyuError
from transforms.mining.autocorrelation import autocorrelation, local
from transforms.mining.autocorrelation.autocorrelation_kernels import PRODUCT, SQUARE, by_place, grids, simulated
from transforms.mining.autocorrelation.autocorrelation_parts import largest_row_sum
from transforms.mining.ground import fdr
from transforms.mining.ground.permute import draws, permutation
from transforms.mining.weights.weights import DistanceBand, Knn, neighbours

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import esda
    from esda.crand import crand
    from esda.geary_local import _local_geary
    from libpysal.graph import Graph
    from statsmodels.stats.multitest import multipletests

pytestmark = pytest.mark.filterwarnings("ignore")  # esda's own
COUNT, ISLANDS = 400, 4


@pytest.fixture(scope="module")
def frame() -> gpd.GeoDataFrame:
    rng = np.random.default_rng(1)
    x, y = 500_000 + rng.uniform(0, 3_000, COUNT), 3_300_000 + rng.uniform(0, 3_000, COUNT)
    x[:ISLANDS] += 20_000 * np.arange(1, ISLANDS + 1)
    values = {"v": rng.gamma(2, size=COUNT) + (x > 501_500), "b": rng.integers(0, 2, COUNT)}
    return gpd.GeoDataFrame(values, geometry=gpd.points_from_xy(x, y), crs=4549)


@pytest.fixture(scope="module", params=["knn", "band", "inverse"])
def weights(request: pytest.FixtureRequest, frame: gpd.GeoDataFrame) -> tuple[Any, Any, Any]:
    """Return a rule, the same as libpysal's graph, and which rows have neighbours."""
    inner = np.arange(COUNT) >= (0 if request.param == "knn" else ISLANDS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if request.param == "knn":
            return Knn(8), Graph.build_knn(frame, 8), inner
        if request.param == "band":
            return DistanceBand(400), Graph.build_distance_band(frame, 400), inner
        return DistanceBand(400, 1.0), Graph.build_distance_band(frame, 400, binary=False, alpha=-1.0), inner


def close(found: Any, wanted: Any, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=1e-14)


def test_local_moran_is_esda_s(frame: gpd.GeoDataFrame, weights: tuple[Any, Any, Any]) -> None:
    rule, graph, inner = weights
    found, wanted = local.local_moran(frame, "v", weights=rule, draws="esda", seed=7), esda.Moran_Local(frame["v"], graph, seed=7)
    close(found["statistic"], wanted.Is)
    close(found["expected"], wanted.EIc)
    close(found["variance"], wanted.VIc)
    assert np.array_equal(found["p_permuted"][inner], wanted.p_sim[inner])
    assert np.array_equal(found["quadrant"][inner].map({"HH": 1, "LH": 2, "LL": 3, "HL": 4}), wanted.q[inner])


@pytest.mark.parametrize("star", [True, False])
@pytest.mark.parametrize("transform", ["r", "b"])
def test_local_g_is_esda_s(frame: gpd.GeoDataFrame, weights: tuple[Any, Any, Any], star: bool, transform: str) -> None:
    rule, graph, inner = weights
    if transform == "b" and isinstance(rule, DistanceBand) and rule.decay:
        pytest.skip("a band whose weights decay is not binary")
    found = local.local_g(frame, "v", weights=rule, star=star, transform=transform, draws="esda", seed=7)
    # esda compiles its permutations anew in each process, so they are asked for once.
    wanted = esda.G_Local(frame["v"], graph, transform=transform.upper(), star=star, seed=7, n_jobs=1, permutations=999 if star else 0)
    close(found["statistic"][inner], wanted.Gs[inner])
    close(found["z_score"][inner], wanted.Zs[inner])
    assert not star or np.array_equal(np.round(found["p_permuted"][inner] * 1_000), np.round(wanted.p_sim[inner] * 1_000))


def test_local_geary_is_esda_s(frame: gpd.GeoDataFrame) -> None:
    graph = Graph.build_knn(frame, 8)
    found = local.local_geary(frame, "v", weights=Knn(8), draws="esda", seed=7)
    wanted = esda.Geary_Local(connectivity=graph, permutations=0).fit(frame["v"]).localG
    close(found["statistic"], wanted)
    z = ((frame["v"] - frame["v"].mean()) / frame["v"].std(ddof=0)).to_numpy()
    p, _ = crand(z, graph.transform("r"), wanted, 999, False, 1, _local_geary, seed=7, alternative="directed")
    assert np.array_equal(np.round(found["p_permuted"] * 1_000), np.round(p * 1_000))


def test_local_geary_s_moments_are_those_of_its_permutations(frame: gpd.GeoDataFrame) -> None:
    found = local.local_geary(frame, "v", permutations=0).iloc[9]
    z = ((frame["v"] - frame["v"].mean()) / frame["v"].std(ddof=0)).to_numpy()
    others = np.delete(z, 9)
    simulated = ((z[9] - others[draws(1, np.arange(20_000), 8, COUNT - 1)]) ** 2).mean(axis=1)
    assert found["expected"] == pytest.approx(np.mean(simulated), rel=0.02)
    assert found["variance"] == pytest.approx(np.var(simulated), rel=0.05)


def test_keyed_p_values_are_counts_over_the_keyed_draws(frame: gpd.GeoDataFrame) -> None:
    found = local.local_moran(frame, "v", permutations=99, seed=3, k=5)
    z = ((frame["v"] - frame["v"].mean()) / frame["v"].std(ddof=0)).to_numpy()
    for i in (0, 200, COUNT - 1):
        drawn = np.stack([permutation(3, p, COUNT - 1)[:5] for p in range(99)])
        simulated = z[i] * z[drawn + (drawn >= i)].mean(axis=1)
        larger = (simulated >= z[i] * found["lag"].iloc[i]).sum()
        assert found["p_permuted"].iloc[i] == (min(larger, 99 - larger) + 1) / 100


def test_global_moran_is_esda_s(frame: gpd.GeoDataFrame, weights: tuple[Any, Any, Any]) -> None:
    rule, graph, _ = weights
    found, wanted = autocorrelation.moran(frame, "v", weights=rule).iloc[0], esda.Moran(frame["v"], graph, permutations=1)
    close(
        found[["statistic", "expected", "variance_normal", "variance_random", "p_normal", "p_random"]].astype(float),
        [wanted.I, wanted.EI, wanted.VI_norm, wanted.VI_rand, wanted.p_norm, wanted.p_rand],
    )
    close(found["statistic"], wanted.I, 1e-10)


def test_global_geary_is_esda_s(frame: gpd.GeoDataFrame) -> None:
    # Without islands: with them esda 2.9 fails.
    found, wanted = autocorrelation.geary(frame, "v").iloc[0], esda.Geary(frame["v"], Graph.build_knn(frame, 8), permutations=1)
    close(found[["statistic", "variance_normal", "variance_random"]].astype(float), [wanted.C, wanted.VC_norm, wanted.VC_rand])


def test_general_g_and_join_counts_are_esda_s(frame: gpd.GeoDataFrame) -> None:
    graph = Graph.build_knn(frame, 8)
    found, wanted = autocorrelation.general_g(frame, "v").iloc[0], esda.G(frame["v"], graph, permutations=1)
    close(found[["statistic", "expected", "variance_random"]].astype(float), [wanted.G, wanted.EG, wanted.VG], 1e-8)
    found, counts = autocorrelation.join_counts(frame, "b").iloc[0], esda.Join_Counts(frame["b"], graph.transform("b"), permutations=1)
    close(found[["bb", "ww", "bw", "chi2", "p_chi2"]].astype(float), [counts.bb, counts.ww, counts.bw, counts.chi2, counts.chi2_p])


def test_global_permutations_are_the_keyed_ones(frame: gpd.GeoDataFrame, weights: tuple[Any, Any, Any]) -> None:
    rule, graph, _ = weights
    matrix, z = graph.transform("r").sparse, (frame["v"] - frame["v"].mean()).to_numpy()
    orders = [permutation(5, p, COUNT) for p in range(29)]
    simulated = [COUNT / matrix.sum() * (z[o] @ (matrix @ z[o])) / (z @ z) for o in orders]
    found = autocorrelation.moran(frame, "v", weights=rule, permutations=29, seed=5).iloc[0]
    close([found["mean_permuted"], found["deviation_permuted"]], [np.mean(simulated), np.std(simulated)])


def test_global_p_values_are_esda_s_at_its_seed(frame: gpd.GeoDataFrame) -> None:
    graph = Graph.build_knn(frame, 8)
    noise = frame.assign(v=np.random.default_rng(4).gamma(2, size=COUNT))  # nothing planted, so that p is not the smallest there is
    for tool, peer, column, attribute in (
        (autocorrelation.moran, esda.Moran, "v", "p_sim"),
        (autocorrelation.geary, esda.Geary, "v", "p_sim"),
        (autocorrelation.general_g, lambda v, w: esda.G(v, w.transform("b")), "v", "p_sim"),
        (autocorrelation.join_counts, lambda v, w: esda.Join_Counts(v, w.transform("b")), "b", "p_sim_bb"),
    ):
        np.random.seed(11)
        wanted = peer(noise[column], graph)
        found = tool(noise, column, draws="esda", seed=11).iloc[0]
        assert found["p_permuted"] == pytest.approx(getattr(wanted, attribute), abs=1e-12), tool.__name__
    assert found["p_permuted_bw"] == pytest.approx(wanted.p_sim_bw, abs=1e-12)


@pytest.mark.parametrize("kind", [PRODUCT, SQUARE])
@pytest.mark.parametrize("count", [300, 6_000])
@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_permuted_sums_are_the_same_bits_in_any_order_and_division(kind: int, count: int, decay: float) -> None:
    rng = np.random.default_rng(count)
    x, y = rng.uniform(0, 1_000, (2, count))
    starts, indices, _, weights = neighbours(DistanceBand(4_000 / count**0.5, decay), x, y)
    values = rng.gamma(1, size=count) * 10.0 ** rng.integers(-6, 6, count)
    cut = grids(values, largest_row_sum(starts, weights), kind)

    def parts(order: Any, owned: int) -> Any:
        """Return the sums over the edges of the first `owned` rows in an order."""
        rank = np.empty(count, np.int64)
        rank[order] = np.arange(count)
        begin, near, out = by_place(starts, indices, weights, order, rank)
        return simulated(order, begin[: owned + 1], near, out, values, 20, 5, kind, cut)

    whole = parts(np.arange(count), count)
    shuffled = rng.permutation(count)
    assert np.array_equal(parts(shuffled, count), whole)
    assert np.array_equal(parts(shuffled, count // 3) + parts(np.roll(shuffled, -(count // 3)), count - count // 3), whole)
    moved = values[permutation(5, 7, count)]
    focal = np.repeat(np.arange(count), np.diff(starts))
    pairs = moved[focal] * moved[indices] if kind == PRODUCT else (moved[focal] - moved[indices]) ** 2
    assert whole[7].sum() == pytest.approx(math.fsum(weights * pairs), rel=1e-14)


@pytest.mark.parametrize("tool", [local.local_moran, local.local_geary, local.local_g])
def test_the_order_of_rows_does_not_show(frame: gpd.GeoDataFrame, tool: Any) -> None:
    found = tool(frame, "v", permutations=99).drop(columns="geometry")
    shuffled = tool(frame.sample(frac=1, random_state=1), "v", permutations=99).drop(columns="geometry")
    assert shuffled.loc[found.index].equals(found)


@pytest.mark.parametrize("tool", [autocorrelation.moran, autocorrelation.geary, autocorrelation.general_g])
def test_the_order_of_rows_does_not_show_in_one_figure(frame: gpd.GeoDataFrame, tool: Any) -> None:
    assert tool(frame.sample(frac=1, random_state=1), "v", permutations=99).equals(tool(frame, "v", permutations=99))


def test_a_planted_hot_spot_is_found(frame: gpd.GeoDataFrame) -> None:
    hot = frame.assign(v=1.0 + np.arange(COUNT) % 3)
    centre = np.hypot(hot.geometry.x - 501_500, hot.geometry.y - 3_301_500) < 400
    hot.loc[centre, "v"] += 10
    found = local.local_g(hot, "v")
    assert set(found.loc[centre, "pattern"]) == {"Hot"}
    assert (found.loc[~centre, "pattern"] != "Hot").mean() > 0.85


def test_an_island_has_no_p_value_and_says_so(frame: gpd.GeoDataFrame) -> None:
    found = local.local_moran(frame, "v", radius_m=400, permutations=99)
    assert (found["pattern"][:ISLANDS] == "Island").all()
    assert found[["p_permuted", "q_value", "z_score"]][:ISLANDS].isna().all(axis=None)


def test_where_every_permutation_gives_the_same_p_is_one() -> None:
    places = gpd.GeoDataFrame({"v": [-1.0, 1.0, 0.0] * 4}, geometry=gpd.points_from_xy(np.arange(12) * 10, [3_300_000] * 12), crs=4549)
    assert (local.local_moran(places, "v", k=2, permutations=99)["p_permuted"][2::3] == 1.0).all()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"v": np.ones(COUNT)}, "SY-N021"),
        ({"v": np.r_[np.nan, np.arange(COUNT - 1)]}, "SY-N009"),
        ({"v": np.r_[np.inf, np.arange(COUNT - 1)]}, "SY-N009"),
        ({"v": ["a", "b"] * (COUNT // 2)}, "SY-N008"),
    ],
)
@pytest.mark.parametrize("tool", [local.local_moran, local.local_g, autocorrelation.moran, autocorrelation.join_counts])
def test_values_that_have_no_answer_are_refused(frame: gpd.GeoDataFrame, change: dict[str, Any], code: str, tool: Any) -> None:
    with pytest.raises(SanyuError, match=code):
        tool(frame.assign(**change), "v")


@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("tool", [local.local_moran, local.local_g, autocorrelation.moran])
def test_too_few_rows_are_refused(frame: gpd.GeoDataFrame, count: int, tool: Any) -> None:
    with pytest.raises(SanyuError, match="SY-N020"):
        tool(frame.iloc[:count], "v")


def test_values_that_a_statistic_does_not_take_are_refused(frame: gpd.GeoDataFrame) -> None:
    with pytest.raises(SanyuError, match="SY-N023"):
        autocorrelation.join_counts(frame, "v")
    with pytest.raises(SanyuError, match="SY-N023"):
        autocorrelation.general_g(frame.assign(v=-frame["v"]), "v")
    with pytest.raises(SanyuError, match="SY-N022"):
        local.local_moran(frame, "v", radius_m=0.001)


def test_fdr_is_that_of_statsmodels_and_esda() -> None:
    p = np.random.default_rng(0).uniform(size=500) ** 3
    assert np.array_equal(fdr.adjusted(p), multipletests(p, method="fdr_bh")[1])
    assert fdr.cutoff(p) == pytest.approx(esda.fdr(p), rel=1e-12)
    assert np.isnan(fdr.adjusted([np.nan, 0.5])).tolist() == [True, False]


def line(values: list[float]) -> gpd.GeoDataFrame:
    return gpd.GeoDataFrame(
        {"v": values}, geometry=gpd.points_from_xy(500_000 + 10 * np.arange(len(values)), [3_300_000] * len(values)), crs=4549
    )


def test_the_worked_numbers_of_the_docs() -> None:
    few = line([1.0, 2.0, 3.0, 6.0])
    assert local.local_moran(few, "v", k=1, permutations=0)["statistic"].iloc[3] == pytest.approx(0.0, abs=1e-12)
    assert local.local_geary(few, "v", k=1, permutations=0)["statistic"].iloc[3] == pytest.approx(2.5714, abs=5e-5)
    assert local.local_g(line([1, 1, 1, 1, 6]), "v", radius_m=10, permutations=0)["z_score"].iloc[4] == pytest.approx(1.2247, abs=5e-5)
    assert autocorrelation.moran(few, "v", radius_m=10, permutations=0)["statistic"].iloc[0] == pytest.approx(0.2143, abs=5e-5)
    assert autocorrelation.geary(few, "v", radius_m=10, permutations=0)["statistic"].iloc[0] == pytest.approx(0.4286, abs=5e-5)
    assert autocorrelation.general_g(few, "v", radius_m=10, permutations=0)["statistic"].iloc[0] == pytest.approx(0.5532, abs=5e-5)
    joins = autocorrelation.join_counts(line([1, 1, 0, 0]), "v", radius_m=10, permutations=0).iloc[0]
    assert joins[["bb", "ww", "bw", "expected"]].tolist() == [1, 1, 1, 0.5]
