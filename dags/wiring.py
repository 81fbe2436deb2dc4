"""What the DAGs share: the city's assets, its schedule, and how the Spark application is called. Imports no engine.

A source definition that can't be used is left out here and told by a task of DAG `city`; the other sources go on.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from airflow.sdk import Asset, IdentityMapper, PartitionMapper, ProductMapper, StartOfMonthMapper, StartOfYearMapper, task
from airflow.sdk.exceptions import AirflowFailException

from dags.schedules import most_frequent, problem
from sanyu.session import submit_arguments
from sanyu.settings import Settings
from sanyu.shipped import packages
from schemas.city import read_sources
from schemas.messages import SanyuError
from schemas.partition import is_period, partition_fields
from schemas.registry import read_contracts

ROOT = packages()
SETTINGS = Settings.load()
CONTRACTS, _WRONG_CONTRACTS = read_contracts(Path(SETTINGS.contracts_dir).expanduser() if SETTINGS.contracts_dir else None)
_DEFINITIONS = read_sources(Path(SETTINGS.sources_dir), CONTRACTS)
_WRONG_TIMES = {
    name: SanyuError("SY-D002", file=f"{name}.toml", field="delivery.schedule", detail=problem(source.delivery.schedule))
    for name, source in _DEFINITIONS.usable.items()
    if source.delivery.schedule and problem(source.delivery.schedule)
}
SOURCES = _DEFINITIONS.usable
UNUSABLE = {name: str(error) for name, error in {**_DEFINITIONS.unusable, **_WRONG_TIMES, **_WRONG_CONTRACTS}.items()}
TABLES_CHANGED = "core-tables-changed"
ASSETS = {
    name: Asset(name=name, uri=f"sanyu://{SETTINGS.city}/{name}")
    for name in sorted({into.contract for source in SOURCES.values() for into in source.into})
}
# Partitions are an asset of their own beside the table's: an event either bears a partition or starts those who want the whole table.
PARTITIONS = {
    name: Asset(name=f"{name}/partitions", uri=f"{asset.uri}/partitions") for name, asset in ASSETS.items() if CONTRACTS[name].partition_by
}
RELEASE = Asset(name="release", uri=f"sanyu://{SETTINGS.city}/release")
# The city is looked at as often as its most frequent source asks; a source that has nothing new costs a hash of its files.
SCHEDULE = most_frequent(s.delivery.schedule for n, s in SOURCES.items() if s.delivery.schedule and n not in _WRONG_TIMES)


def partition_mapper(table: str, every: str) -> PartitionMapper:
    """Return what makes a consumer's partition of a table's key: the same, or a month or year in place of the day."""
    longer = {"month": StartOfMonthMapper, "year": StartOfYearMapper}.get(every)
    parts = [longer(input_format="%Y-%m-%d") if longer and is_period(f) else IdentityMapper() for f in partition_fields(CONTRACTS[table])]
    return ProductMapper(*parts) if len(parts) > 1 else parts[0]


def job() -> str:
    """Return the path of the Spark application."""
    return str(ROOT / "jobs" / "__main__.py")


def spark_arguments(name: str) -> dict[str, Any]:
    """Return the arguments of `SparkSubmitOperator` that start our session."""
    return {"name": name, "conn_id": "spark_default", "verbose": False, **submit_arguments(SETTINGS)}


@task(retries=0)
def unusable(message: str) -> None:
    """Fail with what is wrong with a definition."""
    raise AirflowFailException(message)


def jobs_output(*arguments: str) -> Any:
    """Run a small command of `jobs` in a process of its own and return its JSON; its messages go to the task's log."""
    done = subprocess.run([sys.executable, "-m", "jobs", *arguments], cwd=ROOT, check=False, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise RuntimeError(f"jobs {arguments[0]} ended with exit code {done.returncode}; its message stands above")
    return json.loads(done.stdout)
