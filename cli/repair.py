"""`sanyu repair`: recreate damaged or lost parts of a lake from the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cli import show

if TYPE_CHECKING:
    from jobs.context import Context

commands = typer.Typer(no_args_is_help=True, help="Repair damage that can be fixed from the rest of the lake.")


def add_to(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(commands, name="repair")


@commands.command("release")
def repair_release(ctx: typer.Context) -> None:
    """Make release/current.json name the newest complete release again if it is damaged or names none."""
    from sanyu.serve.release import repair_pointer

    context: Context = ctx.obj
    named = repair_pointer(context.lake)
    show.console.print("release/current.json is in order" if named is None else f"release/current.json names {named.release_id} again")


@commands.command("ledger")
def repair_ledger(ctx: typer.Context) -> None:
    """Add missing ledger rows and bridge links that are recorded in the tables' commits."""
    from sanyu.lake.repair import ledger

    context: Context = ctx.obj
    with show.console.status("repair ledger") as status:
        rows, links = ledger(context.lake, status.update)
    show.console.print(f"{rows} rows added to the ledger, {links} links to the bridge")


@commands.command("deliveries")
def repair_deliveries(ctx: typer.Context) -> None:
    """Register again the deliveries that ledger and tables know but landing has lost."""
    from sanyu.lake.repair import numbers

    context: Context = ctx.obj
    found = numbers(context.lake)
    for source, count in found.items():
        show.console.print(f"{source}: {count} deliveries registered again")
    if not found:
        show.console.print("no delivery is missing")


@commands.command("table")
def repair_table(ctx: typer.Context, table: str) -> None:
    """Set aside empty commit files that a power cut left at the end of a table's log; the next run repeats the write."""
    from sanyu.lake.repair import table as repaired

    context: Context = ctx.obj
    for key in repaired(context.lake, table, context.loading(lambda text: None).run_id):
        show.console.print(f"{key} was moved below _damaged/; sanyu run loads its content again")
