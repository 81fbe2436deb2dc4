"""Reverse geocoding against brute force: every division, every segment, every door asked by the geodesic."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pyproj
import pytest
import shapely

from transforms.address.reverse import Reverse, ReverseIndex
from transforms.address.reverse_grid import segment_grid
from transforms.space import coords

GEOD = pyproj.Geod(ellps="GRS80")
REFORM = dt.date(2021, 4, 9)


def wkb(*geoms: shapely.Geometry) -> pa.Array:
    return pa.array([None if g is None else shapely.to_wkb(g) for g in geoms], pa.binary())


def divisions() -> pa.Table:
    """Two districts side by side; the eastern one was a county with another code before the reform, and has a township in its south."""
    west, east = shapely.box(120.0, 30.0, 120.1, 30.1), shapely.box(120.1, 30.0, 120.2, 30.1)
    south = shapely.box(120.1, 30.0, 120.2, 30.05)
    rows = [
        ("390000000000", 1, None, "东海省", None, None, shapely.box(120.0, 30.0, 120.2, 30.1)),
        ("390100000000", 2, "390000000000", "临海市", None, None, shapely.box(120.0, 30.0, 120.2, 30.1)),
        ("390102000000", 3, "390100000000", "西区", None, None, west),
        ("390103000000", 3, "390100000000", "东区", REFORM, None, east),
        ("390121000000", 3, "390100000000", "东县", None, REFORM, east),
        ("390103001000", 4, "390103000000", "南街道", REFORM, None, south),
        ("390103002000", 4, "390103000000", "无图镇", REFORM, None, None),
    ]
    names = ("division_code", "division_level", "parent_code", "name", "valid_from_on", "valid_to_on")
    columns = {name: [row[i] for row in rows] for i, name in enumerate(names)}
    table = pa.table(columns | {"geom": wkb(*(row[6] for row in rows))})
    return table.set_column(4, "valid_from_on", table["valid_from_on"].cast(pa.date32()))


def points() -> pa.Table:
    return pa.table(
        {
            "entity_id": ["a", "b", "c"],
            "kind": ["door", "building", "road"],
            "address_text": ["西区一号", "东区二号", "不算"],
            "lon": [120.05, 120.15, 120.1],
            "lat": [30.05, 30.02, 30.05],
        }
    )


def roads() -> pa.Table:
    lines = [shapely.LineString([(120.0, 30.04), (120.2, 30.04)]), shapely.LineString([(120.02, 30.0), (120.02, 30.1)])]
    return pa.table({"entity_id": ["r1", "r2"], "name": ["横路", "竖路"], "geom": wkb(*shapely.segmentize(lines, 0.001))})


@pytest.fixture(scope="module")
def index() -> ReverseIndex:
    return ReverseIndex.build(points(), roads(), divisions())


def test_a_point_gets_its_chain_road_and_address(index):
    found = index.query(120.15, 30.021)
    assert isinstance(found, Reverse)
    assert found.division_code == "390103001000"
    assert [name for _, name in found.chain] == ["东海省", "临海市", "东区", "南街道"]
    assert (found.road_id, found.road_name) == ("r1", "横路")
    assert (found.entity_id, found.address_text) == ("b", "东区二号")
    assert found.address_distance_m == pytest.approx(GEOD.inv(120.15, 30.021, 120.15, 30.02)[2], abs=0.01)
    assert found.road_distance_m == pytest.approx(GEOD.inv(120.15, 30.021, 120.15, 30.04)[2], abs=0.05)
    assert found.code is None


def test_what_no_finer_polygon_holds_is_of_the_coarser_division(index):
    assert index.query(120.15, 30.08).division_code == "390103000000"


def test_codes_are_those_of_the_day(index):
    assert index.query(120.15, 30.08, at=dt.date(2021, 4, 8)).division_code == "390121000000"
    assert index.query(120.15, 30.08, at=REFORM).division_code == "390103000000"
    assert index.query(120.15, 30.02, at=dt.date(1999, 1, 1)).chain[-1] == ("390121000000", "东县")
    days = np.array(["2020-01-01", "2024-01-01"], dtype="datetime64[D]")
    assert index.query([120.15, 120.15], [30.08, 30.08], at=days)["division_code"].to_pylist() == ["390121000000", "390103000000"]


def test_outside_there_is_a_reason_and_nothing_else(index):
    found = index.query(121.0, 30.05)
    assert found == Reverse(None, (), None, None, None, None, None, None, "SY-A050")


@pytest.mark.parametrize(("lon", "lat"), [(np.nan, 30.0), (500.0, 30.0), (120.0, 95.0), (np.inf, 0.0)])
def test_no_place_on_earth_is_told_from_outside(index, lon, lat):
    assert index.query(lon, lat).code == "SY-A051"


def test_every_point_comes_back_once_in_order(index):
    lon, lat = np.array([120.05, 300.0, 121.0, 120.15]), np.array([30.05, 0.0, 30.0, 30.02])
    table = index.query(lon, lat)
    assert table["entity_id"].to_pylist() == ["a", None, None, "b"]
    assert table["code"].to_pylist() == [None, "SY-A051", "SY-A050", None]


def test_the_datum_of_the_input_is_undone(index):
    lon, lat = coords.transform(120.15, 30.02, "EPSG:4490", "GCJ-02")
    found = index.query(float(lon), float(lat), "GCJ-02")
    assert found.address_distance_m < 0.01
    assert index.query(float(lon), float(lat)).address_distance_m > 300


def test_beyond_reach_nothing_is_named():
    near = ReverseIndex.build(points(), roads(), divisions(), reach_m=500).query(120.08, 30.09)
    assert near.division_code == "390102000000"
    assert near.road_name is None
    assert near.entity_id is None


def test_without_divisions_the_area_is_what_the_reach_covers():
    index = ReverseIndex.build(points(), roads())
    assert index.query(120.15, 30.021).code is None
    assert index.query(122.0, 30.0).code == "SY-A050"
    assert "division_code" not in index.query([120.1], [30.0]).column_names


def test_a_point_on_the_border_has_one_answer(index):
    assert index.query(120.1, 30.08).division_code == "390102000000"


def test_nearest_segments_are_those_of_brute_force():
    rng = np.random.default_rng(7)
    start = rng.uniform(0, 5000, (400, 2))
    segments = np.hstack([start, start + rng.normal(0, 400, (400, 2))])
    segments[:150, 2:] = segments[:150, :2]
    grid = segment_grid(segments)
    xy = rng.uniform(-3000, 8000, (3000, 2))
    found, away = grid.nearest(xy[:, 0].copy(), xy[:, 1].copy(), 1e9)
    lines = shapely.linestrings(segments.reshape(-1, 2, 2))
    truth = np.array([shapely.distance(lines, point) for point in shapely.points(xy)])
    np.testing.assert_allclose(away, truth.min(axis=1), atol=1e-6)
    np.testing.assert_allclose(truth[np.arange(len(xy)), found], truth.min(axis=1), atol=1e-6)
    near = grid.nearest(xy[:, 0].copy(), xy[:, 1].copy(), 300.0)[0] >= 0
    np.testing.assert_array_equal(near, truth.min(axis=1) < 300)


def test_divisions_are_those_of_the_polygons_everywhere():
    """Random triangles cover the ground in irregular shapes; each point is asked of each of them."""
    rng = np.random.default_rng(3)
    corners = shapely.MultiPoint(rng.uniform((120, 30), (120.3, 30.2), (60, 2)))
    parts = list(shapely.delaunay_triangles(corners).geoms)
    table = pa.table(
        {
            "division_code": [f"3901{i:02d}000000" for i in range(len(parts))],
            "division_level": [3] * len(parts),
            "parent_code": pa.array([None] * len(parts), pa.string()),
            "name": [f"{i}区" for i in range(len(parts))],
            "geom": wkb(*parts),
        }
    )
    lon, lat = rng.uniform(119.98, 120.32, 4000), rng.uniform(29.98, 30.22, 4000)
    found = ReverseIndex.build(points(), None, table).query(lon, lat)["division_code"].to_pylist()
    spots = shapely.points(lon, lat)
    truth = [next((i for i, part in enumerate(parts) if shapely.intersects(part, spot)), None) for spot in spots]
    assert found == [None if i is None else f"3901{i:02d}000000" for i in truth]
    assert truth.count(None) > 200


def test_distances_hold_far_from_the_middle_of_the_area():
    lon = np.array([118.0, 121.0, 124.0])
    index = ReverseIndex.build(pa.table({"entity_id": ["a", "b", "c"], "address_text": ["甲", "乙", "丙"], "lon": lon, "lat": [30.0] * 3}))
    for at in lon:
        truth = GEOD.inv(at + 0.01, 30.01, at, 30.0)[2]
        assert index.query(at + 0.01, 30.01).address_distance_m == pytest.approx(truth, rel=1e-5)
