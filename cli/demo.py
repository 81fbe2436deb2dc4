"""`sanyu demo`: a whole city, from its files to its first release, through Airflow, with a summary for checking the result."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.markup import escape
from rich.status import Status

from cli import show
from cli.mine import planted, show_planted
from demo.airflow import LocalAirflow, RunEvent
from demo.city import generate
from demo.score import Score, score
from jobs.context import Context
from sanyu.lake.runs import Runs, run_name
from sanyu.shipped import shipped
from schemas.chain import load_chains
from schemas.city import CITY_FILE
from schemas.messages import SanyuError

WORK = Path(".sanyu")
LOAD, RELEASE = "city", "release"
RELEASE_PATIENCE_S = 90
SECONDS_BETWEEN_LINES = 15  # between progress lines if the output is not a terminal with a status line


@dataclass
class Demo:
    """One run of the demo: the context with lake and settings, the city, and the console that reports progress."""

    context: Context
    city: str
    console: Console
    status: Status
    started: float
    failed: bool = False

    def say(self, text: str) -> None:
        """Print a line with the time since the start."""
        self.console.print(f"[dim]{time.monotonic() - self.started:6.0f} s[/]  {text}", highlight=False)

    def event(self, event: RunEvent) -> None:
        """Print tasks that ended or failed; running tasks are shown in the status line."""
        if event.task is None:
            return
        if event.state in ("success", "failed", "skipped", "up_for_retry"):
            colour = {"success": "green", "skipped": "dim"}.get(event.state, "red")
            took = f" after {event.seconds:.0f} s" if event.seconds else ""
            self.say(f"{event.dag}.{event.task} [{colour}]{event.state}[/]{took}")


def sources_folder(city: str) -> Path:
    """Return the folder of a city's sources: one that comes with Sanyu by its name, else the user's own by its path."""
    known = shipped("sources") / city
    return known if (known / CITY_FILE).is_file() else Path(city)


def run_demo(options: Mapping[str, Any], city: str, data: str | None, *, keep_airflow: bool) -> int:
    """Run the city and print the summary; return the exit code: 0, or 3 if a table or the score failed."""
    console = show.console
    folder = sources_folder(city)
    if not (folder / "city.toml").is_file():
        raise SanyuError("SY-D004", folder=str(folder))
    generated = city == "demo" and data is None
    if data is None and not generated:
        raise SanyuError("SY-M010", city=city)
    lake = options.get("lake") or str(Path("lake") / folder.name)
    work = WORK / "demo-city"
    chosen = {
        "lake": str(Path(lake).resolve()) if "://" not in lake else lake,
        "sources_dir": str(folder.resolve()),
        "data_root": str((work / "data" if generated else Path(str(data))).resolve()),
        "city": folder.name,
        "contracts_dir": options.get("contracts_dir"),
        "lang": options.get("lang"),
    }
    context = Context(chosen)
    with console.status("…") as status, ThreadPoolExecutor(1, thread_name_prefix="generator") as pool:
        demo = Demo(context, folder.name, console, status, time.monotonic())
        editions = _first_editions(work) if generated else (None,)
        chains = _chains(folder.name)
        # An edition is generated while Airflow starts or the previous one is loaded, since both leave a core idle half of the time.
        making = pool.submit(_generated, work, editions[0])
        # Geocoding stays disabled, because it would run a second Spark session next to the release's.
        home, dags = WORK / "airflow" / folder.name, (LOAD, RELEASE, *(f"chain_{name}" for name in chains))
        with LocalAirflow(context.settings, home, shipped("dags"), only=dags) as airflow, _progress(demo):
            demo.say(f"Airflow is up at {airflow.url}")
            scores: dict[int, Score] = {}
            for edition, after in zip(editions, (*editions[1:], None), strict=True):
                if edition:
                    demo.status.update(f"generating the demo city, edition {edition}")
                    making.result()
                    _deliver(demo, work, edition)
                    making = pool.submit(_generated, work, after)
                is_changed = _load(demo, airflow)
                if edition == editions[-1]:
                    _mine(demo, airflow, chains, again=is_changed)
                if generated:  # score each edition while it is the newest, because fact tables keep no history
                    is_mined = bool(chains) and edition == editions[-1]
                    scores[edition or 2] = score(context.lake, work / "truth" / str(edition or 2), mined=is_mined)
            status.stop()
            code = _summary(demo, scores, chains)
            if keep_airflow:
                _wait(console, airflow)
    return code


def _first_editions(work: Path) -> tuple[Literal[1, 2] | None, ...]:
    """Return the editions of the generated city still to be delivered; none after the second, so that a second demo changes nothing."""
    return (None,) if (work / "truth" / "2").is_dir() else (1, 2)


def _generated(work: Path, edition: Literal[1, 2] | None) -> None:
    """Generate an edition of the demo city next to the delivered one; None means there is nothing to do."""
    if edition:
        fresh = _fresh(work, edition)
        shutil.rmtree(fresh, ignore_errors=True)
        generate(fresh, edition=edition)


def _fresh(work: Path, edition: int) -> Path:
    return work / f"edition-{edition}"


def _deliver(demo: Demo, work: Path, edition: Literal[1, 2]) -> None:
    """Move a generated edition of the demo city to where its sources read, replacing the previous one, and keep its truth."""
    fresh = _fresh(work, edition)
    shutil.rmtree(work / "data", ignore_errors=True)
    (fresh / "data").rename(work / "data")
    truth = work / "truth" / str(edition)
    shutil.rmtree(truth, ignore_errors=True)
    truth.parent.mkdir(parents=True, exist_ok=True)
    (fresh / "truth").rename(truth)
    fresh.rmdir()
    demo.say(f"demo city, edition {edition}, was delivered to {work / 'data'}")


def _chains(city: str) -> tuple[str, ...]:
    """Return the chains of this city, except those that run by partition."""
    return tuple(chain.name for chain in load_chains(shipped("chains")).values() if chain.city == city and chain.partition is None)


def _mine(demo: Demo, airflow: LocalAirflow, chains: tuple[str, ...], *, again: bool) -> None:
    """Run the city's chains if its tables have changed or a chain's page is missing."""
    for name in chains:
        if again or not demo.context.lake.store.exists(_page(name)):
            airflow.trigger(f"chain_{name}")
            airflow.follow([f"chain_{name}"], demo.event)


def _page(chain: str) -> str:
    return f"chain/{chain}/index.html"


def _load(demo: Demo, airflow: LocalAirflow) -> bool:
    """Run the city's DAG, wait for the release that changes trigger, and return whether there were any changes."""
    before = _release_runs(airflow)
    run_id = airflow.trigger(LOAD)
    try:
        airflow.follow([LOAD], demo.event)
    except SanyuError as error:
        if error.code != "SY-E032":
            raise
        demo.say(f"[red]✗[/] {escape(str(error))}")  # what could be loaded is released all the same
        demo.failed = True
    if not _has_changed(demo, run_name(f"{LOAD}__{run_id}")):
        demo.say("nothing changed: every delivery is in the lake already")
        return False
    deadline = time.monotonic() + RELEASE_PATIENCE_S
    while _release_runs(airflow) == before and time.monotonic() < deadline:
        time.sleep(1)
    airflow.follow([RELEASE], demo.event)
    return True


def _has_changed(demo: Demo, run_id: str) -> bool:
    """Tell whether a run of the city's DAG has changed rows of a table; one that had nothing to load has no record."""
    runs = Runs(demo.context.lake.store)
    items = runs.read(run_id).items if run_id in runs.ids() else ()
    return any(item.figures.get("loaded") or item.figures.get("closed") for item in items)


def _release_runs(airflow: LocalAirflow) -> int:
    return len(airflow.api.listed(f"/dags/{RELEASE}/dagRuns", "dag_runs"))


@contextmanager
def _progress(demo: Demo) -> Iterator[None]:
    """Show the running Spark job's progress in the status line or, in a log file, as an occasional line."""
    stop = threading.Event()
    file = Path(demo.context.settings.lake) / "runs" / "progress.txt"
    begun_at = time.time()

    def watch() -> None:
        said, last = "", time.monotonic()
        while not stop.wait(1):
            if file.is_file() and file.stat().st_mtime > max(begun_at, time.time() - 120):
                text = file.read_text("utf-8", errors="replace").strip()
                demo.status.update(f"{time.monotonic() - demo.started:.0f} s  {text}")
                if not demo.console.is_terminal and text != said and time.monotonic() - last >= SECONDS_BETWEEN_LINES:
                    said, last = text, time.monotonic()
                    demo.say(f"· {escape(text)}")

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _summary(demo: Demo, scores: Mapping[int, Score], chains: tuple[str, ...]) -> int:
    """Print the ledger, the scores where the truth is known, and the paths of the results."""
    from sanyu.serve.release import current

    context, console = demo.context, demo.console
    columns = ["source_name", "table_name", "rows_in", "rows_loaded", "rows_unchanged", "rows_quarantined", "rows_duplicate", "rows_closed"]
    columns += ["delta_version", "status"]
    rows = in_order(context.lake.table("raw.ops__ledger").to_arrow(columns=[*columns, "recorded_at"]).to_pylist(), list(context.sources))
    heads = ("source", "table", "in", "loaded", "unchanged", "quarantined", "duplicate", "ended", "version", "status")
    console.print()
    show.table(None, heads, [tuple(r[c] for c in columns) for r in rows], right=heads[2:9])
    code = 3 if demo.failed or any(r["status"] == "failed" for r in rows) else 0
    for edition, found in scores.items():
        console.print(f"\n[bold]score against the planted truth, edition {edition}[/]")
        show.table(None, ("measure", "found", "expected", "figure", ""), found.rows())
        code = code if found.passed else 3
    if scores and chains:
        console.print()
        show_planted(planted(context, WORK / "demo-city" / "truth" / "2"))
    release = current(context.lake)
    lake = Path(context.settings.lake)
    console.print()
    if release is not None:
        console.print(f"release     {release.release_id}: {len(release.tables)} tables, {sum(t.rows for t in release.tables):,} rows")
        console.print(f"map         {lake / release.path / 'map.html'}", soft_wrap=True)
    console.print(f"Data Docs   {lake / 'quality' / 'index.html'}", soft_wrap=True)
    console.print(f"lake        {lake}   (sanyu --lake {lake} tables)", soft_wrap=True)
    for name in chains:
        if context.lake.store.exists(_page(name)):
            console.print(f"{'chain':<11} {lake / _page(name)}", soft_wrap=True)
    console.print(f"took        {time.monotonic() - demo.started:.0f} s")
    return code


def in_order(rows: list[dict[str, Any]], sources: Sequence[str]) -> list[dict[str, Any]]:
    """Return the ledger's rows by run, then in loading order with marts last; marts without rows are left out."""
    position = {name: number for number, name in enumerate(sources)}
    told = [row for row in rows if row["rows_in"] or row["delta_version"] is not None or row["status"] == "failed"]
    return sorted(told, key=lambda row: (row["recorded_at"], position.get(row["source_name"], len(position)), row["table_name"]))


def _wait(console: Console, airflow: LocalAirflow) -> None:
    console.print(f"\nAirflow keeps running at {airflow.url}; press Ctrl-C to stop it")
    try:
        while True:
            time.sleep(3600)
    except KeyboardInterrupt:
        console.print("stopping Airflow")
