"""CSV, XLSX, GTFS and plain Parquet."""

from __future__ import annotations

import datetime
import gzip
import io
import zipfile
from pathlib import Path

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from schemas.messages import SanyuError


def test_fields_keep_their_text_and_rows_their_line(read, write):
    got = read(write("a.csv", 'id,area_m2,note\n007,1.50,"two\nlines"\n8,,x\n'), "csv")
    assert [(row["row_number"], row["attributes"]) for row in got.rows] == [
        (2, {"id": "007", "area_m2": "1.50", "note": "two\nlines"}),
        (4, {"id": "8", "note": "x"}),
    ]
    assert [column.name for column in got.parsed.columns] == ["id", "area_m2", "note"]


def test_gbk_is_found_and_said(read, write):
    got = read(write("a.csv", "名称,地址\n杭州市人民医院,庆春路三号\n西湖小学,北山街\n".encode("gbk")), "csv")
    assert got.rows[0]["attributes"] == {"名称": "杭州市人民医院", "地址": "庆春路三号"}
    assert got.parsed.encoding == "gb18030"
    assert got.warnings == ["SY-R080"]


def test_western_text_is_not_taken_for_chinese(read, write):
    got = read(write("a.csv", "name\nTerry A. François Boulevard\nMüller Straße\n".encode("latin-1")), "csv")
    assert [row["attributes"]["name"] for row in got.rows] == ["Terry A. François Boulevard", "Müller Straße"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_byte_order_mark_is_no_part_of_the_first_name(read, write, encoding):
    got = read(write("a.csv", "名称,b\n甲,1\n".encode(encoding)), "csv")
    assert got.rows[0]["attributes"] == {"名称": "甲", "b": "1"}
    assert got.warnings == []


def test_wrong_encoding_override_rejects_the_rows_with_field_and_text(read, write):
    got = read(write("a.csv", b"id,name\n1,abc\n2," + "杭州".encode("gbk") + b"\n"), "csv", encoding="utf-8")
    assert got.codes == [None, "SY-R051"]
    assert got.rows[1]["error_params"] == {"file": "a.csv", "row": 3, "field": "name", "encoding": "utf-8"}
    assert got.rows[1]["attributes"] == {"id": "2", "name": r"\xba\xbc\xd6\xdd"}


def test_ragged_lines_are_rejected_rows_with_their_text(read, write):
    got = read(write("a.csv", "a,b\n1,2\n3\n4,5,6\n7,8\n"), "csv")
    assert got.codes == [None, "SY-R050", "SY-R050", None]
    bad = next(row for row in got.rows if row["row_number"] == 4)
    assert bad["attributes"]["_raw"] == "4,5,6"
    assert bad["error_params"] == {"file": "a.csv", "row": 4, "found": 3, "expected": 2}


def test_unclosed_quote_costs_one_line_not_the_rest(read, write):
    got = read(write("a.csv", 'a,b\n1,2\n3,"open\n5,6\n7,8\n'), "csv")
    assert [(row["row_number"], row["error_code"]) for row in got.rows] == [(2, None), (3, "SY-R052"), (4, None), (5, None)]
    assert got.rows[1]["attributes"]["_raw"] == '3,"open'


def test_missing_header_is_an_error_that_names_the_remedy(read, write):
    path = write("film.csv", "180,2011,Epic Roasthouse\n181,2011,Justin Herman Plaza\n")
    with pytest.raises(SanyuError, match=r"SY-R024: film.csv, line 1: .*'180'.*`header`"):
        read(path, "csv")
    got = read(path, "csv", header=["title", "year", "place"])
    assert got.rows[0]["attributes"] == {"title": "180", "year": "2011", "place": "Epic Roasthouse"}
    assert got.rows[0]["row_number"] == 1


def test_years_may_be_column_names(read, write):
    got = read(write("a.csv", "district,2010,2011\n西湖区,82,85\n"), "csv")
    assert got.rows[0]["attributes"] == {"district": "西湖区", "2010": "82", "2011": "85"}


@pytest.mark.parametrize("header", ["a,,c", "a,b,a"])
def test_empty_or_double_column_names_are_refused(read, write, header):
    with pytest.raises(SanyuError, match="SY-R025"):
        read(write("a.csv", f"{header}\n1,2,3\n"), "csv")


@pytest.mark.parametrize("delimiter", [";", "\t", "|", ","])
def test_delimiter_is_found(read, write, delimiter):
    text = "\n".join(delimiter.join(row) for row in [["a", "b", "c"], ["1", "2", "3"], ["4", "5", "6"]])
    assert read(write("a.csv", text), "csv").rows[1]["attributes"] == {"a": "4", "b": "5", "c": "6"}


def test_coordinates_become_points_and_bad_ones_errors(read, write):
    got = read(write("a.csv", "x,y\n120.15,30.28\nabc,30\n,\nnan,30\n120,\n"), "csv", x="x", y="y", crs="GCJ-02")
    assert got.codes == [None, "SY-R053", None, "SY-R054", "SY-R053"]
    assert got.wkt(0) == "POINT (120.15 30.28)"
    assert got.wkt(2) is None
    assert got.rows[1]["error_params"] == {"file": "a.csv", "row": 3, "field": "x", "value": "abc"}
    assert got.rows[0]["attributes"] == {"x": "120.15", "y": "30.28"}
    assert got.parsed.declared_crs == "GCJ-02"


def test_wkt_column_is_read_and_nesting_bounded(read, write):
    deep = "GEOMETRYCOLLECTION(" * 5000 + "POINT(1 1)" + ")" * 5000
    got = read(write("a.csv", f'id,g\n1,"LINESTRING Z (0 0 1, 1 1 2)"\n2,"{deep}"\n3,"POLYGON((0 0"\n'), "csv", wkt="g")
    assert got.codes == [None, "SY-R056", "SY-R055"]
    assert got.wkt(0) == "LINESTRING Z (0 0 1, 1 1 2)"


def test_unknown_coordinate_column_is_refused_with_the_choices(read, write):
    with pytest.raises(SanyuError, match=r"SY-R026: a.csv has no column 'lon'. The columns are x, y"):
        read(write("a.csv", "x,y\n1,2\n"), "csv", x="lon", y="y")


def test_gzip_is_unpacked(read, write):
    assert read(write("a.csv.gz", gzip.compress(b"a,b\n1,2\n")), "csv").rows[0]["attributes"] == {"a": "1", "b": "2"}


def workbook(rows: list[list[object]]) -> bytes:
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def test_workbook_cells_are_text_and_formulas_are_not_evaluated(read, write):
    data = workbook([["名称", "层数", "日期", "x", "y", "和"], ["甲楼", 6, datetime.datetime(2024, 5, 1), 120.5, 30.25, "=1+1"]])
    got = read(write("a.xlsx", data), "xlsx", x="x", y="y")
    assert got.rows[0]["attributes"] == {"名称": "甲楼", "层数": "6", "日期": "2024-05-01", "x": "120.5", "y": "30.25"}
    assert got.rows[0]["row_number"] == 2
    assert got.wkt(0) == "POINT (120.5 30.25)"


def test_workbook_without_the_sheet_is_refused(read, write):
    with pytest.raises(SanyuError, match=r"SY-R015.*'no'.*Sheet"):
        read(write("a.xlsx", workbook([["a"], [1]])), "xlsx", layer="no")


def feed(folder: Path) -> Path:
    path = folder / "feed.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("routes.txt", "route_id,route_type\nL1,2\n")
        archive.writestr("stops.txt", "stop_id,stop_name,stop_lat,stop_lon\nS1,22nd St,37.75,-122.39\n")
        archive.writestr(
            "shapes.txt",
            "shape_id,shape_pt_lat,shape_pt_lon,shape_pt_sequence\nA,37.0,-122.0,2\nA,36.0,-121.0,1\nB,1,1,1\nA,38.0,-123.0,10\n",
        )
    return path


def test_gtfs_stops_are_points(read, tmp_path):
    got = read(feed(tmp_path), "gtfs", layer="stops.txt")
    assert got.wkt(0) == "POINT (-122.39 37.75)"
    assert got.parsed.declared_crs == "EPSG:4326"


def test_gtfs_shapes_are_lines_in_sequence_and_a_lone_point_is_rejected(read, tmp_path):
    got = read(feed(tmp_path), "gtfs", layer="shapes")
    assert [(row["feature_id"], row["row_number"], row["error_code"]) for row in got.rows] == [("A", 2, None), ("B", 4, "SY-R055")]
    assert got.wkt(0) == "LINESTRING (-121 36, -122 37, -123 38)"


def test_plain_parquet_is_text_by_column(read, tmp_path):
    table = pa.table(
        {"n": [1, None], "t": [datetime.datetime(2024, 1, 2, 3, 4, 5), None], "v": [1.5, 0.1], "x": [1.0, 2.0], "y": [3.0, 4.0]}
    )
    pq.write_table(table, tmp_path / "a.parquet")
    got = read(tmp_path / "a.parquet", "parquet", x="x", y="y")
    assert got.rows[0]["attributes"] == {"n": "1", "t": "2024-01-02T03:04:05", "v": "1.5", "x": "1", "y": "3"}
    assert "n" not in got.rows[1]["attributes"]
    assert got.wkt(1) == "POINT (2 4)"
