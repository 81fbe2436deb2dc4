"""Mining from table to table: result, patterns and run in the lake, a rerun that computes nothing, and a chain with its page."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
import shapely

from jobs.chain import run as run_chain
from jobs.load import Loading
from jobs.mine import Analysis, run
from sanyu.lake import Lake
from sanyu.settings import Settings
from schemas.messages import SanyuError
from schemas.registry import contracts

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
    assert json.loads(row["inputs"]) == [{"table": TABLE, "version": 0, "where": None}]
    again = run(loading(), asked)
    assert again.state == "unchanged"


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
