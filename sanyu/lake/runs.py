"""Runs: what a load, a gate and a release set out to do and how far they have come, as records of the lake.

`runs/<run id>/run.json` is one run, changed by compare-and-swap only, so that no process erases what another has noted. A run has items,
one for each source and table (no source for tables that a run gates and publishes without loading them), and each item the states that it
has reached, with their times. States are only ever added, except that a table which is loaded again has not been gated in that version yet.
Attempts are appended: what one reported stays when the next fails.

The record says what has been noted, the tables and the ledger say what is true. Every step is idempotent, so a state that was reached and
not noted costs a look, and no more.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import difflib
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

from pydantic import Field, ValidationError

from sanyu.lake.store import Store
from sanyu.processes import ProcessName, this_process
from schemas.messages import SanyuError
from schemas.model import Frozen

FOLDER = "runs"
KEEP = 200
_TRIES = 60
State = Literal["planned", "landed", "loaded", "gated", "published", "announced"]
STATES: tuple[State, ...] = ("planned", "landed", "loaded", "gated", "published", "announced")
Status = Literal["done", "running", "interrupted", "failed", "open"]


class Item(Frozen):
    """One source and one table of a run; `states` are instants (ISO, UTC) by the state reached, `version` is Delta's after the load.

    `table` is empty where a source's definition could not be read, `source` where the run does not load.
    """

    source: str
    table: str
    states: dict[State, str]
    batch_id: str = ""
    version: int | None = None
    figures: dict[str, int] = Field(default_factory=dict)
    error: str | None = None
    attempt: int = 0

    @property
    def state(self) -> State:
        """Return the furthest state."""
        return max(self.states, key=STATES.index)


class Gate(Frozen):
    """What the gates said of one version of a table: the number of expectations and of those that do not hold."""

    version: int
    expectations: int
    failed: int
    at: str


class Holder(Frozen):
    """The process of an attempt."""

    host: str
    machine: str
    pid: int
    started: str | None

    @property
    def process(self) -> ProcessName:
        return ProcessName(self.host, self.machine, self.pid, self.started)


class Attempt(Frozen):
    """One process at work on a run, with what it reported; `ended_at` is None while it works, and stays None where it was killed."""

    number: int
    began_at: str
    holder: Holder
    ended_at: str | None = None
    error: str | None = None
    reports: tuple[dict[str, Any], ...] = ()


class Run(Frozen):
    """A run as its record has it. `goal` are the states that its items are to reach; `release` is what it published."""

    run_id: str
    began_at: str
    city: str
    goal: tuple[State, ...]
    items: tuple[Item, ...]
    attempts: tuple[Attempt, ...] = ()
    gates: dict[str, Gate] = Field(default_factory=dict)
    release: dict[str, Any] | None = None

    def left(self, state: State) -> tuple[Item, ...]:
        """Return the items that are to reach a state and have not."""
        return tuple(i for i in self.items if state not in i.states) if state in self.goal else ()

    @property
    def is_done(self) -> bool:
        return not any(self.left(state) for state in self.goal)

    @property
    def status(self) -> Status:
        """Return how the run stands; `open` waits for its next step, `interrupted` lost its process in the middle of one."""
        if self.is_done:
            return "done"
        last = self.attempts[-1] if self.attempts else None
        if last is not None and last.ended_at is None:
            return "interrupted" if last.holder.process.is_alive() is False else "running"
        return "failed" if any(i.error for i in self.items) or (last is not None and last.error) else "open"

    def item(self, source: str, table: str) -> Item | None:
        """Return the item of a source and a table."""
        return next((i for i in self.items if (i.source, i.table) == (source, table)), None)


def run_name(text: str) -> str:
    """Return an id that files, pages and addresses can bear; schedulers put `:` and `+` into theirs."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", text).lstrip("._") or "run"


class Runs:
    """The runs of a lake."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def start(self, run_id: str, city: str, goal: Iterable[State], items: Iterable[tuple[str, str]]) -> Run:
        """Record a run with its items `(source, table)`, planned now; a run that is there gains the items and states that it lacks."""
        now = _now()
        planned = tuple(Item(source=source, table=table, states={"planned": now}) for source, table in items)
        wanted = tuple(s for s in STATES if s in set(goal))
        fresh = Run(run_id=run_id, began_at=now, city=city, goal=wanted, items=planned)
        if self._store.put_if_absent(_key(run_id), _encoded(fresh)):
            self._prune()
            return fresh

        def merged(run: Run) -> Run:
            more = tuple(i for i in planned if run.item(i.source, i.table) is None)
            return run.model_copy(update={"items": (*run.items, *more), "goal": tuple(s for s in STATES if s in {*run.goal, *wanted})})

        return self.change(run_id, merged)

    def read(self, run_id: str) -> Run:
        """Return a run; SY-J001 with the nearest id where there is none, SY-J005 where its record is damaged."""
        key = _key(run_id)
        data = self._store.get(key)
        if data is None:
            near = difflib.get_close_matches(run_id, self.ids(), n=1, cutoff=0.0)
            hint = f"; the nearest is {near[0]}" if near else ""
            raise SanyuError("SY-J001", lake=self._store.url, run=run_id, hint=hint)
        return self._decoded(key, data)

    def ids(self) -> list[str]:
        """Return the ids of all runs, in no order of time."""
        return [name for name in self._store.folders(FOLDER) if not name.startswith("_")]

    def newest(self, limit: int | None = None) -> list[Run]:
        """Return the runs, newest first; damaged records are passed over."""
        with ThreadPoolExecutor(8, thread_name_prefix="runs") as pool:
            found = [run for run in pool.map(self._readable, self.ids()) if run is not None]
        return sorted(found, key=lambda run: (run.began_at, run.run_id), reverse=True)[:limit]

    def unfinished(self) -> Run:
        """Return the newest run that nobody works on and that has more left than its announcement; SY-J004 where there is none."""

        def can_go_on(run: Run) -> bool:
            return run.status != "running" and any(run.left(state) for state in run.goal if state != "announced")

        found = next((run for run in self.newest() if can_go_on(run)), None)
        if found is None:
            raise SanyuError("SY-J004", lake=self._store.url)
        return found

    def change(self, run_id: str, how: Callable[[Run], Run]) -> Run:
        """Change a run's record on top of whatever others have written meanwhile, and return it; errors as `read`."""
        key = _key(run_id)
        for turn in range(_TRIES):
            blob = self._store.read(key)
            if blob is None:
                return self.read(run_id)  # tells what is nearest
            wanted = how(self._decoded(key, blob.data))
            data = _encoded(wanted)
            if data == blob.data or self._store.replace_if(key, data, blob.etag) or self._store.get(key) == data:
                return wanted
            time.sleep(random.uniform(0.01, 0.05) * min(turn + 1, 10))
        raise SanyuError("SY-J005", lake=self._store.url, key=key, detail=f"others changed it {_TRIES} times in a row")

    @contextlib.contextmanager
    def attempt(self, run_id: str) -> Iterator[int]:
        """Note that this process works on the run, until the block ends; yields the attempt's number.

        SY-J002 where another process of this machine works on it. A process of another machine can't be seen from here: leases of sources
        and tables keep the two apart.
        """
        me = this_process()
        mine = Holder(host=me.host, machine=me.machine, pid=me.pid, started=me.started)

        def begin(run: Run) -> Run:
            last = run.attempts[-1] if run.attempts else None
            if last is not None and last.ended_at is None and last.holder != mine and last.holder.process.is_alive():
                raise SanyuError("SY-J002", run=run_id, holder=f"{last.holder.process}, since {last.began_at}")
            more = Attempt(number=len(run.attempts) + 1, began_at=_now(), holder=mine)
            return run.model_copy(update={"attempts": (*run.attempts, more)})

        number = len(self.change(run_id, begin).attempts)
        error: str | None = None
        try:
            yield number
        except BaseException as raised:
            error = str(raised) or type(raised).__name__
            raise
        finally:
            self._attempted(run_id, number, ended_at=_now(), error=error)

    def report(self, run_id: str, number: int, report: dict[str, Any]) -> None:
        """Append what an attempt found out about one source."""

        def appended(run: Run) -> Run:
            before = run.attempts[number - 1]
            after = before.model_copy(update={"reports": (*before.reports, report)})
            return run.model_copy(update={"attempts": (*run.attempts[: number - 1], after, *run.attempts[number:])})

        self.change(run_id, appended)

    def reach(self, run_id: str, state: State, which: Callable[[Item], bool], attempt: int | None = None, **values: Any) -> Run:
        """Note that items have reached a state; `values` are other fields of theirs. An item that had reached it stays as it was noted.

        What is loaded in a new version has to be gated, published and announced in that version.
        """
        now = _now()

        def moved(item: Item) -> Item:
            known = state in item.states and item.error is None and all(getattr(item, name) == value for name, value in values.items())
            if known or not which(item):
                return item
            states = dict(item.states)
            if state == "loaded" and values.get("version") != item.version:
                states = {name: at for name, at in states.items() if STATES.index(name) < STATES.index("loaded")}
            states.setdefault(state, now)
            told = {} if attempt is None else {"attempt": attempt, "error": None}
            return item.model_copy(update={"states": states, **told, **values})

        return self.change(run_id, lambda run: run.model_copy(update={"items": tuple(moved(i) for i in run.items)}))

    def fail(self, run_id: str, which: Callable[[Item], bool], error: str, attempt: int, **values: Any) -> Run:
        """Note why items have not got further; an error takes no state away."""

        def failed(item: Item) -> Item:
            return item.model_copy(update={"error": error, "attempt": attempt, **values}) if which(item) else item

        return self.change(run_id, lambda run: run.model_copy(update={"items": tuple(failed(i) for i in run.items)}))

    def _attempted(self, run_id: str, number: int, **values: Any) -> None:
        def ended(run: Run) -> Run:
            before = run.attempts[number - 1]
            return run.model_copy(
                update={"attempts": (*run.attempts[: number - 1], before.model_copy(update=values), *run.attempts[number:])}
            )

        self.change(run_id, ended)

    def _readable(self, run_id: str) -> Run | None:
        try:
            return self.read(run_id)
        except SanyuError:
            return None

    def _decoded(self, key: str, data: bytes) -> Run:
        try:
            return Run.model_validate_json(data)
        except ValidationError as error:
            raise SanyuError("SY-J005", lake=self._store.url, key=key, detail=error.errors()[0]["msg"]) from None

    def _prune(self) -> None:
        """Keep the newest runs: what is left to do of older ones, newer ones have found out again."""
        if len(self.ids()) > KEEP + KEEP // 10:
            for run in self.newest()[KEEP:]:
                if run.status != "running":
                    self._store.delete(f"{FOLDER}/{run_name(run.run_id)}")


def _key(run_id: str) -> str:
    return f"{FOLDER}/{run_name(run_id)}/run.json"


def _encoded(run: Run) -> bytes:
    return run.model_dump_json(indent=1).encode()


def _now() -> str:
    return dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
