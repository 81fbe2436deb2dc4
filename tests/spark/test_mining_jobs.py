"""Mining from table to table: result, patterns and run in the lake, a rerun that computes nothing, and a chain with its page."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
import shapely

from jobs.context import Loading
from jobs.mining.analysis import Analysis, MineReport, run
from jobs.mining.chain import run as run_chain
from jobs.mining.since import PATTERN
from jobs.results import commit
from sanyu.lake import Lake
from sanyu.lake.commit import Write
from sanyu.settings import Settings
from schemas.messages import SanyuError
from schemas.model import SecurityLabel
from schemas.registry import contracts, find_contract
from transforms.mining.shelf.tool import find_tool

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLE = "core.basemap__place"
CHAIN = """
title = "Small"
title_zh = "小链"
[[step]]
name = "cells"
tool = "cell_count"
table = "core.basemap__place"
with = { size_m = 200 }
[[step]]
name = "hot"
tool = "local_g"
table = "@cells"
with = { value = "row_count", radius_m = 300, permutations = 99 }
[page]
map = "hot"
text = "Look <here>"
"""


@pytest.fixture(scope="module")
def loading(spark: SparkSession, settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Loading]:
    root = tmp_path_factory.mktemp("lake")
    rng = np.random.default_rng(0)
    crowd, rest = rng.normal([120.012, 30.012], 0.0007, (300, 2)), rng.uniform([120.0, 30.0], [120.02, 30.02], (300, 2))
    at = np.concatenate([crowd, rest])
    ids = [f"P{i:04d}" for i in range(len(at))]
    table = pa.table({"entity_id": ids, "geom": shapely.to_wkb(shapely.points(at)), "floors_above": rng.integers(1, 30, len(at))})
    spark.createDataFrame(table).write.format("delta").save(f"{root}/core/basemap/place")
    lake = Lake(root, settings.model_copy(update={"lake": str(root)}))
    numbers = iter(range(100))

    def fresh() -> Loading:
        now = dt.datetime.now(dt.UTC).isoformat()
        return Loading(lake, contracts(), Path(), f"run-{next(numbers)}", now, lambda: spark)

    return fresh


def test_a_tool_s_result_patterns_and_run_are_in_the_lake(loading: Callable[[], Loading]) -> None:
    job = loading()
    asked = Analysis("local_moran", TABLE, {"value": "floors_above", "k": "6", "permutations": "99", "use_fdr": "false"})
    report = run(job, asked)
    result = job.lake.table("mart.mining__local_statistic").to_geopandas(where=f"source_name = '{report.source_name}'")
    assert (report.state, report.way, len(result)) == ("computed", "in_process", 600)
    assert set(result["entity_id"]) == {f"P{i:04d}" for i in range(600)}
    assert result["grid_code"].notna().all()
    assert result.geometry.notna().all()
    found = result[~result["pattern"].isin(["Not significant", "Island"])]
    listed = job.lake.table("mart.mining__pattern").to_arrow(where=f"source_name = '{report.source_name}'")
    assert len(found) == len(listed) == report.patterns > 0
    row = job.lake.table("mart.mining__run").to_arrow(where=f"result_source = '{report.source_name}'").to_pylist()[0]
    assert json.loads(row["parameters"])["k"] == 6
    read = json.loads(row["inputs"])[0]
    assert (read["table"], read["version"], read["where"]) == (TABLE, 0, None)
    again = run(loading(), asked)
    assert again.state == "unchanged"


def test_a_cluster_is_one_pattern_and_its_members_are_in_the_result(loading: Callable[[], Loading]) -> None:
    report = run(loading(), Analysis("dbscan", TABLE, {"eps_m": 60, "min_points": 12}))
    members = loading().lake.table("mart.mining__cluster").to_arrow(["cluster_id"], where=f"source_name = '{report.source_name}'")
    patterns = loading().lake.table("mart.mining__pattern").to_geopandas(where=f"source_name = '{report.source_name}'")
    assert len(members) == 600
    sizes = members.to_pandas()["cluster_id"].value_counts()
    assert dict(zip(patterns["pattern_id"], patterns["member_count"], strict=True)) == sizes.to_dict()
    assert (patterns["result_table"] == "mart.mining__cluster").all()
    largest = patterns.sort_values("member_count").iloc[-1]
    assert (largest["centre_lon"], largest["centre_lat"]) == pytest.approx((120.012, 30.012), abs=0.001)
    assert largest["geom"].geom_type == "Polygon"
    assert patterns["grid_code"].notna().all()


def test_a_second_table_is_read_beside_the_first_and_a_new_version_of_it_is_a_new_run(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    def roads(*ends: float) -> None:
        lines = [shapely.LineString([(120.0, 30.0), (120.0 + end, 30.0)]) for end in ends]
        table = pa.table({"entity_id": [f"R{n}" for n in range(len(lines))], "geom": shapely.to_wkb(lines), "name": ["长街"] * len(lines)})
        spark.createDataFrame(table).write.format("delta").mode("overwrite").save(f"{tmp_path}/core/basemap/road_segment")

    places = shapely.to_wkb(shapely.points([120.002, 120.009, 120.009], [30.0001, 30.0001, 30.1]))
    spark.createDataFrame(pa.table({"entity_id": ["a", "b", "c"], "geom": places})).write.format("delta").save(
        f"{tmp_path}/core/basemap/place"
    )
    roads(0.005)
    lake = Lake(tmp_path, settings.model_copy(update={"lake": str(tmp_path)}))

    def mined(number: int) -> MineReport:
        job = Loading(lake, contracts(), Path(), f"n{number}", dt.datetime.now(dt.UTC).isoformat(), lambda: spark)
        return run(job, Analysis("network_kde", TABLE, {"bandwidth_m": "100"}))

    first = mined(0)
    assert (first.state, first.because, first.metrics["row_count"], first.metrics["dropped_count"]) == ("computed", "first run", 1, 2)
    found = lake.table("mart.mining__network_density").to_geopandas()
    assert len(found) == first.rows_out > 0
    assert set(found.geom_type) == {"LineString"}
    assert (found["density_km"] * found["length_m"]).sum() / 1000 == pytest.approx(1, rel=1e-5)
    read = json.loads(lake.table("mart.mining__run").to_arrow().to_pylist()[0]["inputs"])
    assert [r["table"] for r in read] == [TABLE, "core.basemap__road_segment"]
    assert mined(1).state == "unchanged"
    roads(0.005, 0.015)
    again = mined(2)
    assert (again.state, again.because) == ("computed", "another table that it reads has changed")
    assert again.metrics["dropped_count"] == 1
    assert mined(3).state == "unchanged"


def test_another_question_has_rows_of_its_own(loading: Callable[[], Loading]) -> None:
    reports = [run(loading(), Analysis("moran", TABLE, {"value": "floors_above", "k": k, "permutations": 9})) for k in (4, 5)]
    table = loading().lake.table("mart.mining__global_statistic").to_geopandas()
    assert set(table["source_name"]) == {r.source_name for r in reports}
    assert table["statistic"].nunique() == 2


def test_a_chain_runs_its_steps_and_writes_its_page(loading: Callable[[], Loading], tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(CHAIN, "utf-8")
    report = run_chain(loading(), "small", folder=tmp_path)
    assert [s["state"] for s in report.steps] == ["computed", "computed"]
    text = Path(report.page).read_text("utf-8")
    assert "data:image/png;base64," in text
    assert "Look &lt;here&gt;" in text
    hot = loading().lake.table("mart.mining__pattern").to_geopandas(where="tool_name = 'local_g' AND pattern_name = 'Hot'")
    centre = hot.geometry.centroid if len(hot) == 0 else shapely.centroid(hot.geometry.union_all())
    assert (centre.x, centre.y) == pytest.approx((120.012, 30.012), abs=0.001)
    again = run_chain(loading(), "small", folder=tmp_path)
    assert [s["state"] for s in again.steps] == ["unchanged", "unchanged"]


def test_a_chain_or_step_that_is_not_there_is_named(loading: Callable[[], Loading], tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(CHAIN, "utf-8")
    with pytest.raises(SanyuError, match="SY-N026"):
        run_chain(loading(), "smal", folder=tmp_path)
    with pytest.raises(SanyuError, match="SY-N027"):
        run_chain(loading(), "small", only="cold", folder=tmp_path)
    (tmp_path / "small.toml").write_text(CHAIN.replace("@cells", "@later"), "utf-8")
    with pytest.raises(SanyuError, match="SY-N024"):
        run_chain(loading(), "small", folder=tmp_path)


EVENTS = "core.thematic__event"
CELLS = {"size_m": 300, "time": "observed_at", "step": "day"}


class Register:
    """A table of events as the lake keeps them: rows are closed and replaced by merges, and the change feed is on."""

    def __init__(self, spark: SparkSession, path: Path) -> None:
        self._spark, self._path, self._rng, self._next = spark, str(path), np.random.default_rng(7), 0
        columns = "entity_id string, observed_at timestamp, reported_at timestamp, valid_to_at timestamp, superseded_at timestamp"
        kept = "'delta.enableChangeDataFeed' = 'true', 'delta.enableDeletionVectors' = 'true'"
        box = "bbox struct<xmin:double,ymin:double,xmax:double,ymax:double>"
        spark.sql(f"CREATE TABLE delta.`{path}` ({columns}, {box}, geom binary) USING delta TBLPROPERTIES ({kept})")

    def add(self, size: int) -> None:
        """Append events; the first and the last of all days are among the first ones."""
        at = self._rng.uniform([120.60, 30.20], [120.64, 30.24], (size, 2))
        days = self._rng.integers(1, 11, size)
        days[:2] = (0, 11) if self._next == 0 else days[:2]
        seconds = self._rng.integers(0, 86_400, size)
        seconds[:2] = (0, 80_000) if self._next == 0 else seconds[:2]
        start = int(dt.datetime(2025, 3, 2, 16, tzinfo=dt.UTC).timestamp())
        observed = pa.array((start + days * 86_400 + seconds) * 1_000_000).cast(pa.timestamp("us", tz="UTC"))
        rows = {
            "entity_id": [f"E{n:05d}" for n in range(self._next, self._next + size)],
            "observed_at": observed,
            "reported_at": observed,
            "valid_to_at": pa.nulls(size, pa.timestamp("us", tz="UTC")),
            "superseded_at": pa.nulls(size, pa.timestamp("us", tz="UTC")),
            "bbox": [{"xmin": x, "ymin": y, "xmax": x, "ymax": y} for x, y in at.tolist()],
            "geom": shapely.to_wkb(shapely.points(at), flavor="iso"),
        }
        self._spark.createDataFrame(pa.table(rows)).coalesce(1).write.format("delta").mode("append").save(self._path)
        self._next += size

    def end(self, *numbers: int) -> None:
        """Close events as a merge does."""
        listed = ", ".join(f"('E{n:05d}')" for n in numbers)
        self._spark.sql(
            f"MERGE INTO delta.`{self._path}` t USING (SELECT col1 AS id FROM VALUES {listed}) c ON t.entity_id = c.id "
            "WHEN MATCHED THEN UPDATE SET valid_to_at = timestamp'2025-04-01'"
        )

    def remove(self, *numbers: int) -> None:
        """Delete events outright."""
        self._spark.sql(f"DELETE FROM delta.`{self._path}` WHERE entity_id IN ({', '.join(repr(f'E{n:05d}') for n in numbers)})")


def content(table: pa.Table, columns: list[str]) -> list[tuple[str, ...]]:
    return sorted(tuple(str(v) for v in row.values()) for row in table.select(columns).to_pylist())


def test_after_changes_only_what_they_touch_is_computed_and_the_result_is_that_of_a_whole_run(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    register = Register(spark, tmp_path / "core" / "thematic" / "event")
    register.add(3_000)
    lake = Lake(tmp_path, settings.model_copy(update={"lake": str(tmp_path)}))

    def loading(number: int, *, no_spark: bool = False) -> Loading:
        def refused() -> SparkSession:
            raise AssertionError("Spark was asked for")

        return Loading(lake, contracts(), Path(), f"r{number}", dt.datetime.now(dt.UTC).isoformat(), refused if no_spark else lambda: spark)

    asked = [Analysis("emerging_hot_spots", EVENTS, CELLS), Analysis("cell_count", EVENTS, {"size_m": 300}, "observed_at IS NOT NULL")]
    first = [run(loading(0), one) for one in asked]
    assert [(r.state, r.because, r.recomputed) for r in first] == [("computed", "first run", 3_000)] * 2
    for round_ in (1, 2):
        register.add(2)
        register.end(10 * round_, 10 * round_ + 1)
        register.remove(500 + round_)
        now = lake.table(EVENTS).to_arrow(["entity_id", "observed_at", "geom"]).to_pandas()
        for before, one in zip(first[:round_], asked[:round_], strict=True):  # the second question has waited for two rounds
            report = run(loading(round_), one)
            changed = 10 if one.tool == "cell_count" else 5
            assert (report.state, report.because, report.changed_rows, report.rows_in) == ("updated", "", changed, len(now))
            assert 0 < report.recomputed < 0.6 * report.recomputable
            whole = pa.Table.from_pandas(find_tool(one.tool).function(now, **one.parameters), preserve_index=False)
            found = lake.table(report.result_table).to_arrow(where=f"source_name = '{report.source_name}'")
            assert content(found, whole.column_names) == content(whole, whole.column_names)
            assert (report.source_name, report.rows_out) == (before.source_name, len(found))
            if one.tool == "cell_count":
                assert report.rows_written == report.recomputed == 10
                assert sorted(found.column("batch_id").value_counts().field(1).to_pylist())[0] == 10
            again = run(loading(90, no_spark=True), one)
            assert (again.state, again.scope) == ("unchanged", "nothing")
    register.end(10)  # it has ended already: no row that the question reads is another
    assert run(loading(91, no_spark=True), asked[0]).state == "unchanged"
    assert len(lake.store.keys("mining")) == 1


def test_after_changes_only_the_clusters_that_they_touch_are_written_and_all_are_as_after_a_whole_run(
    spark: SparkSession, settings: Settings, tmp_path: Path
) -> None:
    register = Register(spark, tmp_path / "core" / "thematic" / "event")
    register.add(3_000)
    lake = Lake(tmp_path, settings.model_copy(update={"lake": str(tmp_path)}))
    other = Lake(tmp_path / "other", settings.model_copy(update={"lake": str(tmp_path / "other")}))
    (tmp_path / "other" / "core" / "thematic").mkdir(parents=True)
    (tmp_path / "other" / "core" / "thematic" / "event").symlink_to(tmp_path / "core" / "thematic" / "event")
    asked = Analysis("st_dbscan", EVENTS, {"eps_m": 60, "min_points": 4, "time": "observed_at", "eps_time": 4 * 86_400})

    def report(lake: Lake, number: int) -> MineReport:
        def refused() -> SparkSession:
            raise AssertionError("Spark was asked for")

        return run(Loading(lake, contracts(), Path(), f"r{number}", dt.datetime.now(dt.UTC).isoformat(), refused), asked)

    def rows(lake: Lake, name: str, columns: list[str]) -> list[tuple[str, ...]]:
        return content(lake.table(name).to_arrow(columns, where=f"source_name = '{first.source_name}'"), columns)

    first = report(lake, 0)
    assert first.patterns > 20
    for round_ in (1, 2, 3):
        register.add(4)
        register.end(*range(20 * round_, 20 * round_ + (6 if round_ < 3 else 700)))
        found = report(lake, round_)
        shutil.rmtree(tmp_path / "other" / "mart", ignore_errors=True)
        shutil.rmtree(tmp_path / "other" / "ops", ignore_errors=True)
        whole = report(other, 10 + round_)
        assert (found.rows_in, found.rows_out, found.patterns) == (whole.rows_in, whole.rows_out, whole.patterns)
        members = ["entity_id", "cluster_id", "cluster_role", "observed_at", "geom", "bbox", "row_hash"]
        assert rows(lake, found.result_table, members) == rows(other, found.result_table, members)
        patterns = ["pattern_id", "member_count", "area_m2", "centre_lon", "from_at", "to_at", "geom"]
        assert rows(lake, PATTERN, patterns) == rows(other, PATTERN, patterns)
        if round_ < 3:
            assert (found.state, found.because) == ("updated", "")
            assert {name: found.metrics[name] for name in ("cluster_count", "noise_count", "row_count")} == {
                name: whole.metrics[name] for name in ("cluster_count", "noise_count", "row_count")
            }
            assert 0 < found.rows_written <= found.recomputed < 0.1 * found.recomputable
        else:
            assert found.because == "704 of 2,996 rows have changed"


def test_clusters_in_a_time_that_the_result_does_not_keep_are_made_anew(spark: SparkSession, settings: Settings, tmp_path: Path) -> None:
    register = Register(spark, tmp_path / "core" / "thematic" / "event")
    register.add(1_000)
    lake = Lake(tmp_path, settings.model_copy(update={"lake": str(tmp_path)}))
    asked = Analysis("st_dbscan", EVENTS, {"eps_m": 60, "min_points": 3, "time": "reported_at", "eps_time": 9 * 86_400})
    for round_, because in enumerate(("first run", "the result does not keep reported_at, of which its patterns tell the period")):
        report = run(Loading(lake, contracts(), Path(), f"r{round_}", dt.datetime.now(dt.UTC).isoformat(), lambda: spark), asked)
        assert (report.because, report.recomputed) == (because, report.rows_in)
        periods = lake.table(PATTERN).to_arrow(["from_at", "to_at"], where=f"source_name = '{report.source_name}'")
        assert len(periods) == report.patterns > 5
        assert not periods.column("from_at").null_count
        register.end(3, 4)


def test_rows_of_spark_and_of_this_process_are_the_same_rows(loading: Callable[[], Loading]) -> None:
    contract = find_contract("mart.mining__density")
    at = shapely.to_wkb(shapely.points([[120.0 + i / 100, 30.0] for i in range(20)]), flavor="iso")
    count = pa.array([float(i) for i in range(20)])
    rows = pa.table({"density_km2": count, "geom": pa.array(at, pa.binary())})

    def write(number: int, source: str = "mine_kde_1") -> Write:
        return Write(source, f"batch-{number}", "run", number)

    job, spark = loading(), loading().spark()
    first = commit(job, contract, rows, write(1), {"tool_name": "kde"}, label=SecurityLabel.PUBLIC)[1]
    assert (first.loaded, first.version) == (20, 2)  # made, constrained, written
    again = commit(job, contract, spark.createDataFrame(rows).repartition(3), write(2), {"tool_name": "kde"}, label=SecurityLabel.PUBLIC)[1]
    assert (again.unchanged, again.version) == (20, 2)
    other = commit(job, contract, spark.createDataFrame(rows.slice(0, 5)), write(3), {"tool_name": "kde"}, label=SecurityLabel.PUBLIC)[1]
    assert (other.loaded, other.closed, other.version) == (5, 15, 3)
    last = commit(job, contract, rows.slice(0, 6), write(4), {"tool_name": "kde"}, label=SecurityLabel.PUBLIC, sparing=True)[1]
    assert (last.loaded, last.unchanged) == (1, 5)
    assert job.lake.table(contract.name).count() == job.lake.table(contract.name).to_spark().count() == 6
