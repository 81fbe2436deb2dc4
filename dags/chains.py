"""One DAG per chain: its steps after each other, each as one Spark application; the last writes the result page.

Parsing reads the chains' TOML only (standard library and pydantic). A chain with a schedule runs by it, the others by hand. A step whose
input is as it was computes nothing.
"""

from __future__ import annotations

import datetime as dt
import itertools
from typing import Any

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import DAG

from dags.wiring import ROOT, SETTINGS, job, spark_arguments
from schemas.chain import Chain, load_chains


def chain_dag(chain: Chain) -> DAG:
    """Return the DAG of a chain."""
    with DAG(
        dag_id=f"chain_{chain.name}",
        schedule=chain.schedule,
        start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        catchup=False,
        max_active_runs=1,
        dagrun_timeout=dt.timedelta(hours=3),
        default_args={"retries": 1, "retry_delay": dt.timedelta(seconds=30)},
        tags=["sanyu", "mining"],
        doc_md=f"{chain.title} {chain.title_zh}\n\n{chain.description}",
    ) as dag:
        tasks: list[Any] = [
            SparkSubmitOperator(
                task_id=step.name,
                application=job(),
                application_args=["chain", "--chain", chain.name, "--step", step.name],
                execution_timeout=dt.timedelta(hours=1),
                **spark_arguments(f"sanyu chain {chain.name}"),
            )
            for step in chain.steps
        ]
        for before, after in itertools.pairwise(tasks):
            before >> after
    return dag


for _chain in load_chains(ROOT / "chains").values():
    if _chain.city in (None, SETTINGS.city):
        globals()[f"chain_{_chain.name}"] = chain_dag(_chain)
