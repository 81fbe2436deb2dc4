"""Events from frames of every kind give the same cells; what a frame lacks is named; results fit their contracts."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from sanyu import mining
from schemas.messages import SanyuError
from schemas.registry import find_contract
from transforms.mining.shelf.tool import find_tool

TOOLS = {
    "emerging_hot_spots": {"size_m": 500.0},
    "mann_kendall": {"size_m": 500.0},
    "change_points": {"size_m": 500.0, "penalty": 0.5, "model": "poisson"},
    "scan_statistic": {"radius_m": 2000.0, "max_days": 5, "size_m": 500.0, "permutations": 19, "max_p": 1.0},
}


def events(size: int = 1500) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    at = pd.Timestamp("2025-03-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 12 * 86_400, size), unit="s")
    lon, lat = 120.9 + rng.normal(0, 0.01, size), 30.2 + rng.normal(0, 0.01, size)
    return pd.DataFrame({"observed_at": at.as_unit("us"), "lon": lon, "lat": lat, "amount": rng.gamma(2.0, size=size)})


def as_points(frame: pd.DataFrame) -> gpd.GeoDataFrame:
    points = gpd.points_from_xy(frame["lon"], frame["lat"], crs="EPSG:4490")
    return gpd.GeoDataFrame(frame.drop(columns=["lon", "lat"]), geometry=points)


@pytest.mark.parametrize("name", TOOLS)
def test_each_kind_of_frame_gives_the_same_rows(name: str) -> None:
    plain = events()
    wkb = plain.drop(columns=["lon", "lat"]).assign(geom=shapely.to_wkb(shapely.points(plain["lon"], plain["lat"])))
    run = find_tool(name).function
    one, other, geo = (run(frame, **TOOLS[name]) for frame in (plain, wkb, as_points(plain)))
    assert len(one) > 0 and isinstance(geo, gpd.GeoDataFrame) and geo.crs.to_epsg() == 4490
    pd.testing.assert_frame_equal(one, other)
    pd.testing.assert_frame_equal(one.drop(columns="geom"), pd.DataFrame(geo.drop(columns="geometry")))


@pytest.mark.parametrize("name", TOOLS)
def test_results_have_the_columns_of_their_contract(name: str) -> None:
    tool = find_tool(name)
    contract = find_contract(tool.result)
    found = tool.function(events(), **TOOLS[name])
    assert set(found.columns) == {*(c.name for c in contract.columns), "geom"}
    assert not found[list(contract.required)].isna().any().any()
    assert not found.duplicated(list(contract.key)).any()
    assert shapely.from_wkb(found["geom"].iloc[0]).distance(shapely.Point(120.9, 30.2)) < 0.1


def test_a_cube_gives_the_result_with_its_pictures() -> None:
    found = mining.emerging_hot_spots(mining.space_time_cube(events(), cell="hexagon", size_m=400.0, crs="EPSG:4549"))
    assert found.cube.rule.cells.crs == "EPSG:4549"
    assert len(found.to_geopandas()) == len(found.cube.cells)
    assert len(found.plot().axes) >= 1
    strips = found.plot_strips(cells=found.cube.cells.ids[:3].tolist())
    assert strips.axes[0].images[0].get_array().shape == (3, found.cube.shape[1])


def test_values_are_aggregated_by_column() -> None:
    frame = events()
    cube = mining.space_time_cube(frame, value="amount", aggregate="sum", size_m=500.0)
    assert cube.values.sum() == pytest.approx(frame["amount"].sum(), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "more", "code"),
    [
        (lambda f: f.head(0), {}, "SY-N064"),
        (lambda f: f.drop(columns="observed_at"), {}, "SY-N005"),
        (lambda f: f, {"value": "price"}, "SY-N005"),
        (lambda f: f.assign(lon=np.where(f.index == 4, np.nan, f["lon"])), {}, "SY-N012"),
        (lambda f: f.assign(amount=np.where(f.index == 4, np.nan, f["amount"])), {"value": "amount", "aggregate": "mean"}, "SY-N009"),
        (lambda f: f.assign(observed_at=f["observed_at"].where(f.index != 4)), {}, "SY-N066"),
        (lambda f: f.assign(observed_at="yesterday"), {}, "SY-N063"),
        (lambda f: as_points(f).set_crs(None, allow_override=True), {}, "SY-N011"),
        (lambda f: f.assign(observed_at=f["observed_at"].iloc[0]), {}, "SY-N065"),
        (lambda f: f, {"size_m": None}, "SY-N069"),
        (lambda f: f, {"cell": "division"}, "SY-N005"),
    ],
    ids=[
        "empty",
        "no time column",
        "no value column",
        "no place",
        "NaN value",
        "no time",
        "text",
        "no CRS",
        "one step",
        "no size",
        "no code",
    ],
)
def test_a_frame_that_says_too_little_is_refused(change: Any, more: dict[str, Any], code: str) -> None:
    with pytest.raises(SanyuError, match=code):
        mining.emerging_hot_spots(change(events(50)), **({"size_m": 500.0} | more))
