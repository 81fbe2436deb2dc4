"""Coordinates against PROJ itself, published positions and round trips; refusals by their codes."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from sanyu import coords
from schemas.messages import SanyuError

BELTS = [f"EPSG:{code}" for code in range(4491, 4555)]
UTM = [f"EPSG:{base + zone}" for base in (32600, 32700) for zone in (1, 10, 31, 49, 50, 51, 60)]
MILLIMETRE = 1e-3
MILLIMETRE_DEGREES = 9e-9


def area_points(system: str, count: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return longitudes and latitudes in the area of use of a system, and in that of its best datum operation where it needs one."""
    areas = [pyproj.CRS(system).area_of_use.bounds, *(c.bounds for c in coords.candidates(system, 4326)[:1])]
    west, south, east, north = [f(a[i] for a in areas) for i, f in enumerate((max, max, min, min))]
    rng = np.random.default_rng(int(system[5:]))
    return rng.uniform(west, east, count), rng.uniform(max(south, -85), min(north, 85), count)


@pytest.mark.parametrize("system", [*BELTS, *UTM, "EPSG:3857", "EPSG:27700", "EPSG:2056", "EPSG:3035", "EPSG:2154", "EPSG:25832"])
def test_projected_systems_agree_with_proj_within_a_millimetre(system: str) -> None:
    lon, lat = area_points(system)
    base = "EPSG:4490" if system in BELTS else "EPSG:4326"
    x, y = coords.transform(lon, lat, base, system)
    expected = pyproj.Transformer.from_crs(base, system, always_xy=True).transform(lon, lat)
    known = np.isfinite(x)
    assert known.all()
    assert max(np.abs(x - expected[0])[known].max(), np.abs(y - expected[1])[known].max()) <= MILLIMETRE
    back = coords.transform(expected[0], expected[1], system, base)
    oracle = pyproj.Transformer.from_crs(system, base, always_xy=True).transform(*expected)
    known = np.isfinite(back[0])
    assert known.all()
    assert max(np.abs(back[0] - oracle[0])[known].max(), np.abs(back[1] - oracle[1])[known].max()) <= MILLIMETRE_DEGREES


def test_nad83_takes_the_operation_of_the_place_as_proj_does() -> None:
    lon, lat = np.array([-122.4, -157.8, -100.0]), np.array([37.7, 21.3, 55.0])
    expected = pyproj.Transformer.from_crs(4269, 4326, always_xy=True).transform(lon, lat)
    found = coords.transform(lon, lat, "EPSG:4269", "EPSG:4490")
    assert np.abs(np.array(found) - np.array(expected)).max() <= MILLIMETRE_DEGREES
    assert found[0][1] != lon[1]


def test_a_place_outside_every_operations_area_is_not_shifted_by_a_guess() -> None:
    assert np.isnan(coords.transform(10.0, 50.0, "EPSG:4269", "EPSG:4326")).all()
    with pytest.raises(SanyuError) as caught:
        coords.transform([-122.4, 10.0], [37.7, 50.0], "EPSG:4269", "EPSG:4326", errors="raise")
    assert (caught.value.code, caught.value.params["row"]) == ("SY-G013", 1)


@pytest.mark.parametrize("system", ["EPSG:4214", "EPSG:4610", "EPSG:4555", "EPSG:2436", "EPSG:2327", "EPSG:4579"])
@pytest.mark.parametrize("reverse", [False, True])
def test_old_chinese_datums_are_refused_without_a_named_operation(system: str, reverse: bool) -> None:
    pair = ("EPSG:4490", system) if reverse else (system, "EPSG:4490")
    with pytest.raises(SanyuError) as caught:
        coords.transform(108.0, 36.0, *pair)
    assert caught.value.code == "SY-G010"


def test_refusal_lists_codes_accuracies_and_areas() -> None:
    with pytest.raises(SanyuError, match=r"EPSG:15918 Beijing 1954 to WGS 84 \(1\) \(1 m; China - Ordos basin\)"):
        coords.transform(108.0, 36.0, "EPSG:4214", "EPSG:4490")
    assert {c.epsg for c in coords.candidates(4214, 4490)} >= {"EPSG:15918", "EPSG:15921"}
    assert coords.candidates(4610, 4490) == ()


def test_shift_worse_than_the_limit_is_refused() -> None:
    with pytest.raises(SanyuError) as caught:
        coords.transform(-1.9, 52.0, "EPSG:4326", "EPSG:27700", max_shift_error_m=1.5)
    assert caught.value.code == "SY-G011"
    assert "EPSG:1314" in str(caught.value)


def test_no_shift_is_needed_on_one_datum() -> None:
    belt = coords.transform(111.0, 36.0, "EPSG:4214", "EPSG:2436")
    assert belt == pytest.approx(pyproj.Transformer.from_crs(4214, 2436, always_xy=True).transform(111.0, 36.0), abs=MILLIMETRE)
    assert coords.transform(111.0, 36.0, "EPSG:4326", "EPSG:4490") == (111.0, 36.0)


BEIJING_TO_WGS84 = {"dx": 12.646, "dy": -155.176, "dz": -80.863}


def test_named_operation_pipeline_and_parameters_agree() -> None:
    by_code = coords.transform(108.0, 36.0, "EPSG:4214", "EPSG:4490", operation="EPSG:15918")
    by_numbers = coords.transform(108.0, 36.0, "EPSG:4214", "EPSG:4490", operation=BEIJING_TO_WGS84)
    pipeline = (
        "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step +proj=push +v_3 +step +proj=cart +ellps=krass "
        "+step +proj=helmert +x=12.646 +y=-155.176 +z=-80.863 +step +inv +proj=cart +ellps=WGS84 +step +proj=pop +v_3 "
        "+step +proj=unitconvert +xy_in=rad +xy_out=deg"
    )
    by_pipeline = coords.transform(108.0, 36.0, "EPSG:4214", "EPSG:4490", operation=pipeline)
    assert by_code == pytest.approx(by_pipeline, abs=1e-12)
    assert by_numbers == pytest.approx(by_code, abs=MILLIMETRE_DEGREES)
    assert math.dist(by_code, (108.0, 36.0)) > 1e-4
    back = coords.transform(*by_code, "EPSG:4490", "EPSG:4214", operation="EPSG:15918")
    assert back == pytest.approx((108.0, 36.0), abs=MILLIMETRE_DEGREES)


def test_helmert_rotations_turn_as_their_convention_says() -> None:
    seven = {"dx": 15.53, "dy": -113.82, "dz": -41.38, "rx": 0.0, "ry": 0.0, "rz": 0.814, "s": -0.38, "convention": "position_vector"}
    expected = coords.transform(121.0, 35.0, "EPSG:4214", "EPSG:4326", operation="EPSG:15919")
    assert coords.transform(121.0, 35.0, "EPSG:4214", "EPSG:4326", operation=seven) == pytest.approx(expected, abs=MILLIMETRE_DEGREES)
    frame = {**seven, "rz": -0.814, "convention": "coordinate_frame"}
    assert coords.transform(121.0, 35.0, "EPSG:4214", "EPSG:4326", operation=frame) == pytest.approx(expected, abs=MILLIMETRE_DEGREES)


@pytest.mark.parametrize(
    ("operation", "part"),
    [
        ("EPSG:1314", "leads from"),
        ("EPSG:999999", "does not know"),
        ("+proj=nonsense", "nonsense"),
        ({"dx": 1, "dy": 2}, "dz"),
        ({"dx": 1, "dy": 2, "dz": 3, "rz": 1}, "convention"),
        ({"dx": 1, "dy": 2, "dz": 3, "tx": 1}, "tx"),
        ({"dx": 1, "dy": 2, "dz": math.nan}, "dz is not a number"),
    ],
)
def test_operation_that_does_not_fit_is_refused_with_its_reason(operation: object, part: str) -> None:
    with pytest.raises(SanyuError, match=part) as caught:
        coords.transform(108.0, 36.0, "EPSG:4214", "EPSG:4490", operation=operation)
    assert caught.value.code == "SY-G012"


@pytest.mark.parametrize("name", ["WGS84", "EPSG:99999", "", "GCJ-03"])
def test_unknown_system_is_refused(name: str) -> None:
    with pytest.raises(SanyuError) as caught:
        coords.transform(1.0, 2.0, name, 4326)
    assert caught.value.code == "SY-G001"


def test_system_without_horizontal_axes_is_refused() -> None:
    with pytest.raises(SanyuError) as caught:
        coords.transform(1.0, 2.0, "EPSG:5737", 4326)
    assert caught.value.code == "SY-G014"


@pytest.mark.parametrize("system", ["GCJ-02", "BD-09"])
@given(lon=st.floats(72.1, 137.7), lat=st.floats(0.9, 55.7))
def test_obfuscation_is_undone_exactly(system: str, lon: float, lat: float) -> None:
    moved = coords.transform(lon, lat, "EPSG:4326", system)
    assert moved != (lon, lat)
    assert coords.transform(*moved, system, "EPSG:4326") == pytest.approx((lon, lat), abs=1e-11)


def test_obfuscated_positions_are_those_of_the_public_formula() -> None:
    x, y = 116.404 - 105, 39.915 - 35
    north = -100 + 2 * x + 3 * y + 0.2 * y**2 + 0.1 * x * y + 0.2 * math.sqrt(x)
    north += (20 * math.sin(6 * math.pi * x) + 20 * math.sin(2 * math.pi * x)) * 2 / 3
    north += (20 * math.sin(math.pi * y) + 40 * math.sin(math.pi * y / 3)) * 2 / 3
    north += (160 * math.sin(math.pi * y / 12) + 320 * math.sin(math.pi * y / 30)) * 2 / 3
    phi = math.radians(39.915)
    magic = 1 - 0.00669342162296594323 * math.sin(phi) ** 2
    latitude = 39.915 + north * 180 / (6378245 * (1 - 0.00669342162296594323) / (magic * math.sqrt(magic)) * math.pi)
    assert coords.transform(116.404, 39.915, "EPSG:4326", "GCJ-02")[1] == pytest.approx(latitude, abs=1e-13)
    # Published pair: GCJ-02 116.404, 39.915 is BD-09 116.41036949, 39.92133699.
    wgs84 = coords.transform(116.404, 39.915, "GCJ-02", "EPSG:4326")
    assert coords.transform(*wgs84, "EPSG:4326", "BD-09") == pytest.approx((116.41036949371029, 39.92133699351021), abs=1e-11)
    assert coords.transform(116.404, 39.915, "GCJ-02", "BD-09") == pytest.approx((116.41036949371029, 39.92133699351021), abs=1e-11)


@pytest.mark.parametrize("system", ["GCJ-02", "BD-09"])
def test_outside_the_rectangle_nothing_moves(system: str) -> None:
    lon, lat = np.array([-122.4, 71.9, 138.0, 100.0, np.nan]), np.array([37.7, 40.0, 40.0, 56.0, 40.0])
    for pair in (("EPSG:4326", system), (system, "EPSG:4326")):
        x, y = coords.transform(lon, lat, *pair)
        np.testing.assert_array_equal(x[:4], lon[:4])
        np.testing.assert_array_equal(y[:4], lat[:4])
        assert np.isnan(x[4]) and np.isnan(y[4])


def test_obfuscated_source_reaches_a_projected_target() -> None:
    gcj = coords.transform(120.15, 30.27, "EPSG:4490", "GCJ-02")
    assert coords.transform(*gcj, "GCJ-02", "EPSG:4549") == pytest.approx(coords.transform(120.15, 30.27, 4490, 4549), abs=MILLIMETRE)
    assert coords.to_cgcs2000(*gcj, "gcj02") == pytest.approx((120.15, 30.27), abs=1e-12)


@pytest.mark.parametrize("target", ["EPSG:4490", "EPSG:3857", "EPSG:4549", "GCJ-02"])
def test_answers_are_finite_or_nan_in_both_coordinates(target: str) -> None:
    x, y = coords.transform([120.0, np.nan, 500.0, 120.0, np.inf], [30.0, 30.0, 30.0, 95.0, 30.0], "EPSG:4326", target)
    assert np.isfinite(x).tolist() == np.isfinite(y).tolist() == [True, False, False, False, False]
    assert not np.isinf(x).any() and not np.isinf(y).any()


def test_shapes_are_kept_and_scalars_stay_scalars() -> None:
    assert isinstance(coords.transform(1.0, 2.0, 4326, 3857)[0], float)
    assert coords.transform([[1.0], [2.0]], [[3.0], [4.0]], 4326, 3857)[0].shape == (2, 1)
    assert coords.transform([], [], 4326, 3857)[0].shape == (0,)


def test_geometries_keep_z_and_lose_what_has_no_place() -> None:
    given_wkt = [
        "POINT Z (120 30 5)",
        "POLYGON ((120 30, 121 30, 121 31, 120 30))",
        None,
        "POINT (500 3)",
        "LINESTRING (120 30, 120 95)",
        "POINT EMPTY",
    ]
    given = shapely.from_wkt(given_wkt)
    found = coords.transform_geometries(given, 4490, 4549)
    x, y = coords.transform(120.0, 30.0, 4490, 4549)
    assert shapely.get_coordinates(found[0], include_z=True)[0].tolist() == [x, y, 5.0]
    assert found[1].geom_type == "Polygon" and not found[1].has_z
    assert found[2] is None and found[3] is None and found[4] is None
    assert found[5].is_empty
    assert given[0].x == 120.0


@pytest.mark.parametrize(
    ("lon", "lat", "crs"),
    [
        (75.0, 39.0, "EPSG:4534"),
        (73.5, 39.0, "EPSG:4534"),
        (76.5, 39.0, "EPSG:4535"),
        (120.15, 30.27, "EPSG:4549"),
        (136.49, 48.0, "EPSG:4554"),
        (136.5, 48.0, "EPSG:32653"),
        (106.8, -6.2, "EPSG:32748"),
        (-122.4, 37.7, "EPSG:32610"),
        (180.0, 10.0, "EPSG:32660"),
        (0.0, 89.0, "EPSG:32661"),
    ],
)
def test_metric_system_of_a_place(lon: float, lat: float, crs: str) -> None:
    assert coords.metric_crs(lon, lat) == crs
    west, south, east, _ = pyproj.CRS(crs).area_of_use.bounds
    if crs.startswith("EPSG:45"):
        centre = {p.name: p.value for p in pyproj.CRS(crs).coordinate_operation.params}["Longitude of natural origin"]
        assert abs(lon - centre) <= 1.5
    else:
        assert west <= lon <= east or abs(lon) == 180 or south == 60


def test_network_stays_off_and_no_warning_escapes() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert coords.candidates(27700, 4326)
    assert not pyproj.network.is_network_enabled()
