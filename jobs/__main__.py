"""The Spark application that Airflow submits, and the small commands around it:
`python -m jobs changed|load|changes|gate-and-publish|chain|gazetteer|geocode`.

Settings come from the environment (`SANYU_*`), so the same command runs by hand. Standard output carries one JSON document.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from typing import Any

from jobs.context import Context
from jobs.loading.report import report_key
from sanyu.lake.store import LocalStore
from sanyu.leaving import leave
from schemas.messages import SanyuError


def changed(context: Context, arguments: argparse.Namespace) -> list[str]:
    """Return the names of sources with a delivery that is not in the lake; starts no Spark."""
    from jobs.loading.load import is_loaded

    loading = context.loading(_teller(context))
    return [s.name for s in context.sources.values() if not is_loaded(loading, s)]


def load(context: Context, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Load the named sources and keep the report for `changes`."""
    from jobs.loading.partitions import changed as changed_partitions
    from jobs.loading.run import load_all

    loading = context.loading(_teller(context))
    reports = load_all(loading, [context.source(name) for name in arguments.sources.split(",") if name], all_new=True)
    found = [r.as_dict() for r in reports]
    for report in found:
        for target in (t for t in report["targets"] if t["loaded"] or t["closed"]):
            target["partitions"] = changed_partitions(loading, target["table"], report["batch_id"])
    context.lake.store.put(report_key(arguments.report), json.dumps(found, ensure_ascii=False, default=str).encode())
    arguments.exit_code = 0 if all(r.is_ok for r in reports) else 3
    return found


def changes(context: Context, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the tables that a load changed, with their row counts and the keys of their changed partitions."""
    text = context.lake.store.get(report_key(arguments.report))
    found: dict[str, dict[str, Any]] = {}
    for target in (t for report in json.loads(text or b"[]") for t in report["targets"]):
        if target["loaded"] or target["closed"]:
            figures = found.setdefault(target["table"], {})
            for name in ("rows_in", "loaded", "quarantined", "duplicate", "closed"):
                figures[name] = figures.get(name, 0) + target[name]
            figures["partitions"] = sorted({*figures.get("partitions", ()), *target["partitions"]})
    return found


def gate_and_publish(context: Context, arguments: argparse.Namespace) -> dict[str, Any]:
    """Validate every core table; if all hold, build the marts and publish them with it."""
    from jobs.gate import gate_all
    from jobs.publish import published

    loading = context.loading(_teller(context))
    found: dict[str, Any] = {"gates": [g.as_dict() for g in gate_all(loading, ())], "release": None}
    if any(g["failed"] for g in found["gates"]):
        arguments.exit_code = 3
        return found
    found["release"] = published(loading, context.city, context.sources)
    return found


def chain(context: Context, arguments: argparse.Namespace) -> dict[str, Any]:
    """Run a chain, or one step of it, over its tables or one partition; the last step writes the page."""
    from jobs.mining.chain import run

    loading = context.loading(_teller(context))
    return run(loading, arguments.chain, only=arguments.step or None, partition=arguments.partition or None).as_dict()


def gazetteer(context: Context, arguments: argparse.Namespace) -> dict[str, Any]:
    """Build the lake's address index where its tables have changed; starts no Spark."""
    from jobs import gazetteer as job

    return job.run(context.lake, progress=_teller(context)).as_dict()


def geocode(context: Context, arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Geocode the named tables, or all that ask for it."""
    from jobs import geocode as job

    tables = tuple(name for name in arguments.tables.split(",") if name)
    return [report.as_dict() for report in job.run(context.loading(_teller(context)), tables)]


COMMANDS = {
    "changed": changed,
    "load": load,
    "changes": changes,
    "gate-and-publish": gate_and_publish,
    "chain": chain,
    "gazetteer": gazetteer,
    "geocode": geocode,
}


def main() -> int:
    """Run one command; a message on stderr and its exit code on an error that a user can act on."""
    parser = argparse.ArgumentParser(prog="python -m jobs")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--sources", default="", help="names, separated by commas")
    parser.add_argument("--tables", default="", help="names of tables, separated by commas")
    parser.add_argument("--report", default="manual")
    parser.add_argument("--chain", default="", help="name of a chain")
    parser.add_argument("--step", default="", help="one step of it")
    parser.add_argument("--partition", default="", help="one partition of its table, such as 330106|2026-01")
    arguments = parser.parse_args(namespace=argparse.Namespace(exit_code=0))
    try:
        result = COMMANDS[arguments.command](Context(), arguments)
    except SanyuError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    sys.stdout.write(json.dumps(result, ensure_ascii=False, default=str) + "\n")
    return int(arguments.exit_code)


def _teller(context: Context) -> Callable[[str], None]:
    """Return what a job tells its progress to: the log, and in a local lake a file that whoever waits can show."""
    store = context.lake.store

    def tell(text: str) -> None:
        sys.stderr.write(f"· {text}\n")
        sys.stderr.flush()
        if isinstance(store, LocalStore):
            store.put("runs/progress.txt", text.encode())

    return tell


if __name__ == "__main__":
    leave(main())
