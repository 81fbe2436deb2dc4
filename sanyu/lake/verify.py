"""The lake checker: is everything that was acknowledged stored, once, whole, and accounted for?

Each check yields findings, not a verdict; an empty list is a sound lake. What is looked at:

| check | what must hold |
|---|---|
| `log` | a table's commits are numbered without a gap, none is empty or torn |
| `files` | the live files of a table are there, with the size that the log says |
| `sums` | their content is what was written (SHA-256 kept with each commit; else Parquet's own page checksums) |
| `keys` | no two believed rows bear one stamp id; no entity or key has two open versions; no two versions of an entity overlap |
| `ledger` | each commit that loaded rows has its row in the ledger, and what the ledger calls done is in the table |
| `bridge` | the links that a commit made are in the bridge |
| `balance` | rows in = loaded + unchanged + quarantined + duplicate, for each row of the ledger |
| `landing` | manifests can be read, the landed files have the SHA-256 that the manifest says |
| `deliveries` | a source's deliveries are numbered without a gap, each once |
| `leases` | no lease is held by a process that is gone |
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sanyu.lake import sums
from sanyu.lake.commit import recovered
from sanyu.lake.lease import FOLDER as LEASES
from sanyu.lake.lease import holder, is_abandoned
from sanyu.lake.ledger import Known, Ledger
from sanyu.lake.log import TableLog, commit_keys, damaged
from sanyu.lake.read import Lake, table_key
from sanyu.lake.store import LocalStore
from schemas.model import Contract, History

if TYPE_CHECKING:
    from collections.abc import Sequence

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it should be: in which table or folder, by which check, what, and what to do."""

    where: str
    check: str
    what: str
    remedy: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def verify(
    lake: Lake,
    contracts: Mapping[str, Contract],
    tables: Sequence[str] = (),
    *,
    quick: bool = False,
    progress: Progress = lambda text: None,
) -> list[Finding]:
    """Check the tables named, or the whole lake; `quick` leaves out what reads every byte (`sums`, landed files). SY-L004 for a name."""
    names = [lake.table(name).name for name in tables] or lake.names()  # a name that is none is told by `table`
    found: list[Finding] = []
    known = lake.ledger.known()
    for name in names:
        progress(f"verify {name}")
        whole = list(_log_and_files(lake, name, quick=quick))
        found += whole
        if not whole:  # a damaged table can't be read
            found += _keys(lake, name, contracts.get(name))
            found += _accounts(lake, name, known)
    found += _lost(lake, names)
    if not tables:
        progress("verify ledger, landing, leases")
        found += [*_balance(lake), *_landing(lake, quick=quick), *_leases(lake)]
    return found


def _log_and_files(lake: Lake, name: str, *, quick: bool) -> Iterator[Finding]:
    """Check a table's commits and files."""
    path, store = table_key(name), lake.store
    for key in damaged(store, path, all_of=True):
        yield Finding(name, "log", f"{key} is empty or torn", f"sanyu repair table {name}")
    numbers = sorted(int(stem) for key in store.keys(f"{path}/_delta_log") if (stem := Path(key).name.removesuffix(".json")).isdigit())
    if gaps := [n for before, n in itertools.pairwise(numbers) if n != before + 1]:
        yield Finding(name, "log", f"commit {gaps[0] - 1} is missing", "restore the file from a backup")
        return
    if damaged(store, path):
        return
    log = TableLog(store, path)
    kept = sums.kept(store, path) if isinstance(store, LocalStore) else {}
    for file, size in _live(lake, log):
        key = f"{path}/{file}"
        if not store.exists(key):
            yield Finding(name, "files", f"{file} is missing", f"restore it from a backup, or sanyu repair table {name}")
        elif isinstance(store, LocalStore):
            at = Path(store.uri(path, scheme="path")) / file
            if size is not None and at.stat().st_size != size:
                yield Finding(name, "files", f"{file} has {at.stat().st_size} bytes, the log says {size}", f"sanyu repair table {name}")
            elif not quick and (what := _content_problem(at, kept.get(file))):
                yield Finding(name, "sums", f"{file}: {what}", f"restore it from a backup, or sanyu repair table {name}")


def _live(lake: Lake, log: TableLog) -> list[tuple[str, int | None]]:
    """Return the files of a table's newest version with their sizes; deletion vectors, whose size the log does not tell, with None."""
    import pyarrow as pa

    actions = pa.table(log.table.get_add_actions(flatten=False)).to_pylist()
    found: list[tuple[str, int | None]] = [(a["path"], int(a["size_bytes"])) for a in actions]
    return found + [(file, None) for file in _vectors(lake, log, {a["path"] for a in actions}) if log.has_deletion_vectors]


def _vectors(lake: Lake, log: TableLog, live: set[str]) -> list[str]:
    """Return the deletion vectors of live files. delta-rs does not give them, so commits are read from the newest back to a checkpoint."""
    import pyarrow.fs as pafs
    import pyarrow.parquet as pq

    found: dict[str, str | None] = {}
    for key in reversed(commit_keys(lake.store, log.path)):
        for line in (lake.store.get(key) or b"").splitlines():
            if line.startswith(b'{"add"'):
                add = json.loads(line)["add"]
                found.setdefault(unquote(add["path"]), sums.vector_file(add.get("deletionVector")))
    if live <= set(found) or not isinstance(lake.store, LocalStore):
        return [file for path in live if (file := found.get(path))]
    for part in sorted(Path(lake.store.uri(f"{log.path}/_delta_log", scheme="path")).glob("*.checkpoint*.parquet"), reverse=True):
        adds = pq.read_table(str(part), columns=["add"], filesystem=pafs.LocalFileSystem())["add"].to_pylist()
        for add in filter(None, adds):
            found.setdefault(unquote(add["path"]), sums.vector_file(add.get("deletionVector")))
    return [file for path in live if (file := found.get(path))]


def _content_problem(path: Path, kept: tuple[int, str] | None) -> str | None:
    """Return what is wrong with a file's bytes, None where nothing is."""
    if kept is not None:
        return None if sums.digest(path) == kept[1] else "its SHA-256 is not the one that was kept when it was written"
    if path.suffix != ".parquet":
        return None
    import pyarrow.parquet as pq

    try:
        pq.ParquetFile(path, page_checksum_verification=True).read()
    except OSError as error:
        return str(error).splitlines()[0]
    return None


def _keys(lake: Lake, name: str, contract: Contract | None) -> Iterator[Finding]:
    """Check that nothing stands twice in a core or mart table."""
    if contract is None or contract.layer not in ("core", "mart"):
        return
    table = lake.table(name)
    rows = table.to_duckdb(
        [
            "source_name",
            "source_key",
            "entity_id",
            "stamp_id",
            "valid_from_at",
            "valid_to_at",
            "batch_id",
            "superseded_at",
            *contract.partition_by,
        ],
        history=True,
    ).filter("superseded_at IS NULL")
    by = {
        History.ENTITY: "entity_id, source_name",
        History.FACT: ", ".join(dict.fromkeys(("source_name", "source_key", *contract.partition_by))),
        History.APPEND: "source_name, source_key, batch_id, stamp_id",
    }[contract.history]
    twice = {"stamp id": "stamp_id, source_name" + (", batch_id" if contract.history is History.APPEND else "")}
    if contract.history is History.ENTITY:
        open_rows = rows.filter("valid_to_at IS NULL")
        yield from _twice(name, open_rows, "entity with two open versions", by)
        yield from _twice(name, open_rows, "source key of two open entities", "source_name, source_key")
        overlap = rows.project(
            "*, lead(valid_from_at) OVER (PARTITION BY source_name, entity_id ORDER BY valid_from_at, valid_to_at) AS next_from"
        )
        count = overlap.filter("next_from < coalesce(valid_to_at, TIMESTAMPTZ '9999-12-31')").aggregate("count(*)").fetchall()[0][0]
        if count:
            yield Finding(name, "keys", f"{count} versions overlap the next one of their entity", f"sanyu restore {name}")
    else:
        yield from _twice(name, rows, "key twice", by)
    for what, columns in twice.items():
        yield from _twice(name, rows, f"{what} twice", columns)


def _twice(name: str, rows: Any, what: str, columns: str) -> Iterator[Finding]:
    found = rows.aggregate(f"{columns}, count(*) AS n", columns).filter("n > 1")
    count = found.aggregate("count(*)").fetchall()[0][0]
    if count:
        example = ", ".join(str(value) for value in found.limit(1).fetchall()[0][:-1])
        yield Finding(name, "keys", f"{count} × {what}, such as {example}", f"sanyu restore {name}")


def _accounts(lake: Lake, name: str, known: Known) -> Iterator[Finding]:
    """Check that ledger and bridge know the commits of a table."""
    for commit in TableLog(lake.store, table_key(name)).commits():
        outcome, links = recovered(commit.noted, commit.version)
        if outcome.row is None:
            continue
        if not known.has(outcome.row):
            yield Finding(name, "ledger", f"commit {commit.version} of batch {outcome.row.batch_id} has no row", "sanyu repair ledger")
        if links and not known.has_links(outcome.row):
            yield Finding(name, "bridge", f"{len(links)} links of batch {outcome.row.batch_id} are missing", "sanyu repair ledger")


def _lost(lake: Lake, names: Sequence[str]) -> Iterator[Finding]:
    """Check that what the ledger calls done is still in the tables: the newest delivery of each source into each table."""
    newest = {(d.source_name, d.table): d for d in lake.ledger.all_done()}
    logs: dict[str, TableLog] = {}
    for (source, table), done in sorted(newest.items()):
        if done.version is None or (names and table not in names and table in set(lake.names())):
            continue
        if damaged(lake.store, table_key(table)):
            continue
        log = logs.setdefault(table, TableLog(lake.store, table_key(table)))
        if not log.exists:
            yield Finding(
                table, "ledger", f"the table is gone; the ledger has delivery {done.sequence} of {source} in it", f"sanyu run {source}"
            )
        elif not log.holds(done.version, done.table_id):
            what = f"delivery {done.sequence} of {source} (version {done.version}) is not in it any more"
            yield Finding(table, "ledger", what, f"sanyu run {source}")


def _balance(lake: Lake) -> Iterator[Finding]:
    if Ledger.TABLE not in lake.names():
        return
    bad = lake.table(Ledger.TABLE).to_arrow(
        ["source_name", "batch_id", "table_name"],
        where="step = 'core' AND status IN ('ok', 'warning') "
        "AND rows_in <> rows_loaded + rows_unchanged + rows_quarantined + rows_duplicate",
    )
    for row in bad.to_pylist():
        yield Finding(row["table_name"], "balance", f"batch {row['batch_id']} of {row['source_name']} does not add up", "sanyu ledger")


def _landing(lake: Lake, *, quick: bool) -> Iterator[Finding]:
    """Check manifests, landed files and the numbers of deliveries."""
    store = lake.store
    for source in (name for name in store.folders("landing") if not name.startswith("_")):
        numbers = sorted(int(stem) for key in store.keys(f"landing/{source}/deliveries") if (stem := Path(key).stem).isdigit())
        if numbers and numbers != list(range(numbers[0], numbers[0] + len(numbers))):
            yield Finding(f"landing/{source}", "deliveries", "numbers are missing", "sanyu repair deliveries")
        for batch in store.folders(f"landing/{source}"):
            key = f"landing/{source}/{batch}/manifest.json"
            data = store.get(key)
            if data is None:
                continue
            try:
                files = json.loads(data)["files"]
            except (ValueError, KeyError):
                yield Finding(key, "landing", "the manifest can't be read", f"sanyu run {source} writes it again")
                continue
            if not quick and isinstance(store, LocalStore):
                yield from _landed_files(store, f"landing/{source}/{batch}/files", files)


def _landed_files(store: LocalStore, folder: str, files: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    for file in files:
        path = Path(store.uri(folder, scheme="path")) / file["name"]
        if not path.is_file() or path.suffix.lower() == ".shp":  # a database's rows, a folder; a shapefile's digest is over several files
            continue
        if hashlib.sha256(path.read_bytes()).hexdigest() != file["sha256"]:
            yield Finding(f"{folder}/{file['name']}", "landing", "its SHA-256 is not that of the manifest", "restore it from a backup")


def _leases(lake: Lake) -> Iterator[Finding]:
    for key in lake.store.keys(LEASES):
        table = key.removeprefix(f"{LEASES}/").removesuffix(".json")
        record = holder(lake.store, table)
        if record is not None and is_abandoned(record):
            what = f"held by {record.owner} (process {record.pid} on {record.host}), which is gone"
            yield Finding(table, "leases", what, "nothing: the next writer takes it over")
