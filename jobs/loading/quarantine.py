"""The quarantine as a person works with it: why rows are there, and taking in those that failed one check, by decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from jobs.context import Loading
from jobs.loading.load import definition_of, release
from sanyu.lake import Lake
from schemas.messages import SanyuError, language
from schemas.source import Source

Row = dict[str, Any]


def quarantine_name(table: str) -> str:
    """Return the quarantine table of a core table; either name is accepted."""
    return "quarantine." + table.split(".", 1)[-1]


def listed(lake: Lake, table: str, limit: int) -> tuple[list[Row], list[Row]]:
    """Return the open rows of a quarantine table: counts by reason with an example each, and the newest rows."""
    text = "message_zh" if language() == "zh" else "message"
    rows = sorted(_waiting(lake, table), key=lambda r: (r["recorded_at"], r["file_name"], r["row_number"]), reverse=True)
    reasons: Counter[tuple[str, str, str]] = Counter()
    examples: dict[tuple[str, str, str], str] = {}
    for error in (e for row in rows for e in row["errors"]):
        reason = (error["code"], error["check"], error["field"])
        reasons[reason] += 1
        examples[reason] = error[text]
    summary = [
        {"code": code, "check": check, "field": field, "rows": count, "example": examples[code, check, field]}
        for (code, check, field), count in reasons.most_common()
    ]
    newest = [
        {"file": r["file_name"], "row": r["row_number"], "source": r["source_name"], "why": " · ".join(e[text] for e in r["errors"])}
        for r in rows[:limit]
    ]
    return summary, newest


def release_rows(loading: Loading, sources: Mapping[str, Source], table: str, check: str, note: str) -> Row:
    """Load the quarantined rows of a table that failed only `check`, with that check waived; SY-Q011 if there are none.

    A value that is there, but not in its list or range, is taken in as it was delivered. One that could not be made out at all leaves the
    column empty; where the column is required such a row stays, counted as `left`, and SY-Q012 says what to do if no other can be released.
    """
    core = "core." + quarantine_name(table).split(".", 1)[1]
    waiting = [r for r in _waiting(loading.lake, table) if {e["check"] for e in r["errors"]} == {check}]
    if not waiting:
        raise SanyuError("SY-Q011", table=table, check=check)
    required = loading.contracts[core].required
    batches = sorted({(r["source_name"], r["batch_id"]) for r in waiting})
    known = {key: definition_of(loading, sources.get(key[0]), key[0], core, key[1]) for key in batches}
    empty = {id(r): field for r in waiting if (field := _left_empty(r, known[r["source_name"], r["batch_id"]], core, required)) is not None}
    ready = [r for r in waiting if id(r) not in empty]
    if not ready:
        raise _no_value([r for r in waiting if empty[id(r)] == empty[id(waiting[0])]], empty[id(waiting[0])], core, check)
    released = 0
    for key in batches:
        rows = [(r["file_name"], r["row_number"]) for r in ready if (r["source_name"], r["batch_id"]) == key]
        if rows:
            released += release(loading, known[key], core, key[1], rows, check, note)
    return {"table": core, "check": check, "released": released, "left": len(empty), "note": note}


def _left_empty(row: Row, source: Source, table: str, required: Sequence[str]) -> str | None:
    """Return the required column that would have no value though that was not waived; None where all have one."""
    rules = next(into for into in source.into if into.contract == table).rules
    for error in (e for e in row["errors"] if e["field"] in required):
        rule = rules.get(error["field"])
        is_unknown = rule is not None and rule.codes and rule.default is None and error["value"] not in rule.codes
        if error["check"] == "type" or (error["check"] == "code" and is_unknown):
            return str(error["field"])
    return None


def _no_value(rows: Sequence[Row], field: str, table: str, check: str) -> SanyuError:
    """Return the error that names the values that could not be made out, the commonest first."""
    counts = Counter(e["value"] or "-" for r in rows for e in r["errors"] if e["field"] == field)
    values = ", ".join(f"{value!r} ({count})" for value, count in counts.most_common(5))
    names = ", ".join(sorted({r["source_name"] for r in rows}))
    return SanyuError("SY-Q012", table=table, check=check, field=field, rows=len(rows), values=values, source=names)


def _waiting(lake: Lake, table: str) -> list[Row]:
    name = quarantine_name(table)
    if name not in lake.names():
        return []
    columns = ["source_name", "batch_id", "file_name", "row_number", "errors", "recorded_at"]
    found: list[Row] = lake.table(name).to_arrow(columns=columns, where="released_at is null").to_pylist()
    return found
