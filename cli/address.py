"""`sanyu address`: the address engine on the command line: match, batch, reverse, parse, extract, same, alias, build, geocode, serve.

Exit codes: 0, or 4 where a single question has no answer (so that scripts see it), or that of the message.
"""

from __future__ import annotations

import datetime as dt
import functools
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli import show
from cli.show import say
from jobs.context import Context
from schemas.messages import SanyuError, language

if TYPE_CHECKING:
    from sanyu.address.engine import AddressEngine
    from sanyu.address.tablefiles import Rows
    from transforms.address.model import Match

UNANSWERED = 4
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]
Near = Annotated[str | None, typer.Option(help="lon,lat used to choose between equally good matches.")]
Where = Annotated[str | None, typer.Option("--context", help="Division (name or 12 digits) to assume where the text names none.")]
At = Annotated[
    dt.datetime | None,
    typer.Option("--at", formats=["%Y-%m-%d"], help="Use only the names valid on this day; by default names of all times are used."),
]
address = typer.Typer(help="Place names and addresses: match, reverse, parse, compare, in batches and over HTTP.", no_args_is_help=True)
STATUS = {"M": ("matched", "匹配"), "T": ("tied", "并列"), "U": ("unmatched", "未匹配")}


def add_to(app: typer.Typer) -> None:
    """Add the commands to the command line."""
    app.add_typer(address, name="address")


@address.callback()
def _options(
    ctx: typer.Context,
    gazetteer: Annotated[Path | None, typer.Option(help="CSV or Parquet file to use as the gazetteer.")] = None,
    aliases: Annotated[Path | None, typer.Option(help="CSV or Parquet with alias, entity_id.")] = None,
    element_aliases: Annotated[Path | None, typer.Option(help="CSV or Parquet with element, level, alias.")] = None,
    index: Annotated[
        Path | None, typer.Option(help="Folder of a saved engine; if none of these is given, the lake's index is used.")
    ] = None,
) -> None:
    ctx.meta["engine"] = {"gazetteer": gazetteer, "aliases": aliases, "element_aliases": element_aliases, "index": index}


def engine_of(ctx: typer.Context) -> AddressEngine:
    """Return the engine chosen by the options: saved, built from a file, the lake's, or one with only the national divisions."""
    from sanyu.address.engine import AddressEngine

    chosen: dict[str, Path | None] = ctx.meta["engine"]
    for name, path in chosen.items():
        if path is not None and not path.exists():
            raise typer.BadParameter(say(f"there is no {path}", f"{path} 不存在"), param_hint=f"--{name.replace('_', '-')}")
    if chosen["index"] is not None:
        return AddressEngine.load(chosen["index"])
    if chosen["gazetteer"] is not None:
        return AddressEngine.build(chosen["gazetteer"], aliases=chosen["aliases"], element_aliases=chosen["element_aliases"])
    from sanyu.address import lakeindex

    context: Context = ctx.obj
    try:
        found: AddressEngine = lakeindex.open_engine(context.lake)
    except SanyuError as error:
        if error.code != "SY-A073":
            raise
        sys.stderr.write(say("no address index here: only the national divisions are known\n", "没有地址索引：仅识别全国行政区划\n"))
        found = AddressEngine.build()
    return found


@address.command()
def match(
    ctx: typer.Context, text: list[str], context: Where = None, near: Near = None, at: At = None, limit: int = 5, json: Json = False
) -> None:
    """Find the place of an address and explain each element: sanyu address match 望海区建设西路8号."""
    from sanyu.address.formats import match_record

    point = _point(near) if near else None
    engine = engine_of(ctx)
    found = [engine.match(one, context=context, near=point, limit=limit, at=at.date() if at else None) for one in text]
    if json:
        show.dump([match_record(one) for one in found])
    else:
        for one in found:
            _show_match(one)
    if any(str(one.status) != "M" for one in found):
        raise typer.Exit(UNANSWERED)


@address.command()
def batch(
    ctx: typer.Context,
    source: Annotated[str, typer.Argument(help="CSV, XLSX or Parquet file, or a table of the lake.")],
    out: Annotated[list[Path], typer.Option(help="Files to write: .csv .xlsx .parquet .geojson .gpkg .html (a map); may be repeated.")],
    column: Annotated[list[str], typer.Option(help="Column with the whole address, or several as level=column (road=街路).")],
    context: Where = None,
    at: At = None,
    workers: Annotated[int | None, typer.Option(help="Processes; by default one per core for more than 20,000 rows.")] = None,
    json: Json = False,
) -> None:
    """Match every row of a file or table; each row is returned once, in order, with its result."""
    from rich.live import Live

    from cli.address_map import MapWriter
    from sanyu.address.batch import Options, run

    rows, size = _rows(ctx, source)
    columns: Any = dict(part.split("=", 1) for part in column) if all("=" in part for part in column) else column[0]
    if isinstance(columns, str) and len(column) > 1:
        raise typer.BadParameter(say("name one column, or several as level=column", "请指定一个字段，或用 level=column 指定多个"))
    processes = workers or (os.cpu_count() or 1 if size > 20_000 else 1)
    engine = engine_of(ctx)
    with Live("…", console=show.console, auto_refresh=False, transient=True) as live:  # a thread that refreshes would rule out forks
        options = Options(
            context=context,
            at=at.date() if at else None,
            workers=processes,
            progress=lambda done: live.update(say(f"{done:,} rows", f"{done:,} 行"), refresh=True),
            writers={".html": functools.partial(MapWriter, roads=engine.road_lines())},
        )
        report = run(engine, rows, columns, out, options)
    if json:
        show.dump(report.as_dict())
        return
    show.table(None, (say("status", "状态"), say("rows", "行数")), [(_status(s), n) for s, n in sorted(report.statuses.items())])
    if report.codes:
        show.table(None, (say("code", "代码"), say("rows", "行数")), list(report.codes.items()))
    rate = report.rows / report.seconds if report.seconds else 0.0
    show.console.print(say(f"{report.rows:,} rows, {rate:,.0f} per second", f"{report.rows:,} 行，每秒 {rate:,.0f} 行"))
    for path in report.outputs:
        show.console.print(path, highlight=False)


@address.command(context_settings={"ignore_unknown_options": True})  # a western longitude begins with a minus
def reverse(
    ctx: typer.Context,
    lon: float,
    lat: float,
    crs: Annotated[str, typer.Option(help="Datum of the coordinate: EPSG code, GCJ-02 or BD-09.")] = "EPSG:4490",
    at: Annotated[dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Day of the divisions.")] = None,
    json: Json = False,
) -> None:
    """Show the division, nearest street and nearest address of a point: sanyu address reverse 120.8387 30.1919."""
    from sanyu.address.formats import reverse_record

    found = reverse_record(engine_of(ctx).reverse(lon, lat, crs=crs, at=at.date() if at else None), lon, lat)
    if json:
        show.dump(found)
    elif found["code"]:
        show.console.print(f"{found['code']}: {_message(found)}", highlight=False)
    else:
        chain = " ".join(f"{d['name']} ({d['code']})" for d in found["chain"])
        rows = [
            (say("division", "行政区划"), chain or None, None),
            (say("street", "道路"), found["road_name"], found["road_distance_m"]),
            (say("address", "地址"), found["address_text"], found["address_distance_m"]),
        ]
        show.table(None, ("", say("name", "名称"), say("distance m", "距离（米）")), rows)
    if found["code"]:
        raise typer.Exit(UNANSWERED)


@address.command()
def parse(ctx: typer.Context, text: str, json: Json = False) -> None:
    """Split an address into its elements, with offsets."""
    from sanyu.address.formats import parsed_record

    parsed = engine_of(ctx).parse(text)
    if json:
        show.dump(parsed_record(parsed))
        return
    heads = (say("level", "层级"), say("text", "原文"), say("from", "起"), say("to", "止"), say("standard", "规范"), say("code", "代码"))
    show.table(None, heads, [(e.level, e.text, e.start, e.end, e.norm, e.code) for e in parsed.elements])
    if parsed.rest:
        show.console.print(say(f"rest: {parsed.rest}", f"其余：{parsed.rest}"), highlight=False, markup=False)


@address.command()
def extract(
    ctx: typer.Context,
    text: Annotated[str | None, typer.Argument(help="The text; without it, standard input is read.")] = None,
    json: Json = False,
) -> None:
    """Find the toponyms and addresses in running text, with offsets."""
    from sanyu.address.formats import extract_record

    found = engine_of(ctx).extract(sys.stdin.read() if text is None else text)
    if json:
        show.dump([extract_record(one) for one in found])
        return
    heads = (say("from", "起"), say("to", "止"), say("text", "原文"), say("status", "状态"), say("standard", "标准地址"))
    show.table(None, heads, [(e.start, e.end, e.text, _status(str(e.match.status)), e.match.standard) for e in found])


@address.command()
def same(ctx: typer.Context, first: str, second: str, json: Json = False) -> None:
    """Compare two addresses: same, partial or different."""
    from sanyu.address.formats import same_record

    said = engine_of(ctx).same(first, second)
    if json:
        show.dump(same_record(said))
        return
    words = {"same": "相同", "partial": "部分相同", "different": "不同"}
    show.console.print(say(str(said.relation), words[str(said.relation)]))
    heads = (say("level", "层级"), say("first", "前者"), say("second", "后者"), say("says", "判断"))
    show.table(None, heads, [(r.level, r.asked, r.found, r.code) for r in said.reasons])


@address.command()
def alias(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="The other name.")],
    entity: Annotated[str | None, typer.Option(help="entity_id of the thing that the name stands for.")] = None,
    element: Annotated[str | None, typer.Option(help="Name of the road, place, community or division that the alias stands for.")] = None,
    level: Annotated[str | None, typer.Option(help="Level of the element, if two levels share its name.")] = None,
    kind: Annotated[str | None, typer.Option(help="short, former, english, dish, …")] = None,
) -> None:
    """Add another name to the lake's index (or to --index); it takes effect at once, without a rebuild."""
    if (entity is None) == (element is None):
        raise typer.BadParameter(say("give either --entity or --element", "请给出 --entity 或 --element 之一"))
    engine_of(ctx).add_alias(name, entity_id=entity, element=element, level=level, kind=kind)
    show.console.print(f"{name} → {entity or element}", highlight=False, markup=False)


@address.command()
def build(
    ctx: typer.Context,
    out: Annotated[
        Path | None, typer.Option(help="Folder for the engine built from --gazetteer; by default the lake's index is built.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Build even if no table has changed.")] = False,
    json: Json = False,
) -> None:
    """Build the index from the lake's own tables, or from --gazetteer into a folder."""
    if out is not None:
        if ctx.meta["engine"]["gazetteer"] is None:
            raise typer.BadParameter(say("--out needs --gazetteer", "--out 需要 --gazetteer"))
        engine_of(ctx).save(out)
        show.dump({"path": str(out)}) if json else show.console.print(str(out), highlight=False)
        return
    from jobs import gazetteer

    context: Context = ctx.obj
    with show.console.status("…") as status:
        report = gazetteer.run(context.lake, progress=status.update, force=force)
    if json:
        show.dump(report.as_dict())
        return
    show.table(None, (say("kind", "类别"), say("rows", "行数")), sorted(report.kinds.items()))
    made = say(
        f"{report.state}: {report.shards_made} of {report.shards} districts built",
        f"{report.state}：重建 {report.shards_made}/{report.shards} 个区县",
    )
    show.console.print(f"{report.index_id} {made} ({report.seconds:.1f} s)", highlight=False)


@address.command()
def geocode(
    ctx: typer.Context,
    table: Annotated[
        list[str] | None, typer.Argument(help="Tables of the lake; by default every table whose contract asks for geocoding.")
    ] = None,
    json: Json = False,
) -> None:
    """Match the rows that have an address but no geometry; only new or changed rows are processed."""
    from jobs import geocode as job

    context: Context = ctx.obj
    with show.console.status("…") as status:
        reports = job.run(context.loading(status.update), tuple(table or ()))
    if json:
        show.dump([report.as_dict() for report in reports])
        return
    heads = ("table", "rows", "asked", "kept", "matched", "tied", "unmatched", "s", "state")
    listed = [(r.table, r.rows, r.asked, r.kept, r.matched, r.tied, r.unmatched, r.seconds, r.state) for r in reports]
    show.table(None, heads, listed, right=heads[1:8])


@address.command()
def serve(
    ctx: typer.Context,
    host: Annotated[str, typer.Option(help="Address to listen on; addresses other than loopback need a key.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8090,
    key_env: Annotated[str | None, typer.Option(help="Name of the environment variable that holds the API key.")] = None,
    per_second: Annotated[float, typer.Option(min=0.1, help="Requests per second and client.")] = 200.0,
    most: Annotated[int, typer.Option(min=1, max=100_000, help="Maximum number of addresses in one call.")] = 1000,
) -> None:
    """Serve the engine over HTTP; see /docs for the API and examples."""
    from sanyu.address.service import Limits, key_of_environment
    from sanyu.address.service import serve as run

    key_of_environment(key_env)
    engine = engine_of(ctx)
    show.console.print(f"http://{host}:{port}/docs", highlight=False)
    limits = Limits(addresses=most, per_second=per_second, burst=max(1, int(2 * per_second)))
    run(engine, host=host, port=port, key_env=key_env, limits=limits)


def _rows(ctx: typer.Context, source: str) -> tuple[Rows, int]:
    """Return the rows of a file, or of the lake's table with that name, and their approximate number."""
    from sanyu.address.tablefiles import rows_of, table_rows

    path = Path(source)
    if path.is_file():
        return rows_of(path), path.stat().st_size // 80
    context: Context = ctx.obj
    if path.suffix.lower() in (".csv", ".xlsx", ".parquet", ".txt", ".tsv"):
        raise typer.BadParameter(say(f"there is no {source}", f"{source} 不存在"), param_hint="SOURCE")
    found = context.lake.table(source)
    table = found.to_arrow([name for name in found.columns if name not in ("bbox", "geom", "cell")])
    return table_rows(source, table), table.num_rows


def _show_match(found: Match) -> None:
    show.console.print(f"[bold]{_status(str(found.status))}[/] {found.score:g}  {found.standard or found.query[:80]}", highlight=False)
    if found.code:
        text = found.message_zh if language() == "zh" else found.message
        show.console.print(f"{found.code}: {text}", highlight=False, markup=False)
    facts = [("", found.precision), ("", found.division_code), ("", found.grid_code), ("id", found.entity_id)]
    place = f"{found.lon:.7f} {found.lat:.7f}" if found.lon is not None and found.lat is not None else None
    told = [place, *(f"{name} {value}".strip() for name, value in facts if value)]
    show.console.print("  ".join(part for part in told if part), style="dim", highlight=False, markup=False)
    heads = (say("level", "层级"), say("asked", "原文"), say("found", "结果"), say("says", "判断"))
    if found.reasons and not found.code:
        show.table(None, heads, [(r.level, r.asked, r.found, r.code) for r in found.reasons])
    if found.candidates:
        show.table(None, (say("candidates", "可能是"), say("division", "区划")), [(c.standard, c.division_code) for c in found.candidates])


def _status(status: str) -> str:
    return f"{status} {say(*STATUS[status])}"


def _message(record: dict[str, Any]) -> str:
    return str(record["message_zh"] if language() == "zh" else record["message"])


def _point(text: str) -> tuple[float, float]:
    try:
        lon, lat = (float(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(say("write lon,lat in degrees", "请写作 经度,纬度（度）"), param_hint="--near") from None
    return lon, lat
