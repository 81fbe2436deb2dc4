"""When tables of the basemap or tables that ask for geocoding have changed: build the address index anew where it must be, and geocode.

Parsing reads no table. Both steps find out by themselves that there is nothing to do: the index is named after the versions that it was
made of, and a row keeps its match as long as its address and the index do.
"""

from __future__ import annotations

import datetime as dt

from airflow.providers.apache.spark.operators.spark_submit import SparkSubmitOperator
from airflow.sdk import AssetAny, dag, task

from dags.wiring import ASSETS, CONTRACTS, job, jobs_output, spark_arguments

ASKING = frozenset(name for name, contract in CONTRACTS.items() if contract.space.geocode)
WATCHED = tuple(asset for name, asset in ASSETS.items() if name.startswith("core.basemap__") or name in ASKING)


@dag(
    schedule=AssetAny(*WATCHED) if WATCHED else None,
    start_date=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    catchup=False,
    max_active_runs=1,
    dagrun_timeout=dt.timedelta(hours=6),
    default_args={"retries": 1, "retry_delay": dt.timedelta(seconds=30)},
    tags=["sanyu", "address"],
    doc_md=__doc__,
)
def geocode() -> None:
    @task(execution_timeout=dt.timedelta(hours=2))
    def gazetteer() -> dict[str, object]:
        """Build the index of what the lake has; needs no Spark."""
        return dict(jobs_output("gazetteer"))

    match = SparkSubmitOperator(
        task_id="match",
        application=job(),
        application_args=["geocode"],
        execution_timeout=dt.timedelta(hours=4),
        **spark_arguments("sanyu geocode"),
    )
    gazetteer() >> match


geocode()
