"""A release of real Delta tables: read back by five engines, complete metadata, all or nothing, nothing twice."""

from __future__ import annotations

import importlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import polars as pl
import pyarrow.parquet as pq
import pyproj
import pytest
import shapely
from deltalake import DeltaTable

from sanyu.lake import Lake
from sanyu.lake.duck import connect, extension, load
from sanyu.serve import current, make_current, publish, release, releases, verify
from sanyu.serve.release import Release, read_table
from sanyu.settings import Settings
from schemas.messages import SanyuError
from schemas.model import AttributeStamp, Column, Contract, DType, FieldDef, Geometry, GeometryKind, SecurityLabel
from schemas.source import Source
from schemas.stamp import table_fields

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAME = FieldDef(name="name", dtype=DType.STRING, title_zh="名称", description="Name")
PARK = Contract(
    name="core.basemap__park",
    title_zh="公园",
    grain="One park",
    description="Parks",
    columns=(Column(field=NAME),),
    geometry=Geometry(kind=GeometryKind.ANY),
    attribute=AttributeStamp(theme_code="vegetation"),
)
FIRM = PARK.model_copy(update={"name": "core.thematic__firm", "geometry": None, "grain": "One firm"})
SOURCES = {
    "survey": Source.model_validate(
        {
            "source": {"name": "survey", "title": "Survey", "domain": "basemap", "licence": "CC BY 4.0", "attribution": "© Survey office"},
            "read": {"path": "*.csv"},
            "into": [{"contract": "core.basemap__park", "columns": {"name": "name"}}],
        }
    )
}
THEN = datetime(2026, 1, 1, tzinfo=UTC)
ENDED = datetime(2026, 2, 1, tzinfo=UTC)
LAKE = shapely.from_wkt("MULTIPOLYGON(((120.2 30.2,120.3 30.2,120.3 30.3,120.2 30.2)))")
SHAPES = {
    "a": shapely.Point(120.1, 30.1),
    "b": shapely.Point(120.2, 30.2, 7.5),
    "c": shapely.LineString([(120.1, 30.1), (120.4, 30.4)]),
    "d": LAKE,
    "e": None,
}


def _row(contract: Contract, key: str, **values: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(f.name for f in table_fields(contract))
    shape = SHAPES.get(key)
    if contract.geometry and shape is not None:
        xmin, ymin, xmax, ymax = shape.bounds
        row |= {
            "bbox": {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax},
            "cell": ord(key),
            "geom": shapely.to_wkb(shape, flavor="iso"),
        }
    return (
        row
        | {"entity_id": key, "stamp_id": f"{key}1", "source_name": "survey", "source_key": key, "name": f"名{key}", "valid_from_at": THEN}
        | {"recorded_at": THEN, "security_label": "public"}
        | values
    )


def _save(spark: SparkSession, lake: Path, contract: Contract, rows: list[dict[str, Any]], mode: str = "overwrite") -> None:
    ddl = ", ".join(f"{f.name} {f.dtype.value.replace('long', 'bigint')}" for f in table_fields(contract))
    frame = spark.createDataFrame(rows, ddl.replace(":bigint", ":long"))
    path = str(lake / contract.path)
    frame.repartition(2).write.format("delta").mode(mode).option("delta.enableDeletionVectors", "true").option(
        "delta.enableChangeDataFeed", "true"
    ).save(path)


@pytest.fixture(scope="module")
def template(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A park table with history, secrets and deletion vectors, and a firm table without geometry."""
    folder = tmp_path_factory.mktemp("template")
    parks = [_row(PARK, key) for key in SHAPES]
    parks += [_row(PARK, "a", stamp_id="a0", valid_to_at=ENDED), _row(PARK, "b", stamp_id="b0", superseded_at=ENDED)]
    parks += [_row(PARK, "c", entity_id="s", stamp_id="s1", security_label="internal"), _row(PARK, "d", entity_id="x", stamp_id="x1")]
    _save(spark, folder, PARK, parks)
    spark.sql(f"DELETE FROM delta.`{folder / PARK.path}` WHERE entity_id = 'x'")
    _save(spark, folder, FIRM, [_row(FIRM, "f"), _row(FIRM, "g")])
    return folder


@pytest.fixture
def lake(template: Path, settings: Settings, tmp_path: Path) -> Lake:
    """A lake of one's own with the template's tables; Delta logs hold relative paths, so a copy is a table."""
    folder = shutil.copytree(template, tmp_path / "lake")
    return Lake(folder, settings.model_copy(update={"lake": str(folder)}))


@pytest.fixture
def published(lake: Lake) -> Release:
    return publish(lake, [PARK, FIRM], SOURCES)


def test_current_rows_up_to_the_edition_are_published_and_secret_ones_are_counted(published: Release, lake: Lake) -> None:
    park = published.table("core.basemap__park")
    assert (park.rows, park.withheld) == (5, 1)
    assert published.table("core.thematic__firm").rows == 2
    assert sorted(read_table(lake.store, park)["stamp_id"]) == ["a1", "b1", "c1", "d1", "e1"]
    assert published.attribution == ("© Survey office (CC BY 4.0)",)


def test_five_engines_read_the_same_rows_from_the_same_files(published: Release, lake: Lake, spark: SparkSession) -> None:
    table = published.table("core.basemap__park")
    folder = Path(lake.store.uri(table.path))
    files = [str(folder / part.name) for part in table.files]
    expected = sorted((key, None if shape is None else shapely.to_wkb(shape, flavor="iso")) for key, shape in SHAPES.items())

    def rows(pairs: Any) -> list[tuple[str, bytes | None]]:
        return sorted((str(k), None if g is None else bytes(g)) for k, g in pairs)

    frame = gpd.read_parquet(folder)
    assert frame.crs == pyproj.CRS("EPSG:4490")
    assert (
        rows((k, None if g is None else shapely.to_wkb(g, flavor="iso")) for k, g in zip(frame.entity_id, frame.geom, strict=True))
        == expected
    )
    assert sorted(gpd.read_parquet(folder, bbox=(120.15, 30.25, 120.5, 30.5)).entity_id) == ["c", "d"]
    with connect(lake.store) as duck:
        duck.load_extension(str(extension("spatial")))  # as a reader without Sanyu has it
        assert duck.sql(f"SELECT count(*) FROM read_parquet({files}) WHERE ST_GeometryType(geom) IS NOT NULL").fetchone() == (4,)
        as_text = duck.sql(f"SELECT ST_AsText(geom) FROM read_parquet({files}) WHERE entity_id = 'b'").fetchone()
        assert as_text == ("POINT Z (120.2 30.2 7.5)",)
        load(duck, "spatial")  # from here on `geom` is binary, as the Delta log says
        assert rows(duck.sql(f"SELECT entity_id, geom FROM delta_scan('{folder}')").fetchall()) == expected
    assert rows(pl.read_parquet(files).select("entity_id", "geom").iter_rows()) == expected
    assert rows(pl.scan_delta(str(folder)).select("entity_id", "geom").collect().iter_rows()) == expected
    arrow = DeltaTable(str(folder)).to_pyarrow_table(columns=["entity_id", "geom"])
    assert rows(zip(arrow["entity_id"].to_pylist(), arrow["geom"].to_pylist(), strict=True)) == expected
    delta = spark.read.format("delta").load(str(folder)).select("entity_id", "geom").collect()
    assert rows(delta) == expected
    sedona = spark.read.format("geoparquet").load(str(folder)).selectExpr("entity_id", "ST_AsText(geom)").where("geom is not null").count()
    assert sedona == 4


def test_spark_s_workers_write_the_same_bytes_as_this_process(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    here = publish(lake, [PARK, FIRM], SOURCES, release_id="here")
    monkeypatch.setattr(importlib.import_module("sanyu.serve.publish"), "SMALL_ROWS", 0)
    there = publish(lake, [PARK, FIRM], SOURCES, release_id="there")
    assert [[(f.name, f.rows, f.sha256) for f in t.files] for t in here.tables] == [
        [(f.name, f.rows, f.sha256) for f in t.files] for t in there.tables
    ]


def test_instants_keep_their_value_and_zone_in_every_engine(published: Release, lake: Lake, spark: SparkSession) -> None:
    folder = lake.store.uri(published.table("core.thematic__firm").path)
    assert set(pl.scan_delta(folder).select("valid_from_at").collect()["valid_from_at"]) == {THEN}
    assert set(DeltaTable(folder).to_pyarrow_table()["valid_from_at"].to_pylist()) == {THEN}
    spark_seconds = spark.read.format("delta").load(folder).selectExpr("unix_seconds(valid_from_at) s").distinct().collect()
    assert [r.s for r in spark_seconds] == [int(THEN.timestamp())]


def test_file_metadata_is_geoparquet_1_1(published: Release, lake: Lake) -> None:
    table = published.table("core.basemap__park")
    meta = pq.read_metadata(lake.store.local(f"{table.path}/{table.files[0].name}"))
    geo = json.loads(meta.metadata[b"geo"])
    assert set(geo) == {"version", "primary_column", "columns"}
    assert (geo["version"], geo["primary_column"], list(geo["columns"])) == ("1.1.0", "geom", ["geom"])
    column = geo["columns"]["geom"]
    assert set(column) == {"encoding", "geometry_types", "crs", "covering", "bbox"}
    assert column["encoding"] == "WKB"
    assert column["geometry_types"] == ["LineString", "MultiPolygon", "Point", "Point Z"]
    assert column["bbox"] == [120.1, 30.1, 7.5, 120.4, 30.4, 7.5]
    assert column["covering"] == {"bbox": {e: ["bbox", e] for e in ("xmin", "ymin", "xmax", "ymax")}}
    assert column["crs"]["id"] == {"authority": "EPSG", "code": 4490}
    assert pyproj.CRS.from_json_dict(column["crs"]) == pyproj.CRS("EPSG:4490")
    by_path = {meta.row_group(0).column(i).path_in_schema: meta.row_group(0).column(i) for i in range(meta.num_columns)}
    assert {c.compression for c in by_path.values()} == {"ZSTD"}
    assert by_path["bbox.xmin"].statistics.min == 120.1
    assert not by_path["geom"].is_stats_set
    plain = published.table("core.thematic__firm")
    assert b"geo" not in (pq.read_metadata(lake.store.local(f"{plain.path}/{plain.files[0].name}")).metadata or {})


def test_published_delta_tables_have_neither_deletion_vectors_nor_change_feed(published: Release, lake: Lake) -> None:
    for table in published.tables:
        delta = DeltaTable(lake.store.uri(table.path))
        assert delta.metadata().configuration == {}
        assert delta.metadata().name == table.name
        assert (delta.protocol().min_reader_version, delta.version()) == (1, 0)


def test_the_delta_log_lets_readers_skip_files_by_window(published: Release, lake: Lake) -> None:
    table = published.table("core.basemap__park")
    actions = DeltaTable(lake.store.uri(table.path)).get_add_actions(flatten=True)
    row = {
        name: actions.column(name)[0].as_py()
        for name in ("num_records", "min.bbox.xmin", "max.bbox.ymax", "null_count.bbox.xmin", "max.entity_id")
    }
    assert row == {"num_records": 5, "min.bbox.xmin": 120.1, "max.bbox.ymax": 30.4, "null_count.bbox.xmin": 1, "max.entity_id": "e"}


def test_a_release_carries_its_catalogues_and_they_are_verified(published: Release, lake: Lake) -> None:
    names = {part.name for part in published.records}
    assert {"metadata/catalog.jsonld", "metadata/core.basemap__park.json", "stac/catalog.json"} < names
    collection = json.loads(lake.store.get(f"{published.path}/stac/core.basemap__park/collection.json") or b"")
    assert collection["extent"] == {
        "spatial": {"bbox": [[120.1, 30.1, 120.4, 30.4]]},
        "temporal": {"interval": [["2026-01-01T00:00:00Z", None]]},
    }
    (item,) = [link["href"] for link in collection["links"] if link["rel"] == "item"]
    assets = json.loads(lake.store.get(f"{published.path}/stac/core.basemap__park/{item}") or b"")["assets"]
    here = Path(lake.store.uri(f"{published.path}/stac/core.basemap__park"))
    assert all((here / asset["href"]).is_file() for asset in assets.values())
    assert verify(lake, published) == []
    lake.store.put(f"{published.path}/stac/catalog.json", b"{}")
    lake.store.put(f"{published.path}/metadata/other.json", b"{}")
    assert [e.params["file"].rsplit("/", 1)[1] for e in verify(lake, published)] == ["other.json", "catalog.json"]


def test_an_unchanged_lake_publishes_nothing(published: Release, lake: Lake) -> None:
    before = {key: lake.store.read(key) for key in lake.store.keys("release")}
    again = publish(lake, [FIRM, PARK], SOURCES)
    assert published.changed and not again.changed
    assert again.release_id == published.release_id
    assert {key: lake.store.read(key) for key in lake.store.keys("release")} == before


def test_changed_rows_or_changed_terms_make_a_new_release_and_the_old_one_stays(
    published: Release, lake: Lake, spark: SparkSession
) -> None:
    _save(spark, Path(lake.url), FIRM, [_row(FIRM, "h")], mode="append")
    second = publish(lake, [PARK, FIRM], SOURCES)
    terms = SOURCES["survey"].model_copy(update={"source": SOURCES["survey"].source.model_copy(update={"licence": "CC0"})})
    third = publish(lake, [PARK, FIRM], {"survey": terms})
    assert len({published.release_id, second.release_id, third.release_id}) == 3
    assert releases(lake) == sorted([published.release_id, second.release_id, third.release_id])
    assert current(lake) == third.model_copy(update={"changed": False})
    make_current(lake, published)
    assert current(lake).release_id == published.release_id  # type: ignore[union-attr]
    assert verify(lake, published) == []


def test_a_crash_between_tables_leaves_the_old_release_current_and_the_next_run_clears_up(
    published: Release, lake: Lake, spark: SparkSession
) -> None:
    _save(spark, Path(lake.url), FIRM, [_row(FIRM, "h")], mode="append")

    def crash(table: str, done: int, total: int) -> None:
        if done == 1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        publish(lake, [PARK, FIRM], SOURCES, progress=crash)
    debris = set(lake.store.folders("release")) - {published.release_id}
    assert len(debris) == 1
    assert releases(lake) == [published.release_id]
    assert current(lake).release_id == published.release_id  # type: ignore[union-attr]
    other = publish(lake, [PARK], SOURCES, release_id="2026-spring")
    assert lake.store.folders("release") == sorted(["2026-spring", published.release_id])
    assert verify(lake, other) == []


def test_a_crash_before_the_pointer_moves_is_mended_by_the_next_run(published: Release, lake: Lake) -> None:
    lake.store.delete("release/current.json")
    assert current(lake) is None
    assert not publish(lake, [PARK, FIRM], SOURCES).changed
    assert current(lake).release_id == published.release_id  # type: ignore[union-attr]


def test_verify_names_every_file_that_is_not_as_published(published: Release, lake: Lake) -> None:
    park, firm = published.table("core.basemap__park"), published.table("core.thematic__firm")
    damaged = Path(lake.store.uri(f"{park.path}/{park.files[0].name}"))
    content = bytearray(damaged.read_bytes())
    content[100] ^= 1
    damaged.write_bytes(content)
    lake.store.delete(f"{firm.path}/{firm.files[0].name}")
    lake.store.put(f"{firm.path}/extra.parquet", b"?")
    assert sorted((e.code, e.params["what"]) for e in verify(lake, published)) == [
        ("SY-P005", "it is missing"),
        ("SY-P005", "it is not in the manifest"),
        ("SY-P005", "its SHA-256 is not that of the manifest"),
    ]


def test_a_more_secret_edition_holds_more_and_a_secret_table_is_in_none_below_it(lake: Lake) -> None:
    secret = FIRM.model_copy(update={"security_label": SecurityLabel.SECRET})
    inner = publish(lake, [PARK, secret], SOURCES, edition=SecurityLabel.INTERNAL)
    assert [(t.name, t.rows, t.withheld) for t in inner.tables] == [("core.basemap__park", 6, 0)]


def test_a_table_without_current_rows_is_published_empty_and_readable(lake: Lake, spark: SparkSession) -> None:
    spark.sql(f"DELETE FROM delta.`{lake.url}/{PARK.path}`")
    empty = publish(lake, [PARK], SOURCES).table("core.basemap__park")
    assert empty.rows == 0
    frame = read_table(lake.store, empty)
    assert len(frame) == 0 and frame.crs == pyproj.CRS("EPSG:4490")
    assert spark.read.format("delta").load(lake.store.uri(empty.path)).count() == 0


@pytest.mark.parametrize(
    ("change", "code"),
    [({"contracts": []}, "SY-P001"), ({"sources": {}}, "SY-P003"), ({"release_id": "../up"}, "SY-P007")],
)
def test_what_cannot_be_published_is_refused_before_anything_is_written(lake: Lake, change: dict[str, Any], code: str) -> None:
    arguments: dict[str, Any] = {"contracts": [PARK], "sources": SOURCES, "release_id": None} | change
    with pytest.raises(SanyuError) as caught:
        publish(lake, **arguments)
    assert caught.value.code == code
    assert lake.store.folders("release") == []


def test_a_release_id_is_not_reused_for_other_content(published: Release, lake: Lake) -> None:
    with pytest.raises(SanyuError, match="SY-P006"):
        publish(lake, [PARK], SOURCES, release_id=published.release_id)
    with pytest.raises(SanyuError, match="SY-P004"):
        release(lake, "2019")
