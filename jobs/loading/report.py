"""What a load did, as one reads it: a row per table with the balance, and the totals of the source."""

from __future__ import annotations

import json
import traceback
from dataclasses import asdict, dataclass, field
from typing import Any

from sanyu.lake.ledger import LedgerRow
from sanyu.landing.landing import Landed
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

    def ledger_row(self, run_id: str, recorded_at: str, source: Source, landed: Landed, sequence: int) -> LedgerRow:
        """Return the row for `raw.ops__ledger`."""
        return LedgerRow(
            run_id=run_id,
            recorded_at=recorded_at,
            step="core",
            source_name=source.name,
            batch_id=landed.batch_id,
            table_name=self.table,
            rows_in=self.rows_in,
            rows_loaded=self.loaded,
            rows_unchanged=self.unchanged,
            rows_quarantined=self.quarantined,
            rows_duplicate=self.duplicate,
            rows_closed=self.closed,
            reasons=json.dumps(self.reasons, ensure_ascii=False, sort_keys=True),
            delta_version=self.version,
            seconds=round(self.seconds, 3),
            status=self.status,
            detail=json.dumps({"sequence": sequence, "held": self.held, "warnings": self.warnings}, ensure_ascii=False, sort_keys=True),
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
        return self.error is None and all(t.status != "failed" for t in self.targets)

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
