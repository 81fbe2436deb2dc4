"""Files made to harm, and files that are not what they say."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import zipfile

import pytest

from sanyu.readers import Limits, ReadOptions, detect_format, parse
from schemas.messages import SanyuError

VRT = '<OGRVRTDataSource><OGRVRTLayer name="x"><SrcDataSource>/etc/passwd</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>'
BUILT_IN = [
    "shapefile",
    "gpkg",
    "geojson",
    "topojson",
    "geoparquet",
    "flatgeobuf",
    "gml",
    "dxf",
    "osm_pbf",
    "overpass",
    "csv",
    "xlsx",
    "parquet",
]


def refused(path, fmt, tmp_path, **options):
    with pytest.raises(SanyuError) as caught:
        parse(path, tmp_path / "out", ReadOptions(format=fmt, **options))
    assert path.name in caught.value.message("en")
    assert path.name in caught.value.message("zh")
    assert [item.name for item in (tmp_path / "out").glob("**/*")] == []
    return caught.value.code


@pytest.mark.parametrize("fmt", BUILT_IN)
def test_virtual_dataset_is_refused_under_any_name(write, tmp_path, fmt):
    path = write(f"a.{fmt}", VRT)
    assert detect_format(path) is None
    assert refused(path, fmt, tmp_path) == "SY-R005"


@pytest.mark.parametrize("fmt", BUILT_IN)
def test_empty_file_is_refused(write, tmp_path, fmt):
    assert refused(write(f"a.{fmt}", b""), fmt, tmp_path) == "SY-R002"


@pytest.mark.parametrize("fmt", ["geojson", "overpass", "csv", "gml", "gpkg"])
def test_error_page_is_refused(write, tmp_path, fmt):
    page = "<!DOCTYPE html>\n<html><body>504 Gateway Timeout</body></html>"
    path = write("answer.json", page)
    assert detect_format(path) is None
    assert refused(path, fmt, tmp_path) == "SY-R004"


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE x [<!ENTITY secret SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE x SYSTEM "http://example.org/evil.dtd">',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_in_gml_are_refused(write, tmp_path, declaration, encoding):
    text = f'<?xml version="1.0" encoding="{encoding}"?>{declaration}<x xmlns:gml="http://www.opengis.net/gml">&secret;</x>'
    assert refused(write("a.gml", text.encode(encoding)), "gml", tmp_path) == "SY-R007"


@pytest.mark.parametrize("name", ["/vsicurl/http://example.org/a.shp", "/vsizip/a.zip/a.shp", "http://example.org/a.json", "PG:dbname=x"])
def test_virtual_paths_are_refused(tmp_path, name):
    from pathlib import Path

    with pytest.raises(SanyuError, match="SY-R006"):
        parse(Path(name), tmp_path / "out", ReadOptions(format="geojson"))


def test_truncated_gzip_is_refused(write, tmp_path):
    data = gzip.compress(b'{"type":"FeatureCollection","features":[]}' * 1000)
    assert refused(write("a.geojson.gz", data[:-20]), "geojson", tmp_path) == "SY-R008"


def test_gzip_bomb_is_refused(write, tmp_path):
    assert refused(write("a.csv.gz", gzip.compress(b"a,b\n" + b"0" * (40 << 20))), "csv", tmp_path) == "SY-R012"


@pytest.mark.parametrize("name", ["../../evil.csv", "/etc/evil.csv", "..\\evil.csv", "C:\\evil.csv", "a/../../evil.csv"])
def test_zip_slip_is_refused(write, tmp_path, name):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), "a\n1\n")
    assert refused(write("a.zip", stream.getvalue()), "csv", tmp_path) == "SY-R009"


def zipped(name: str, data: bytes, attributes: int = 0) -> bytes:
    stream = io.BytesIO()
    info = zipfile.ZipInfo(name)
    info.external_attr = attributes << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(info, data)
    return stream.getvalue()


def test_links_in_a_zip_are_refused(write, tmp_path):
    assert refused(write("a.zip", zipped("a.csv", b"/etc/passwd", stat.S_IFLNK | 0o777)), "csv", tmp_path) == "SY-R009"


def test_nested_archive_is_refused(write, tmp_path):
    assert refused(write("a.zip", zipped("inner.zip", zipped("a.csv", b"a\n1\n"))), "csv", tmp_path) == "SY-R010"


def test_encrypted_member_is_refused(write, tmp_path):
    data = bytearray(zipped("a.csv", b"a\n1\n"))
    data[6] |= 1
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    assert refused(write("a.zip", bytes(data)), "csv", tmp_path) == "SY-R011"


def test_zip_bomb_is_refused_by_ratio_and_by_size(write, tmp_path):
    bomb = zipped("a.csv", b"a,b\n" + b"0" * (40 << 20))
    assert refused(write("a.zip", bomb), "csv", tmp_path) == "SY-R012"
    assert refused(write("a.zip", bomb), "csv", tmp_path, limits=Limits(max_ratio=10_000, max_uncompressed_mb=8)) == "SY-R012"


def test_zip_that_lies_about_its_size_is_refused(write, tmp_path):
    data = bytearray(zipped("a.csv", b"a,b\n" + b"0" * (20 << 20)))
    at = data.rindex(b"PK\x01\x02")
    data[at + 24 : at + 28] = struct.pack("<I", 100)
    assert refused(write("a.zip", bytes(data)), "csv", tmp_path) == "SY-R008"


def test_zip_with_too_many_members_is_refused(write, tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for i in range(30):
            archive.writestr(f"{i}.csv", "a\n1\n")
    assert refused(write("a.zip", stream.getvalue()), "csv", tmp_path, limits=Limits(max_members=20)) == "SY-R013"


def test_workbook_bomb_is_refused(write, tmp_path):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/workbook.xml", "<workbook/>")
        archive.writestr("xl/worksheets/sheet1.xml", b" " * (40 << 20))
    assert refused(write("a.xlsx", stream.getvalue()), "xlsx", tmp_path) == "SY-R012"


@pytest.mark.parametrize("fmt", ["geojson", "topojson", "overpass", "nominatim"])
def test_deeply_nested_json_is_refused(write, tmp_path, fmt):
    text = '{"type":"FeatureCollection","objects":{},"elements":[],"features":' + "[" * 200_000 + "]" * 200_000 + "}"
    assert refused(write("a.json", text), fmt, tmp_path) == "SY-R022"


def test_nested_geometry_collections_reject_their_row(read, write):
    deep = '{"type":"GeometryCollection","geometries":[' * 100 + "]}" * 100
    got = read(write("a.geojson", f'{{"features":[{{"type":"Feature","properties":{{}},"geometry":{deep}}}]}}'), "geojson")
    assert got.codes == ["SY-R056"]


@pytest.mark.parametrize("fmt", ["gpkg", "flatgeobuf", "parquet", "geoparquet", "shapefile", "osm_pbf", "xlsx"])
def test_rubbish_behind_the_right_magic_is_refused(write, tmp_path, fmt):
    magic = {
        "gpkg": b"SQLite format 3\0",
        "flatgeobuf": b"fgb\x03fgb\x00",
        "parquet": b"PAR1",
        "geoparquet": b"PAR1",
        "shapefile": b"\0\0\x27\x0a",
        "osm_pbf": b"\0\0\0\x0d\x0a\x09OSMHeader",
        "xlsx": b"PK\x03\x04",
    }[fmt]
    path = write("a.bin", magic + bytes(range(256)) * 8)
    if fmt == "shapefile":
        path = write("a.shp", path.read_bytes())
        write("a.dbf", b"\x03" * 100)
    assert refused(path, fmt, tmp_path) in {"SY-R020", "SY-R008"}


def test_unknown_format_and_missing_file_are_said(tmp_path, write):
    with pytest.raises(SanyuError, match=r"SY-R003.*'kml'"):
        parse(write("a.kml", "x"), tmp_path / "out", ReadOptions(format="kml"))
    with pytest.raises(SanyuError, match="SY-R001"):
        parse(tmp_path / "no.csv", tmp_path / "out", ReadOptions(format="csv"))
