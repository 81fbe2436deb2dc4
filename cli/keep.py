"""Maintenance of a lake: `sanyu verify | restore | maintain | accept`; `sanyu repair` is in `cli.repair`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Annotated

import typer

from cli import show
from schemas.messages import SanyuError

if TYPE_CHECKING:
    from jobs.context import Context

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (verify, restore, maintain, accept):
        app.command()(command)


def verify(
    ctx: typer.Context,
    table: Annotated[list[str] | None, typer.Argument(help="Tables to check; without one, the whole lake.")] = None,
    quick: Annotated[bool, typer.Option(help="Skip checks that read every byte: checksums of data files and landed files.")] = False,
    json: Json = False,
) -> None:
    """Check the lake's integrity: logs, files, checksums, keys, ledger, bridge, landing, leases, release. Exit code 3 on findings."""
    from jobs.verify import verified

    context: Context = ctx.obj
    with show.console.status("verify") as status:
        found, checked = verified(context.lake, context.contracts, tuple(table or ()), quick=quick, progress=status.update)
    if json:
        show.dump({"tables": checked, "findings": [f.as_dict() for f in found], "is_sound": not found})
    elif found:
        show.table(None, ("where", "check", "what", "remedy"), [(f.where, f.check, f.what, f.remedy) for f in found])
    else:
        show.console.print(f"{checked} tables checked, nothing found")
    if found:
        raise typer.Exit(3)


def restore(
    ctx: typer.Context,
    table: str,
    version: Annotated[int | None, typer.Option(help="Delta version to restore.")] = None,
    at: Annotated[
        str | None, typer.Option(help="Or a time: restores the version current at that time; Beijing time unless a zone is given.")
    ] = None,
    note: Annotated[str, typer.Option(help="Reason; recorded in the ledger.")] = "",
    json: Json = False,
) -> None:
    """Restore an earlier version of a table. Deliveries loaded since are missing until `sanyu run` loads them again."""
    from sanyu.lake import restore as work

    context: Context = ctx.obj
    if (version is None) == (at is None):
        raise typer.BadParameter("give either --version or --at", param_hint="--version")
    wanted = version if version is not None else work.version_at(context.lake, table, _instant(at or ""))
    loading = context.loading(lambda text: None)
    told = {"run_id": loading.run_id, "recorded_at": loading.recorded_at, "note": note}
    done = work.restore(context.lake, table, wanted, **told, spark=loading.spark)
    if json:
        show.dump({"table": done.table, "to_version": done.to_version, "version": done.version, "out": [list(o) for o in done.out]})
        return
    show.console.print(f"{done.table} is restored to version {done.to_version} (as version {done.version})")
    for source, number in done.out:
        show.console.print(f"delivery {number} of {source} is no longer in it; sanyu run {source} loads it again", style="yellow")


def _instant(text: str) -> dt.datetime:
    try:
        at = dt.datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no ISO date or time", param_hint="--at") from None
    return at if at.tzinfo else at.replace(tzinfo=dt.timezone(dt.timedelta(hours=8)))


def maintain(
    ctx: typer.Context,
    table: Annotated[list[str] | None, typer.Argument(help="Tables; by default all.")] = None,
    keep_hours: Annotated[int, typer.Option(min=0, help="Remove files of versions older than this many hours.")] = 7 * 24,
    keep_deliveries: Annotated[
        int | None, typer.Option(min=1, help="Also remove landed files, except those of this many newest deliveries per source.")
    ] = None,
    json: Json = False,
) -> None:
    """Compact small files, write checkpoints and remove files that no reader needs any more."""
    from jobs.maintain import maintained

    context: Context = ctx.obj
    loading = context.loading(lambda text: None)
    with show.console.status("maintain") as status:
        found, removed = maintained(loading, tuple(table or ()), keep_hours, keep_deliveries, status.update)
    if json:
        show.dump({"tables": [m.as_dict() for m in found], "removed_deliveries": removed})
        return
    rows = [(m.table, m.files_before, m.files_after, m.removed) for m in found]
    show.table(None, ("table", "files before", "after", "removed from disk"), rows, right=("files before", "after", "removed from disk"))
    if removed:
        show.console.print(f"{len(removed)} landed deliveries removed")


def accept(
    ctx: typer.Context,
    source: str,
    note: Annotated[str, typer.Option(help="Why it is correct that so many rows end; recorded with the delivery.")],
    json: Json = False,
) -> None:
    """Load a delivery that was held because it would end more rows than allowed."""
    from jobs.loading.load import accept as accepted

    context: Context = ctx.obj
    if not note.strip():
        raise SanyuError("SY-L059")
    with show.console.status("…") as status:
        report = accepted(context.loading(status.update), context.source(source), note)
    if json:
        show.dump([report.as_dict()])
    else:
        show.load_report([report])
    if not report.is_ok:
        raise typer.Exit(3)
