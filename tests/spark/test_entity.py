"""Duplicates, matching and sheet edges in Spark: the same answers as on arrays, however the rows are partitioned."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
import shapely

from schemas.model import Matching
from tests.unit.entity.towns import Town, planted_edits
from transforms.entity.duplicates import near_duplicates
from transforms.entity.edges import edge_pairs, moved_lines
from transforms.entity.matching import match_frames
from transforms.stamp.identity import stamp_id_sql, stamp_ids

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PARTITIONS = (1, 7, 64)


def features(spark: SparkSession, geoms: np.ndarray, **columns: list[object]) -> DataFrame:
    bounds = shapely.bounds(geoms)
    bbox = pa.StructArray.from_arrays([pa.array(side) for side in bounds.T], names=["xmin", "ymin", "xmax", "ymax"])
    return spark.createDataFrame(pa.table({**columns, "bbox": bbox, "geom": pa.array(shapely.to_wkb(geoms), pa.binary())}))


def houses(count: int, seed: int = 1) -> np.ndarray:
    """Return boxes of about 20 m on a loose grid near Hangzhou."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(count)))
    x, y = (a.ravel()[:count] for a in np.meshgrid(np.arange(side), np.arange(side)))
    lon, lat = 120.1 + x * 4e-4 + rng.uniform(0, 5e-5, count), 30.2 + y * 4e-4 + rng.uniform(0, 5e-5, count)
    return np.asarray(shapely.box(lon, lat, lon + rng.uniform(1.5e-4, 2.5e-4, count), lat + rng.uniform(1.5e-4, 2.5e-4, count)))


def test_near_duplicates_are_found_whatever_the_partitioning(spark: SparkSession) -> None:
    base = houses(6000)
    again = shapely.transform(base[::20], lambda xy: xy + 2e-6)
    geoms = np.concatenate([base, again])
    keys = [f"a{i:05}" for i in range(6000)] + [f"b{i:05}" for i in range(300)]
    frame = features(spark, geoms, source_key=keys)
    found = {}
    for count in PARTITIONS:
        marked = near_duplicates(frame.repartition(count), 0.8)
        assert marked.columns == [*frame.columns, "duplicate_of"]
        found[count] = sorted((r["source_key"], r["duplicate_of"]) for r in marked.where("duplicate_of is not null").collect())
        assert marked.count() == len(keys)
    assert found[1] == found[7] == found[64]
    truth = {frozenset((f"a{20 * i:05}", f"b{i:05}")) for i in range(300)}
    assert {frozenset(pair) for pair in found[1]} == truth


def test_a_good_row_never_gives_way_to_a_rejected_one(spark: SparkSession) -> None:
    big, small = shapely.box(120, 30, 120.001, 30.001), shapely.box(120, 30, 120.001, 30.00099)
    frame = features(spark, np.array([big, small]), source_key=["rejected", "good"], errors=[["SY-Q001"], []])
    assert [r["duplicate_of"] for r in near_duplicates(frame, 0.5).collect()] == [None, None]


def test_no_rows_have_no_duplicates(spark: SparkSession) -> None:
    empty = features(spark, houses(1), source_key=["a"]).where("false")
    assert near_duplicates(empty, 0.5).collect() == []


def town_frames(spark: SparkSession, town: Town) -> tuple[DataFrame, DataFrame]:
    old = features(spark, town.in_degrees(town.old.geoms), entity_id=list(town.old.ids), name=[row[0] for row in town.old.attributes])
    new = features(spark, town.in_degrees(town.new.geoms), source_key=list(town.new.ids), name=[row[0] for row in town.new.attributes])
    return old, new


def test_identities_survive_planted_edits_whatever_the_partitioning(spark: SparkSession) -> None:
    town = planted_edits(1500, seed=5)
    old, new = town_frames(spark, town)
    rule = Matching(min_overlap=0.5, max_distance_m=10.0, attributes=("name",))
    found = []
    for count in PARTITIONS:
        rows = match_frames(old.repartition(count), new.repartition(count), rule).collect()
        found.append(sorted((r["old_entity_id"], r["new_key"], r["kind"], r["score"], r["evidence"]) for r in rows))
    assert found[0] == found[1] == found[2]
    score = town.score({(old_id, new_key, kind) for old_id, new_key, kind, *_ in found[0]})
    assert score.kept >= 0.99
    assert score.false <= 0.001
    assert score.parts >= 0.99


def test_nothing_to_match_gives_no_links(spark: SparkSession) -> None:
    old = features(spark, houses(1), entity_id=["e"]).where("false")
    new = features(spark, houses(1), source_key=["k"]).where("false")
    links = match_frames(old, new, Matching())
    assert links.columns == ["old_entity_id", "new_key", "kind", "score", "evidence"]
    assert links.collect() == []


def sheets(spark: SparkSession) -> DataFrame:
    lines = shapely.from_wkt(
        [
            "LINESTRING (120.000 30, 120.00999 30.00001)",
            "LINESTRING Z (120.01001 30 5, 120.02 30 6)",
            "LINESTRING (120.000 30.1, 120.00999 30.1)",
            "LINESTRING (120.01001 30.1, 120.02 30.1)",
        ]
    )
    names = ["人民路", "人民路", "解放路", "中山路"]
    return features(
        spark, lines, file_name=["w", "e", "w", "e"], row_number=[1, 1, 2, 2], name=names, class_code=["road"] * 4, errors=[["x"][:0]] * 4
    )


@pytest.mark.parametrize("partitions", PARTITIONS)
def test_lines_cut_at_the_sheet_edge_meet_halfway(spark: SparkSession, partitions: int) -> None:
    frame = sheets(spark).repartition(partitions)
    pairs = edge_pairs(frame, 3.0).collect()
    assert [(r["sheet"], r["row_number"], r["sheet_2"], r["row_number_2"]) for r in pairs] == [("e", 1, "w", 1)]
    assert pairs[0]["gap_m"] == pytest.approx(2.23, abs=0.02)
    rows = {(r["file_name"], r["row_number"]): r["moved_geom"] for r in moved_lines(frame, 3.0).collect()}
    assert sorted(rows) == [("e", 1), ("w", 1)]
    west, east = (shapely.from_wkb(bytes(rows[key])) for key in (("w", 1), ("e", 1)))
    assert west.coords[-1] == pytest.approx((120.01, 30.000005), abs=1e-12)
    assert east.coords[0] == pytest.approx((120.01, 30.000005, 5), abs=1e-12)


def test_stamp_ids_in_sql_are_those_on_arrow(spark: SparkSession) -> None:
    rows = pa.table(
        {
            "entity_id": ["330102-N51H0051234-BUILDING-0A1B2C3D4E", "000000---BUILDING-0A1B2C3D4E", "中文|键"],
            "valid_from_us": pa.array([0, -1, 1_700_000_000_123_456], pa.int64()),
            "row_hash": ["h1", "h2", "h3"],
        }
    )
    frame = spark.createDataFrame(rows).selectExpr("*", "timestamp_micros(valid_from_us) as valid_from_at")
    made = frame.selectExpr(f"{stamp_id_sql()} as stamp_id").toArrow()
    assert made["stamp_id"].to_pylist() == stamp_ids(rows["entity_id"], rows["valid_from_us"], rows["row_hash"]).to_pylist()
