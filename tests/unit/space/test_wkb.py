"""Places of points read from WKB, against shapely."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
import shapely

from transforms.space.wkb import point_coordinates

AT = np.random.default_rng(0).uniform(-180, 180, (20, 2))


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_points_are_those_of_shapely(kind: pa.DataType) -> None:
    column = pa.array(shapely.to_wkb(shapely.points(AT)), kind)
    for taken, wanted in ((column, AT), (column.slice(3, 5), AT[3:8]), (pa.chunked_array([column, column]), np.vstack([AT, AT]))):
        found = point_coordinates(taken)
        assert found is not None
        np.testing.assert_array_equal(np.column_stack(found), wanted)


def test_an_empty_point_has_no_number() -> None:
    found = point_coordinates(pa.array([shapely.to_wkb(shapely.Point())]))
    assert found is not None
    assert np.isnan(found).all()


@pytest.mark.parametrize(
    "geometry",
    [
        shapely.Point(1, 2, 3),
        shapely.LineString([(0, 0), (1, 1)]),
        None,
    ],
)
def test_anything_else_is_left_to_shapely(geometry: shapely.Geometry | None) -> None:
    assert point_coordinates(pa.array([shapely.to_wkb(shapely.Point(1, 2)), shapely.to_wkb(geometry)], pa.binary())) is None
    big = shapely.to_wkb(shapely.Point(1, 2), byte_order=0)
    assert point_coordinates(pa.array([big])) is None
    assert point_coordinates(pa.array([], pa.binary())) is None
