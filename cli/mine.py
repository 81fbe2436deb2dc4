"""`sanyu mine`: run a mining tool on a table of the lake. `sanyu chain`: run a sequence of tools declared in TOML."""

from __future__ import annotations

from json import loads
from pathlib import Path
from typing import Annotated, Any

import typer

from cli import show
from jobs.context import Context
from sanyu.shipped import repository
from schemas.messages import SanyuError

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
chains = typer.Typer(help="Run a declared sequence of mining tools.", no_args_is_help=True)


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})(mine)
    app.add_typer(chains, name="chain")


def mine(
    ctx: typer.Context,
    tool: Annotated[str | None, typer.Argument(help="Name of the tool; without it, list them.")] = None,
    table: Annotated[str | None, typer.Argument(help="Table of the lake.")] = None,
    where: Annotated[str | None, typer.Option(help="Condition on the rows, in DuckDB's SQL.")] = None,
    picture: Annotated[Path | None, typer.Option(help="Draw the result to this file (PNG, SVG, PDF; a density also GeoTIFF).")] = None,
    json: Json = False,
) -> None:
    """Mine a table: sanyu mine local_g core.basemap__building --value height_m --k 8; the tool's parameters are options."""
    from transforms.mining.shelf.tool import find_tool, tools

    if tool is None:
        found = tools().values()
        rows = [(t.name, t.title, t.title_zh, t.result, ", ".join(_shown(p) for p in t.parameters)) for t in found]
        names = ("tool", "title", "名称", "result", "parameters")
        show.dump([dict(zip(names, row, strict=True)) for row in rows]) if json else show.table(None, names, rows)
        return
    if table is None:
        raise typer.BadParameter("name a table", param_hint="TABLE")
    from jobs.mining.analysis import Analysis, run

    context: Context = ctx.obj
    parameters = options(ctx.args, find_tool(tool).name)
    with show.console.status("…") as status:
        report = run(context.loading(status.update), Analysis(tool, table, parameters, where))
        if picture is not None:
            _draw(context, report, picture)
    if json:
        show.dump(report.as_dict())
        return
    if report.state == "unchanged":
        show.console.print(f"{report.result_table}: nothing changed, nothing computed ({report.source_name})")
        return
    took = f"{report.seconds:.1f} s, {report.way}"
    show.console.print(f"{report.result_table}: {report.rows_out:,} rows from {report.rows_in:,} in {took} ({report.source_name})")
    after = f" after {report.changed_rows:,} changed rows" if report.changed_rows else ""
    show.console.print(f"recomputed {report.scope}{after}; {report.rows_written:,} rows written")
    show.table(None, ("metric", "value"), sorted(report.metrics.items()), right=("value",))
    show.console.print(f"patterns: {report.patterns:,} in mart.mining__pattern" if report.patterns else "no pattern")


def _draw(context: Context, report: Any, picture: Path) -> None:
    """Draw the rows of a run's result to a file; the grid of a kernel density as a cloud-optimised GeoTIFF if the file's name says so."""
    if picture.suffix.lower() in (".tif", ".tiff") and report.result_table == "mart.mining__density":
        _write_grid(context, report, picture)
        return
    from transforms.fonts import readable
    from transforms.mining.pictures.plot import plot
    from transforms.mining.shelf.tool import find_tool

    rows = context.lake.table(report.result_table).to_geopandas(where=f"source_name = '{report.source_name}'")
    tool = find_tool(report.tool)
    english = f"{tool.title}: {report.table}"
    title = readable(show.say(english, f"{tool.title_zh}：{report.table}"), english)
    plot(rows, title=title).savefig(picture, dpi=150, metadata={})


def _write_grid(context: Context, report: Any, path: Path) -> None:
    """Write the grid of a run of `kde`, newest first; what it was on stands with the run."""
    from sanyu.serve.density import write_cog
    from transforms.mining.density.kde import grid_of

    where = f"result_source = '{report.source_name}'"
    run = context.lake.table("mart.mining__run").to_arrow(["metrics", "recorded_at"], where=where).sort_by("recorded_at")
    metrics = loads(run["metrics"][-1].as_py())
    rows = context.lake.table(report.result_table).to_arrow(where=f"source_name = '{report.source_name}'")
    write_cog(grid_of(rows, metrics["cell_m"]), path, metrics["crs"])


@chains.command("list")
def list_chains(ctx: typer.Context, json: Json = False) -> None:
    """List the declared chains."""
    from jobs.mining.chain import chain_folder
    from schemas.chain import load_chains

    found = load_chains(chain_folder())
    rows = [(c.name, c.title, c.title_zh, " → ".join(s.tool for s in c.steps)) for c in found.values()]
    names = ("chain", "title", "名称", "steps")
    show.dump([dict(zip(names, row, strict=True)) for row in rows]) if json else show.table(None, names, rows)


@chains.command("run")
def run_chain(
    ctx: typer.Context,
    name: str,
    step: Annotated[str | None, typer.Option(help="Run only this step; the tables it reads must exist.")] = None,
    partition: Annotated[str | None, typer.Option(help="One partition of the chain's table, such as '330106|2026-01'.")] = None,
    truth: Annotated[
        Path | None, typer.Option(help="Folder of the demo city's truth; reports how well planted hot spots were found.")
    ] = None,
    json: Json = False,
) -> None:
    """Run a chain: each step's tool on its table, then write the page with map, table and text."""
    from jobs.mining.chain import run

    context: Context = ctx.obj
    with show.console.status("…") as status:
        report = run(context.loading(status.update), name, only=step, partition=partition)
    scores = planted(context, truth) if truth else []
    if json:
        show.dump(report.as_dict() | ({"planted": scores} if truth else {}))
        return
    rows = [
        (s["step"], s["tool"], s["rows_in"], s["rows_out"], s["rows_written"], s["patterns"], s["seconds"], s["state"], s["scope"])
        for s in report.steps
    ]
    heads = ("step", "tool", "rows in", "rows out", "written", "patterns", "s", "state", "recomputed")
    show.table(f"{report.chain}", heads, rows, right=heads[2:7])
    show_planted(scores)
    if report.page:
        show.console.print(f"page: {report.page}", soft_wrap=True)


def planted(context: Context, truth: Path) -> list[dict[str, Any]]:
    """Return precision and recall of each planted kind of hot spot in the demo city's events."""
    repository("--truth")
    from demo.events import score_of_lake
    from demo.view import load_truth

    scores: list[dict[str, Any]] = score_of_lake(context.lake, load_truth(truth)[0]["hot_spots"]).to_dict("records")
    return scores


def show_planted(scores: list[dict[str, Any]]) -> None:
    """Print the result of `planted`."""
    if scores:
        columns = tuple(scores[0])
        shown = [tuple(f"{v:.1%}" if isinstance(v, float) else f"{v}" for v in row.values()) for row in scores]
        show.table("planted hot spots", columns, shown, right=columns[1:])


def options(arguments: list[str], tool: str) -> dict[str, Any]:
    """Return `--name value`, `--name=value`, `--flag` and `--no-flag` as parameters; raises SY-N002 for unknown ones."""
    found: dict[str, Any] = {}
    rest = list(arguments)
    while rest:
        first = rest.pop(0)
        if not first.startswith("--") or len(first) == 2:
            raise SanyuError("SY-N002", tool=tool, name=first, nearest="--name value", known="options of the form --name value")
        name, has_value, value = first[2:].partition("=")
        name = name.replace("-", "_")
        if has_value:
            found[name] = value
        elif rest and not rest[0].startswith("--"):
            found[name] = rest.pop(0)
        elif name.startswith("no_"):
            found[name.removeprefix("no_")] = "false"
        else:
            found[name] = "true"
    return found


def _shown(parameter: Any) -> str:
    return f"{parameter.name}*" if parameter.required else f"{parameter.name}={parameter.default}"
