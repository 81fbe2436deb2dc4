"""Load one source: land its files, keep them raw, and bring them, conformed, stamped and checked, into the core tables that it names.

Loads of one source exclude each other. What an earlier run has committed is recognised in the tables' logs and finished, whatever the
ledger knows of it; a delivery that the ledger knows, but the table no longer holds (deleted, put back, damaged), is loaded again.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jobs.context import Loading
from jobs.loading.entities import changed_entities
from jobs.loading.limits import limit_of, require_files
from jobs.loading.report import SourceReport, TargetReport
from sanyu import crash
from sanyu.lake import Lake
from sanyu.lake.commit import Account, Facts, Limit, Outcome, Write
from sanyu.lake.deliveries import deliveries, sequence
from sanyu.lake.lease import lease
from sanyu.lake.ledger import Done
from sanyu.lake.writer import is_held
from sanyu.landing.landing import Landed, fingerprint, land, landed_batch, landed_source
from sanyu.session import sized
from schemas.messages import SanyuError, render
from schemas.model import Contract, History
from schemas.source import Into, Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.loading.frames import Counts, Screening, Target
    from sanyu.lake.write import DeltaWriter
    from transforms.stamp.division import Division
    from transforms.stamp.stamp import Delivered
    from transforms.stamp.versions import Instants

DIVISION = "core.basemap__division"
WAIT_S = 3600.0  # for another load of the same source
_HELD = "SY-L056"


def landed(loading: Loading, source: Source) -> Landed:
    """Land what the source delivers now; needs no Spark."""
    jars = loading.lake.settings.jar_folder
    return land(loading.lake.store, source, loading.data_root, loading.contracts, jars=jars, progress=loading.progress)


def run(loading: Loading, source: Source, landing: Callable[[], Landed] | None = None) -> SourceReport:
    """Load the source; a delivery that is already in the lake is recognised without Spark.

    `landing` returns its delivery where it is landed elsewhere. A table whose share of rejected rows passes its contract's limit is left as
    it was, its rejected rows are in quarantine, its report says `failed`, and the other tables of the source are loaded. One of which more
    would end than the limit is left as it was and says `held` until a person accepts it (`accept`).
    """
    started = time.monotonic()
    store = loading.lake.store
    with lease(store, f"source/{source.name}", owner=loading.run_id, wait_s=WAIT_S):
        found = landing() if landing else landed(loading, source)
        crash.point("land.listed")
        number = sequence(store, source.name, found.batch_id, lambda: _known_numbers(loading.lake, source))
        states = [_state(loading, source, found.batch_id, number, into) for into in source.into]
        todo = [state for state in states if not state.is_done]
        if not todo:
            return _report(source, found, (), started, is_new=False)
        loading.lake.ledger.append_files(found.file_rows(loading.run_id, loading.recorded_at))
        if not found.parts:
            raise SanyuError("SY-L030", source=source.name, batch=found.batch_id, files=len(found.files))
        with sized(loading.spark(), found.row_count):
            for done in _by_delivery(state.lost for state in todo):
                _replay(loading, source, done)
            load = _Load(loading, source, found, number, loading.recorded_at)
            raw = load.raw()
            targets = tuple(load.again(state.gone).target(state.into, raw) for state in todo)
    return _report(source, found, targets, started)


def is_loaded(loading: Loading, source: Source) -> bool:
    """Tell whether what the source delivers now is the delivery that was loaded last, and its tables still hold it; starts no Spark."""
    jars = loading.lake.settings.jar_folder
    found = fingerprint(loading.lake.store, source, loading.data_root, loading.contracts, jars=jars)
    delivered = deliveries(loading.lake.store, source.name)
    if not delivered or delivered[-1] != found.batch_id:
        return False
    return all(_state(loading, source, found.batch_id, len(delivered), into).is_done for into in source.into)


def accept(loading: Loading, source: Source, note: str) -> SourceReport:
    """Load the newest delivery of a source though more ends than its limit allows, by a person's decision; SY-L058 where none is held."""
    delivered = deliveries(loading.lake.store, source.name)
    last = loading.lake.ledger.last(source.name)
    if not delivered or last is None or last["batch_id"] != delivered[-1] or last["status"] != "held":
        raise SanyuError("SY-L058", source=source.name)
    decision = {"note": note, "run_id": loading.run_id, "accepted_at": loading.recorded_at}
    loading.lake.store.put(_accepted_key(source.name, delivered[-1]), json.dumps(decision, ensure_ascii=False).encode())
    return run(loading, source, lambda: landed_batch(loading.lake.store, source.name, delivered[-1]))


def release(loading: Loading, source: Source, table: str, batch_id: str, rows: list[tuple[str, int]], check: str, note: str) -> int:
    """Load quarantined rows `(file, row number)` of a batch again with one check waived, and return how many came in.

    `source` is the definition that maps them (`definition_of`). A release that died is finished when the same rows are asked for again.
    """
    from jobs.loading.frames import only_rows, screen

    found = landed_batch(loading.lake.store, source.name, batch_id)
    into = next(i for i in source.into if i.contract == table)
    contract = loading.contracts[table]
    asked = hashlib.sha256(json.dumps([check, sorted(rows)]).encode()).hexdigest()[:12]
    load = _Load(loading, source, found, 1, loading.recorded_at)
    write = replace(load.write(contract), release=asked)
    with lease(loading.lake.store, f"source/{source.name}", owner=loading.run_id, wait_s=WAIT_S):
        raw = only_rows(loading.spark(), load.raw_table().where(f"batch_id = '{batch_id}'"), rows)
        screening = screen(raw, load.for_target(into, contract, waived=(check,)), load.delivered(into))
        try:
            counts = screening.counts()
            account = Account("release", loading.recorded_at, counts.good, detail={"check": check, "note": note})
            load.commit(contract, screening, write, counts, account, full=False)
            crash.point("release.committed")
            came_in = screening.good.select("file_name", "row_number", "row_hash")
            load.writer.mark_released(f"quarantine/{contract.domain}/{contract.entity}", write, came_in, check, note, loading.recorded_at)
        finally:
            screening.release()
    return counts.good


def definition_of(loading: Loading, source: Source | None, name: str, table: str, batch_id: str) -> Source:
    """Return the definition by which rows of a batch go into a table: today's, else the one they were landed with; SY-L057 for none."""
    landed_with = landed_source(loading.lake.store, name, batch_id)
    for one in (source, landed_with):
        if one is not None and any(into.contract == table for into in one.into):
            return one
    raise SanyuError("SY-L057", source=name, batch=batch_id, table=table)


@dataclass(frozen=True)
class _State:
    """How far a delivery is in one table: done, or not; `lost` are earlier ones that the table no longer holds, `gone` is itself one."""

    into: Into
    is_done: bool
    lost: tuple[Done, ...] = ()
    gone: Done | None = None


def _state(loading: Loading, source: Source, batch_id: str, number: int, into: Into) -> _State:
    contract = loading.contracts[into.contract]
    known = loading.lake.ledger.deliveries_done(source.name, contract.name)
    held = {d.sequence: d for d in known}
    mine = held.get(number)
    if mine is not None and mine.batch_id != batch_id:
        mine = None
    if mine is not None and is_held(loading.lake.store, contract, mine.version, mine.table_id):
        return _State(into, True)
    earlier = [d for n, d in sorted(held.items()) if n < number]
    gone = [d for d in earlier if not is_held(loading.lake.store, contract, d.version, d.table_id)]
    return _State(into, False, tuple(gone), mine)


def _by_delivery(lost: Iterable[tuple[Done, ...]]) -> list[Done]:
    """Return the deliveries that tables have lost in their order, each table's apart."""
    return sorted((done for one in lost for done in one), key=lambda done: (done.sequence, done.table))


def _replay(loading: Loading, source: Source, done: Done) -> None:
    """Bring a delivery that a table has lost into it again, as it was; SY-L036 where it is not in landing any more."""
    loading.progress(f"{source.name}: delivery {done.sequence} ({done.batch_id}) again into {done.table}")
    definition = definition_of(loading, source, source.name, done.table, done.batch_id)
    load = _Load(
        loading, definition, landed_batch(loading.lake.store, source.name, done.batch_id), done.sequence, done.recorded_at, is_replay=True
    )
    load.target(next(into for into in definition.into if into.contract == done.table), load.raw())


def _known_numbers(lake: Lake, source: Source) -> dict[int, str]:
    """Return number → batch of deliveries that the ledger and the tables' logs know."""
    from sanyu.lake.log import TableLog

    found = {done.sequence: done.batch_id for done in lake.ledger.deliveries_done(source.name) if done.sequence}
    for into in source.into:
        layer, _, rest = into.contract.partition(".")
        for commit in TableLog(lake.store, f"{layer}/{rest.replace('__', '/')}").commits():
            if commit.noted.get("source_name") == source.name and not commit.noted.get("release"):
                found.setdefault(int(commit.noted["sequence"]), str(commit.noted["batch_id"]))
    return found


def _accepted_key(source_name: str, batch_id: str) -> str:
    return f"landing/{source_name}/{batch_id}/accepted.json"


@dataclass(frozen=True)
class _Load:
    """One delivery of one source on its way; `recorded_at` is the transaction time that its rows get."""

    loading: Loading
    source: Source
    landed: Landed
    number: int
    recorded_at: str
    is_replay: bool = False

    def again(self, done: Done | None) -> _Load:
        """Return the load of a delivery that was in a table and is not any more: its rows get the transaction time that they had."""
        return self if done is None else replace(self, recorded_at=done.recorded_at, is_replay=True)

    @property
    def writer(self) -> DeltaWriter:
        return self.loading.lake.writer(self.loading.spark())

    def write(self, contract: Contract | None = None) -> Write:
        replaces: tuple[str, ...] = ()
        if contract is not None and contract.history is History.APPEND:
            replaces = self._same_files()
        version = contract.version if contract else 1
        return Write(self.source.name, self.landed.batch_id, self.loading.run_id, self.number, version, replaces=replaces)

    def _same_files(self) -> tuple[str, ...]:
        """Return earlier batches with the same files, which this one replaces: definition or contract have changed, not the data."""
        mine = sorted(f.sha256 for f in self.landed.files)
        found = []
        for batch in dict.fromkeys(deliveries(self.loading.lake.store, self.source.name)):
            if batch and batch != self.landed.batch_id:
                earlier = landed_batch(self.loading.lake.store, self.source.name, batch)
                found += [batch] if sorted(f.sha256 for f in earlier.files) == mine else []
        return tuple(found)

    def raw(self) -> DataFrame:
        """Put the delivery into its raw table, once, and return it as it stands there."""
        from jobs.loading.frames import Part, raw_rows

        self.loading.progress(f"{self.source.name} → {self.source.raw_table}")
        parts = [Part(p.uri, p.file_name, p.crs) for p in self.landed.parts]
        rows = raw_rows(self.loading.spark(), parts, self.source, self.landed.batch_id)
        self.writer.append_raw(self._raw_path, rows, self.write())
        return self.raw_table().where(f"batch_id = '{self.landed.batch_id}'")

    @property
    def _raw_path(self) -> str:
        return f"raw/{self.source.source.domain}/{self.source.name}"

    def raw_table(self) -> DataFrame:
        return self.writer.read(self._raw_path)

    def target(self, into: Into, raw: DataFrame) -> TargetReport:
        """Bring the delivery into one core table and account for every row."""
        from jobs.loading.frames import screen, to_quarantine

        started = time.monotonic()
        contract = self.loading.contracts[into.contract]
        self.loading.progress(f"{self.source.name} → {contract.name}")
        write = self.write(contract)
        before = self.loading.lake.recover(contract, write)
        if before is not None and before.row is not None:
            return TargetReport.of(before.row)
        screening = screen(raw, self.for_target(into, contract), self.delivered(into))
        try:
            counts = screening.counts()
            if counts.rejected:
                rejected = to_quarantine(screening, raw, contract, self.loading.run_id, self.recorded_at)
                self.writer.append_quarantine(f"quarantine/{contract.domain}/{contract.entity}", rejected, write)
            account = self._account(contract, counts, started)
            if account.status == "failed":
                return self._kept_back(contract, write, account, counts, {})
            try:
                outcome = self.commit(contract, screening, write, counts, account, full=self._is_full(contract))
            except SanyuError as error:
                if error.code != _HELD:
                    raise
                return self._kept_back(contract, write, replace(account, status="held"), counts, {"held_because": str(error)})
        finally:
            screening.release()
        if outcome.row is None:  # committed by a version that noted no counts
            outcome = replace(outcome, loaded=counts.good)
            self.loading.lake.ledger.append(account.ledger_row(write, contract.name, outcome))
        return TargetReport.of(outcome.row or account.ledger_row(write, contract.name, outcome))

    def _account(self, contract: Contract, counts: Counts, started: float) -> Account:
        share = counts.rejected / counts.selected if counts.selected else 0.0
        is_warning = share > contract.thresholds.warn or bool(counts.warnings)
        return Account(
            step="core",
            recorded_at=self.loading.recorded_at,
            rows_in=counts.selected,
            quarantined=counts.rejected,
            duplicate=counts.duplicate,
            reasons=counts.reasons,
            status="failed" if share > contract.thresholds.fail else "warning" if is_warning else "ok",
            detail={"held": 0, "warnings": counts.warnings, **({"rows_recorded_at": self.recorded_at} if self.is_replay else {})},
            started=started,
        )

    def _kept_back(self, contract: Contract, write: Write, account: Account, counts: Counts, why: dict[str, str]) -> TargetReport:
        """Account for a delivery of which nothing goes into the table."""
        told = replace(account, detail={**account.detail, "held": counts.good, **why})
        row = told.ledger_row(write, contract.name, Outcome())
        self.loading.lake.ledger.append(row)
        return TargetReport.of(row)

    def commit(self, contract: Contract, screening: Screening, write: Write, counts: Counts, account: Account, *, full: bool) -> Outcome:
        """Bring the good rows of a screening into the table; SY-L056 where more of it would end than the limit."""
        from jobs.loading.frames import bridge_rows, table_rows

        lake, limit = self.loading.lake, self._limit(contract)
        if contract.history is not History.ENTITY:
            rows = table_rows(screening, contract)
            keys = rows.select("source_key").toArrow()["source_key"].combine_chunks() if write.release else None
            return lake.write(contract, Facts(rows, counts.good, keys=keys, limit=limit), write, account, self.loading.spark)
        entities, links = changed_entities(self.writer, contract, screening, write, self.instants, full=full, count=counts.good)
        if entities.ended is not None and limit is not None:
            closed = entities.ended.count()
            if closed >= limit.least:
                opened = self.writer.live(contract, write.source_name).where("valid_to_at is null").count()
                limit.check(contract.name, closed, opened)
            if closed:
                require_files(lake.store, self.source, self.landed, contract.name, closed)
        if links is not None:
            told = bridge_rows(links, contract, self.source.name, write.batch_id, self.recorded_at)
            account = replace(account, links=tuple(told))
        return lake.write(contract, entities, write, account, self.loading.spark)

    def _limit(self, contract: Contract) -> Limit | None:
        """Return how much of the table may end without a decision; None where a person has decided, and for what is loaded again."""
        if self.is_replay or self.loading.lake.store.exists(_accepted_key(self.source.name, self.landed.batch_id)):
            return None
        return limit_of(contract, self.source)

    def _is_full(self, contract: Contract) -> bool:
        from jobs.loading.frames import is_full

        return is_full(self.source, contract, self.landed.failed_files)

    @property
    def instants(self) -> Instants:
        from transforms.stamp.versions import Instants

        return Instants(self.landed.edition_at, self.recorded_at)

    def delivered(self, into: Into) -> Delivered:
        from transforms.stamp.stamp import Delivered

        return Delivered(
            batch_id=self.landed.batch_id,
            instants=self.instants,
            time_zone=self.source.delivery.time_zone,
            unreadable=into is self.source.into[0],
        )

    def for_target(self, into: Into, contract: Contract, waived: tuple[str, ...] = ()) -> Target:
        from jobs.loading.frames import Target

        needs_divisions = contract.space.division == "within" and contract.geometry is not None
        return Target(
            source=self.source,
            into=into,
            contract=contract,
            known_columns=tuple(self.landed.columns),
            extent=self.loading.extent,
            divisions=divisions(self.loading.lake, self.landed.edition_at) if needs_divisions else (),
            waived=waived,
        )


def divisions(lake: Lake, edition_at: str) -> tuple[Division, ...]:
    """Return the divisions with a polygon that are valid at an instant; none if the table isn't there yet."""
    from transforms.stamp.division import Division

    if DIVISION not in {t.name for t in lake.tables()}:
        return ()
    table = lake.table(DIVISION).to_arrow(columns=["division_code", "division_level", "geom"], where="geom is not null", at=edition_at)
    return tuple(Division(r["division_code"], int(r["division_level"]), r["geom"]) for r in table.to_pylist())


def _report(source: Source, landed: Landed, targets: tuple[TargetReport, ...], started: float, *, is_new: bool = True) -> SourceReport:
    return SourceReport(
        source=source.name,
        batch_id=landed.batch_id,
        files=len(landed.files),
        failed_files=tuple(_refusal(f.name, render(f.error_code, f.error_params)) for f in landed.files if f.error_code),
        raw_rows=landed.row_count,
        unselected=max(0, landed.row_count - sum(t.rows_in for t in targets)),
        targets=targets,
        seconds=time.monotonic() - started,
        drift=tuple(landed.drift),
        is_new=is_new,
    )


def _refusal(file: str, message: str) -> str:
    """Return why a file could not be read, with its name once."""
    return message if file.rpartition("/")[2] in message else f"{file}: {message}"
