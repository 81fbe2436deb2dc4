"""Crossings, offsets and doors between doors: what is read from a text, and where it is."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely

from transforms.address.crossings import crossing_points, crossing_readings, find_crossing, find_crossing_latin
from transforms.address.interpolation import interpolate_door
from transforms.address.offsets import OffsetText, find_offset, moved

GEOD = pyproj.Geod(ellps="GRS80")


@pytest.mark.parametrize(
    ("text", "first", "second"),
    [
        ("解放路与中山路交叉口", "解放路", "中山路"),
        ("西湖区解放路和中山大道路口", "西湖区解放路", "中山大道"),
        ("解放路/中山路", "解放路", "中山路"),
        ("浙江省，解放东路中山北路口", "解放东路", "中山北路"),
        ("解放路到龙山巷交界处", "解放路", "龙山巷"),
        ("和平路与共和路十字路口", "和平路", "共和路"),
    ],
)
def test_two_roads_are_read_from_a_text(text, first, second):
    found = find_crossing(text)
    assert (found.first, found.second) == (first, second)


def test_every_place_where_a_road_can_end_is_a_reading():
    readings = [(r.first, r.second) for r in crossing_readings("兴亭弄和湖中路路口")]
    assert ("兴亭弄", "湖中路") in readings
    assert ("兴亭弄", "和湖中路") in readings
    assert ("碧桥中路", "云石南路") in [(r.first, r.second) for r in crossing_readings("碧桥中路云石南路路口")]


@pytest.mark.parametrize("text", ["解放路12号", "海口市解放路", "解放路与中山路", "", "路口", "和平路12号"])
def test_other_texts_are_no_crossing(text):
    assert find_crossing(text) is None


def test_english_crossings():
    found = find_crossing_latin("Market St & 3rd St")
    assert (found.first, found.second) == ("Market St", "3rd St")
    assert find_crossing_latin("12 Market St and Co") is None


def test_roads_cross_where_their_lines_do():
    a = shapely.LineString([(120.0, 30.0), (120.02, 30.0)])
    b = shapely.LineString([(120.01, 29.99), (120.01, 30.01)])
    np.testing.assert_allclose(crossing_points(a, b), [[120.01, 30.0]], atol=1e-9)


def test_roads_that_nearly_meet_cross_and_roads_apart_do_not():
    a = shapely.LineString([(120.0, 30.0), (120.02, 30.0)])
    near, far = shapely.LineString([(120.01, 30.0001), (120.01, 30.01)]), shapely.LineString([(120.01, 30.001), (120.01, 30.01)])
    assert len(crossing_points(a, near)) == 1
    assert crossing_points(a, far).shape == (0, 2)


def test_carriageways_make_one_crossing_and_loops_two():
    a = shapely.MultiLineString([[(120.0, 30.0), (120.02, 30.0)], [(120.0, 30.0002), (120.02, 30.0002)]])
    b = shapely.LineString([(120.005, 29.99), (120.005, 30.01), (120.015, 30.01), (120.015, 29.99)])
    found = crossing_points(a, b)
    assert len(found) == 2
    np.testing.assert_allclose(sorted(found[:, 0]), [120.005, 120.015], atol=1e-6)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("人民医院北侧100米", OffsetText("人民医院", 0.0, 100.0)),
        ("解放路5号以东约1.5公里", OffsetText("解放路5号", 90.0, 1500.0)),
        ("人民广场东北方向三百五十米处", OffsetText("人民广场", 45.0, 350.0)),
        ("解放东路5号往西南60m", OffsetText("解放东路5号", 225.0, 60.0)),
        ("人民医院北侧", OffsetText("人民医院", 0.0, None)),
        ("100 m east of City Hall", OffsetText("City Hall", 90.0, 100.0)),
        ("north of City Hall", OffsetText("City Hall", 0.0, None)),
        ("2 km south-west of the pier", OffsetText("the pier", 225.0, 2000.0)),
    ],
)
def test_offsets_are_read(text, expected):
    assert find_offset(text) == expected


@pytest.mark.parametrize("text", ["解放东路100号", "城北", "东湖路", "", "North Beach"])
def test_other_texts_are_no_offset(text):
    assert find_offset(text) is None


def test_moving_keeps_to_the_geodesic():
    lon, lat = moved(np.array([120.0, 121.0]), np.array([30.0, 31.0]), np.array([90.0, 200.0]), np.array([100.0, 2500.0]))
    azimuth, _, metres = GEOD.inv([120.0, 121.0], [30.0, 31.0], lon, lat)
    np.testing.assert_allclose(metres, [100.0, 2500.0], atol=1e-6)
    np.testing.assert_allclose(np.mod(azimuth, 360), [90.0, 200.0], atol=1e-6)


def test_a_door_stands_between_its_neighbours_of_the_same_side():
    numbers = np.array([1, 5, 2, 6])
    lon, lat = np.array([120.000, 120.002, 120.000, 120.002]), np.array([30.0001, 30.0001, 29.9999, 29.9999])
    odd, even = interpolate_door(3, numbers, lon, lat), interpolate_door(4, numbers, lon, lat)
    assert (odd.low, odd.high, even.low, even.high) == (1, 5, 2, 6)
    assert (odd.lon, odd.lat) == pytest.approx((120.001, 30.0001))
    assert even.lat == pytest.approx(29.9999)


def test_a_door_follows_the_bend_of_its_road():
    line = shapely.LineString([(120.0, 30.0), (120.001, 30.0), (120.001, 30.001)])
    found = interpolate_door(3, np.array([1, 5]), np.array([120.0, 120.001]), np.array([30.0, 30.001]), line)
    assert shapely.distance(line, shapely.Point(found.lon, found.lat)) < 1e-6


@pytest.mark.parametrize("number", [7, 1, 101])
def test_beyond_the_known_doors_nothing_is_guessed(number):
    numbers, lon, lat = np.array([3, 5, 201]), np.array([120.0, 120.0001, 120.0002]), np.array([30.0, 30.0, 30.0])
    assert interpolate_door(number, numbers, lon, lat) is None


def test_neighbours_far_apart_tell_nothing():
    assert interpolate_door(3, np.array([1, 5]), np.array([120.0, 120.01]), np.array([30.0, 30.0])) is None
