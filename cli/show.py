"""Output of tables and numbers for the terminal, or as JSON for programs."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from jobs.loading.report import SourceReport
from schemas.messages import language

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
