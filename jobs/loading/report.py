"""What a load did, as one reads it: a row per table with the balance, and the totals of the source."""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass, field
from typing import Any

from sanyu.lake.ledger import LedgerRow
from schemas.messages import SanyuError
from schemas.source import Source

ERROR_CHARS, TRACE_CHARS = 500, 6000


@dataclass(frozen=True)
class TargetReport:
    """One core table's part of a batch; `rows_in` = loaded + unchanged + quarantined + duplicate + held (a failed batch holds all back)."""

    table: str
    rows_in: int
    loaded: int = 0
    unchanged: int = 0
    quarantined: int = 0
    duplicate: int = 0
    closed: int = 0
    held: int = 0
    version: int | None = None
    seconds: float = 0.0
    reasons: dict[str, int] = field(default_factory=dict)
    warnings: dict[str, int] = field(default_factory=dict)
    status: str = "ok"
    why: str = ""

    @staticmethod
    def of(row: LedgerRow) -> TargetReport:
        """Return what a row of the ledger says of a table."""
        detail = json.loads(row.detail)
        return TargetReport(
            table=row.table_name,
            rows_in=row.rows_in,
            loaded=row.rows_loaded,
            unchanged=row.rows_unchanged,
            quarantined=row.rows_quarantined,
            duplicate=row.rows_duplicate,
            closed=row.rows_closed,
            held=int(detail.get("held", 0)),
            version=row.delta_version,
            seconds=row.seconds,
            reasons=json.loads(row.reasons),
            warnings=detail.get("warnings", {}),
            status=row.status,
            why=str(detail.get("held_because", "")),
        )


@dataclass(frozen=True)
class SourceReport:
    """One source's load: files, raw rows, rows that no target selects, and the tables."""

    source: str
    batch_id: str
    files: int
    failed_files: tuple[str, ...]
    raw_rows: int
    unselected: int
    targets: tuple[TargetReport, ...]
    seconds: float
    drift: tuple[str, ...] = ()
    is_new: bool = True
    error: str | None = None
    trace: str | None = None  # of an error that is no message for users

    @property
    def is_ok(self) -> bool:
        return self.error is None and all(t.status not in ("failed", "held") for t in self.targets)

    @staticmethod
    def failed(source: Source, error: BaseException, seconds: float) -> SourceReport:
        """Return the report of a source of which nothing could be loaded."""
        if isinstance(error, SanyuError):
            return SourceReport(source.name, "", 0, (), 0, 0, (), seconds, error=str(error))
        said = str(error).strip().splitlines()
        text = f"{type(error).__name__}: {said[0][:ERROR_CHARS]}" if said else type(error).__name__
        trace = "".join(traceback.format_exception(error))[-TRACE_CHARS:]
        return SourceReport(source.name, "", 0, (), 0, 0, (), seconds, error=text, trace=trace)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)
