"""Move a run on: load what is not loaded, gate what no gate has seen, publish what the gates have seen.

Any process can do it, on any machine that reaches the lake and the sources; the record of the run (`sanyu.lake.runs`) says what is left.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from jobs.context import Context, Loading
from jobs.gate import TableGate, core_tables, docs_folder, gate_all
from jobs.loading.report import SourceReport, TargetReport
from jobs.loading.run import Listener, load_all
from jobs.publish import published
from sanyu import crash
from sanyu.lake.runs import Gate, Item, Run, Runs, State
from sanyu.landing.landing import Landed
from schemas.messages import SanyuError
from schemas.ops import LEDGER
from schemas.source import Source

LOAD: tuple[State, ...] = ("landed", "loaded")
RELEASE: tuple[State, ...] = ("gated", "published")
RECENT = 20


@dataclass
class Outcome:
    """What one attempt has done; `reports` are of sources, `gates` of tables."""

    reports: list[SourceReport] = field(default_factory=list)
    gates: list[TableGate] = field(default_factory=list)
    release: dict[str, Any] | None = None
    errors: dict[str, str] = field(default_factory=dict)

    @property
    def is_ok(self) -> bool:
        return not self.errors and all(r.is_ok for r in self.reports) and not any(g.failed for g in self.gates)

    def as_dict(self, run_id: str) -> dict[str, Any]:
        return {
            "run_id": run_id,
            "sources": [r.as_dict() for r in self.reports],
            "errors": self.errors,
            "gates": [g.as_dict() for g in self.gates],
            "release": self.release,
        }


def begin(context: Context, run_id: str, goal: Iterable[State], names: Collection[str] = ()) -> Run:
    """Record a run that is to bring these sources, or without any the core tables that are there, to the states of the goal."""
    if names:
        items = [(name, into.contract) for name in names if name in context.sources for into in context.sources[name].into]
        items += [(name, "") for name in names if name not in context.sources]
    else:
        items = [("", table) for table in core_tables(context.loading(lambda text: None, run_id))]
    return Runs(context.lake.store).start(run_id, context.settings.city, goal, items)


def go_on(context: Context, run_id: str, progress: Callable[[str], None], *, again: Collection[str] = (), all_new: bool = False) -> Outcome:
    """Do what is left of a run and return what this attempt did; sources named by `again` are loaded though they were.

    What one source or one gate fails at stands in the outcome and in the record. Raises SY-J001 (no such run), SY-J002 (another process
    works on it), SY-J003 (Spark's JVM has ended), and as the publication does.
    """
    runs = Runs(context.lake.store)
    run = runs.read(run_id)
    with runs.attempt(run.run_id) as number:
        work = _Work(context, runs, run.run_id, number, context.loading(progress, run.run_id))
        found = Outcome()
        if "loaded" in run.goal:
            work.load(found, again, all_new=all_new)
        if "gated" in run.goal:
            work.gate(found)
        if _is_to_publish(runs.read(run_id)):
            found.release = work.publish()
    return found


def _is_to_publish(run: Run) -> bool:
    """Tell whether all gates hold and something that they have seen is not published; where no load succeeded, there is nothing."""
    is_left = run.release is None or any("gated" in item.states for item in run.left("published"))
    is_there = bool(run.gates) or not run.left("loaded")
    return "published" in run.goal and is_left and is_there and not any(gate.failed for gate in run.gates.values())


@dataclass(frozen=True)
class _Work:
    """One attempt at one run."""

    context: Context
    runs: Runs
    run_id: str
    number: int
    loading: Loading

    def load(self, found: Outcome, again: Collection[str], *, all_new: bool) -> None:
        left = {item.source for item in self.runs.read(self.run_id).left("loaded") if item.source} | set(again)
        for name in sorted(left - set(self.context.sources)):
            try:
                self.context.source(name)
            except SanyuError as error:
                found.errors[name] = str(error)
                self.runs.fail(self.run_id, lambda item, name=name: item.source == name, str(error), self.number)  # type: ignore[misc]
        todo = [source for name, source in self.context.sources.items() if name in left]
        listener = Listener(self._landed, self._reported)
        found.reports = load_all(self.loading, todo, all_new=all_new and self.number == 1, listener=listener)
        crash.point("run.loaded")

    def _landed(self, source: Source, landed: Landed) -> None:
        self.runs.reach(self.run_id, "landed", lambda item: item.source == source.name, self.number, batch_id=landed.batch_id)

    def _reported(self, source: Source, report: SourceReport) -> None:
        self.runs.report(self.run_id, self.number, report.as_dict())
        if report.error:
            self.runs.fail(self.run_id, lambda item: item.source == source.name, report.error, self.number)
            return
        targets = {target.table: target for target in report.targets}
        for into in source.into:
            self._table(source.name, into.contract, report.batch_id, targets.get(into.contract))

    def _table(self, source: str, table: str, batch_id: str, target: TargetReport | None) -> None:
        """Note what became of a table; one that the report does not name had been loaded by an earlier attempt, as the ledger tells."""

        def which(item: Item) -> bool:
            return (item.source, item.table) == (source, table)

        if target is None:
            version, figures = self._ledger(source, table, batch_id)
        else:
            version = target.version
            names = ("rows_in", "loaded", "unchanged", "quarantined", "duplicate", "closed")
            figures = {name: getattr(target, name) for name in names}
        if target is not None and target.status in ("failed", "held"):
            rejected = f"{target.quarantined:,} of {target.rows_in:,} rows were rejected, more than the contract allows"
            error = target.why or f"{rejected}; the table is as it was"
            self.runs.fail(self.run_id, which, error, self.number, figures=figures)
        else:
            self.runs.reach(self.run_id, "loaded", which, self.number, version=version, figures=figures)

    def _ledger(self, source: str, table: str, batch_id: str) -> tuple[int | None, dict[str, int]]:
        names = ("rows_in", "rows_loaded", "rows_unchanged", "rows_quarantined", "rows_duplicate", "rows_closed")
        where = f"source_name = '{source}' AND table_name = '{table}' AND batch_id = '{batch_id}' AND status IN ('ok', 'warning')"
        rows = self.loading.lake.table(LEDGER.name).to_arrow(columns=[*names, "delta_version", "recorded_at"], where=where)
        if not rows.num_rows:
            return None, {}
        last = rows.sort_by("recorded_at").slice(rows.num_rows - 1).to_pylist()[0]
        return last["delta_version"], {name.removeprefix("rows_") if name != "rows_in" else name: last[name] for name in names}

    def gate(self, found: Outcome) -> None:
        run = self.runs.read(self.run_id)
        newest = {item.table: max((i.version or 0 for i in run.items if i.table == item.table), default=0) for item in run.items}
        passed = {name for name, gate in run.gates.items() if not gate.failed and gate.version >= newest.get(name, 0)}
        todo = tuple(name for name in core_tables(self.loading) if name not in passed)
        if todo:
            found.gates = gate_all(self.loading, todo, self._gated)
        open_gates = {name: gate.version for name, gate in self.runs.read(self.run_id).gates.items() if not gate.failed}
        crash.point("run.gated")
        self._reach("gated", open_gates)

    def _gated(self, gate: TableGate) -> None:
        now = Gate(version=gate.version, expectations=gate.expectations, failed=gate.failed, at=self.loading.recorded_at)
        self.runs.change(self.run_id, lambda run: run.model_copy(update={"gates": {**run.gates, gate.table: now}}))
        if not gate.failed:
            return
        names = ", ".join(f"{f['expectation']}({f['column'] or '-'})" for f in gate.failures)
        error = f"version {gate.version} failed {gate.failed} of {gate.expectations} expectations: {names}"
        self.runs.fail(self.run_id, lambda item: item.table == gate.table, error, self.number)

    def publish(self) -> dict[str, Any]:
        run = self.runs.read(self.run_id)
        versions = {table: gate.version for table, gate in run.gates.items()}
        release = published(self.loading, self.context.city, self.context.sources, versions)
        self.runs.change(self.run_id, lambda run: run.model_copy(update={"release": release}))
        self._reach("published", versions)
        return release

    def _reach(self, state: State, versions: Mapping[str, int]) -> None:
        """Note for this run, and for those that loaded what it has gated or published, how far these versions of tables have come."""

        def which(item: Item) -> bool:
            is_here = item.table in versions and ("loaded" in item.states or not item.source)
            return is_here and (item.version is None or item.version <= versions[item.table])

        for run in self.runs.newest(RECENT):
            if run.run_id == self.run_id:
                self.runs.reach(run.run_id, state, which, self.number)
            elif any(which(item) and state not in item.states for item in run.items if item.source):
                self.runs.reach(run.run_id, state, which)


def gates_failed(outcome: Outcome, loading: Loading) -> SanyuError | None:
    """Return the error of a release that gates have stopped, None where none did."""
    failed = [g.table for g in outcome.gates if g.failed]
    return SanyuError("SY-J006", tables=", ".join(failed), docs=str(docs_folder(loading))) if failed else None
