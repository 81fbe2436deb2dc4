"""GeoParquet files and the statistics of their Delta log, without Spark."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from sanyu.serve import geoparquet
from sanyu.serve.delta_log import file_statistics
from sanyu.serve.geoparquet import Extent, geo_metadata, write_part

BOX = pa.struct([(edge, pa.float64()) for edge in ("xmin", "ymin", "xmax", "ymax")])
SCHEMA = pa.schema([("entity_id", pa.string()), ("cell", pa.int64()), ("name", pa.string()), ("bbox", BOX), ("geom", pa.binary())])


def _batch(*points: tuple[float, float] | None) -> pa.RecordBatch:
    rows = []
    for number, point in enumerate(points):
        shape = None if point is None else shapely.to_wkb(shapely.Point(point))
        box = None if point is None else {"xmin": point[0], "ymin": point[1], "xmax": point[0], "ymax": point[1]}
        rows.append({"entity_id": f"e{number}", "cell": number, "name": "园", "bbox": box, "geom": shape})
    return pa.RecordBatch.from_pylist(rows, SCHEMA)


def _column(path: Path) -> dict[str, object]:
    return dict(json.loads(pq.read_metadata(path).metadata[b"geo"])["columns"]["geom"])


def test_rows_come_back_in_order_with_bounds_over_all_batches(tmp_path: Path) -> None:
    part = write_part([_batch((120, 30), None), _batch((121, 29))], SCHEMA, tmp_path / "a.parquet")
    assert (part.rows, part.size) == (3, (tmp_path / "a.parquet").stat().st_size)
    assert _column(tmp_path / "a.parquet")["bbox"] == [120.0, 29.0, 121.0, 30.0]
    frame = gpd.read_parquet(tmp_path / "a.parquet")
    assert [None if g is None else (g.x, g.y) for g in frame.geom] == [(120, 30), None, (121, 29)]


def test_row_groups_are_cut_at_the_limit_whatever_the_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geoparquet, "ROW_GROUP_ROWS", 4)
    write_part([_batch(*[(120, 30)] * n) for n in (3, 3, 1, 4)], SCHEMA, tmp_path / "a.parquet")
    meta = pq.read_metadata(tmp_path / "a.parquet")
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [4, 4, 3]


def test_the_same_rows_give_the_same_bytes(tmp_path: Path) -> None:
    parts = [write_part([_batch((120, 30))], SCHEMA, tmp_path / f"{name}.parquet") for name in "ab"]
    assert parts[0].sha256 == parts[1].sha256


def test_no_rows_and_only_missing_geometries_give_no_bbox(tmp_path: Path) -> None:
    for name, batches in (("none", []), ("missing", [_batch(None)])):
        write_part(batches, SCHEMA, tmp_path / f"{name}.parquet")
        column = _column(tmp_path / f"{name}.parquet")
        assert "bbox" not in column and column["geometry_types"] == []


@pytest.mark.parametrize(
    ("wkt", "kind", "bbox"),
    [
        ("POINT EMPTY", "Point", None),
        ("MULTIPOINT ((1 2), (3 4))", "MultiPoint", [1.0, 2.0, 3.0, 4.0]),
        ("LINESTRING Z (1 2 5, 3 4 6)", "LineString Z", [1.0, 2.0, 5.0, 3.0, 4.0, 6.0]),
        ("GEOMETRYCOLLECTION (POINT (1 2))", "GeometryCollection", [1.0, 2.0, 1.0, 2.0]),
    ],
)
def test_types_and_bounds_follow_the_specification(wkt: str, kind: str, bbox: list[float] | None) -> None:
    extent = Extent()
    extent.add(pa.array([shapely.to_wkb(shapely.from_wkt(wkt), flavor="iso")]))
    column = geo_metadata(extent)["columns"]["geom"]
    assert column["geometry_types"] == [kind]
    assert column.get("bbox") == bbox


def test_delta_statistics_hold_the_leading_columns_and_never_free_text_or_geometry(tmp_path: Path) -> None:
    write_part([_batch((120, 30), None, (121, 29))], SCHEMA, tmp_path / "a.parquet")
    found = json.loads(file_statistics(pq.read_metadata(tmp_path / "a.parquet")))
    assert found == {
        "numRecords": 3,
        "minValues": {"entity_id": "e0", "cell": 0, "bbox": {"xmin": 120.0, "ymin": 29.0, "xmax": 120.0, "ymax": 29.0}},
        "maxValues": {"entity_id": "e2", "cell": 2, "bbox": {"xmin": 121.0, "ymin": 30.0, "xmax": 121.0, "ymax": 30.0}},
        "nullCount": {"entity_id": 0, "cell": 0, "bbox": {"xmin": 1, "ymin": 1, "xmax": 1, "ymax": 1}},
    }
