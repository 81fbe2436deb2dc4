"""Load a city when its sources have something new: one Spark session for all changed sources, then say which tables changed, and of
those with partitions which partitions.

Parsing reads the source definitions only (standard library and pydantic). What is done stands in `jobs`.
"""

from __future__ import annotations

import datetime as dt

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import AssetAlias, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.wiring import ASSETS, PARTITIONS, SCHEDULE, TABLES_CHANGED, job, jobs_output, spark_arguments


@dag(
    schedule=SCHEDULE,
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(hours=6),
    default_args={"retries": 2, "retry_delay": dt.timedelta(seconds=30), "retry_exponential_backoff": True},
    tags=["sanyu"],
    doc_md=__doc__,
)
def city() -> None:
    @task.short_circuit(execution_timeout=dt.timedelta(minutes=30))
    def changed() -> list[str]:
        """Return the sources whose delivery is not in the lake yet; none ends the run here."""
        return jobs_output("changed")

    load = SparkSubmitOperator(
        task_id="load",
        application=job(),
        application_args=["load", "--report", "{{ run_id }}", "--sources", "{{ ti.xcom_pull(task_ids='changed') | join(',') }}"],
        execution_timeout=dt.timedelta(hours=5),
        **spark_arguments("sanyu load"),
    )

    @task(outlets=[AssetAlias(TABLES_CHANGED)], trigger_rule="all_done_min_one_success", execution_timeout=dt.timedelta(minutes=5))
    def announce(*, outlet_events, run_id: str) -> None:  # type: ignore[no-untyped-def]
        """Make an asset event of each table that the run changed, with its row counts."""
        for table, figures in jobs_output("changes", "--report", run_id).items():
            counts = {**figures, "partitions": len(figures["partitions"])}
            outlet_events[AssetAlias(TABLES_CHANGED)].add(ASSETS[table], extra=counts)

    @task(trigger_rule="all_done_min_one_success", execution_timeout=dt.timedelta(minutes=5))
    def announce_partitions(table: str, *, outlet_events, run_id: str) -> None:  # type: ignore[no-untyped-def]
        """Make an asset event of each partition that the run changed."""
        keys = jobs_output("changes", "--report", run_id).get(table, {}).get("partitions")
        if not keys:
            raise AirflowSkipException(f"no partition of {table} has changed")
        outlet_events[PARTITIONS[table]].add_partitions(keys)

    partitions = [
        announce_partitions.override(task_id=f"announce_{table.partition('__')[2]}", outlets=[asset])(table)
        for table, asset in PARTITIONS.items()
    ]
    changed() >> load >> [announce(), *partitions]


city()
