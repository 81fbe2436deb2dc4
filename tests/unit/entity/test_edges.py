"""Sheet edges: which ends are joined, where they meet, and what stays as it was."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyproj
import pytest
import shapely

from transforms.entity.edges import EdgePairs, distance_m, line_ends, match_edges

TOLERANCE = 3.0


def matched(*rows: tuple[str, str, str | None]) -> tuple[list[str], EdgePairs]:
    """Match rows of (sheet, WKT, name)."""
    geoms = np.array([shapely.from_wkt(wkt) for _, wkt, _ in rows], dtype=object)
    names = np.array([name for *_, name in rows], dtype=object).reshape(-1, 1)
    moved, pairs = match_edges(geoms, np.array([sheet for sheet, *_ in rows], dtype=object), names, TOLERANCE)
    return [shapely.to_wkt(g, rounding_precision=7) for g in moved], pairs


WEST, EAST = "LINESTRING (120 30, 120.00999 30)", "LINESTRING (120.01001 30, 120.02 30)"


def test_ends_of_two_sheets_meet_midway() -> None:
    moved, pairs = matched(("w", WEST, "人民路"), ("e", EAST, "人民路"))
    assert moved == ["LINESTRING (120 30, 120.01 30)", "LINESTRING (120.01 30, 120.02 30)"]
    assert pairs.gap_m == pytest.approx([1.93], abs=0.01)
    assert (pairs.first_vertex.tolist(), pairs.second_vertex.tolist()) == ([1], [0])


@pytest.mark.parametrize(
    ("west", "east"),
    [
        pytest.param(("w", WEST, "人民路"), ("w", EAST, "人民路"), id="same sheet"),
        pytest.param(("w", WEST, "人民路"), ("e", EAST, "解放路"), id="other name"),
        pytest.param(("w", WEST, "人民路"), ("e", EAST, None), id="no name"),
        pytest.param(("w", WEST, None), ("e", "LINESTRING (120.0101 30, 120.02 30)", None), id="too far"),
    ],
)
def test_others_stay_as_they_are(west: Any, east: Any) -> None:
    moved, pairs = matched(west, east)
    assert moved == [west[1], east[1]]
    assert not len(pairs.gap_m)


def test_an_end_that_is_joined_in_its_own_sheet_does_not_move() -> None:
    further = "LINESTRING (120.00999 30, 120.00999 30.01)"
    _, pairs = matched(("w", WEST, "a"), ("w", further, "a"), ("e", EAST, "a"))
    assert not len(pairs.gap_m)


def test_of_two_ends_in_reach_the_nearer_is_taken() -> None:
    near = "LINESTRING (120.010005 30, 120.02 30.1)"
    _, pairs = matched(("w", WEST, "a"), ("e", EAST, "a"), ("e", near, "a"))
    assert {*pairs.first_row.tolist(), *pairs.second_row.tolist()} == {0, 2}


def test_an_end_of_a_later_part_moves_and_heights_stay() -> None:
    multi = "MULTILINESTRING Z ((119 30 1, 119.1 30 2), (120 30 3, 120.005 30 4, 120.00999 30 5))"
    moved, pairs = matched(("w", multi, "a"), ("e", EAST, "a"))
    assert moved[0] == "MULTILINESTRING Z ((119 30 1, 119.1 30 2), (120 30 3, 120.005 30 4, 120.01 30 5))"
    assert pairs.first_vertex.tolist() == [4]


def test_order_of_rows_does_not_change_the_lines() -> None:
    rows = [("w", WEST, "a"), ("e", EAST, "a"), ("n", "LINESTRING (120.01 30.00001, 120.01 30.1)", "a")]
    forward, backward = matched(*rows)[0], matched(*rows[::-1])[0]
    assert forward == backward[::-1]
    assert forward != [wkt for _, wkt, _ in rows]


def test_points_areas_and_missing_shapes_have_no_ends() -> None:
    assert not len(line_ends(np.array([None, shapely.Point(0, 0), shapely.box(0, 0, 1, 1)], dtype=object)).row)


def test_distances_are_those_on_the_ellipsoid() -> None:
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(73, 135, 500), rng.uniform(-60, 60, 500)
    lon2, lat2 = lon + rng.uniform(-1e-3, 1e-3, 500), lat + rng.uniform(-1e-3, 1e-3, 500)
    expected = pyproj.Geod(ellps="GRS80").inv(lon, lat, lon2, lat2)[2]
    assert distance_m(lon, lat, lon2, lat2) == pytest.approx(expected, abs=1e-3)
