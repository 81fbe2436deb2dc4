"""Land a delivery: resolve a source's files, copy them in, parse each once, and say in a manifest what is there.

The manifest is written last, so a crash leaves no half batch; where it stands, nothing is done again. A file that cannot be read is
recorded with its reason and the rest goes on. Parsed parts are kept by content (`landing/_parsed/<digest>/`), so that sources which read
the same file in the same way share them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from sanyu.lake.deliveries import deliveries
from sanyu.lake.incoming import Fingerprint, Incoming, fingerprint, forget_hashes, keep_hashes, read_options, readers_digest
from sanyu.lake.manifest import Landed, LandedFile, drift
from sanyu.lake.store import LocalStore, Store
from sanyu.readers import Parsed, ReadOptions, parse
from schemas.messages import SanyuError, render
from schemas.model import Contract
from schemas.source import Source

__all__ = ["Fingerprint", "Landed", "fingerprint", "land", "landed_batch", "read_options"]

PARSED = "landing/_parsed"
_CHUNK = 1 << 20
_WORKERS = min(2, os.cpu_count() or 1)  # each parser may take gigabytes
_SECONDS_BETWEEN_REPORTS = 2.0

Progress = Callable[[str], None]


def land(
    store: Store, source: Source, data_root: Path, contracts: Mapping[str, Contract], *, progress: Progress = lambda text: None
) -> Landed:
    """Bring the source's present files into the lake as a batch, or recognise the batch that they already are.

    Raises SanyuError where the definition matches no file (SY-L031); a file that cannot be read is in the result, not an error.
    """
    found = fingerprint(store, source, data_root, contracts)
    folder = f"landing/{source.name}/{found.batch_id}"
    known = _complete(store, folder)
    if known is None:
        with ThreadPoolExecutor(_WORKERS) as pool:
            work = [pool.submit(_landed, store, folder, file, source, progress) for file in found.files]
            try:
                files = [w.result() for w in work]
            except BaseException as error:
                pool.shutdown(wait=True, cancel_futures=True)
                if isinstance(error, SanyuError) and error.code == "SY-L033":
                    forget_hashes(store, source)
                raise
        manifest = {"source": source.name, "batch_id": found.batch_id, "edition_at": found.edition_at, "files": [asdict(f) for f in files]}
        store.put(f"{folder}/manifest.json", json.dumps(manifest, ensure_ascii=False, indent=1).encode())
    else:
        files = known
    keep_hashes(store, source, found)
    return Landed(
        source_name=source.name,
        batch_id=found.batch_id,
        edition_at=found.edition_at,
        files=tuple(files),
        is_new=known is None,
        drift=_drift(store, source, found.batch_id, files),
        uri_of=store.uri,
    )


def landed_batch(store: Store, source: Source, batch_id: str) -> Landed:
    """Return a batch that landed before, from its manifest; raises SanyuError SY-L036 where there is none."""
    folder = f"landing/{source.name}/{batch_id}"
    files, manifest = _complete(store, folder), store.get(f"{folder}/manifest.json")
    if files is None or manifest is None:
        raise SanyuError("SY-L036", source=source.name, batch=batch_id)
    return Landed(source.name, batch_id, json.loads(manifest)["edition_at"], tuple(files), False, (), store.uri)


def _complete(store: Store, folder: str) -> list[LandedFile] | None:
    """Return the files of a batch whose manifest is there and whose parsed parts still are."""
    text = store.get(f"{folder}/manifest.json")
    if text is None:
        return None
    files = [LandedFile.from_dict(f) for f in json.loads(text)["files"]]
    return files if all(store.exists(f"{f.parsed}/parsed.json") for f in files if f.parsed) else None


def _landed(store: Store, folder: str, file: Incoming, source: Source, progress: Progress) -> LandedFile:
    """Copy a file in and parse the copy; SY-L033 where its content is not what was fingerprinted."""
    with tempfile.TemporaryDirectory(prefix="sanyu-land-") as scratch:
        base = store.root / folder / "files" if isinstance(store, LocalStore) else Path(scratch) / "files"
        copy = _copied(file, base)
        if not isinstance(store, LocalStore):
            for name, _ in file.members:
                store.upload(base / name, f"{folder}/files/{name}")
        landed = LandedFile(name=file.name, size_bytes=file.size_bytes, sha256=file.sha256)
        try:
            options = read_options(source, copy)
            key, parsed = _parsed(store, file, copy, options, scratch=Path(scratch), report=_reporter(source.name, file.name, progress))
        except SanyuError as error:
            progress(f"{source.name}: {error}")
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


def _parsed(
    store: Store, file: Incoming, copy: Path, options: ReadOptions, *, scratch: Path, report: Callable[[int], None]
) -> tuple[str, Parsed]:
    """Return the folder key and record of a file's parsed parts, from an earlier run or another source where they are there.

    The name counts, because messages about rows hold it; limits don't, because they do not change what comes out.
    """
    asked = {k: v for k, v in asdict(options).items() if k not in ("limits", "strict")}
    digest = hashlib.sha256(json.dumps([Path(file.name).name, asked, readers_digest()], sort_keys=True).encode()).hexdigest()
    key = f"{PARSED}/{file.sha256[:24]}-{digest[:12]}"
    record = store.get(f"{key}/parsed.json")
    if record is not None:
        return key, Parsed.from_dict(json.loads(record), Path(key))
    if isinstance(store, LocalStore):
        (store.root / PARSED).mkdir(parents=True, exist_ok=True)
        out = Path(tempfile.mkdtemp(prefix=".parse-", dir=store.root / PARSED))
    else:
        out = scratch / "parsed"
    try:
        parsed = parse(copy, out, options, report)
        _publish(store, out, key, parsed)
    finally:
        shutil.rmtree(out, ignore_errors=True)
    return key, Parsed.from_dict(json.loads(parsed.to_json()), Path(key))


def _publish(store: Store, out: Path, key: str, parsed: Parsed) -> None:
    """Put a folder of parts in place: by one rename on a disk, with the record last on an object store."""
    if not isinstance(store, LocalStore):
        for part in (*parsed.parts, out / "parsed.json"):
            store.upload(part, f"{key}/{part.name}")
        return
    target = store.root / key
    out.chmod(0o755)
    try:
        out.rename(target)
    except OSError:
        if not (target / "parsed.json").is_file():  # else another process was first, with the same content
            raise


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
    text = store.get(f"landing/{source.name}/{earlier[-1]}/manifest.json") if earlier and not source.read.open_schema else None
    if text is None:
        return ()
    before = [LandedFile.from_dict(f) for f in json.loads(text)["files"]]
    return tuple(render(code, {"source": source.name, **params}) for code, params in drift(before, files))
