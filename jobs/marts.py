"""Build the marts: dbt computes them over the rows that are valid now, the lake's writer commits those that have a contract.

dbt runs on DuckDB in a process of its own, in a scratch folder; what it leaves there is a result, not a store. A failed dbt test or model
fails the job before anything is written.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.load import Loading
from quality.arrow import arrow_schema
from quality.dbt import LIVE
from sanyu.lake import Lake, duck
from sanyu.lake.deliveries import sequence
from schemas.messages import SanyuError
from schemas.model import Contract

PROJECT = Path(importlib.util.find_spec("transforms").submodule_search_locations[0]) / "dbt"  # type: ignore[union-attr,index]
EXTENSIONS = ("delta", "spatial", "httpfs")


@dataclass(frozen=True)
class MartReport:
    """What became of one mart: its rows, how many of them were written (0 if all were there), and its Delta version."""

    table: str
    rows: int
    written: int
    version: int | None
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def is_mart(contract: Contract) -> bool:
    """Tell whether dbt builds the table."""
    return contract.layer == "mart" and (PROJECT / f"models/{contract.domain}/{contract.entity}.sql").is_file()


def run(loading: Loading) -> list[MartReport]:
    """Build and test all dbt models and commit the marts; SY-K006 names what dbt could not build or what failed its test.

    A mart that has never had a row gets no table.
    """
    loading.progress("marts: dbt")
    present = set(loading.lake.names())
    made = computed(loading.lake, loading.contracts)
    return [_commit(loading, mart, rows) for mart, rows in made if rows.num_rows or mart.name in present]


def computed(lake: Lake, known: Mapping[str, Contract]) -> list[tuple[Contract, pa.Table]]:
    """Return the marts that have a contract with their rows, computed and tested by dbt; starts no Spark. SY-K006."""
    with tempfile.TemporaryDirectory(prefix="sanyu-marts-") as folder:
        scratch = Path(folder)
        _extensions(scratch / "extensions")
        _views(lake, known, scratch / "marts.duckdb")
        _build(lake, scratch)
        connection = _connection(lake, scratch / "marts.duckdb")
        try:
            return [
                (c, connection.execute(f"SELECT * FROM mart.{c.entity} ORDER BY ALL").to_arrow_table())
                for c in known.values()
                if is_mart(c)
            ]
        finally:
            connection.close()


def _extensions(folder: Path) -> None:
    """Lay the extensions of the installed wheels out as DuckDB looks for them."""
    import duckdb

    platform = duckdb.sql("pragma platform").fetchall()[0][0]
    home = folder / f"v{duckdb.__version__}" / platform
    home.mkdir(parents=True)
    for name in EXTENSIONS:
        (home / f"{name}.duckdb_extension").symlink_to(duck.extension(name))


def _connection(lake: Lake, database: Path) -> Any:
    connection = duck.connect(lake.store, database)
    duck.load(connection, "spatial")
    return connection


def _views(lake: Lake, known: Mapping[str, Contract], database: Path) -> None:
    """Make `core.<domain>__<entity>`: the rows that are valid and believed now; an empty table where the lake has none yet."""
    connection = _connection(lake, database)
    try:
        connection.execute("CREATE SCHEMA core")
        present = set(lake.names())
        for contract in (c for c in known.values() if c.layer == "core"):
            name = f"core.{contract.domain}__{contract.entity}"
            if contract.name in present:
                uri = lake.store.uri(contract.path, scheme="s3")
                connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {duck.scan(uri)} WHERE {LIVE}")
            else:
                empty = arrow_schema(contract).empty_table()
                connection.register("empty", empty)
                connection.execute(f"CREATE TABLE {name} AS SELECT * FROM empty")
                connection.unregister("empty")
    finally:
        connection.close()


def _build(lake: Lake, scratch: Path) -> None:
    words = ["build", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(scratch / "target")]
    secrets = lake.store.storage_options()
    done = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "--log-path", str(scratch / "logs"), *words],
        env={**os.environ, **secrets, "SANYU_MARTS": str(scratch), "DO_NOT_TRACK": "1"},
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SanyuError("SY-K006", detail=_failure(scratch / "target/run_results.json") or done.stdout.strip()[-2000:])


def _failure(results: Path) -> str:
    """Return what failed: the node and the first line of its message."""
    if not results.is_file():
        return ""
    bad = [r for r in json.loads(results.read_text("utf-8"))["results"] if r["status"] in ("error", "fail")]
    return "; ".join(f"{r['unique_id'].split('.')[2]}: {(r['message'] or r['status']).strip().splitlines()[0]}" for r in bad)


def _commit(loading: Loading, mart: Contract, rows: pa.Table) -> MartReport:
    """Bring a mart's rows into its table; equal content leaves the table as it is."""
    from jobs.mined import stamped
    from sanyu.lake.write import Write

    started = time.monotonic()
    loading.progress(f"marts: {mart.name}")
    source = f"dbt_{mart.entity}"
    batch = loading.run_id
    spark = loading.spark()
    write = Write(source, batch, loading.run_id, sequence(loading.lake.store, source, batch), mart.version)
    ready = stamped(spark.createDataFrame(rows), mart, write, loading.recorded_at, {}, None).persist()
    try:
        outcome = loading.lake.writer(spark).commit_facts(mart, ready, write, count=rows.num_rows)
    finally:
        ready.unpersist()
    return MartReport(mart.name, rows.num_rows, outcome.loaded, outcome.version, time.monotonic() - started)
