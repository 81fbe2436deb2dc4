"""Publish rows of the lake as one release, all or nothing: the current ones, of versions that the caller may pin.

Everything is written below `release/<id>/`, the manifest last; then `release/current.json` is switched with a single put. A crash leaves
a folder without a manifest, which is never read and is removed by the next publication. The id is derived from the table versions, the
contract versions and the sources' terms, so an unchanged lake publishes nothing.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sanyu import crash
from sanyu.lake import Lake, sums
from sanyu.lake.lease import lease
from sanyu.lake.records import recall
from sanyu.lake.store import open_store
from sanyu.serve.catalog import records
from sanyu.serve.delta_log import file_statistics, write_log
from sanyu.serve.geoparquet import Part, write_part
from sanyu.serve.release import POINTER, ROOT, Lineage, PublishedTable, Release, Right, make_current, release, releases, verify
from schemas.messages import SanyuError
from schemas.model import Contract, SecurityLabel
from schemas.source import Source

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from pyspark.sql import DataFrame

    from sanyu.settings import Settings

LAYOUT = 3  # increased when the files of a release are laid out differently, so that unchanged tables are published again
FILE_BYTES = 32 << 20  # between 16 and 64 MB
RELEASE_ID = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")
LABELS = tuple(SecurityLabel)  # from the least secret
PART_TYPE = "name string, rows long, size long, sha256 string, stats string"
SMALL_ROWS = 500_000  # tables up to this size are written by this process, because a Spark job per table costs more than its rows
PartWriter = Callable[..., Iterator[Part]]
Progress = Callable[[str, int, int], None]  # table, number of tables done, number of tables


@dataclass(frozen=True)
class Input:
    """A table at the time the release is planned; only this Delta version is read. `size` is its bytes on disk per row."""

    contract: Contract
    delta_version: int
    committed_at: int
    rows: int
    withheld: int
    sources: tuple[str, ...]
    row_bytes: float
    valid_from: datetime | None = None
    lineage: Lineage | None = None


def publish(
    lake: Lake,
    contracts: Iterable[Contract],
    sources: Mapping[str, Source],
    *,
    versions: Mapping[str, int] = MappingProxyType({}),
    lineage: Mapping[str, Lineage] = MappingProxyType({}),
    edition: SecurityLabel = SecurityLabel.PUBLIC,
    release_id: str | None = None,
    progress: Progress | None = None,
) -> Release:
    """Publish the current rows of the contracts' tables up to the edition's label; `changed` is false if the release already existed.

    `versions` are the Delta versions to read by table, such as the gates have seen; a table that isn't named is read as it stands now.
    `lineage` tells of each derived table what it was made from: its terms are those of the sources behind it. A table that isn't in the
    lake yet, and one whose contract or whose inputs are more secret than the edition, is left out. Raises SY-P001 (no table),
    SY-P002 (rows lost on the way), SY-P003 (a source without terms), SY-P006 and SY-P007 (release id), SY-L002 (another publication runs),
    SY-L010 (no such version).
    """
    inputs = plan(lake, contracts, edition, lineage, versions)
    rights = {i.contract.name: _rights(i, sources) for i in inputs}
    digest = _digest(inputs, edition, rights)
    newest = datetime.fromtimestamp(max(i.committed_at for i in inputs) / 1000, UTC)
    chosen_id = _checked_id(release_id) if release_id else f"{newest:%Y%m%dT%H%M%SZ}-{digest[:12]}"
    with lease(lake.store, ROOT, f"publish {chosen_id}") as held:
        chosen_id, found = _standing(lake, chosen_id)
        if found is not None:
            if found.digest != digest:
                raise SanyuError("SY-P006", release_id=chosen_id)
            if not _is_current(lake, chosen_id):
                held.check()
                make_current(lake, found)
            return found
        _remove_debris(lake)
        tables = []
        for number, table in enumerate(inputs):
            _require_sound(lake, table)
            if progress:
                progress(table.contract.name, number, len(inputs))
            tables.append(_publish_table(lake, table, edition, chosen_id))
        terms = {r.source: r for found_rights in rights.values() for r in found_rights}
        made = Release(
            release_id=chosen_id,
            digest=digest,
            edition=edition,
            city=lake.settings.city,
            tables=tuple(tables),
            rights=tuple(terms[name] for name in sorted(terms)),
            changed=True,
        )
        made = made.model_copy(update={"records": tuple(_write_records(lake, made, {i.contract.name: i.contract for i in inputs}))})
        held.check()
        lake.store.put(f"{made.path}/manifest.json", made.manifest())
        crash.point("publish.staged")
        make_current(lake, made)
        crash.point("publish.named")
    if progress:
        progress(chosen_id, len(inputs), len(inputs))
    return made


def plan(
    lake: Lake,
    contracts: Iterable[Contract],
    edition: SecurityLabel,
    lineage: Mapping[str, Lineage],
    versions: Mapping[str, int] = MappingProxyType({}),
) -> list[Input]:
    """Return what a release would hold, by table name; SY-P001 where that is nothing."""
    wanted = sorted(contracts, key=lambda c: c.name)
    there = set(lake.names())
    allowed = _allowed(edition)
    inner = {name for name, made in lineage.items() if made.label.value not in allowed}
    open_to = [c for c in wanted if c.name in there and c.security_label.value in allowed and c.name not in inner]
    if not open_to:
        raise SanyuError("SY-P001", lake=lake.url, tables=", ".join(c.name for c in wanted) or "-")
    return [_input(lake, c, edition, lineage.get(c.name), versions.get(c.name)) for c in open_to]


def _input(lake: Lake, contract: Contract, edition: SecurityLabel, lineage: Lineage | None, pinned: int | None) -> Input:
    table = lake.table(contract.name)
    version = table.version if pinned is None else pinned
    counts = table.to_duckdb(["source_name", "security_label", "valid_from_at"], version=version).aggregate(
        "source_name, security_label, count(*) AS n, min(valid_from_at) AS since", "source_name, security_label"
    )
    groups = counts.fetchall()
    allowed = _allowed(edition)
    shown = [(source, n, since) for source, label, n, since in groups if label in allowed]
    rows = sum(n for _, n, _ in shown)
    valid_from = min((since for *_, since in shown if since is not None), default=None)
    size, stored = _stored(lake, contract.path, version)
    committed = next(int(c["timestamp"]) for c in table.history() if c["version"] == version)
    withheld = sum(n for _, _, n, _ in groups) - rows
    sources = tuple(sorted({source for source, *_ in shown})) if lineage is None else lineage.sources
    return Input(contract, version, committed, rows, withheld, sources, size / max(stored, 1), valid_from, lineage)


def _require_sound(lake: Lake, table: Input) -> None:
    """Raise SY-P010 where a file that would be read for a release is not what was written; its values would go out unseen."""
    files = pa.table(_log(lake, table.contract.path, table.delta_version).get_add_actions(flatten=True))["path"].to_pylist()
    what = sums.problem(lake.store, table.contract.path, files)
    if what is not None:
        raise SanyuError("SY-P010", table=table.contract.name, version=table.delta_version, what=what)


def _stored(lake: Lake, key: str, version: int) -> tuple[int, int]:
    """Return bytes and rows, including history, of a table's files at a version."""
    actions = pa.table(_log(lake, key, version).get_add_actions(flatten=True))
    return sum(actions["size_bytes"].to_pylist()), sum(n or 0 for n in actions["num_records"].to_pylist())


def _log(lake: Lake, key: str, version: int) -> DeltaTable:
    from deltalake import DeltaTable

    return DeltaTable(lake.store.uri(key, "s3"), version=version, storage_options=lake.store.storage_options() or None)


def _allowed(edition: SecurityLabel) -> tuple[str, ...]:
    """Return the labels that an edition may contain; rows without a label are never included."""
    return tuple(label.value for label in LABELS[: LABELS.index(edition) + 1])


def _rights(table: Input, sources: Mapping[str, Source]) -> list[Right]:
    found = []
    for name in table.sources:
        if name not in sources:
            raise SanyuError("SY-P003", source=name, table=table.contract.name)
        about = sources[name].source
        found.append(Right(source=name, title=about.title, publisher=about.publisher, licence=about.licence, attribution=about.attribution))
    return found


def _digest(inputs: Sequence[Input], edition: SecurityLabel, rights: Mapping[str, Sequence[Right]]) -> str:
    content: list[Any] = [LAYOUT, edition.value]
    for i in inputs:
        name = i.contract.name
        made = i.lineage.model_dump(mode="json") if i.lineage else None
        content.append([name, i.contract.version, i.delta_version, i.committed_at, [r.model_dump() for r in rights[name]], made])
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _checked_id(value: str) -> str:
    if not RELEASE_ID.match(value):
        raise SanyuError("SY-P007", value=value)
    return value


def _standing(lake: Lake, release_id: str) -> tuple[str, Release | None]:
    """Return the release of an id that is there and whole; where files are damaged, the one made in its place (`…-r2`) or its id.

    A damaged release is not mended where it lies, because somebody may be reading it.
    """
    for turn in itertools.count(1):
        name = release_id if turn == 1 else f"{release_id}-r{turn}"
        found = _published(lake, name)
        if found is None or not verify(lake, found):
            return name, found
    raise AssertionError("a count has no end")


def _published(lake: Lake, release_id: str) -> Release | None:
    """Return an existing release. One with a damaged manifest is rebuilt: the same inputs give the same release."""
    if release_id not in releases(lake):
        return None
    try:
        return release(lake, release_id)
    except SanyuError as error:
        if error.code != "SY-P005":
            raise
        lake.store.delete(f"{ROOT}/{release_id}/manifest.json")
        return None


def _is_current(lake: Lake, release_id: str) -> bool:
    """Return whether this release is the current one; a damaged pointer names none and is rewritten."""
    return recall(lake.store, POINTER, lambda pointer: str(pointer["release_id"])) == release_id


def _remove_debris(lake: Lake) -> None:
    """Remove the remains of interrupted publications; the lease guarantees that none is running now."""
    complete = set(releases(lake))
    for name in lake.store.folders(ROOT):
        if name not in complete:
            lake.store.delete(f"{ROOT}/{name}")


def _write_records(lake: Lake, made: Release, contracts: Mapping[str, Contract]) -> Iterator[Part]:
    """Write the catalogues of a release and yield each file."""
    for name, data in records(made, contracts).items():
        lake.store.put(f"{made.path}/{name}", data)
        yield Part(name=name, rows=0, size=len(data), sha256=hashlib.sha256(data).hexdigest())


def _publish_table(lake: Lake, table: Input, edition: SecurityLabel, release_id: str) -> PublishedTable:
    """Write one table's files and its Delta log below the release; SY-P002 unless both contain every planned row."""
    contract = table.contract
    path = f"{ROOT}/{release_id}/{contract.domain}/{contract.entity}"
    labels = ", ".join(f"'{label}'" for label in _allowed(edition))
    asked: dict[str, Any] = {"version": table.delta_version, "where": f"security_label IN ({labels})"}
    schema = _arrow_schema(lake, contract, table.delta_version)
    write = _part_writer(lake.settings, lake.url, path, schema)
    if table.rows <= SMALL_ROWS:
        parts = list(_written_here(lake.table(contract.name).to_arrow(**asked), contract, table, write))
    else:
        parts = _written_by_workers(_ranged(lake.table(contract.name).to_spark(**asked), contract, table), write)
    parts = parts or list(write(0, (), keep_empty=True))
    parts.sort(key=lambda part: part.name)
    write_log(lake.store, path, contract, schema, parts, modified=table.committed_at)
    stored = _stored(lake, path, 0)[1]
    written = sum(part.rows for part in parts)
    if not written == stored == table.rows:
        raise SanyuError("SY-P002", table=contract.name, written=min(written, stored), expected=table.rows, release_id=release_id)
    return PublishedTable(
        name=contract.name,
        path=path,
        contract_version=contract.version,
        delta_version=table.delta_version,
        committed_at=table.committed_at,
        rows=written,
        withheld=table.withheld,
        sources=table.sources,
        columns=tuple((field.name, str(field.type)) for field in schema),
        files=tuple(parts),
        log=_log_parts(lake, path),
        valid_from=table.valid_from.astimezone(UTC).isoformat().replace("+00:00", "Z") if table.valid_from else None,
        lineage=table.lineage,
    )


def _file_count(table: Input) -> int:
    return max(1, math.ceil(table.rows * table.row_bytes / FILE_BYTES))


def _order(contract: Contract) -> tuple[str, str]:
    """Return the columns to sort by: along the Hilbert key if there is a geometry, and always the same order for the same content."""
    return ("cell", "stamp_id") if contract.geometry else ("entity_id", "stamp_id")


def _written_here(rows: pa.Table, contract: Contract, table: Input, write: PartWriter) -> Iterator[Part]:
    """Write a table that fits into this process, without Spark."""
    order = pc.sort_indices(rows, sort_keys=[(name, "ascending", "at_start") for name in _order(contract)])
    size = -(-rows.num_rows // _file_count(table)) or 1
    for number, start in enumerate(range(0, rows.num_rows, size)):
        yield from write(number, rows.take(order.slice(start, size)).to_batches())


def _ranged(frame: DataFrame, contract: Contract, table: Input) -> DataFrame:
    return frame.repartitionByRange(_file_count(table), _order(contract)[0]).sortWithinPartitions(*_order(contract))


def _written_by_workers(frame: DataFrame, write: PartWriter) -> list[Part]:
    def task(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        from pyspark import TaskContext

        context = TaskContext.get()
        rows = [part.model_dump() for part in write(context.partitionId() if context else 0, batches)]
        if rows:
            yield pa.RecordBatch.from_pylist(rows)

    return [Part(**row.asDict()) for row in frame.mapInArrow(task, PART_TYPE).collect()]


def _part_writer(settings: Settings, url: str, path: str, schema: pa.Schema) -> PartWriter:
    """Return a function that writes one partition; it opens the store on the worker, so no key is sent. A retry writes the same name."""

    def write(number: int, batches: Iterable[pa.RecordBatch], keep_empty: bool = False) -> Iterator[Part]:
        with tempfile.TemporaryDirectory(prefix="sanyu-publish-") as folder:
            local = Path(folder) / f"part-{number:05d}.parquet"
            part = write_part(batches, schema, local)
            part = part.model_copy(update={"stats": file_statistics(pq.read_metadata(local))})
            if part.rows or keep_empty:
                open_store(url, settings).upload(local, f"{path}/{local.name}")
                yield part

    return write


def _arrow_schema(lake: Lake, contract: Contract, version: int) -> pa.Schema:
    """Return names and Arrow types of a table's columns at a version, from its log."""
    schema = pa.schema(_log(lake, contract.path, version).schema().to_arrow())
    return pa.schema([field.remove_metadata() for field in schema])


def _log_parts(lake: Lake, path: str) -> tuple[Part, ...]:
    found = []
    for key in lake.store.keys(f"{path}/_delta_log"):
        data = lake.store.get(key) or b""
        found.append(Part(name=key.removeprefix(f"{path}/"), rows=0, size=len(data), sha256=hashlib.sha256(data).hexdigest()))
    return tuple(found)
