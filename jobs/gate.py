"""Validate core tables with the Great Expectations suites of their contracts; Data Docs of all tables are one site."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.context import Loading
from jobs.loading.quarantine import quarantine_name
from sanyu.lake import Lake
from sanyu.lake.store import LocalStore, Store

DOCS = "quality"
SMALL_ROWS = 500_000  # validated in this process: a Spark job for each expectation costs more than the rows


@dataclass(frozen=True)
class TableGate:
    """The verdict on one version of a table; `failures` say which expectation failed on which column, how often, with examples."""

    table: str
    version: int
    expectations: int
    failed: int
    failures: tuple[dict[str, Any], ...]
    docs: str

    @property
    def status(self) -> str:
        return "failed" if self.failed else "ok"

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "status": self.status}


def core_tables(loading: Loading) -> list[str]:
    """Return the names of the core tables that have a contract and are in the lake, sorted."""
    there = set(loading.lake.names())
    return [name for name, contract in sorted(loading.contracts.items()) if contract.layer == "core" and name in there]


def gate_all(loading: Loading, tables: tuple[str, ...] = (), seen: Callable[[TableGate], None] = lambda gate: None) -> list[TableGate]:
    """Validate the current rows of the tables given, or of all core tables that are there, each at the version of its verdict.

    `seen` is told each verdict as it is reached.
    """
    from quality.gx import gate

    docs = docs_folder(loading)
    results = []
    for name in (t for t in core_tables(loading) if not tables or t in tables):
        table = loading.lake.table(name)
        version = table.version
        small = table.count(version=version) <= SMALL_ROWS
        loading.progress(f"gate: {name} ({'in this process' if small else 'on Spark'})")
        frame = _in_memory(loading, name, version) if small else table.to_spark(version=version)
        found = gate(loading.contracts[name], frame, docs, loading.run_id, released(loading.lake, name))
        failures = tuple(asdict(f) for f in found.failed)
        results.append(TableGate(name, version, found.expectations, len(found.failed), failures, str(docs)))
        seen(results[-1])
    if not isinstance(loading.lake.store, LocalStore):
        for page in (p for p in docs.rglob("[!.]*") if p.is_file()):  # GX's hidden marks are of this machine
            loading.lake.store.upload(page, f"{DOCS}/{page.relative_to(docs).as_posix()}")
    return results


def released(lake: Lake, table: str) -> dict[str, tuple[str, ...]]:
    """Return for each field the contents (`row_hash`) that a person has accepted against a check of that field."""
    name = quarantine_name(table)
    if name not in lake.names() or "released_hash" not in lake.table(name).columns:
        return {}
    rows = lake.table(name).to_arrow(columns=["errors", "released_hash"], where="released_hash is not null").to_pylist()
    found: dict[str, set[str]] = {}
    for row in rows:
        for error in row["errors"]:
            found.setdefault(error["field"], set()).add(row["released_hash"])
    return {field: tuple(sorted(hashes)) for field, hashes in found.items()}


def _in_memory(loading: Loading, name: str, version: int) -> Any:
    """Return the current rows as pandas; instants beyond the range of nanoseconds keep their microseconds."""
    rows = loading.lake.table(name).to_arrow(version=version)
    return rows.to_pandas(timestamp_as_object=False, integer_object_nulls=True)


def docs_folder(loading: Loading) -> Path:
    """Return where Data Docs are built: in the lake, or beside the process for a lake in an object store, to be uploaded."""
    store = loading.lake.store
    return Path(store.uri(DOCS, scheme="path")) if isinstance(store, LocalStore) else local_folder(store) / DOCS


def local_folder(store: Store) -> Path:
    """Return the folder of this machine for what is made here of a lake in an object store; each lake has its own."""
    name = re.sub(r"[^A-Za-z0-9.-]+", "_", store.url.partition("://")[2])[-40:]
    return Path(".sanyu").resolve() / f"{name}-{hashlib.sha256(store.url.encode()).hexdigest()[:8]}"
