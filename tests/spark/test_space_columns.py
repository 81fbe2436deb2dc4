"""Spark columns of grid codes, coordinates and keys give what the NumPy functions give, and null where there is no answer."""

from __future__ import annotations

import math
from typing import Any

import pytest

from sanyu import beidou, coords
from schemas.messages import SanyuError
from transforms.space.columns import hilbert_key
from transforms.space.hilbert import hilbert_key as numpy_key

# PySpark leaves the socket of `collect` to the garbage collector, which Python reports as a ResourceWarning.
pytestmark = [pytest.mark.spark, pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")]

PLACES = [
    (116.3, 39.9, 10, 50.0),
    (-122.4, 37.7, 4, 0.0),
    (None, 1.0, 5, 0.0),
    (0.0, 89.0, 5, 0.0),
    (math.nan, 1.0, 5, 0.0),
    (1.0, 2.0, None, 0.0),
]


@pytest.fixture(scope="module")
def places(spark: Any) -> Any:
    return spark.createDataFrame(PLACES, "lon double, lat double, level int, height double")


def test_code_column_equals_encode_and_is_null_for_bad_rows(places: Any) -> None:
    rows = places.select(
        beidou.encode_column("lon", "lat", "level").alias("own"),
        beidou.encode_column("lon", "lat", 4).alias("fixed"),
        beidou.encode_column("lon", "lat", "level", "height").alias("deep"),
    ).collect()
    assert [row.own for row in rows] == [beidou.encode(116.3, 39.9, 10), beidou.encode(-122.4, 37.7, 4), None, None, None, None]
    assert [row.fixed for row in rows] == [
        *(beidou.encode(x, y, 4) for x, y, *_ in PLACES[:2]),
        None,
        None,
        None,
        beidou.encode(1.0, 2.0, 4),
    ]
    assert rows[0].deep == beidou.encode(116.3, 39.9, 10, 50.0)


def test_transformed_column_equals_transform(places: Any) -> None:
    rows = places.select(coords.transform_column("lon", "lat", "GCJ-02", "EPSG:4490").alias("p")).collect()
    assert (rows[0].p.x, rows[0].p.y) == coords.transform(116.3, 39.9, "GCJ-02", "EPSG:4490")
    assert rows[2].p.x is None and rows[2].p.y is None


def test_system_errors_raise_when_the_column_is_made(places: Any) -> None:
    with pytest.raises(SanyuError, match="SY-G010"):
        coords.transform_column("lon", "lat", "EPSG:4214", "EPSG:4490")
    with pytest.raises(SanyuError, match="SY-G004"):
        beidou.encode_column("lon", "lat", 11)


def test_key_column_equals_the_numpy_keys(places: Any) -> None:
    rows = places.select(hilbert_key("lon", "lat").alias("cell")).collect()
    assert [row.cell for row in rows] == [numpy_key(*(math.nan if v is None else v for v in place[:2])) for place in PLACES]
