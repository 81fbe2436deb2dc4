"""The append-only account: `raw.ops__ledger` per batch and table, `raw.ops__file` per file, `raw.ops__bridge` per entity link.

Schemas: `schemas.ops`. Grain: one row per attempt; a rerun after a failure adds rows, it corrects none. Written by delta-rs without a JVM,
and by nothing else; a flock (local) or conditional writes (S3) order the writers, so appends of several processes are all kept.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from sanyu.lake.store import Store, flocked
from schemas import ops
from schemas.messages import SanyuError
from schemas.model import Contract

if TYPE_CHECKING:
    import pyarrow as pa

_DONE = ("ok", "warning")
_STATUSES = (*_DONE, "failed", "held")
# What tells one write from another: a table's version is made by one write, and one that changed nothing is told by its batch.
_IDENTITY = ("source_name", "batch_id", "table_name", "step", "delta_version")
_COMPACT_EVERY = 100
_TRIES = 8


@dataclass(frozen=True)
class LedgerRow:
    """What one step did to one batch in one table. `recorded_at` is an ISO instant, `reasons` and `detail` are JSON.

    Of a batch that `failed` or is `held` for a decision, rows are kept back: then the parts need not sum up to `rows_in`, but may not
    exceed it.
    """

    run_id: str
    recorded_at: str
    step: str
    source_name: str
    batch_id: str
    table_name: str
    rows_in: int
    rows_loaded: int = 0
    rows_unchanged: int = 0
    rows_quarantined: int = 0
    rows_duplicate: int = 0
    rows_closed: int = 0
    reasons: str = "{}"
    delta_version: int | None = None
    seconds: float = 0.0
    status: str = "ok"
    detail: str = "{}"

    def check_balance(self) -> None:
        """Raise SY-L020 where rows in ≠ loaded + unchanged + quarantined + duplicate; nobody knows then what became of the rest."""
        if self.status not in _STATUSES:
            raise ValueError(f"status {self.status!r} is none of {_STATUSES}")
        parts = (self.rows_loaded, self.rows_unchanged, self.rows_quarantined, self.rows_duplicate)
        held = self.rows_in - sum(parts)
        if min(self.rows_in, *parts) < 0 or held < 0 or (held > 0 and self.status in _DONE):
            raise SanyuError(
                "SY-L020",
                source=self.source_name,
                batch=self.batch_id,
                table=self.table_name,
                rows_in=self.rows_in,
                loaded=self.rows_loaded,
                unchanged=self.rows_unchanged,
                quarantined=self.rows_quarantined,
                duplicate=self.rows_duplicate,
            )


@dataclass(frozen=True)
class FileRow:
    """What became of one delivered file: `status` is `ok` or `failed`, the latter with a message's `code` and text; `warnings` is JSON."""

    run_id: str
    recorded_at: str
    source_name: str
    batch_id: str
    file_name: str
    sha256: str
    size_bytes: int
    status: str
    row_count: int = 0
    rejected_count: int = 0
    parser: str | None = None
    isolation: str | None = None
    encoding: str | None = None
    crs: str | None = None
    code: str | None = None
    message: str | None = None
    message_zh: str | None = None
    warnings: str = "[]"
    columns_json: str | None = None


@dataclass(frozen=True)
class Known:
    """The writes that the ledger has a row of, and the batches that the bridge has links of: those of one are appended in one commit."""

    rows: frozenset[tuple[Any, ...]]
    links: frozenset[tuple[str, str, str]]

    def has(self, row: LedgerRow) -> bool:
        """Tell whether a write's row is there, from whichever run."""
        return tuple(getattr(row, name) for name in _IDENTITY) in self.rows

    def has_links(self, row: LedgerRow) -> bool:
        """Tell whether the links of a write's batch are in the bridge."""
        return (row.table_name, row.source_name, row.batch_id) in self.links


@dataclass(frozen=True)
class Done:
    """A delivery that was brought into a table: its number, the table's version and identifier after it, its rows' transaction time."""

    source_name: str
    table: str
    batch_id: str
    sequence: int
    version: int | None
    table_id: str | None
    recorded_at: str


class Ledger:
    """The three tables of a lake; they come into being with their first row."""

    TABLE = ops.LEDGER.name

    def __init__(self, store: Store) -> None:
        self._store = store

    def append(self, *rows: LedgerRow) -> None:
        """Record what a step did; SY-L020, and nothing recorded, where one of the rows does not balance."""
        for row in rows:
            row.check_balance()
        self._append(ops.LEDGER, [asdict(row) for row in rows])

    def append_files(self, rows: Iterable[FileRow]) -> None:
        """Record what became of files."""
        self._append(ops.FILE, [asdict(row) for row in rows])

    def append_bridge(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Record links between source keys and entities, given as mappings with the fields of the bridge's contract."""
        self._append(ops.BRIDGE, list(rows))

    def last(self, source_name: str) -> dict[str, Any] | None:
        """Return the newest row of a source, or None."""
        rows = self._select([("source_name", "=", source_name)])
        return max(rows, key=lambda row: row["recorded_at"], default=None)

    def last_by_source(self) -> dict[str, str]:
        """Return the batch that each source delivered last, by source."""
        rows = self._select(None, ["source_name", "batch_id", "recorded_at"])
        return {row["source_name"]: row["batch_id"] for row in sorted(rows, key=lambda row: row["recorded_at"])}

    def batch_state(self, source_name: str, batch_id: str, table: str, sequence: int | None = None) -> str:
        """Return `done` where this batch has been brought into this table, else `absent`.

        With a `sequence` it must be that delivery of the batch: a batch that is delivered again after another has to be loaded again.
        """
        return "done" if self.done(source_name, batch_id, table, sequence) is not None else "absent"

    def is_done(self, source_name: str, batch_id: str, table: str, sequence: int | None = None) -> bool:
        """Tell whether `batch_state` is `done`."""
        return self.batch_state(source_name, batch_id, table, sequence) == "done"

    def done(self, source_name: str, batch_id: str, table: str, sequence: int | None = None) -> Done | None:
        """Return what the newest row says that brought a delivery into a table, None where none did."""
        found = [row for row in self.deliveries_done(source_name, table) if row.batch_id == batch_id]
        return next((row for row in reversed(found) if sequence is None or row.sequence == sequence), None)

    def deliveries_done(self, source_name: str, table: str | None = None) -> list[Done]:
        """Return the deliveries of a source that were brought into a table, or into any, in the order in which that was done."""
        return self.all_done([("source_name", "=", source_name), *([("table_name", "=", table)] if table else [])])

    def all_done(self, wanted: Sequence[tuple[str, str, Any]] = ()) -> list[Done]:
        """Return the deliveries of all sources, or those that the filters take, in the order in which they were brought in."""
        steps: list[tuple[str, str, Any]] = [("step", "in", ["core", "mart", "mine", "geocode"]), ("status", "in", list(_DONE))]
        rows = self._select([*wanted, *steps], ["source_name", "table_name", "batch_id", "delta_version", "recorded_at", "detail"])
        found = []
        for row in sorted(rows, key=lambda row: (row["recorded_at"], row["delta_version"] or 0)):
            detail = json.loads(row["detail"] or "{}")
            told = (row["source_name"], row["table_name"], row["batch_id"], int(detail.get("sequence", 0)), row["delta_version"])
            at = detail.get("rows_recorded_at") or row["recorded_at"].isoformat(timespec="microseconds")
            found.append(Done(*told, detail.get("table_id"), at))
        return found

    def known(self, source_name: str | None = None) -> Known:
        """Return which writes ledger and bridge know, of one source or of all."""
        wanted = [("source_name", "=", source_name)] if source_name else None
        rows = self._select(wanted, list(_IDENTITY))
        links = self._select(wanted, ["contract", "source_name", "batch_id"], ops.BRIDGE)
        return Known(
            frozenset(tuple(row[name] for name in _IDENTITY) for row in rows),
            frozenset((link["contract"], link["source_name"], link["batch_id"]) for link in links),
        )

    def _select(
        self, filters: list[tuple[str, str, Any]] | None, columns: list[str] | None = None, contract: Contract = ops.LEDGER
    ) -> list[dict[str, Any]]:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        try:
            table = DeltaTable(self._store.uri(contract.path, "s3"), storage_options=self._store.storage_options() or None)
        except TableNotFoundError:
            return []
        # Not by delta-rs's QueryBuilder: it keeps Python's global lock while it reads, so the leases' heartbeats would stop.
        return list(table.to_pyarrow_table(columns=columns, filters=filters).to_pylist())

    def _append(self, contract: Contract, rows: Sequence[Mapping[str, Any]]) -> None:
        if not rows:
            return
        import pyarrow as pa

        from quality.arrow import arrow_schema

        schema = arrow_schema(contract)
        unknown = {name for row in rows for name in row} - set(schema.names)
        if unknown:
            raise ValueError(f"{contract.name} has no columns {sorted(unknown)}")
        typed = [{k: dt.datetime.fromisoformat(v) if k.endswith("_at") else v for k, v in row.items()} for row in rows]
        data = pa.Table.from_pylist(typed, schema=schema.remove_metadata())
        lock = self._store.host_lock(contract.path)
        with flocked(lock) if lock else contextlib.nullcontext():
            _write(self._store.uri(contract.path, "s3"), data, contract, self._store.storage_options())


def _write(uri: str, data: pa.Table, contract: Contract, options: dict[str, str]) -> None:
    """Append in one commit; tried again where another process was first to create the table or to take the version."""
    from deltalake import DeltaTable, write_deltalake
    from deltalake.exceptions import CommitFailedError, DeltaError

    for turn in range(_TRIES):
        try:
            write_deltalake(
                uri,
                data,
                mode="append",
                schema_mode="merge",  # a column that the contract gained since
                name=contract.name,
                description=contract.grain,
                configuration={"delta.appendOnly": "true"},
                storage_options=options or None,
            )
            break
        except DeltaError:
            if turn == _TRIES - 1:
                raise
            time.sleep(0.05 * 2**turn)
    table = DeltaTable(uri, storage_options=options or None)
    if table.version() and table.version() % _COMPACT_EVERY == 0:
        # Each append is a file of a few rows. That another process appends meanwhile only puts this off to the next round.
        with contextlib.suppress(CommitFailedError):
            table.optimize.compact()
