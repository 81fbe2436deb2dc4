"""`sanyu repair`: make again what a lake can make again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from cli import show

if TYPE_CHECKING:
    from jobs.context import Context

commands = typer.Typer(no_args_is_help=True, help="Make again what is damaged and can be made again.")


def add_to(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(commands, name="repair")


@commands.command("release")
def repair_release(ctx: typer.Context) -> None:
    """Let release/current.json name the newest complete release again, where it is damaged or names none."""
    from sanyu.serve.release import repair_pointer

    context: Context = ctx.obj
    named = repair_pointer(context.lake)
    show.console.print("release/current.json is in order" if named is None else f"release/current.json names {named.release_id} again")
