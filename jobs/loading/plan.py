"""Dry run of a source: which files, how many rows about, and how each column would be filled. Starts no Spark and writes nothing."""

from __future__ import annotations

import gzip
import itertools
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from jobs.context import Loading
from sanyu.landing.incoming import Incoming
from sanyu.landing.landing import Fingerprint, fingerprint, read_options
from sanyu.landing.queried import known_rows, sampled
from sanyu.readers import Parsed, parse
from schemas.kinds import Database, Files
from schemas.messages import SanyuError
from schemas.model import Contract
from schemas.source import Into, Source
from transforms.conform.mapping import plan_mapping

SAMPLE_LIMIT_BYTES = 8 << 20


@dataclass(frozen=True)
class PlannedTarget:
    """How one contract would be filled: `columns` are (name, type, expression or – )."""

    table: str
    key: str
    where: str | None
    columns: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Planned:
    """What a run would do; `files` are (name, bytes, format, rows, estimated where the file is large).

    A database is one entry, whose bytes are known after it was landed once. `rejected` are (name, message) of files that can't be read, as
    far as a look at their beginnings and the smallest one's rows tell; a run leaves them out and goes on.
    """

    source: str
    batch_id: str
    is_known: bool
    files: tuple[tuple[str, int | None, str, str], ...]
    targets: tuple[PlannedTarget, ...]
    rejected: tuple[tuple[str, str], ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def planned(loading: Loading, source: Source) -> Planned:
    """Plan the source; raises as a run would on a wrong definition, a missing file or a column that is not in the files.

    A file that can't be read is reported and the rest is planned, as a run loads the rest. Where none can be read, there are no files and
    no targets: a run would end with SY-L030.
    """
    match source.read:
        case Files():
            return _planned_files(loading, source, source.read)
        case Database():
            return _planned_rows(loading, source, source.read)


def _planned_files(loading: Loading, source: Source, read: Files) -> Planned:
    """Plan files: the smallest one's rows tell the columns, and how many rows the others have about."""
    found = fingerprint(loading.lake.store, source, loading.data_root, loading.contracts)
    done = all(loading.lake.ledger.is_done(source.name, found.batch_id, i.contract) for i in source.into)
    rejected, sampled_file = _sampled(read, found)
    if sampled_file is None:
        return Planned(source.name, found.batch_id, done, (), (), tuple(rejected.items()))
    smallest, sample = sampled_file
    rate = sample.row_count / max(1, _content_bytes(smallest.path))
    files = []
    for file in (f for f in found.files if f.name not in rejected):
        rows = f"{sample.row_count:,}" if file is smallest else f"≈ {round(rate * _content_bytes(file.path)):,}"
        files.append((file.name, file.size_bytes, read_options(read, file.path).format, rows))
    columns = tuple(c.name for c in sample.columns)
    targets = tuple(_target(source, into, loading.contracts[into.contract], columns) for into in source.into)
    return Planned(source.name, found.batch_id, done, tuple(files), targets, tuple(rejected.items()))


def _sampled(read: Files, found: Fingerprint) -> tuple[dict[str, str], tuple[Incoming, Parsed] | None]:
    """Return the message of each file that can't be read, and the smallest that can be with the record of its rows."""
    rejected: dict[str, str] = {}
    for file in found.files:
        try:
            read_options(read, file.path)
        except SanyuError as error:
            rejected[file.name] = str(error)
    for file in sorted((f for f in found.files if f.name not in rejected), key=lambda f: f.path.stat().st_size):
        try:
            with tempfile.TemporaryDirectory() as scratch:
                return rejected, (file, parse(file.path, Path(scratch), read_options(read, file.path)))
        except SanyuError as error:
            rejected[file.name] = str(error)
    return rejected, None


def _planned_rows(loading: Loading, source: Source, read: Database) -> Planned:
    """Plan a database: its first rows tell the columns. Which batch its rows are is known before a run only from `changed_by`."""
    database, sample, count = sampled(source, read, loading.lake.settings.jar_folder)
    _, found = known_rows(loading.lake.store, source, read, loading.contracts, database)
    done = found is not None and all(loading.lake.ledger.is_done(source.name, found.batch_id, i.contract) for i in source.into)
    size = sum(f.size_bytes for f in found.files) if found else None
    columns = tuple(c.name for c in sample.columns)
    targets = tuple(_target(source, into, loading.contracts[into.contract], columns) for into in source.into)
    batch = found.batch_id if found else "by its rows"
    return Planned(source.name, batch, done, ((database.name, size, read.shown_format, f"{count:,}"),), targets)


def _target(source: Source, into: Into, contract: Contract, columns: tuple[str, ...]) -> PlannedTarget:
    plan_mapping(source, into, contract, columns)
    rules = into.rules
    rows = tuple((c.name, c.dtype.value, rules[c.name].expr if c.name in rules else "–") for c in contract.columns)
    return PlannedTarget(contract.name, into.key or ", ".join(contract.key), into.where, rows)


def _content_bytes(path: Path) -> int:
    """Return about how many bytes a file holds uncompressed; rows are estimated in proportion to it."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            return sum(i.file_size for i in archive.infolist())
    if path.suffix == ".gz":
        with gzip.open(path) as stream:
            return sum(len(b) for b in itertools.takewhile(bool, (stream.read(1 << 20) for _ in range(SAMPLE_LIMIT_BYTES >> 20))))
    return path.stat().st_size
