"""When core tables have changed: validate them with their suites, and publish the versions that were validated if all hold."""

from __future__ import annotations

import datetime as dt

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import AssetAny, dag

from dags.wiring import ASSETS, RELEASE, job, spark_arguments


@dag(
    schedule=AssetAny(*ASSETS.values()) if ASSETS else None,
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(hours=6),
    default_args={"retries": 1, "retry_delay": dt.timedelta(seconds=30)},
    tags=["sanyu"],
    doc_md=__doc__,
)
def release() -> None:
    SparkSubmitOperator(
        task_id="gate_and_publish",
        application=job(),
        application_args=["gate-and-publish", "--run", "release__{{ run_id }}"],
        outlets=[RELEASE],
        execution_timeout=dt.timedelta(hours=5),
        **spark_arguments("sanyu release"),
    )


release()
