"""Output of tables and numbers for the terminal, or as JSON for programs."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from sanyu.lake.runs import STATES, Run
from schemas.messages import language

if TYPE_CHECKING:
    from jobs.gate import TableGate
    from jobs.loading.report import SourceReport
    from jobs.runs import Outcome

# A pipe or a log has no width of its own; tables are not folded for it.
console = Console(width=None if sys.stdout.isatty() else 180)
STATUS_STYLE = {"ok": "green", "warning": "yellow", "failed": "red", "held": "yellow", "unchanged": "dim"}


def dump(value: Any) -> None:
    """Print a value as JSON, one document, UTF-8."""
    console.file.write(json.dumps(value, ensure_ascii=False, indent=2, default=str) + "\n")


def say(english: str, chinese: str) -> str:
    """Return the text in the user's language."""
    return chinese if language() == "zh" else english


def table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[Any]], *, right: Sequence[str] = ()) -> None:
    """Print rows under headings; `right` names the right-aligned (numeric) columns."""
    shown = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for name in columns:
        shown.add_column(name, justify="right" if name in right else "left", no_wrap=name in right, overflow="fold")
    for row in rows:
        shown.add_row(*(number(v) for v in row))
    console.print(shown)


def number(value: Any) -> str:
    """Format a cell: grouped integers, short floats, a dash for None."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dt.datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}Z"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.1f}" if isinstance(value, float) else str(value)


def load_report(reports: Sequence[SourceReport]) -> None:
    """Print what a load did: one row per table, then everything that needs attention."""
    heads = ("source", "table", "in", "loaded", "unchanged", "quarantined", "duplicate", "ended", "version", "s", "status")
    rows: list[tuple[Any, ...]] = []
    for report in reports:
        if report.error:
            rows.append((report.source, "", *[None] * 7, report.seconds, "[red]failed[/]"))
        elif not report.is_new:
            rows.append((report.source, say("(nothing changed)", "（无变化）"), *[None] * 7, report.seconds, "[dim]unchanged[/]"))
        for t in report.targets:
            status = f"[{STATUS_STYLE[t.status]}]{t.status}[/]"
            figures = (t.rows_in, t.loaded, t.unchanged, t.quarantined, t.duplicate, t.closed, t.version, t.seconds)
            rows.append((report.source, t.table, *figures, status))
    table(None, heads, rows, right=heads[2:10])
    for report in reports:
        _notes(report)


def _notes(report: SourceReport) -> None:
    if report.error:
        console.print(f"[red]✗[/] {report.source}: {report.error}", highlight=False)
    for file in report.failed_files:
        console.print(f"[red]✗[/] {report.source}: {file}", highlight=False)
    for note in report.drift:
        console.print(f"[yellow]![/] {report.source}: {note}", highlight=False)
    for t in report.targets:
        for reason, count in sorted(t.reasons.items(), key=lambda item: -item[1])[:5]:
            text = say("quarantined", "隔离")
            console.print(f"  {t.table}: {count:,} {text}: {reason}  → sanyu quarantine {t.table}", style="dim", highlight=False)
        if t.why:
            console.print(f"[yellow]![/] {t.why}", highlight=False)
        elif t.held:
            text = say("good rows held back: too many were rejected", "合格行暂不入库：拒收比例过高")
            console.print(f"[red]✗[/] {t.table}: {t.held:,} {text}", highlight=False)


def outcome(found: Outcome, run_id: str) -> None:
    """Print what one attempt at a run has done."""
    load_report(found.reports)
    for name, error in found.errors.items():
        console.print(f"[red]✗[/] {name}: {error}", highlight=False)
    if found.gates:
        gates(found.gates)
    release(found.release)
    after = "" if found.is_ok else say(f"; what is left: sanyu run --resume {run_id}", f"；继续未完成部分：sanyu run --resume {run_id}")
    console.print(f"run {run_id}{after}", style="dim", highlight=False, soft_wrap=True)


def gates(found: Sequence[TableGate]) -> None:
    """Print the verdicts on tables and where the Data Docs are."""
    heads = ("table", "version", "expectations", "failed", "status")
    table(None, heads, [(g.table, g.version, g.expectations, g.failed, g.status) for g in found], right=heads[1:4])
    console.print(f"Data Docs: {found[0].docs}" if found else "no core tables", soft_wrap=True)


def release(made: dict[str, Any] | None) -> None:
    """Print which release was made, where one was."""
    if made:
        console.print(f"release {made['release_id']}: {made['tables']} tables, {made['rows']:,} rows ({made['state']})")
        console.print(f"map: {made['map']}", soft_wrap=True)


def run_as_dict(one: Run) -> dict[str, Any]:
    """Return a run as a program reads it: its record and how it stands."""
    items = [{**i.model_dump(mode="json"), "state": i.state} for i in one.items]
    return {**one.model_dump(mode="json"), "items": items, "status": one.status}


def run_list(found: Sequence[Run]) -> None:
    """Print the runs, newest first: how many of their items have reached each state."""
    heads = ("run", "began", "status", *STATES, "errors", "attempts", "release")
    rows = []
    for one in found:
        reached = [sum(state in i.states for i in one.items) or None for state in STATES]
        errors = sum(1 for i in one.items if i.error) or None
        released = one.release["release_id"] if one.release else None
        rows.append((one.run_id, one.began_at[:19] + "Z", _status(one.status), *reached, errors, len(one.attempts), released))
    table(None, heads, rows, right=heads[3:11])


def run(one: Run) -> None:
    """Print one run: how far each source and table has come, its attempts, and what went wrong."""
    heads = ("source", "table", "state", "reached", "in", "loaded", "quarantined", "ended", "version", "attempt")
    rows: list[tuple[Any, ...]] = []
    for i in one.items:
        figures = [i.figures.get(name) for name in ("rows_in", "loaded", "quarantined", "closed")]
        state = f"[red]{i.state}[/]" if i.error else i.state
        gate = one.gates.get(i.table)
        version = gate.version if i.version is None and gate else i.version
        rows.append((i.source or "–", i.table or "–", state, f"{i.states[i.state][:19]}Z", *figures, version, i.attempt or None))
    table(f"run {one.run_id}: {_status(one.status)}   goal: {', '.join(one.goal)}", heads, rows, right=heads[4:])
    attempts = [
        (a.number, f"{a.began_at[:19]}Z", f"{a.ended_at[:19]}Z" if a.ended_at else None, a.holder.process, a.error) for a in one.attempts
    ]
    table("\nattempts", ("", "began", "ended", "process", "stopped by"), attempts)
    if one.release:
        release(one.release)
    for i in one.items:
        if i.error:
            console.print(f"[red]✗[/] {i.source or i.table}: {i.error}", highlight=False)


def _status(status: str) -> str:
    style = {"done": "green", "running": "cyan", "failed": "red", "interrupted": "yellow"}.get(status, "dim")
    return f"[{style}]{status}[/]"
