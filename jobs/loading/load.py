"""Load one source: land its files, keep them raw, and bring them, conformed, stamped and checked, into the core tables that it names."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.loading.report import SourceReport, TargetReport
from sanyu.lake import Lake
from sanyu.lake.deliveries import deliveries, sequence
from sanyu.landing.landing import Landed, fingerprint, land, landed_batch
from schemas.messages import SanyuError
from schemas.model import Contract, History
from schemas.source import Into, Source

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from jobs.loading.frames import Screening, Target
    from sanyu.lake.commit import Outcome, Write
    from sanyu.lake.write import DeltaWriter
    from transforms.stamp.division import Division
    from transforms.stamp.stamp import Delivered
    from transforms.stamp.versions import Instants

DIVISION = "core.basemap__division"


@dataclass(frozen=True)
class Loading:
    """What a load needs from outside; `spark` is called only when there is something to do."""

    lake: Lake
    contracts: dict[str, Contract]
    data_root: Path
    run_id: str
    recorded_at: str
    spark: Callable[[], SparkSession]
    extent: tuple[float, float, float, float] | None = None
    progress: Callable[[str], None] = field(default=lambda text: None)


def landed(loading: Loading, source: Source) -> Landed:
    """Land what the source delivers now; needs no Spark."""
    jars = loading.lake.settings.jar_folder
    return land(loading.lake.store, source, loading.data_root, loading.contracts, jars=jars, progress=loading.progress)


def run(loading: Loading, source: Source, landing: Callable[[], Landed] | None = None) -> SourceReport:
    """Load the source; a delivery that is already in the lake is recognised without Spark.

    `landing` returns its delivery where it is landed elsewhere. A table whose share of rejected rows passes its contract's limit is left as
    it was, its rejected rows are in quarantine, its report says `failed`, and the other tables of the source are loaded.
    """
    started = time.monotonic()
    found = landing() if landing else landed(loading, source)
    number = sequence(loading.lake.store, source.name, found.batch_id)
    todo = [i for i in source.into if not loading.lake.ledger.is_done(source.name, found.batch_id, i.contract, number)]
    if not todo:
        return _report(source, found, (), started, is_new=False)
    loading.lake.ledger.append_files(found.file_rows(loading.run_id, loading.recorded_at))
    if not found.parts:
        raise SanyuError("SY-L030", source=source.name, batch=found.batch_id, files=len(found.files))
    load = _Load(loading, source, found, number)
    raw = load.raw()
    targets = tuple(load.target(into, raw) for into in todo)
    return _report(source, found, targets, started)


def is_loaded(loading: Loading, source: Source) -> bool:
    """Tell whether what the source delivers now is the delivery that was loaded last; starts no Spark."""
    jars = loading.lake.settings.jar_folder
    found = fingerprint(loading.lake.store, source, loading.data_root, loading.contracts, jars=jars)
    delivered = deliveries(loading.lake.store, source.name)
    if not delivered or delivered[-1] != found.batch_id:
        return False
    return all(loading.lake.ledger.is_done(source.name, found.batch_id, i.contract, len(delivered)) for i in source.into)


def release(loading: Loading, source: Source, table: str, batch_id: str, rows: list[tuple[str, int]], check: str, note: str) -> int:
    """Load quarantined rows `(file, row number)` of a batch again with one check waived, and return how many came in."""
    from jobs.loading.frames import only_rows, screen, table_rows

    found = landed_batch(loading.lake.store, source.name, batch_id)
    into = next(i for i in source.into if i.contract == table)
    contract = loading.contracts[table]
    load = _Load(loading, source, found, 1)
    raw = only_rows(loading.spark(), load.raw_table().where(f"batch_id = '{batch_id}'"), rows)
    screening = screen(raw, load.for_target(into, contract, waived=(check,)), load.delivered(into))
    try:
        good = screening.counts().good
        write = replace(load.write(contract.version), release=loading.run_id)
        load.writer.commit_entities(contract, table_rows(screening, contract), write, load.instants, full=False, count=good)
        came_in = screening.good.select("file_name", "row_number", "row_hash")
        load.writer.mark_released(f"quarantine/{contract.domain}/{contract.entity}", write, came_in, check, note, loading.recorded_at)
    finally:
        screening.release()
    return good


@dataclass(frozen=True)
class _Load:
    """One delivery of one source on its way."""

    loading: Loading
    source: Source
    landed: Landed
    number: int

    @property
    def writer(self) -> DeltaWriter:
        return self.loading.lake.writer(self.loading.spark())

    def write(self, contract_version: int = 1) -> Write:
        from sanyu.lake.commit import Write

        return Write(self.source.name, self.landed.batch_id, self.loading.run_id, self.number, contract_version)

    def raw(self) -> DataFrame:
        """Put the delivery into its raw table, once, and return it as it stands there."""
        from jobs.loading.frames import Part, raw_rows

        self.loading.progress(f"{self.source.name} → {self.source.raw_table}")
        path = self._raw_path
        parts = [Part(p.uri, p.file_name, p.crs) for p in self.landed.parts]
        if not self.writer.committed(path, self.write()):
            self.writer.append_raw(path, raw_rows(self.loading.spark(), parts, self.source, self.landed.batch_id), self.write())
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
        write = self.write(contract.version)
        screening = screen(raw, self.for_target(into, contract), self.delivered(into))
        try:
            counts = screening.counts()
            share = counts.rejected / counts.selected if counts.selected else 0.0
            if counts.rejected:
                rejected = to_quarantine(screening, raw, contract, self.loading.run_id, self.loading.recorded_at)
                self.writer.append_quarantine(f"quarantine/{contract.domain}/{contract.entity}", rejected, write)
            failed = share > contract.thresholds.fail
            outcome = None if failed else self._commit(contract, screening, write, counts.good)
        finally:
            screening.release()
        report = TargetReport(
            table=contract.name,
            rows_in=counts.selected,
            loaded=outcome.loaded if outcome else 0,
            unchanged=outcome.unchanged if outcome else 0,
            quarantined=counts.rejected,
            duplicate=counts.duplicate,
            closed=outcome.closed if outcome else 0,
            held=counts.good if failed else 0,
            version=outcome.version if outcome else None,
            seconds=time.monotonic() - started,
            reasons=counts.reasons,
            warnings=counts.warnings,
            status="failed" if failed else "warning" if share > contract.thresholds.warn or counts.warnings else "ok",
        )
        self.loading.lake.ledger.append(
            report.ledger_row(self.loading.run_id, self.loading.recorded_at, self.source, self.landed, self.number)
        )
        return report

    def _commit(self, contract: Contract, screening: Screening, write: Write, count: int) -> Outcome:
        from jobs.loading.frames import bridge_rows, is_full, table_rows

        if contract.history is not History.ENTITY:
            return self.writer.commit_facts(contract, table_rows(screening, contract), write, count=count)
        full = is_full(self.source, contract, self.landed.failed_files)
        outcome, links = merged(self.writer, contract, screening, write, self.instants, full=full, count=count)
        if links is not None:
            rows = bridge_rows(links, contract, self.source.name, write.batch_id, self.loading.recorded_at)
            self.loading.lake.ledger.append_bridge(rows)
        return outcome

    @property
    def instants(self) -> Instants:
        from transforms.stamp.versions import Instants

        return Instants(self.landed.edition_at, self.loading.recorded_at)

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


def merged(
    writer: DeltaWriter, contract: Contract, screening: Screening, write: Write, instants: Instants, *, full: bool, count: int
) -> tuple[Outcome, DataFrame | None]:
    """Bring the good rows of a batch (`count` of them) into an entity table; return what it did and the links that matching found."""
    from jobs.loading.frames import table_rows
    from transforms.stamp.identify import identify
    from transforms.stamp.versions import FEW_ROWS, changed_keys, look

    rows = table_rows(screening, contract)
    if writer.committed(contract.path, write) or not writer.exists(contract.path):
        return writer.commit_entities(contract, rows, write, instants, full=False, count=count), None
    at = writer.version(contract.path) or 0
    live = writer.live(contract, write.source_name)
    known = look(rows, live, at) if count <= FEW_ROWS else None
    versions = live if known is None else known.versions
    # Most rows of an edition are those of the one before: what is equal goes no further than a comparison of keys and hashes.
    keys = changed_keys(rows, versions, count).localCheckpoint()
    changed = keys.count()
    fresh = rows.join(keys, "source_key", "left_semi") if changed else None
    found = identify(contract, fresh, screening.keys, live, versions, instants.edition_at, full=full, count=changed)
    outcome = writer.commit_entities(contract, found.rows, write, instants, full=full, count=changed, ended=found.ended, known=known)
    return replace(outcome, unchanged=outcome.unchanged + count - changed), found.links


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
        failed_files=tuple(landed.failed_files),
        raw_rows=landed.row_count,
        unselected=max(0, landed.row_count - sum(t.rows_in for t in targets)),
        targets=targets,
        seconds=time.monotonic() - started,
        drift=tuple(landed.drift),
        is_new=is_new,
    )
