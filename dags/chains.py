"""One DAG per chain: its steps after each other, each as one Spark application; the last writes the result page.

Parsing reads the chains' TOML and the contracts only (standard library and pydantic). A chain with a schedule runs by it; one with a
`[partition]` runs once for each partition that has changed, as one application, or for the one that a run is triggered with; the others by
hand. A step whose input is as it was computes nothing.
"""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG, PartitionedAssetTimetable, PartitionedAtRuntime

from dags.wiring import PARTITIONS, SETTINGS, job, partition_mapper, spark_arguments, unusable
from sanyu.shipped import shipped
from schemas.chain import Chain, load_chain
from schemas.messages import SanyuError


def schedule(chain: Chain) -> Any:
    """Return when a chain runs; one whose table no source of the city fills is run by hand, with a partition."""
    if chain.partition is None:
        return chain.schedule
    asset = PARTITIONS.get(chain.partition.table)
    if asset is None:
        return PartitionedAtRuntime()
    return PartitionedAssetTimetable(assets=asset, default_partition_mapper=partition_mapper(chain.partition.table, chain.partition.every))


def application(chain: Chain, task_id: str, *arguments: str) -> SparkSubmitOperator:
    """Return the task that runs a chain's Spark application."""
    return SparkSubmitOperator(
        task_id=task_id,
        application=job(),
        application_args=["chain", "--chain", chain.name, *arguments],
        execution_timeout=dt.timedelta(hours=1),
        **spark_arguments(f"sanyu chain {chain.name}"),
    )


def chain_dag(chain: Chain) -> DAG:
    """Return the DAG of a chain."""
    with DAG(
        dag_id=f"chain_{chain.name}",
        schedule=schedule(chain),
        start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=dt.timedelta(hours=3),
        default_args={"retries": 1, "retry_delay": dt.timedelta(seconds=30)},
        tags=["sanyu", "mining"],
        doc_md=f"{chain.title} {chain.title_zh}\n\n{chain.description}",
    ) as dag:
        if chain.partition:
            application(chain, "partition", "--partition", "{{ dag_run.partition_key or '' }}")
        else:
            tasks = [application(chain, step.name, "--step", step.name) for step in chain.steps]
            for before, after in itertools.pairwise(tasks):
                before >> after
    return dag


def unusable_dag(name: str, message: str) -> DAG:
    """Return the DAG of a chain whose definition is wrong: its one task says why."""
    with DAG(dag_id=f"chain_{name}", schedule=None, tags=["sanyu", "mining"], doc_md=message) as dag:
        unusable.override(task_id="definition")(message)
    return dag


for _path in sorted(shipped("chains").glob("*.toml")):
    try:
        _chain = load_chain(_path)
    except SanyuError as _error:
        globals()[f"chain_{_path.stem}"] = unusable_dag(_path.stem, str(_error))
        continue
    if _chain.city in (None, SETTINGS.city):
        globals()[f"chain_{_chain.name}"] = chain_dag(_chain)
