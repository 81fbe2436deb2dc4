"""Airflow for a while: assets and partitions start consumers, Spark runs through its operator, failures are told, nothing stays."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from demo.airflow import LocalAirflow, RunEvent
from sanyu.session import spark_conf
from sanyu.settings import Settings
from schemas.messages import SanyuError

DAGS = """
from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, Asset, PartitionedAssetTimetable, PartitionedAtRuntime, task

from sanyu.session import submit_arguments
from sanyu.settings import Settings

table = Asset(name="core.basemap__probe", uri="lake://core/basemap__probe")
days = Asset(name="core.iot__probe", uri="lake://core/iot__probe")

with DAG("make_table", schedule=None):
    SparkSubmitOperator(
        task_id="spark",
        application="APPLICATION",
        application_args=["{{ dag_run.conf['table'] }}"],
        conn_id="spark_default",
        outlets=[table],
        **submit_arguments(Settings.load()),
    )

with DAG("use_table", schedule=[table]):
    task(lambda: None, task_id="use")()

with DAG("make_days", schedule=PartitionedAtRuntime()):

    @task(outlets=[days])
    def make(outlet_events):
        outlet_events[days].add_partitions(["330106|2026-01-01", "330108|2026-01-01"])

    make()

with DAG("use_days", schedule=PartitionedAssetTimetable(assets=days), max_active_runs=1):
    task(lambda: None, task_id="use")()

with DAG("fail", schedule=None):

    @task
    def raise_planted():
        raise ValueError("planted fault")

    raise_planted()
"""

APPLICATION = """
import sys

from sanyu.session import spark_session

spark_session(app_name="probe").sql("SELECT ST_AsBinary(ST_Point(id, id)) AS geom FROM range(7)").write.format("delta").save(sys.argv[1])
"""


@pytest.fixture(scope="module")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalAirflow]:
    place = tmp_path_factory.mktemp("airflow")
    application = place / "application.py"
    application.write_text(APPLICATION, "utf-8")
    dags = place / "dags"
    dags.mkdir()
    (dags / "probe.py").write_text(DAGS.replace("APPLICATION", str(application)), "utf-8")
    settings = Settings.load(lake=str(place / "lake"), spark_master="local[2]", driver_memory="1g")
    spark_conf(settings)  # missing jars are told here, not as an import error of the DAGs
    running = LocalAirflow(settings, place / "home", dags)
    with running:
        assert len(running.processes()) >= 3
        yield running
    assert running.processes() == []


@pytest.mark.timeout(400)
def test_assets_and_partitions_start_their_consumers(airflow: LocalAirflow, tmp_path: Path) -> None:
    from deltalake import DeltaTable

    seen: list[RunEvent] = []
    airflow.trigger("make_table", {"table": str(tmp_path / "table")})
    airflow.trigger("make_days")

    runs = airflow.follow(["make_table", "use_table", "make_days", "use_days"], seen.append, timeout_s=300)

    assert sorted((run.dag, run.partition) for run in runs if run.partition) == [
        ("use_days", "330106|2026-01-01"),
        ("use_days", "330108|2026-01-01"),
    ]
    assert {run.dag for run in runs} == {"make_table", "use_table", "make_days", "use_days"}
    assert {run.state for run in runs} == {"success"}
    assert ("make_table", "spark", "success") in {(event.dag, event.task, event.state) for event in seen}
    assert len(DeltaTable(tmp_path / "table").to_pyarrow_table()) == 7


def test_a_failed_task_is_told_with_its_log(airflow: LocalAirflow) -> None:
    airflow.trigger("fail")
    with pytest.raises(SanyuError, match=r"(?s)SY-E032: task raise_planted of DAG fail failed.*planted fault"):
        airflow.follow(["fail"], lambda event: None, timeout_s=120)


def test_an_unknown_dag_is_told(airflow: LocalAirflow) -> None:
    with pytest.raises(SanyuError, match="SY-E033: DAG absent can't be loaded"):
        airflow.wait_for(["absent"], timeout_s=1)


def test_a_home_runs_once(airflow: LocalAirflow) -> None:
    with pytest.raises(SanyuError, match="SY-E035"), LocalAirflow(airflow.settings, airflow.home, airflow.dags):
        pytest.fail("two Airflows share one home")
    assert airflow.processes() != []
