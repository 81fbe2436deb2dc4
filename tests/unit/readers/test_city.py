"""The real cities, as counted in SOURCES.md."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
import shapely

from sanyu.readers import Parsed, ReadOptions, detect_format, parse

pytestmark = pytest.mark.city


def parsed(path: Path, out: Path, **options: object) -> Parsed:
    fmt = detect_format(path)
    assert fmt is not None, path.name
    return parse(path, out, ReadOptions(format=fmt, **options))


@pytest.mark.parametrize(
    ("name", "options", "expected"),
    [
        ("osm/sf_lines.zip", {}, (20_898, "EPSG:4326")),
        ("osm/sf_points.zip", {}, (23_685, "EPSG:4326")),
        ("osm/sf_multilinestrings.geojson.gz", {}, (511, "EPSG:4326")),
        ("osm/sf_multipoints.geojson", {}, (402, "EPSG:4326")),
        ("admin/ZillowNeighborhoods-CA.zip", {}, (948, "EPSG:4269")),
        ("text/Mobile_Food_Facility_Permit.csv", {"x": "Longitude", "y": "Latitude"}, (629, None)),
        ("text/Film_Locations_in_San_Francisco.csv", {"header": list("abcdefghijk")}, (1_622, None)),
        ("sensors/sf-temps-2010.csv", {}, (8_759, None)),
        ("sensors/BAY_20170101_20180101_SO2.zip", {}, (241_739, None)),
        ("transit/caltrain-gtfs-2017-07-24.zip", {"layer": "stops.txt"}, (64, "EPSG:4326")),
        ("transit/caltrain-gtfs-2017-07-24.zip", {"layer": "trips.txt"}, (188, None)),
        ("transit/caltrain-gtfs-2017-07-24.zip", {"layer": "stop_times.txt"}, (2_697, None)),
    ],
)
def test_san_francisco_rows_are_all_read(shared_data, tmp_path, name, options, expected):
    got = parsed(shared_data / "san-francisco" / name, tmp_path, **options)
    assert (got.row_count, got.declared_crs, got.rejected) == (*expected, 0)


def test_san_francisco_buildings_are_all_read_and_as_invalid_as_published(shared_data, tmp_path):
    rows = rejected = invalid = 0
    for path in sorted((shared_data / "san-francisco" / "buildings").glob("*.topojson.gz")):
        got = parsed(path, tmp_path)
        rows += got.row_count
        rejected += got.rejected
        for part in got.parts:
            geoms = pq.read_table(part, columns=["geom"])["geom"].to_numpy()
            invalid += int((~shapely.is_valid(shapely.from_wkb(geoms))).sum())
    assert (rows, rejected, invalid) == (86_588, 0, 18_940)


def test_hangzhou_answers_are_all_read(shared_data, tmp_path):
    features: set[str] = set()
    rows = rejected = 0
    files = sorted((shared_data / "hangzhou" / "osm-overpass").glob("*.json.gz"))
    for path in files:
        got = parsed(path, tmp_path)
        rows += got.row_count
        rejected += got.rejected
        for part in got.parts:
            features |= set(pq.read_table(part, columns=["feature_id"])["feature_id"].to_pylist())
    assert (len(files), rows, rejected) == (17, 10_737, 0)
    assert len({feature for feature in features if feature[0] in "nw"}) == 10_669
