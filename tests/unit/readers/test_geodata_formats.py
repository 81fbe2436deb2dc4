"""The formats that GDAL, Arrow and osmium read for us."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import zipfile
from pathlib import Path

import geopandas as gpd
import osmium
import pyogrio
import pytest
import shapely

from sanyu.readers import detect_format
from schemas.messages import SanyuError

FRAME = gpd.GeoDataFrame(
    {"name": ["甲楼", "乙楼"], "floors": [6, 12], "height_m": [18.5, 0.1]},
    geometry=[shapely.box(0, 0, 1, 1), shapely.box(2, 2, 3, 3)],
    crs="EPSG:4490",
)
DRIVERS = {
    "gpkg": ("a.gpkg", "GPKG"),
    "flatgeobuf": ("a.fgb", "FlatGeobuf"),
    "gml": ("a.gml", "GML"),
    "filegdb": ("a.gdb", "OpenFileGDB"),
    "shapefile": ("a.shp", "ESRI Shapefile"),
    "geojson": ("a.geojson", "GeoJSON"),
}


def made(folder: Path, fmt: str) -> Path:
    name, driver = DRIVERS[fmt]
    folder.mkdir(exist_ok=True)
    FRAME.to_file(folder / name, driver=driver)
    return folder / name


@pytest.mark.parametrize("fmt", ["gpkg", "flatgeobuf", "gml", "filegdb"])
def test_features_come_through(read, tmp_path, fmt):
    path = made(tmp_path / "in", fmt)
    assert detect_format(path) == fmt
    got = read(path, fmt)
    rows = sorted(got.rows, key=lambda row: row["attributes"]["name"])
    assert [row["attributes"]["name"] for row in rows] == ["乙楼", "甲楼"]
    assert [(row["attributes"]["floors"], row["attributes"]["height_m"]) for row in rows] == [("12", "0.1"), ("6", "18.5")]
    assert [shapely.from_wkb(row["geom"]).bounds for row in rows] == [(2, 2, 3, 3), (0, 0, 1, 1)]
    assert got.parsed.declared_crs == "EPSG:4490"
    assert DRIVERS[fmt][1] in got.parsed.parser


@pytest.mark.parametrize("fmt", ["gpkg", "geojson"])
def test_member_of_a_zip_is_found(read, tmp_path, fmt):
    path = made(tmp_path / "in", fmt)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(path, f"资料/{path.name}")
    assert detect_format(tmp_path / "a.zip") == fmt
    assert read(tmp_path / "a.zip", fmt).parsed.row_count == 2


def test_zipped_geodatabase_is_read(read, tmp_path):
    path = made(tmp_path / "in", "filegdb")
    packed = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", path.parent, path.name))
    assert detect_format(packed) == "filegdb"
    assert read(packed, "filegdb").parsed.row_count == 2


def test_layers_are_chosen_by_name(read, tmp_path):
    path = tmp_path / "two.gpkg"
    FRAME.to_file(path, layer="楼", driver="GPKG")
    FRAME[:1].to_file(path, layer="b", driver="GPKG")
    with pytest.raises(SanyuError, match=r"SY-R014.*楼, b"):
        read(path, "gpkg")
    with pytest.raises(SanyuError, match=r"SY-R015.*'c'.*楼, b"):
        read(path, "gpkg", layer="c")
    assert read(path, "gpkg", layer="b").parsed.row_count == 1


def nested(depth: int) -> bytes:
    return struct.pack("<BII", 1, 7, 1) * depth + struct.pack("<BIdd", 1, 1, 1.0, 1.0)


def test_deeply_nested_wkb_in_a_geopackage_rejects_its_row_only(read, tmp_path):
    path = made(tmp_path / "in", "gpkg")
    with sqlite3.connect(path) as database:
        for (trigger,) in database.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            database.execute(f'drop trigger "{trigger}"')
        header = b"GP\0\1" + struct.pack("<i", 4490)
        database.execute("update a set geom = ? where name = '甲楼'", (header + nested(200_000),))
    database.close()
    got = read(path, "gpkg")
    assert sorted(map(str, got.codes)) == ["None", "SY-R056"]


def test_curves_become_lines_with_a_warning(read, tmp_path):
    path = tmp_path / "arc.gpkg"
    arc = struct.pack("<BII6d", 1, 8, 3, 0, 0, 1, 1, 2, 0)
    pyogrio.write_dataframe(
        gpd.GeoDataFrame(geometry=[shapely.LineString([(0, 0), (1, 1)])], crs=4490), path, layer="arc", geometry_type="Unknown"
    )
    with sqlite3.connect(path) as database:
        for (trigger,) in database.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            database.execute(f'drop trigger "{trigger}"')
        database.execute("update arc set geom = ?", (b"GP\0\1" + struct.pack("<i", 4490) + arc,))
    database.close()
    got = read(path, "gpkg")
    line = shapely.from_wkb(got.rows[0]["geom"])
    assert line.geom_type == "LineString"
    assert line.length == pytest.approx(3.14159, abs=1e-3)
    assert got.warnings == ["SY-R089"]


def test_dxf_is_read(read, write):
    text = "0\nSECTION\n2\nENTITIES\n0\nLINE\n8\nROAD\n10\n0.0\n20\n0.0\n11\n5.0\n21\n5.0\n0\nENDSEC\n0\nEOF\n"
    path = write("a.dxf", text)
    assert detect_format(path) == "dxf"
    got = read(path, "dxf")
    assert got.rows[0]["attributes"]["Layer"] == "ROAD"
    assert shapely.from_wkb(got.rows[0]["geom"]).length == pytest.approx(50**0.5)
    assert got.parsed.declared_crs is None


def test_gml_axes_are_put_east_first(read, write):
    text = """<?xml version="1.0"?>
<c:FeatureCollection xmlns:c="http://example.org/c" xmlns:gml="http://www.opengis.net/gml">
<gml:featureMember><c:poi><c:name>甲</c:name><c:geom><gml:Point srsName="urn:ogc:def:crs:EPSG::4490">
<gml:pos>30 120</gml:pos></gml:Point></c:geom></c:poi></gml:featureMember></c:FeatureCollection>"""
    assert read(write("a.gml", text), "gml").wkt() == "POINT (120 30)"


def test_geoparquet_is_read_with_its_crs(read, tmp_path):
    FRAME.to_parquet(tmp_path / "a.parquet")
    assert detect_format(tmp_path / "a.parquet") == "geoparquet"
    got = read(tmp_path / "a.parquet", "geoparquet")
    assert got.rows[0]["attributes"] == {"name": "甲楼", "floors": "6", "height_m": "18.5"}
    assert got.parsed.declared_crs == "EPSG:4490"
    assert shapely.from_wkb(got.rows[1]["geom"]).bounds == (2, 2, 3, 3)


def test_deeply_nested_wkb_in_geoparquet_rejects_its_row_only(read, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    FRAME.to_parquet(tmp_path / "a.parquet")
    table = pq.read_table(tmp_path / "a.parquet")
    geoms = pa.array([nested(200_000), table["geometry"][1].as_py()], pa.binary())
    pq.write_table(table.set_column(3, "geometry", geoms).replace_schema_metadata(table.schema.metadata), tmp_path / "b.parquet")
    got = read(tmp_path / "b.parquet", "geoparquet")
    assert got.codes == ["SY-R056", None]
    assert got.rows[0]["error_params"]["limit"] == 32
    assert len(got.rows[0]["attributes"]["_raw"]) == 10_000


def test_osm_pbf_elements_are_rows(read, tmp_path):
    path = tmp_path / "a.osm.pbf"
    node, way, relation = osmium.osm.mutable.Node, osmium.osm.mutable.Way, osmium.osm.mutable.Relation
    with osmium.SimpleWriter(str(path)) as writer:
        corners = [(0, 0), (4, 0), (4, 4), (0, 4)]
        for i, corner in enumerate(corners, start=1):
            writer.add_node(node(id=i, location=corner, version=1, tags={"name": "西湖"} if i == 1 else {}))
        writer.add_way(way(id=10, nodes=[1, 2, 3, 4, 1], tags={"building": "yes"}))
        writer.add_way(way(id=11, nodes=[1, 2, 3, 4, 1], tags={"highway": "residential"}))
        writer.add_way(way(id=12, nodes=[1, 99], tags={"highway": "service"}))
        writer.add_way(way(id=13, nodes=[1, 2, 3]))
        writer.add_way(way(id=14, nodes=[3, 4, 1]))
        outer = [("w", 13, "outer"), ("w", 14, "outer")]
        writer.add_relation(relation(id=7, members=outer, tags={"type": "multipolygon", "landuse": "grass"}))
        writer.add_relation(relation(id=8, members=outer[:1], tags={"type": "multipolygon", "landuse": "grass"}))
        writer.add_relation(relation(id=9, members=outer, tags={"type": "route"}))
    assert detect_format(path) == "osm_pbf"
    got = read(path, "osm_pbf")
    found = {row["feature_id"]: row for row in got.rows}
    assert {name: row["error_code"] for name, row in found.items()} == {
        "n1": None,
        "w10": None,
        "w11": None,
        "w12": "SY-R059",
        "r7": None,
        "r8": "SY-R060",
        "r9": None,
    }
    kinds = {name: row["geom"] and shapely.from_wkb(row["geom"]).geom_type for name, row in found.items()}
    assert kinds == {"n1": "Point", "w10": "Polygon", "w11": "LineString", "w12": None, "r7": "MultiPolygon", "r8": None, "r9": None}
    assert shapely.from_wkb(found["w10"]["geom"]).area == 16
    assert found["n1"]["attributes"] == {"name": "西湖", "@id": "1", "@type": "node", "@version": "1"}
