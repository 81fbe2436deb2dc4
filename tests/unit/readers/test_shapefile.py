"""Shapefiles as they come: GBK tables, missing parts, cut-off files."""

from __future__ import annotations

import zipfile
from pathlib import Path

import geopandas as gpd
import pytest
import shapely

from schemas.messages import SanyuError

NAMES = ["杭州市人民医院", "西湖小学", "北山街道办事处"]


@pytest.fixture
def shp(tmp_path: Path) -> Path:
    """Return a GBK shapefile of three points in EPSG:4490, without .cpg."""
    frame = gpd.GeoDataFrame(
        {"NAME": NAMES, "AREA": [1.5, 20.0, None], "CODE": ["007", None, "9"]},
        geometry=[shapely.Point(120, 30), shapely.Point(121, 31), shapely.Point(122, 32)],
        crs="EPSG:4490",
    )
    path = tmp_path / "in" / "poi.shp"
    path.parent.mkdir()
    frame.to_file(path, encoding="GBK")
    path.with_suffix(".cpg").unlink()
    dbf = bytearray(path.with_suffix(".dbf").read_bytes())
    dbf[29] = 0  # the writer names the code page in the header too
    path.with_suffix(".dbf").write_bytes(dbf)
    return path


def test_gbk_table_without_cpg_is_read_with_a_warning(read, shp):
    got = read(shp, "shapefile")
    assert [row["attributes"]["NAME"] for row in got.rows] == NAMES
    assert got.parsed.encoding == "gb18030"
    assert got.warnings == ["SY-R080"]
    assert got.parsed.declared_crs == "EPSG:4490"
    assert [(row["row_number"], row["feature_id"]) for row in got.rows] == [(1, "0"), (2, "1"), (3, "2")]
    assert got.wkt(2) == "POINT (122 32)"


def test_numbers_have_the_text_of_the_table_and_blanks_are_absent(read, shp):
    got = read(shp, "shapefile")
    assert got.rows[0]["attributes"]["AREA"].startswith("1.500000")
    assert [set(row["attributes"]) for row in got.rows] == [{"NAME", "AREA", "CODE"}, {"NAME", "AREA"}, {"NAME", "CODE"}]


def test_cpg_decides_and_an_override_more(read, shp):
    shp.with_suffix(".cpg").write_text("936")
    assert read(shp, "shapefile").warnings == []
    got = read(shp, "shapefile", encoding="utf-8")
    assert set(got.codes) == {"SY-R051"}
    assert got.rows[0]["error_params"]["field"] == "NAME"


def test_missing_prj_is_said(read, shp):
    shp.with_suffix(".prj").unlink()
    got = read(shp, "shapefile")
    assert got.parsed.declared_crs is None
    assert "SY-R081" in got.warnings


def test_missing_shx_is_rebuilt(read, shp):
    shp.with_suffix(".shx").unlink()
    got = read(shp, "shapefile")
    assert [got.wkt(i) for i in range(3)] == ["POINT (120 30)", "POINT (121 31)", "POINT (122 32)"]
    assert "SY-R084" in got.warnings


def test_missing_dbf_is_refused(read, shp):
    shp.with_suffix(".dbf").unlink()
    with pytest.raises(SanyuError, match=r"SY-R029: poi.shp: the shapefile has no .dbf"):
        read(shp, "shapefile")


def test_truncated_shp_keeps_the_attributes_of_lost_geometries(read, shp):
    shp.write_bytes(shp.read_bytes()[:-20])
    got = read(shp, "shapefile")
    assert got.codes == [None, None, "SY-R061"]
    assert got.rows[2]["attributes"]["NAME"] == NAMES[2]
    assert got.rows[2]["error_params"] == {"file": "poi.shp", "row": 3}


def test_truncated_shp_without_index_does_too(read, shp):
    shp.write_bytes(shp.read_bytes()[:-28])
    shp.with_suffix(".shx").unlink()
    got = read(shp, "shapefile")
    assert got.codes == [None, None, "SY-R061"]


def test_truncated_dbf_keeps_the_geometries(read, shp):
    dbf = shp.with_suffix(".dbf")
    dbf.write_bytes(dbf.read_bytes()[:-30])
    got = read(shp, "shapefile")
    assert got.codes == [None, None, "SY-R062"]
    assert got.wkt(2) == "POINT (122 32)"
    assert "SY-R085" in got.warnings


def test_damaged_record_in_the_middle_costs_one_row(read, shp):
    data = bytearray(shp.read_bytes())
    data[100 + 28 + 4 : 100 + 28 + 8] = b"\x7f\0\0\0"
    shp.write_bytes(data)
    assert read(shp, "shapefile").codes == [None, "SY-R061", None]


def test_deleted_records_are_left_out_and_counted(read, shp):
    dbf = shp.with_suffix(".dbf")
    data = bytearray(dbf.read_bytes())
    data[int.from_bytes(data[8:10], "little")] = ord("*")
    dbf.write_bytes(data)
    got = read(shp, "shapefile")
    assert [row["row_number"] for row in got.rows] == [2, 3]
    assert [row["attributes"]["NAME"] for row in got.rows] == NAMES[1:]
    assert got.wkt(0) == "POINT (121 31)"
    assert "SY-R087" in got.warnings


def test_zip_with_two_shapefiles_needs_a_layer(read, shp, tmp_path):
    path = tmp_path / "both.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for part in shp.parent.iterdir():
            archive.write(part, f"data/{part.name}")
            archive.write(part, f"data/other{part.suffix}")
    with pytest.raises(SanyuError, match=r"SY-R014.*other\.shp"):
        read(path, "shapefile")
    got = read(path, "shapefile", layer="poi")
    assert got.parsed.row_count == 3
    assert got.rows[0]["attributes"]["NAME"] == NAMES[0]


def test_characters_cut_by_the_field_width_lose_their_half_only(read, shp):
    dbf = shp.with_suffix(".dbf")
    data = dbf.read_bytes()
    name = NAMES[0].encode("gbk")
    assert data.count(name) == 1
    start, width = int.from_bytes(data[8:10], "little") + 1, data[32 + 16]
    value = ((b"a" if width % 2 == 0 else b"") + name * 10)[: width - 1] + b"\xba"
    changed = data[:start] + value + data[start + width :]
    dbf.write_bytes(changed)
    got = read(shp, "shapefile")
    assert got.codes == [None, None, None]
    assert NAMES[0] in got.rows[0]["attributes"]["NAME"]
