"""Load a city when its sources have something new: one Spark session for all changed sources, then say which tables have changed, and of
those with partitions which partitions.

What is said is what the lake says has changed since the last announcement that was acknowledged, whatever became of the run that changed
it. `acknowledge` runs after the events are in Airflow's database, so a failure between repeats events and loses none. A source that fails,
or whose definition can't be used, fails the run in the end and holds nothing else up.

Parsing reads the source definitions only (standard library and pydantic). What is done stands in `jobs`.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.sdk import AssetAlias, dag, task
from airflow.sdk.exceptions import AirflowSkipException

from dags.wiring import ASSETS, PARTITIONS, SCHEDULE, TABLES_CHANGED, UNUSABLE, job, jobs_output, spark_arguments, unusable

RETRIES = {"retries": 2, "retry_delay": dt.timedelta(seconds=15), "retry_exponential_backoff": True}


@task.short_circuit(execution_timeout=dt.timedelta(minutes=30), ignore_downstream_trigger_rules=False)
def changed() -> list[str]:
    """Return the sources whose delivery is not in the lake yet; where there is none, nothing is loaded."""
    found: list[str] = jobs_output("changed")
    return found


@task(outlets=[AssetAlias(TABLES_CHANGED)], trigger_rule="all_done", multiple_outputs=True, execution_timeout=dt.timedelta(minutes=10))
def announce(*, outlet_events: Any) -> dict[str, Any]:
    """Make an asset event of each table that has changed, with its row counts; return positions, and the changed partitions by table."""
    found = jobs_output("changes")
    tables = {name: figures for name, figures in found["tables"].items() if name in ASSETS}
    for name, figures in tables.items():
        outlet_events[AssetAlias(TABLES_CHANGED)].add(ASSETS[name], extra=figures)
    return {
        "positions": {name: found["positions"][name] for name in tables},
        **{name: found["partitions"].get(name, []) for name in PARTITIONS},
    }


@task(execution_timeout=dt.timedelta(minutes=10))
def announce_partitions(table: str, keys: list[list[str]], *, outlet_events: Any) -> list[list[str]]:
    """Make an asset event of each partition that has changed, as many as one request may hold; return the others."""
    if not keys:
        raise AirflowSkipException(f"no partition of {table} has changed")
    outlet_events[PARTITIONS[table]].add_partitions(keys[0])
    return keys[1:]


@task(execution_timeout=dt.timedelta(minutes=10), max_active_tis_per_dag=1)
def announce_more(table: str, keys: list[str], *, outlet_events: Any) -> None:
    """Make the asset events of one more request."""
    outlet_events[PARTITIONS[table]].add_partitions(keys)


@task(trigger_rule="none_failed", execution_timeout=dt.timedelta(minutes=10))
def acknowledge(positions: dict[str, Any]) -> None:
    """Note in the lake what Airflow has accepted."""
    jobs_output("acknowledge", "--positions", json.dumps(positions))


@dag(
    schedule=SCHEDULE,
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(hours=6),
    default_args=RETRIES,
    tags=["sanyu"],
    doc_md=__doc__,
)
def city() -> None:
    load = SparkSubmitOperator(
        task_id="load",
        application=job(),
        application_args=["load", "--run", "city__{{ run_id }}", "--sources", "{{ ti.xcom_pull(task_ids='changed') | join(',') }}"],
        execution_timeout=dt.timedelta(hours=5),
        **spark_arguments("sanyu load"),
    )
    first = changed()
    told = announce()
    noted = acknowledge(told["positions"])
    # Airflow judges a run by its last tasks: this one asks for all others.
    complete = EmptyOperator(task_id="complete", trigger_rule="none_failed")
    first >> load >> told
    for table, asset in PARTITIONS.items():
        name = f"announce_{table.partition('__')[2]}"
        parts = announce_partitions.override(task_id=name, outlets=[asset])(table, told[table])
        more = announce_more.override(task_id=f"{name}_more", outlets=[asset]).partial(table=table).expand(keys=parts)
        [parts, more] >> noted
        [parts, more] >> complete
    [load, told, noted] >> complete
    for name, message in UNUSABLE.items():
        unusable.override(task_id=f"definition_{re.sub(r'[^A-Za-z0-9_.-]', '_', name)}")(message) >> complete


city()
