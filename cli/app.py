"""The commands of `sanyu`."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import address as addresses
from cli import keep, repair, show
from cli import mine as mining
from jobs.context import Context, new_run_id
from sanyu.leaving import INTERRUPTED, interrupted
from schemas.messages import SanyuError

if TYPE_CHECKING:
    from jobs.loading.plan import Planned

app = typer.Typer(
    name="sanyu",
    help="Sanyu (三域): the space-time lakehouse of a city.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]


@app.callback()
def _options(
    ctx: typer.Context,
    lake: Annotated[str | None, typer.Option(help="Folder or s3a://bucket/prefix of the lake.")] = None,
    sources: Annotated[str | None, typer.Option(help="Folder with city.toml and the source definitions.")] = None,
    data: Annotated[str | None, typer.Option(help="Folder that the sources' paths are relative to.")] = None,
    contracts: Annotated[str | None, typer.Option(help="Folder with your own contracts.")] = None,
    lang: Annotated[str | None, typer.Option(help="en or zh.")] = None,
) -> None:
    ctx.obj = Context({"lake": lake, "sources_dir": sources, "data_root": data, "contracts_dir": contracts, "lang": lang})


@app.command()
def sources(ctx: typer.Context, json: Json = False) -> None:
    """List the city's sources: what they read, where it goes, and their last delivery."""
    context: Context = ctx.obj
    last = context.lake.ledger.last_by_source()
    rows = [
        (s.name, s.source.title, s.read.origin, s.read.shown_format, ", ".join(i.contract for i in s.into), last.get(s.name))
        for s in context.sources.values()
    ]
    names = ("source", "title", "reads", "format", "into", "last delivery")
    if json:
        broken = [{"source": name, "error": str(error)} for name, error in context.unusable.items()]
        show.dump([*(dict(zip(names, row, strict=True)) for row in rows), *broken])
    else:
        show.table(f"{context.city.title} {context.city.title_zh}", names, rows)
        for name, error in context.unusable.items():
            show.console.print(f"[red]✗[/] {name}: {error}", highlight=False)


@app.command()
def plan(ctx: typer.Context, source: str, json: Json = False) -> None:
    """Show what `run` would do with a source, without doing it: files, rows, mapping, tables.

    Files that can't be read are listed and skipped, as in `run`; it is an error only if none can be read.
    """
    from jobs.loading.plan import planned

    context: Context = ctx.obj
    found = planned(context.loading(lambda text: None), context.source(source))
    if json:
        show.dump(found.as_dict())
    else:
        _show_plan(found)
    if not found.files:
        raise typer.Exit(3)


def _show_plan(found: Planned) -> None:
    state = "already in the lake: nothing to do" if found.is_known else "new"
    show.table(
        f"{found.source}: batch {found.batch_id} ({state})", ("file", "bytes", "format", "rows"), found.files, right=("bytes", "rows")
    )
    for name, why in found.rejected:
        show.console.print(f"✗ {name}, left out: {why}", style="yellow", highlight=False)
    for target in found.targets:
        show.table(
            f"\n→ {target.table}   key: {target.key}   where: {target.where or 'all rows'}", ("column", "type", "from"), target.columns
        )


@app.command()
def run(
    ctx: typer.Context,
    source: Annotated[list[str] | None, typer.Argument(help="Names of sources; with --resume, the id of a run.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Load every source, divisions first.")] = False,
    gate: Annotated[bool, typer.Option(help="Validate the core tables afterwards.")] = False,
    publish: Annotated[bool, typer.Option(help="Publish a release afterwards, if all gates hold.")] = False,
    resume: Annotated[bool, typer.Option(help="Go on with an unfinished run, by default the newest: do only what is left of it.")] = False,
    json: Json = False,
) -> None:
    """Load sources: land, keep raw, conform, stamp, check, merge into core. A delivery that is there already changes nothing.

    A source that fails does not stop the others. What a run has done and what is left of it is shown by `sanyu runs`.
    """
    from jobs import runs
    from sanyu.lake.runs import Runs

    context: Context = ctx.obj
    named = list(source or ())
    if resume:
        if every or gate or publish or len(named) > 1:
            raise typer.BadParameter(
                "takes the id of one run and nothing else: the run knows what it was started for", param_hint="--resume"
            )
        known = Runs(context.lake.store)
        run_id = (known.read(named[0]) if named else known.unfinished()).run_id
    else:
        names = [*context.sources, *context.unusable] if every else [context.source(name).name for name in named]
        if not names:
            raise typer.BadParameter("name a source, or --all", param_hint="SOURCE")
        goal = (*runs.LOAD, *(runs.RELEASE[:1] if gate else ()), *(runs.RELEASE if publish else ()))
        run_id = runs.begin(context, new_run_id(), goal, names).run_id
    with show.console.status("…") as status:
        found = runs.go_on(context, run_id, status.update)
    if json:
        show.dump(found.as_dict(run_id))
    else:
        show.outcome(found, run_id)
    if not found.is_ok:
        raise typer.Exit(3)


@app.command()
def runs(
    ctx: typer.Context,
    run_id: Annotated[str | None, typer.Argument(metavar="RUN_ID", help="Show one run: its tables, attempts and errors.")] = None,
    limit: Annotated[int, typer.Option(help="Newest runs to list.")] = 20,
    json: Json = False,
) -> None:
    """List the runs with what they have reached, or show one: planned, landed, loaded, gated, published, announced."""
    from sanyu.lake.runs import Runs

    context: Context = ctx.obj
    known = Runs(context.lake.store)
    if run_id is None:
        found = known.newest(limit)
        show.dump([show.run_as_dict(one) for one in found]) if json else show.run_list(found)
    else:
        one = known.read(run_id)
        show.dump(show.run_as_dict(one)) if json else show.run(one)


@app.command()
def tables(ctx: typer.Context, json: Json = False) -> None:
    """List the tables of the lake."""
    context: Context = ctx.obj
    rows = [(t.name, t.rows, t.version) for t in context.lake.tables()]
    if json:
        show.dump([{"table": n, "rows": r, "version": v} for n, r, v in rows])
    else:
        show.table(str(context.settings.lake), ("table", "rows", "version"), rows, right=("rows", "version"))


@app.command()
def describe(ctx: typer.Context, table: str, json: Json = False) -> None:
    """Show a table's contract: grain, key, columns with unit, range and codes, checks, owner."""
    from schemas.registry import find_contract

    context: Context = ctx.obj
    contract = find_contract(table, context.contracts)
    if json:
        show.dump(contract.model_dump(mode="json"))
        return
    show.console.print(f"[bold]{contract.name}[/] {contract.title_zh} (version {contract.version})\n{contract.description}")
    show.console.print(
        f"grain: {contract.grain}\nkey: {', '.join(contract.key)}   geometry: {contract.geometry.kind if contract.geometry else 'none'}"
    )
    rows = [
        (
            c.name,
            c.dtype.value,
            c.field.unit,
            "yes" if c.required else "",
            c.field.code_list,
            c.field.title_zh,
            c.description or c.field.description,
        )
        for c in contract.columns
    ]
    show.table(None, ("column", "type", "unit", "required", "codes", "中文", "meaning"), rows)
    for check in contract.checks:
        show.console.print(f"check {check.name} ({check.level}): {check.expression}", style="dim", highlight=False)


@app.command()
def ledger(ctx: typer.Context, limit: Annotated[int, typer.Option(help="Newest rows to show.")] = 40, json: Json = False) -> None:
    """Show what happened to each batch: rows in = loaded + unchanged + quarantined + duplicate."""
    context: Context = ctx.obj
    names = (
        "recorded_at",
        "step",
        "source_name",
        "table_name",
        "rows_in",
        "rows_loaded",
        "rows_unchanged",
        "rows_quarantined",
        "rows_duplicate",
        "rows_closed",
        "delta_version",
        "status",
    )
    rows = (
        context.lake.table("raw.ops__ledger")
        .to_arrow(columns=list(names))
        .sort_by([("recorded_at", "descending")])
        .slice(0, limit)
        .to_pylist()
    )
    if json:
        show.dump(rows)
    else:
        show.table(None, names, [tuple(r.values()) for r in reversed(rows)], right=names[4:11])


@app.command()
def quarantine(
    ctx: typer.Context,
    table: str,
    limit: int = 20,
    release: Annotated[str | None, typer.Option(help="Release the rows that failed only this check.")] = None,
    note: Annotated[str, typer.Option(help="Why they are released; recorded with the rows.")] = "",
    json: Json = False,
) -> None:
    """Show why rows of a table were rejected, or release those that failed only one check."""
    from jobs.loading.quarantine import listed, release_rows

    context: Context = ctx.obj
    if release:
        with show.console.status("…") as status:
            report = release_rows(context.loading(status.update), context.sources, table, release, note)
        show.dump(report) if json else _show_released(report)
        return
    reasons, rows = listed(context.lake, table, limit)
    if json:
        show.dump({"reasons": reasons, "rows": rows})
        return
    heads = ("code", "check", "field", "rows", "example")
    show.table(table, heads, [tuple(r.values()) for r in reasons], right=("rows",))
    if rows:
        show.table("\nnewest rows", ("file", "row", "source", "why"), [tuple(r.values()) for r in rows], right=("row",))
        show.console.print(f"\nrelease: sanyu quarantine {table} --release CHECK --note WHY", style="dim")


def _show_released(report: dict[str, Any]) -> None:
    show.console.print(f"{report['released']:,} rows released into {report['table']}")
    if report["left"]:
        show.console.print(f"{report['left']:,} rows stay in quarantine: a required column would be empty", style="yellow")


@app.command()
def gate(ctx: typer.Context, table: Annotated[list[str] | None, typer.Argument()] = None, json: Json = False) -> None:
    """Validate core tables with their Great Expectations suites and write the Data Docs."""
    from jobs.gate import gate_all

    context: Context = ctx.obj
    with show.console.status("…") as status:
        results = gate_all(context.loading(status.update), tuple(table or ()))
    if json:
        show.dump([r.as_dict() for r in results])
    else:
        show.gates(results)
    if any(r.failed for r in results):
        raise typer.Exit(3)


@app.command()
def publish(ctx: typer.Context, json: Json = False) -> None:
    """Publish all core tables as one release (GeoParquet that is also Delta) with a map, at the versions that pass their gates now."""
    from jobs import runs

    context: Context = ctx.obj
    run_id = runs.begin(context, new_run_id(), runs.RELEASE).run_id
    with show.console.status("…") as status:
        loading = context.loading(status.update)
        found = runs.go_on(context, run_id, status.update)
    stopped = runs.gates_failed(found, loading)
    if stopped is not None:
        show.gates(found.gates)
        raise stopped
    if json:
        show.dump(found.release)
    else:
        show.release(found.release)


@app.command()
def marts(ctx: typer.Context, json: Json = False) -> None:
    """Build the marts with dbt over the currently valid rows, test them, and commit them."""
    from jobs.marts import run

    context: Context = ctx.obj
    with show.console.status("marts") as status:
        found = run(context.loading(status.update))
    if json:
        show.dump([m.as_dict() for m in found])
    else:
        rows = [(m.table, m.rows, m.written, m.version, m.seconds) for m in found]
        show.table(None, ("table", "rows", "written", "version", "s"), rows, right=("rows", "written", "version", "s"))


@app.command()
def doctor(ctx: typer.Context, json: Json = False) -> None:
    """Check the machine: Java, jars, pins, memory, ports, isolation of untrusted files; each with its remedy."""
    from cli.doctor import checks

    context: Context = ctx.obj
    found = checks(context.settings)
    if json:
        show.dump([{"name": c.name, "ok": c.ok, "detail": c.detail, "remedy": c.remedy} for c in found])
    else:
        show.table(
            None,
            ("", "check", "found", "remedy"),
            [("[green]✓[/]" if c.ok else "[red]✗[/]", c.name, c.detail, "" if c.ok else c.remedy) for c in found],
        )
    if not all(c.ok for c in found):
        raise typer.Exit(1)


@app.command()
def demo(
    ctx: typer.Context,
    city: Annotated[str, typer.Option(help="demo, san-francisco, hangzhou, or a folder of sources.")] = "demo",
    data: Annotated[str | None, typer.Option(help="Folder of the city's files; the demo city generates its own.")] = None,
    keep: Annotated[bool, typer.Option("--keep-airflow", help="Keep Airflow and its UI running afterwards.")] = False,
) -> None:
    """Run a city from landing to a first release through Airflow, and show the results."""
    from sanyu.shipped import repository

    repository("sanyu demo")
    from cli.demo import run_demo

    raise typer.Exit(run_demo(ctx.obj.options, city, data, keep_airflow=keep))


@app.command()
def where(json: Json = False) -> None:
    """Show the folders of Sanyu's built-in chains, DAGs and source definitions, and of its packages."""
    from sanyu.shipped import FOLDERS, packages, shipped

    found = {name: str(shipped(name)) for name in FOLDERS} | {"packages": str(packages())}
    if json:
        show.dump(found)
    else:
        for name, path in found.items():
            show.console.print(f"{name:<10}{path}", soft_wrap=True, highlight=False)


@app.command()
def docs(ctx: typer.Context, check: Annotated[bool, typer.Option(help="Only check whether they are up to date.")] = False) -> None:
    """Write the files generated from the contracts: table pages, messages, codes, ODCS, dbt sources."""
    from cli.generate import generate
    from sanyu.shipped import repository

    raise typer.Exit(generate(repository("sanyu docs"), check_only=check))


mining.add_to(app)
addresses.add_to(app)
repair.add_to(app)
keep.add_to(app)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; errors that a user can act on are one line on stderr and the message's exit code."""
    signal.signal(signal.SIGTERM, interrupted)
    try:
        code = app(arguments, standalone_mode=False)  # the code of `typer.Exit` is returned instead of ending the process
        if code:
            sys.exit(code)
    except SanyuError as error:
        typer.secho(str(error), fg="red", err=True)
        sys.exit(error.exit_code)
    except typer.Exit as exit_:
        sys.exit(exit_.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        typer.secho("interrupted; the lake is as the last finished commit left it", fg="yellow", err=True)
        sys.exit(INTERRUPTED)
    except Exception as error:
        if not hasattr(error, "show"):
            raise
        error.show()
        sys.exit(getattr(error, "exit_code", 2))
