"""The stamp on Spark's workers is that of one process, and it says what is stored: after sheet edges, exports and earlier digests."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
import shapely

from jobs.context import Loading
from jobs.loading import load
from jobs.loading.report import TargetReport
from quality.arrow import arrow_schema
from sanyu.lake import Lake
from sanyu.settings import Settings
from schemas.model import AttributeStamp, Column, Contract, DType, FieldDef, Geometry, GeometryKind, TimeStamp
from schemas.registry import contracts
from schemas.source import Source
from transforms.conform.mapping import RAW_COLUMNS, plan_mapping
from transforms.stamp.division import Division, DivisionIndex
from transforms.stamp.made import Stamping, stamped_columns
from transforms.stamp.space import SpacePlan
from transforms.stamp.stamp import Delivered, Making, _row_batch, mapped, stamped
from transforms.stamp.versions import Instants

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

BUILDING, ROAD = "core.basemap__building", "core.basemap__road_segment"
EXTENT = (119.0, 29.0, 121.0, 31.0)
INSTANTS = Instants("2025-01-01T00:00:00+00:00", "2026-01-01T00:00:00+00:00")


def field(name: str, dtype: DType) -> Column:
    return Column(field=FieldDef(name=name, dtype=dtype, title_zh="字段", description="a field"))


CONTRACT = Contract(
    name="core.thematic__stamp_probe",
    title_zh="试表",
    grain="One row",
    description="All types of columns",
    columns=(
        *(field("label", DType.STRING), field("area_m2", DType.DOUBLE), field("floor_total", DType.INTEGER), field("serial", DType.LONG)),
        *(
            field("is_open", DType.BOOLEAN),
            field("opened_on", DType.DATE),
            field("seen_at", DType.TIMESTAMP),
            field("parts", DType.STRINGS),
        ),
    ),
    geometry=Geometry(kind=GeometryKind.POLYGON, required=False),
    time=TimeStamp(valid_from="opened_on", observed="seen_at", code="second"),
    attribute=AttributeStamp(theme_code="settlement"),
)
T = "2020-01-02 09:30"
ROWS: list[dict[str, str | None]] = [
    {"label": "湖滨\u3000", "area": "1.5e3", "floor": "5.0", "serial": "9007199254740993", "open": "是", "on": "2020年1月2日", "at": T},
    {"label": "e\u0301", "area": "-0.0", "floor": "x", "serial": "1_0", "open": "?", "on": "12:30", "at": "12:30"},
    {"label": None, "area": "NaN", "floor": None, "serial": "", "open": None, "on": "202001", "at": "2016-12-31T23:59:60Z"},
    {"label": "plain", "area": "1,000", "floor": "7", "serial": "7", "open": "no", "on": "2020-02-30", "at": "2020-01-02"},
]  # fmt: skip


@pytest.fixture(params=["UTC", "America/New_York"])
def zoned(request: pytest.FixtureRequest, spark: SparkSession) -> Iterator[SparkSession]:
    before = spark.conf.get("spark.sql.session.timeZone")
    spark.conf.set("spark.sql.session.timeZone", request.param)
    yield spark
    spark.conf.set("spark.sql.session.timeZone", str(before))


def making() -> Making:
    columns = {"label": "label", "area_m2": "area", "floor_total": "floor", "serial": "serial", "is_open": "open", "opened_on": "`on`"}
    definition = Source.model_validate(
        {
            "source": {"name": "probe", "title": "Probe", "domain": "thematic", "licence": "none", "attribution": "none"},
            "read": {"path": "*.csv", "format": "csv", "crs": "EPSG:4490"},
            "into": [{"contract": CONTRACT.name, "columns": {**columns, "seen_at": "at", "parts": "split(label, '')"}}],
        }
    )
    mapping = plan_mapping(definition, definition.into[0], CONTRACT, tuple(ROWS[0]))
    west = Division("330102001001", 4, shapely.to_wkb(shapely.box(119, 29, 120.05, 31)))
    plan = SpacePlan(GeometryKind.POLYGON, False, "EPSG:4490", None, EXTENT, divisions=(west,))
    return Making(mapping, plan, Delivered("b", INSTANTS), arrow_schema(CONTRACT).remove_metadata())


def raw(spark: SparkSession, count: int) -> Any:
    rows = []
    for i in range(count):
        square = shapely.box(120 + i / 1000, 30, 120 + (i + 1) / 1000, 30.001)
        geom = [shapely.to_wkb(square), shapely.to_wkb(shapely.MultiPolygon([square])), None, b"bad"][i % 4]
        attributes = {k: v for k, v in ROWS[i % 4].items() if v is not None}
        rows.append(("probe", "b", "f.csv", i, str(i), attributes, bytearray(geom) if geom else None, None, None, None))
    ddl = "source_name string, batch_id string, file_name string, row_number bigint, feature_id string, attributes map<string,string>, "
    return spark.createDataFrame(rows, f"{ddl} geom binary, crs string, error_code string, error_params string").select(
        *RAW_COLUMNS[:6], "geom", *RAW_COLUMNS[6:]
    )


def test_workers_and_one_process_give_the_same_rows(zoned: SparkSession) -> None:
    frame, how = raw(zoned, 40), making()
    texts = mapped(frame, how).orderBy("row_number").toArrow().combine_chunks().to_batches()[0]
    here = pa.Table.from_batches([_row_batch(texts, how, DivisionIndex(how.space.divisions))])
    for partitions in (1, 7):
        there = stamped(frame.repartition(partitions), how).orderBy("row_number").toArrow()
        for name in here.column_names:
            assert there[name].to_pylist() == here[name].to_pylist(), name
    one, other = here.slice(0, 2).to_pylist(), here["errors"].to_pylist()
    assert one[0]["valid_from_at"] == dt.datetime(2020, 1, 1, 16, tzinfo=dt.UTC)
    assert one[0]["observed_at"] == dt.datetime(2020, 1, 2, 1, 30, tzinfo=dt.UTC)
    assert one[0]["time_code"] == "20200102000000"
    assert {e["field"] for e in other[1]} == {"floor_total", "serial", "is_open", "opened_on", "seen_at"}
    assert "2020年1月2日" in next(e["message"] for e in other[1] if e["field"] == "opened_on")
    assert [e["code"] for e in other[3]] == ["SY-Q001", "SY-Q001", "SY-C102"]


class City:
    """A lake and a data folder of one test."""

    def __init__(self, folder: Path, spark: SparkSession) -> None:
        self.data, self.spark, self.runs = folder / "data", spark, 0
        self.data.mkdir()
        settings = Settings.load(lake=str(folder / "lake"))
        self.lake = Lake(settings.lake, settings)

    def load(self, table: str, edition: str, columns: dict[str, str], **into: Any) -> TargetReport:
        self.runs += 1
        recorded = (dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=self.runs)).isoformat()
        definition = Source.model_validate(
            {
                "source": {"name": "layer", "title": "Layer", "domain": "basemap", "licence": "none", "attribution": "none"},
                "read": {"path": "*.csv", "format": "csv", "wkt": "shape", "crs": "EPSG:4490"},
                "delivery": {"edition_at": edition},
                "into": [{"contract": table, "columns": columns, **into}],
            }
        )
        loading = Loading(self.lake, contracts(), self.data, f"run-{self.runs}", recorded, lambda: self.spark, extent=EXTENT)
        return load.run(loading, definition).targets[0]

    def deliver(self, *rows: str, name: str = "layer.csv") -> None:
        (self.data / name).write_text("\n".join(["id;name;shape", *rows]) + "\n", "utf-8")

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self.lake.table(table).to_arrow().sort_by("source_key").to_pylist()


@pytest.fixture
def city(tmp_path: Path, spark: SparkSession) -> City:
    return City(tmp_path, spark)


NAMED = {"name": "name", "class_code": "'residential'"}
RING = "(({0} 30, {1} 30, {1} 30.001, {0} 30.001, {0} 30))"
TURNED = "((({1} 30.001, {1} 30, {0} 30, {0} 30.001, {1} 30.001)))"


def squares(form: str) -> list[str]:
    return [f"{i};楼{i};{form.format(120 + i / 1000, 120 + i / 1000 + 0.0005)}" for i in range(5)]


@pytest.mark.parametrize("key", ["id", None])
def test_polygons_that_an_export_writes_as_multipolygons_are_unchanged(city: City, key: str | None) -> None:
    more = {"key": key} if key else {}
    city.deliver(*squares("POLYGON " + RING))
    assert city.load(BUILDING, "2025-01-01", NAMED, **more).loaded == 5
    before = {r["entity_id"]: r["stamp_id"] for r in city.rows(BUILDING)}
    city.deliver(*squares(f"MULTIPOLYGON ({RING})" if key is None else f"MULTIPOLYGON {TURNED}"))
    report = city.load(BUILDING, "2025-06-01", NAMED, **more)
    assert (report.loaded, report.unchanged, report.closed) == (0, 5, 0)
    assert {r["entity_id"]: r["stamp_id"] for r in city.rows(BUILDING)} == before


def test_all_that_follows_from_a_geometry_follows_from_the_one_that_is_stored(city: City) -> None:
    """Ends of lines are joined at sheet edges before the row is stamped, at the first load and at later ones."""
    columns = {"name": "name", "class_code": "'primary'"}
    for edition, end in (("2025-01-01", 120.00999), ("2025-06-01", 120.00998)):
        city.deliver(f"w;人民路;LINESTRING (120 30, {end} 30)", name="west.csv")
        city.deliver("e;人民路;LINESTRING (120.01001 30, 120.02 30)", "f;解放路;LINESTRING (120.01 30.1, 120.02 30.1)", name="east.csv")
        city.load(ROAD, edition, columns, key="id", match_sheet_edges_m=4)
        table = city.lake.table(ROAD).to_arrow()
        found = {r["source_key"]: r for r in table.to_pylist()}
        west, east = (shapely.from_wkb(found[key]["geom"]) for key in ("w", "e"))
        assert west.coords[-1] == east.coords[0]
        assert found["w"]["bbox"]["xmax"] == west.bounds[2] > end
        contract = contracts()[ROAD]
        derived = {"cell", "bbox", "grid_code", "grid_level", "row_hash", "stamp_id", "division_code", "time_code"}
        kept = {n: table[n].combine_chunks() for n in table.column_names if n not in derived}
        schema = arrow_schema(contract).remove_metadata()
        stamping = Stamping(contract, schema, "b", INSTANTS.recorded_at, INSTANTS.edition_at, "public")
        again = pa.table(stamped_columns(kept, table.num_rows, stamping), schema)
        for name in derived:
            assert table[name].to_pylist() == again[name].to_pylist(), name


def test_a_table_of_the_former_digest_makes_no_versions_of_what_is_equal(city: City) -> None:
    city.deliver(*squares("POLYGON " + RING))
    city.load(BUILDING, "2025-01-01", NAMED, key="id")
    path = f"{city.lake.url}/{contracts()[BUILDING].path}"
    city.spark.sql(f"UPDATE delta.`{path}` SET row_hash = md5(row_hash)")
    city.spark.sql(f"ALTER TABLE delta.`{path}` UNSET TBLPROPERTIES ('sanyu.row_hash')")
    before = {r["source_key"]: (r["stamp_id"], r["row_hash"]) for r in city.rows(BUILDING)}
    assert all(len(row_hash) == 32 for _, row_hash in before.values())
    city.deliver(*[row.replace("楼3", "新楼") for row in squares("POLYGON " + RING)])
    report = city.load(BUILDING, "2025-06-01", NAMED, key="id")
    assert (report.loaded, report.unchanged, report.closed) == (1, 4, 0)
    after = {r["source_key"]: (r["stamp_id"], r["row_hash"]) for r in city.rows(BUILDING)}
    assert {key for key in before if before[key] != after[key]} == {"3"}
    city.deliver(*[row.replace("楼3", "新楼") for row in reversed(squares("POLYGON " + RING))])
    report = city.load(BUILDING, "2025-09-01", NAMED, key="id")
    assert (report.loaded, report.unchanged) == (0, 5)
