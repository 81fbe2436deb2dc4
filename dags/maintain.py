"""Once a week: compact small files, write checkpoints, remove what no reader needs any more, then check the whole lake.

Parsing reads no table. A finding of the check fails the task; its log names table, check and remedy.
"""

from __future__ import annotations

import datetime as dt

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import dag, task

from dags.wiring import job, jobs_output, spark_arguments


@dag(
    schedule="@weekly",
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(hours=12),
    default_args={"retries": 1, "retry_delay": dt.timedelta(minutes=5)},
    tags=["sanyu"],
    doc_md=__doc__,
)
def maintain() -> None:
    tidy = SparkSubmitOperator(
        task_id="maintain",
        application=job(),
        application_args=["maintain"],
        execution_timeout=dt.timedelta(hours=8),
        **spark_arguments("sanyu maintain"),
    )

    @task(execution_timeout=dt.timedelta(hours=4), retries=0)
    def verify() -> dict[str, object]:
        """Check the lake; fails with the first findings."""
        return dict(jobs_output("verify"))

    tidy >> verify()


maintain()
