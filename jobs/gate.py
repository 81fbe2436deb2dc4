"""Validate core tables with the Great Expectations suites of their contracts; Data Docs of all tables are one site."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.context import Loading
from jobs.loading.quarantine import quarantine_name
from sanyu.lake import Lake
from sanyu.lake.store import LocalStore

DOCS = "quality"
SMALL_ROWS = 500_000  # validated in this process: a Spark job for each expectation costs more than the rows


@dataclass(frozen=True)
class TableGate:
    """The verdict on one table; `failures` say which expectation failed on which column, how often, with examples."""

    table: str
    expectations: int
    failed: int
    failures: tuple[dict[str, Any], ...]
    docs: str

    @property
    def status(self) -> str:
        return "failed" if self.failed else "ok"

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "status": self.status}


def gate_all(loading: Loading, tables: tuple[str, ...] = ()) -> list[TableGate]:
    """Validate the current rows of the tables given, or of all core tables that are there."""
    from quality.gx import gate

    docs = docs_folder(loading)
    there = set(loading.lake.names())
    results = []
    for name, contract in sorted(loading.contracts.items()):
        if contract.layer != "core" or name not in there or (tables and name not in tables):
            continue
        small = loading.lake.table(name).count() <= SMALL_ROWS
        loading.progress(f"gate: {name} ({'in this process' if small else 'on Spark'})")
        frame = _in_memory(loading, name) if small else loading.lake.table(name).to_spark()
        found = gate(contract, frame, docs, loading.run_id, released(loading.lake, name))
        results.append(TableGate(name, found.expectations, len(found.failed), tuple(asdict(f) for f in found.failed), str(docs)))
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


def _in_memory(loading: Loading, name: str) -> Any:
    """Return the current rows as pandas; instants beyond the range of nanoseconds keep their microseconds."""
    return loading.lake.table(name).to_arrow().to_pandas(timestamp_as_object=False, integer_object_nulls=True)


def docs_folder(loading: Loading) -> Path:
    """Return where Data Docs are built: in the lake, or beside the process for a lake in an object store, to be uploaded."""
    store = loading.lake.store
    return Path(store.uri(DOCS, scheme="path")) if isinstance(store, LocalStore) else Path(".sanyu").resolve() / DOCS
