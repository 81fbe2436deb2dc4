"""The Spark application that Airflow submits, and the small commands around it:
`python -m jobs changed|load|changes|acknowledge|gate-and-publish|chain|gazetteer|geocode`.

Settings come from the environment (`SANYU_*`), so the same command runs by hand. Standard output carries one JSON document.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from jobs.context import Context, new_run_id
from sanyu.lake.runs import run_name
from sanyu.lake.store import LocalStore
from sanyu.leaving import INTERRUPTED, interrupted, leave
from schemas.messages import SanyuError

if TYPE_CHECKING:
    from jobs.context import Loading


def changed(context: Context, arguments: argparse.Namespace) -> list[str]:
    """Return the names of sources with a delivery that is not in the lake; starts no Spark.

    A source that can't be looked at counts: the load tells what is wrong with it.
    """
    loading = context.loading(_teller(context))
    return [name for name in context.sources if _is_new(context, loading, name)]


def _is_new(context: Context, loading: Loading, name: str) -> bool:
    from jobs.loading.load import is_loaded

    try:
        return not is_loaded(loading, context.source(name))
    except Exception as error:
        sys.stderr.write(f"{name}: {error}\n")
        return True


def load(context: Context, arguments: argparse.Namespace) -> dict[str, Any]:
    """Load the named sources within a run; again, with the same run, only what is left of them or new. What is announced comes later."""
    from jobs import runs

    names = [name for name in arguments.sources.split(",") if name]
    record = runs.begin(context, run_name(arguments.run), (*runs.LOAD, "announced"), names)
    left = {item.source for item in record.left("loaded")}
    loading = context.loading(_teller(context))
    again = [name for name in names if name not in left and _is_new(context, loading, name)]
    found = runs.go_on(context, record.run_id, _teller(context), again=again, all_new=True)
    for report in found.reports:
        if report.error:
            sys.stderr.write(f"{report.trace or ''}{report.source}: {report.error}\n")
    arguments.exit_code = 0 if found.is_ok else 3
    return found.as_dict(record.run_id)


def changes(context: Context, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the tables that have changed since their last acknowledged announcement: figures, keys of partitions, positions."""
    from jobs.announce import pending

    return pending(context.lake, context.contracts)


def acknowledge(context: Context, arguments: argparse.Namespace) -> dict[str, int]:
    """Note that the scheduler has taken the events up to these positions."""
    from jobs.announce import acknowledged_all

    return acknowledged_all(context.lake, json.loads(arguments.positions))


def gate_and_publish(context: Context, arguments: argparse.Namespace) -> dict[str, Any]:
    """Validate every core table; if all hold, build the marts and publish them with the versions that were validated."""
    from jobs import runs

    record = runs.begin(context, run_name(arguments.run), runs.RELEASE)
    found = runs.go_on(context, record.run_id, _teller(context))
    stopped = runs.gates_failed(found, context.loading(_teller(context)))
    if stopped is not None:
        sys.stderr.write(f"{stopped}\n")
        arguments.exit_code = stopped.exit_code
    return found.as_dict(record.run_id)


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


def maintain(context: Context, arguments: argparse.Namespace) -> dict[str, Any]:
    """Compact tables and remove what no reader needs any more."""
    from jobs.maintain import KEEP_HOURS, maintained

    tell = _teller(context)
    found, _ = maintained(context.loading(tell), (), KEEP_HOURS, None, tell)
    return {"tables": [m.as_dict() for m in found]}


def verify(context: Context, arguments: argparse.Namespace) -> dict[str, Any]:
    """Check the whole lake; starts no Spark."""
    from jobs.verify import verified

    found, tables = verified(context.lake, context.contracts, progress=_teller(context))
    for finding in found:
        sys.stderr.write(f"{finding.where}: {finding.check}: {finding.what}. {finding.remedy}\n")
    arguments.exit_code = 3 if found else 0
    return {"tables": tables, "findings": [f.as_dict() for f in found]}


COMMANDS = {
    "changed": changed,
    "load": load,
    "changes": changes,
    "acknowledge": acknowledge,
    "gate-and-publish": gate_and_publish,
    "chain": chain,
    "gazetteer": gazetteer,
    "geocode": geocode,
    "maintain": maintain,
    "verify": verify,
}


def main() -> int:
    """Run one command; a message on stderr and its exit code on an error that a user can act on."""
    parser = argparse.ArgumentParser(prog="python -m jobs")
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--sources", default="", help="names, separated by commas")
    parser.add_argument("--tables", default="", help="names of tables, separated by commas")
    parser.add_argument("--run", default=new_run_id(), help="id of the run, as the scheduler names it")
    parser.add_argument("--positions", default="{}", help="what `changes` told of the positions, as JSON")
    parser.add_argument("--chain", default="", help="name of a chain")
    parser.add_argument("--step", default="", help="one step of it")
    parser.add_argument("--partition", default="", help="one partition of its table, such as 330106|2026-01")
    arguments = parser.parse_args(namespace=argparse.Namespace(exit_code=0))
    signal.signal(signal.SIGTERM, interrupted)
    try:
        result = COMMANDS[arguments.command](Context(), arguments)
    except SanyuError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        sys.stderr.write("interrupted; the lake is as the last finished commit left it\n")
        return INTERRUPTED
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
