"""Land a delivery: resolve a source's files, copy them in, parse each once, and say in a manifest what is there.

The manifest is written last, so a crash leaves no half batch; where it stands, nothing is done again. A file that cannot be read is
recorded with its reason and the rest goes on. Parsed parts are kept by content (`sanyu.landing.parsed`), so that sources which read the
same file in the same way share them.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from sanyu.lake.deliveries import deliveries
from sanyu.lake.records import recall, record
from sanyu.lake.store import LocalStore, Store
from sanyu.landing.incoming import Fingerprint, Incoming, fingerprint_files, forget_hashes, keep_hashes, read_options, readers_digest
from sanyu.landing.manifest import Landed, LandedFile, drift
from sanyu.landing.parsed import PARSED, clean, complete, files_of, publish, reused, staged
from sanyu.landing.queried import fingerprint_rows, land_rows
from sanyu.readers import Parsed, ReadOptions, parse
from sanyu.settings import Settings
from schemas.kinds import Database, Files
from schemas.messages import SanyuError, render
from schemas.model import Contract
from schemas.source import Source

__all__ = ["Fingerprint", "Landed", "fingerprint", "land", "landed_batch", "landed_source", "read_options"]

_CHUNK = 1 << 20
_WORKERS = min(2, os.cpu_count() or 1)  # each parser may take gigabytes
_SECONDS_BETWEEN_REPORTS = 2.0

Progress = Callable[[str], None]


def land(
    store: Store,
    source: Source,
    data_root: Path,
    contracts: Mapping[str, Contract],
    *,
    jars: Path | None = None,
    progress: Progress = lambda text: None,
) -> Landed:
    """Bring what the source delivers now into the lake as a batch, or recognise the batch that it already is.

    `jars` is the folder of the JDBC drivers, for a source that is a database. Raises SanyuError where the definition matches no file
    (SY-L031) or the database can't be read (SY-R040 and following); a file that cannot be read is in the result, not an error.
    """
    match source.read:
        case Files():
            found, files, is_known = _land_files(store, source, source.read, data_root, contracts, progress)
        case Database():
            report = _reporter(source.name, source.read.server, progress)
            found, files, is_known = land_rows(store, source, source.read, contracts, _drivers(jars), report, progress)
    if not is_known:
        manifest = {
            "source": source.name,
            "batch_id": found.batch_id,
            "edition_at": found.edition_at,
            "files": [asdict(f) for f in files],
            "definition": source.model_dump(mode="json", exclude_unset=True),
        }
        store.put(f"landing/{source.name}/{found.batch_id}/manifest.json", json.dumps(manifest, ensure_ascii=False, indent=1).encode())
        clean(store)
    keep_hashes(store, source, found)
    return Landed(
        source_name=source.name,
        batch_id=found.batch_id,
        edition_at=found.edition_at,
        files=tuple(files),
        is_new=not is_known,
        drift=_drift(store, source, found.batch_id, files),
        uri_of=store.uri,
    )


def fingerprint(
    store: Store, source: Source, data_root: Path, contracts: Mapping[str, Contract], *, jars: Path | None = None
) -> Fingerprint:
    """Return the batch that the source would deliver now. Files are hashed; a database's rows are fetched unless `changed_by` spares it.

    New rows of a database are kept for the `land` that follows, which takes them instead of fetching them again.
    """
    match source.read:
        case Files():
            return fingerprint_files(store, source, source.read, data_root, contracts)
        case Database():
            return fingerprint_rows(store, source, source.read, contracts, _drivers(jars))


def _drivers(jars: Path | None) -> Path:
    return jars if jars is not None else Settings.load().jar_folder


def _land_files(
    store: Store, source: Source, read: Files, data_root: Path, contracts: Mapping[str, Contract], progress: Progress
) -> tuple[Fingerprint, list[LandedFile], bool]:
    """Copy and parse the source's files; returns the batch, its files, and whether they had been there already."""
    found = fingerprint_files(store, source, read, data_root, contracts)
    folder = f"landing/{source.name}/{found.batch_id}"
    known = complete(store, folder)
    if known is not None:
        return found, known, True
    with ThreadPoolExecutor(_WORKERS) as pool:
        work = [pool.submit(_landed, store, folder, file, source.name, read, progress) for file in found.files]
        try:
            return found, [w.result() for w in work], False
        except BaseException as error:
            pool.shutdown(wait=True, cancel_futures=True)
            if isinstance(error, SanyuError) and error.code == "SY-L033":
                forget_hashes(store, source)
            raise


def landed_batch(store: Store, source_name: str, batch_id: str) -> Landed:
    """Return a batch that landed before, from its manifest; raises SanyuError SY-L036 where there is none, SY-L060 where it is damaged."""
    folder = f"landing/{source_name}/{batch_id}"
    edition_at = record(store, f"{folder}/manifest.json", lambda manifest: str(manifest["edition_at"]), f"sanyu run {source_name}")
    files = complete(store, folder)
    if files is None or edition_at is None:
        raise SanyuError("SY-L036", source=source_name, batch=batch_id)
    return Landed(source_name, batch_id, edition_at, tuple(files), False, (), store.uri)


def landed_source(store: Store, source_name: str, batch_id: str) -> Source | None:
    """Return the definition that a batch was landed with, None where its manifest has none that holds today."""
    try:
        kept = json.loads(store.get(f"landing/{source_name}/{batch_id}/manifest.json") or b"{}").get("definition")
        return None if kept is None else Source.model_validate(kept)
    except ValueError:  # pydantic's is one, too
        return None


def _landed(store: Store, folder: str, file: Incoming, source_name: str, read: Files, progress: Progress) -> LandedFile:
    """Copy a file in and parse the copy; SY-L033 where its content is not what was fingerprinted."""
    with tempfile.TemporaryDirectory(prefix="sanyu-land-") as scratch:
        base = store.root / folder / "files" if isinstance(store, LocalStore) else Path(scratch) / "files"
        copy = _copied(file, base)
        if not isinstance(store, LocalStore):
            for name, _ in file.members:
                store.upload(base / name, f"{folder}/files/{name}")
        landed = LandedFile(name=file.name, size_bytes=file.size_bytes, sha256=file.sha256)
        try:
            options = read_options(read, copy)
            key, parsed = _parsed(store, file, copy, options, _reporter(source_name, file.name, progress))
        except SanyuError as error:
            progress(f"{source_name}: {error}")
            return landed.failed(error.code, error.params)
        return landed.parsed_as(key, parsed)


def _copied(file: Incoming, base: Path) -> Path:
    """Copy all members of a delivered file below a folder, durably and hashed on the way, and return the copy's main path."""
    digests = []
    for name, path in file.members:
        target = base / name
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.sha256()
        staged = target.with_name(f".{target.name}.{os.getpid()}")
        with path.open("rb") as read, staged.open("wb") as write:
            while chunk := read.read(_CHUNK):
                digest.update(chunk)
                write.write(chunk)
            write.flush()
            os.fsync(write.fileno())
        staged.replace(target)
        digests.append((name, digest.hexdigest()))
    if file.digest_of(digests) != file.sha256:
        raise SanyuError("SY-L033", file=file.name)
    return base / file.name


def _parsed(store: Store, file: Incoming, copy: Path, options: ReadOptions, report: Callable[[int], None]) -> tuple[str, Parsed]:
    """Return the folder key and record of a file's parsed parts, from an earlier run or another source where they are there.

    The name counts, because messages about rows hold it; limits don't, because they do not change what comes out.
    """
    asked = {k: v for k, v in asdict(options).items() if k not in ("limits", "strict")}
    digest = hashlib.sha256(json.dumps([Path(file.name).name, asked, readers_digest()], sort_keys=True).encode()).hexdigest()
    key = f"{PARSED}/{file.sha256[:24]}-{digest[:12]}"
    known = reused(store, key)
    if known is not None:
        return key, known
    with staged(store) as out:
        return key, publish(store, out, key, parse(copy, out, options, report))


def _reporter(source_name: str, file_name: str, progress: Progress) -> Callable[[int], None]:
    last = time.monotonic()

    def report(rows: int) -> None:
        nonlocal last
        if time.monotonic() - last >= _SECONDS_BETWEEN_REPORTS:
            last = time.monotonic()
            progress(f"{source_name}: {file_name}: {rows:,} rows")

    return report


def _drift(store: Store, source: Source, batch_id: str, files: list[LandedFile]) -> tuple[str, ...]:
    """Return what is different about the columns since the delivery before this one, as messages; nothing for an open schema."""
    earlier = deliveries(store, source.name)
    if batch_id in earlier:
        earlier = earlier[: len(earlier) - 1 - earlier[::-1].index(batch_id)]
    key = f"landing/{source.name}/{earlier[-1]}/manifest.json" if earlier and not source.read.open_schema else None
    before = recall(store, key, files_of) if key else None
    if before is None:
        return ()
    return tuple(render(code, {"source": source.name, **params}) for code, params in drift(before, files))
