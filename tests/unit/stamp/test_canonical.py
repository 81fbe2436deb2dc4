"""The canonical form of geometries: equal where they say the same, different where they do not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from transforms.stamp.canonical import geometry_bytes, point_bytes

SQUARE = "POLYGON ((120 30, 121 30, 121 31, 120 31, 120 30))"
HOLES = "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0), (1 1, 2 1, 2 2, 1 1), (4 4, 5 4, 5 5, 4 4))"


def forms(*texts: str) -> list[bytes]:
    return list(geometry_bytes(np.array([shapely.from_wkt(text) for text in texts], dtype=object)).to_pylist())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (SQUARE, "MULTIPOLYGON (((120 30, 121 30, 121 31, 120 31, 120 30)))"),
        (SQUARE, "POLYGON ((121 31, 120 31, 120 30, 121 30, 121 31))"),
        (SQUARE, "POLYGON ((120 30, 120 31, 121 31, 121 30, 120 30))"),
        (SQUARE, "POLYGON ((120 30, 121 30, 121 30, 121 31, 120 31, 120 30, 120 30))"),
        (SQUARE, "POLYGON ((120.0000000001 30, 121 30, 121 31, 119.9999999999 31, 120.0000000001 30))"),
        (SQUARE, "POLYGON Z ((120 30 NaN, 121 30 NaN, 121 31 NaN, 120 31 NaN, 120 30 NaN))"),
        (SQUARE, f"GEOMETRYCOLLECTION ({SQUARE})"),
        (HOLES, "POLYGON ((0 9, 0 0, 9 0, 9 9, 0 9), (5 5, 4 4, 5 4, 5 5), (2 1, 2 2, 1 1, 2 1))"),
        ("MULTIPOLYGON (((0 0, 1 0, 1 1, 0 0)), ((5 5, 6 5, 6 6, 5 5)))", "MULTIPOLYGON (((6 6, 5 5, 6 5, 6 6)), ((0 0, 1 0, 1 1, 0 0)))"),
        ("POINT (1 2)", "MULTIPOINT ((1 2))"),
        ("POINT (0 2)", "POINT (-0 2)"),
        ("MULTIPOINT ((1 2), (0 3))", "MULTIPOINT ((0 3), (1 2))"),
        ("LINESTRING (0 0, 1 1)", "MULTILINESTRING ((0 0, 1 1, 1 1))"),
    ],
)
def test_what_says_the_same_is_the_same(one: str, other: str) -> None:
    assert forms(one) == forms(other)
    assert forms(one, "POINT (7 7)", other)[::2] == forms(one) * 2


@pytest.mark.parametrize(
    "texts",
    [
        ("LINESTRING (0 0, 1 1)", "LINESTRING (1 1, 0 0)"),
        ("MULTILINESTRING ((0 0, 1 1), (2 2, 3 3))", "MULTILINESTRING ((2 2, 3 3), (0 0, 1 1))", "LINESTRING (0 0, 1 1, 2 2, 3 3)"),
        (SQUARE, "POLYGON Z ((120 30 0, 121 30 0, 121 31 0, 120 31 0, 120 30 0))", "LINESTRING (120 30, 121 30, 121 31, 120 31, 120 30)"),
        (SQUARE, "POLYGON ((120 30, 121 30, 121 31, 120 31.00000001, 120 30))"),
        (HOLES, "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0), (1 1, 2 1, 2 2, 1 1))", "POLYGON ((0 0, 9 0, 9 9, 0 9, 0 0))"),
        ("POINT (1 2)", "POINT (2 1)", "POINT Z (1 2 0)", "POINT EMPTY", "POLYGON EMPTY", "MULTIPOINT ((1 2), (1 2))"),
        ("GEOMETRYCOLLECTION (POINT (1 2), POINT (3 4))", "MULTIPOINT ((1 2), (3 4))"),
        (
            "MULTIPOLYGON (((0 0, 4 0, 4 4, 0 0), (2 1, 3 1, 3 2, 2 1)), ((5 5, 6 5, 6 6, 5 5)))",
            "MULTIPOLYGON (((0 0, 4 0, 4 4, 0 0)), ((5 5, 6 5, 6 6, 5 5)))",
        ),
    ],
)
def test_what_differs_is_different(texts: tuple[str, ...]) -> None:
    assert len(set(forms(*texts))) == len(texts)


def test_a_missing_geometry_has_no_form() -> None:
    assert geometry_bytes(np.array([None, shapely.Point(1, 2), None], dtype=object)).to_pylist()[::2] == [None, None]
    assert geometry_bytes(np.array([], dtype=object)).to_pylist() == []


def test_points_by_their_coordinates_have_the_same_form() -> None:
    lon, lat = np.array([1.0, np.nan, -0.0, np.inf]), np.array([2.0, np.nan, 0.0, 1.0])
    points = [shapely.Point(1, 2), shapely.Point(), shapely.Point(0, 0), shapely.Point(np.inf, 1)]
    assert point_bytes(lon, lat).to_pylist() == geometry_bytes(np.array(points, dtype=object)).to_pylist()


def test_overlapping_parts_with_common_corners_have_one_form_in_any_order() -> None:
    shells = [[(0.1, 0), (0.1, 0.002), (x, 0.004), (0.1, 0.006)] for x in (0.1, 0.11, 0.12)]
    parts = [shapely.Polygon(shell) for shell in shells]
    pair = np.array([shapely.MultiPolygon(parts), shapely.MultiPolygon(parts[::-1])], dtype=object)
    one, other = geometry_bytes(pair).to_pylist()
    assert one == other


COORDINATE = st.integers(-180_000, 180_000).map(lambda n: n / 1000)


@st.composite
def stars(draw: Any) -> shapely.Polygon:
    """Draw a polygon whose ring sees its centre from each vertex, with a hole about that."""
    count = draw(st.integers(3, 12))
    x, y = draw(COORDINATE), draw(COORDINATE)
    turn = np.sort(np.array(draw(st.lists(st.integers(0, 359), min_size=count, max_size=count, unique=True)))) * np.pi / 180
    radius = np.array(draw(st.lists(st.integers(10, 90), min_size=count, max_size=count))) / 100
    ring = np.column_stack([x + radius * np.cos(turn), y + radius * np.sin(turn)])
    hole = np.column_stack([x + radius / 3 * np.cos(turn), y + radius / 3 * np.sin(turn)])
    return shapely.Polygon(ring, [hole])


@given(st.lists(stars(), min_size=1, max_size=3), st.randoms(use_true_random=False))
def test_a_polygon_is_the_same_however_an_export_writes_it(polygons: list[shapely.Polygon], random: Any) -> None:
    def rewritten(ring: Any) -> list[tuple[float, ...]]:
        open_ring = list(ring.coords)[:-1]
        start = random.randrange(len(open_ring))
        turned = open_ring[start:] + open_ring[:start]
        return turned[::-1] if random.random() < 0.5 else turned

    again = [shapely.Polygon(rewritten(p.exterior), [rewritten(hole) for hole in p.interiors]) for p in polygons]
    random.shuffle(again)
    pair = np.array([shapely.MultiPolygon(polygons), shapely.MultiPolygon(again)], dtype=object)
    one, other = geometry_bytes(pair).to_pylist()
    assert one == other
    assert geometry_bytes(pair[1:]).to_pylist() == [other]
    moved = shapely.transform(pair[0], lambda xy: xy + 1e-7)
    assert geometry_bytes(np.array([moved], dtype=object)).to_pylist() != [one]
