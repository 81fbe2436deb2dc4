"""Build the marts: dbt computes them over the rows that are valid now, the lake's writer commits those that have a contract.

dbt runs on DuckDB in a process of its own, in a scratch folder; what it leaves there is a result, not a store. A failed dbt test or model
fails the job before anything is written. What each mart was made from, by dbt's manifest, stands in the ledger: the versions of the tables
that were read and the sources whose rows they had. A mart's licences follow from it, and marts whose inputs are as they were are not
computed again.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from jobs.context import Loading
from quality.arrow import arrow_schema
from quality.dbt import LIVE
from sanyu.lake import Lake, duck
from sanyu.lake.commit import Account, Outcome, Write
from sanyu.lake.deliveries import sequence
from sanyu.serve.release import Lineage, Origin
from schemas.messages import SanyuError
from schemas.model import Contract, SecurityLabel, highest
from schemas.ops import LEDGER
from transforms.stamp.digest import VERSION

PROJECT = Path(importlib.util.find_spec("transforms").submodule_search_locations[0]) / "dbt"  # type: ignore[union-attr,index]
EXTENSIONS = ("delta", "spatial", "httpfs")


@dataclass(frozen=True)
class MartReport:
    """What became of one mart: its rows, how many of them were written (0 if all were there), its Delta version, and what it is made of."""

    table: str
    rows: int
    written: int
    version: int | None
    seconds: float
    lineage: Lineage

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "lineage"}


def is_mart(contract: Contract) -> bool:
    """Tell whether dbt builds the table."""
    return contract.layer == "mart" and (PROJECT / f"models/{contract.domain}/{contract.entity}.sql").is_file()


@dataclass(frozen=True)
class Made:
    """A mart as dbt computed it. `absent` are tables that its model names and the lake did not have yet."""

    contract: Contract
    rows: pa.Table
    lineage: Lineage
    absent: tuple[str, ...]

    @property
    def source_name(self) -> str:
        return f"dbt_{self.contract.entity}"

    @property
    def detail(self) -> dict[str, Any]:
        """Return what the ledger keeps of it."""
        return {"code": _code(self.contract), "absent": self.absent, "lineage": self.lineage.model_dump(mode="json")}


def run(loading: Loading, versions: Mapping[str, int] | None = None) -> list[MartReport]:
    """Bring the marts up to date and return a report for each; SY-K006 names what dbt could not build or what failed its test.

    They are computed from the core tables at these Delta versions, and from no others; by default from all tables as they stand now.
    Where no model, contract or input has changed, neither dbt nor Spark is started. A mart that has never had a row gets no table.
    """
    lake = loading.lake
    marts = [c for c in loading.contracts.values() if is_mart(c)]
    kept = _records(lake)
    read = _current(lake, loading.contracts) if versions is None else dict(versions)
    if all(c.name in kept and _holds(lake, c, kept[c.name], read, loading.contracts) for c in marts):
        there = set(lake.names())
        return [_kept(c, kept[c.name]) for c in marts if c.name in there]
    loading.progress("marts: dbt")
    reports = [_commit(loading, made) for made in computed(lake, loading.contracts, read)]
    return [report for report in reports if report.version is not None]


def _current(lake: Lake, known: Mapping[str, Contract]) -> dict[str, int]:
    """Return the present version of each core table that is there."""
    there = set(lake.names())
    return {c.name: lake.table(c.name).version for c in known.values() if c.layer == "core" and c.name in there}


def _kept(mart: Contract, record: Mapping[str, Any]) -> MartReport:
    made = Lineage.model_validate(json.loads(record["detail"])["lineage"])
    return MartReport(mart.name, record["rows_in"], 0, record["delta_version"], 0.0, made)


def computed(lake: Lake, known: Mapping[str, Contract], versions: Mapping[str, int] | None = None) -> list[Made]:
    """Return the marts that have a contract with their rows and lineage, computed and tested by dbt; starts no Spark. SY-K006.

    The core tables are read at these versions, by default as they stand now.
    """
    read = _current(lake, known) if versions is None else versions
    with tempfile.TemporaryDirectory(prefix="sanyu-marts-") as folder:
        scratch = Path(folder)
        _extensions(scratch / "extensions")
        _views(lake, known, read, scratch / "marts.duckdb")
        _build(lake, scratch)
        named = _named(json.loads((scratch / "target/manifest.json").read_text("utf-8")))
        connection = _connection(lake, scratch / "marts.duckdb")
        try:
            return [_made(connection, c, named[c.entity], read, known) for c in known.values() if is_mart(c)]
        finally:
            connection.close()


def _made(connection: Any, mart: Contract, tables: Sequence[str], read: Mapping[str, int], known: Mapping[str, Contract]) -> Made:
    """Take a mart's rows from the scratch database, with the sources and labels of the tables and rows that its model read."""
    rows = connection.execute(f"SELECT * FROM mart.{mart.entity} ORDER BY ALL").to_arrow_table()
    inputs, labels = [], [mart.security_label]
    for table in tables:
        if table not in read:
            continue
        found = connection.execute(f"SELECT DISTINCT source_name, security_label FROM {table}").fetchall()
        inputs.append(Origin(table=table, delta_version=read[table], sources=tuple(sorted({source for source, _ in found}))))
        # A row without a label goes into no edition, and neither does what is made from it.
        labels += [known[table].security_label, *(SecurityLabel(label) if label else SecurityLabel.SECRET for _, label in found)]
    made = Lineage(made_by=f"dbt model {mart.entity}", inputs=tuple(inputs), label=highest(labels))
    return Made(mart, rows, made, tuple(table for table in tables if table not in read))


def _named(manifest: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    """Return the core tables that each model reads, itself or through other models, from dbt's manifest."""
    sources = {key: f"core.{node['name']}" for key, node in manifest["sources"].items()}

    def behind(key: str) -> set[str]:
        if key in sources:
            return {sources[key]}
        return {table for other in manifest["nodes"][key]["depends_on"]["nodes"] for table in behind(other)}

    models = {key: node for key, node in manifest["nodes"].items() if node["resource_type"] == "model"}
    return {node["name"]: tuple(sorted(behind(key))) for key, node in models.items()}


def _records(lake: Lake) -> dict[str, dict[str, Any]]:
    """Return the newest row of each mart in the ledger."""
    if LEDGER.name not in lake.names():
        return {}
    columns = ["table_name", "recorded_at", "rows_in", "delta_version", "detail"]
    rows = lake.table(LEDGER.name).to_arrow(columns=columns, where="step = 'mart'").sort_by("recorded_at").to_pylist()
    return {row["table_name"]: row for row in rows}


def _holds(lake: Lake, mart: Contract, record: Mapping[str, Any], read: Mapping[str, int], known: Mapping[str, Contract]) -> bool:
    """Tell whether a mart is what its model would make of these versions.

    It is with the same code, the same versions of its inputs, none come that was absent, and no input's contract more secret than it was.
    """
    made = json.loads(record["detail"])
    inputs = {origin["table"]: origin["delta_version"] for origin in made["lineage"]["inputs"]}
    label = SecurityLabel(made["lineage"]["label"])
    if highest((label, *(known[table].security_label for table in inputs if table in known))) != label:
        return False
    version = lake.table(mart.name).version if mart.name in set(lake.names()) else None
    same = inputs == {name: read.get(name) for name in inputs} and version == record["delta_version"]
    return made["code"] == _code(mart) and same and not set(read) & set(made["absent"])


@functools.cache
def _project() -> str:
    """Return a digest over the dbt project."""
    digest = hashlib.sha256()
    for path in sorted(p for p in PROJECT.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(PROJECT)} {hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def _code(mart: Contract) -> str:
    """Return a digest over what decides a mart's rows beside its inputs: the dbt project, the stamp and the contract."""
    return hashlib.sha256(f"{_project()} {VERSION} {mart.model_dump_json()}".encode()).hexdigest()[:16]


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


def _views(lake: Lake, known: Mapping[str, Contract], read: Mapping[str, int], database: Path) -> None:
    """Make `core.<domain>__<entity>` of the versions to read: the rows valid and believed then; an empty table where there is none.

    All is read at these versions, so that what is computed is of one state, however long it takes.
    """
    connection = _connection(lake, database)
    try:
        connection.execute("CREATE SCHEMA core")
        for contract in (c for c in known.values() if c.layer == "core"):
            if contract.name in read:
                scan = duck.scan(lake.store.uri(contract.path, scheme="s3"), read[contract.name])
                connection.execute(f"CREATE VIEW {contract.name} AS SELECT * FROM {scan} WHERE {LIVE}")
            else:
                connection.register("empty", arrow_schema(contract).empty_table())
                connection.execute(f"CREATE TABLE {contract.name} AS SELECT * FROM empty")
                connection.unregister("empty")
    finally:
        connection.close()


def _build(lake: Lake, scratch: Path) -> None:
    words = ["build", "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT), "--target-path", str(scratch / "target")]
    access = duck.access(lake.store)
    # By the environment, not by a file: the keys of an object store are for dbt's process only.
    secrets = json.dumps([{"type": "s3", **access}] if access else [])
    done = subprocess.run(
        [sys.executable, "-m", "dbt.cli.main", "--no-use-colors", "--log-path", str(scratch / "logs"), *words],
        env={**os.environ, "SANYU_MARTS": str(scratch), "SANYU_MARTS_SECRETS": secrets, "DO_NOT_TRACK": "1"},
        cwd=scratch,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SanyuError("SY-K006", detail=_failure(scratch / "target/run_results.json") or done.stdout.strip()[-2000:])


def _failure(results: Path) -> str:
    """Return what failed: the node and the beginning of its message."""
    if not results.is_file():
        return ""
    bad = [r for r in json.loads(results.read_text("utf-8"))["results"] if r["status"] in ("error", "fail")]
    return "; ".join(f"{r['unique_id'].split('.')[2]}: {' '.join((r['message'] or r['status']).split())[:300]}" for r in bad)


def _commit(loading: Loading, made: Made) -> MartReport:
    """Bring a mart's rows into its table and their lineage into the ledger; equal content leaves the table as it is."""
    from jobs.results import commit

    started = time.monotonic()
    mart, count = made.contract, made.rows.num_rows
    loading.progress(f"marts: {mart.name}")
    batch = loading.run_id
    write = Write(made.source_name, batch, loading.run_id, sequence(loading.lake.store, made.source_name, batch), mart.version)
    if count or mart.name in loading.lake.names():
        outcome = commit(loading, mart, made.rows, write, label=made.lineage.label, step="mart", detail=made.detail)[1]
    else:  # a mart that has never had a row gets no table
        outcome = Outcome()
        row = Account("mart", loading.recorded_at, count, detail=made.detail, started=started).ledger_row(write, mart.name, outcome)
        loading.lake.ledger.append(row)
    return MartReport(mart.name, count, outcome.loaded, outcome.version, time.monotonic() - started, made.lineage)
