"""Which files a source delivers now, and which batch they are: hashing only, nothing is copied or parsed.

A hash is taken over from the lake where name, size and modification time are the same as when it was made.
"""

from __future__ import annotations

import datetime as dt
import functools
import hashlib
import json
import time
import zoneinfo
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import sanyu.readers
from sanyu.lake.deliveries import deliveries
from sanyu.lake.records import recall
from sanyu.lake.store import Store
from sanyu.readers import FORMATS, Limits, ReadOptions, detect_format
from sanyu.readers.archive import shapefile_siblings
from schemas.kinds import Files
from schemas.messages import SanyuError
from schemas.model import Contract
from schemas.source import Source

_CHUNK = 1 << 20
# A file may change again within the resolution of its modification time.
_SETTLED_NS = 2_000_000_000


@dataclass(frozen=True)
class Incoming:
    """One file as a source delivers it; `members` are the names and paths of its parts (a shapefile has several, a FileGDB is a folder)."""

    name: str
    path: Path
    size_bytes: int
    sha256: str
    members: tuple[tuple[str, Path], ...]

    @staticmethod
    def digest_of(members: Sequence[tuple[str, str]]) -> str:
        """Return the SHA-256 of a file, or of a list of names and digests where it has several members."""
        if len(members) == 1:
            return members[0][1]
        return hashlib.sha256("".join(f"{digest} {PurePosixPath(name).name}\n" for name, digest in sorted(members)).encode()).hexdigest()


@dataclass(frozen=True)
class Fingerprint:
    """The batch that a source's present files are. `edition_at` is an ISO instant in UTC; `hashes` is what to remember of this run."""

    batch_id: str
    edition_at: str
    files: tuple[Incoming, ...]
    hashes: dict[str, tuple[int, int, str]]


def fingerprint_files(store: Store, source: Source, read: Files, data_root: Path, contracts: Mapping[str, Contract]) -> Fingerprint:
    """Return what would be landed, and its batch id: `<date of edition>-<12 hex>`.

    The hex is a digest over the files' content, the source definition and the contract versions. A batch that the lake holds under this
    digest keeps its id and edition, whatever the files' modification times are by now.
    """
    known = remembered(store, source)
    hashes: dict[str, tuple[int, int, str]] = {}
    files = tuple(_incoming(path, data_root, known, hashes) for path in _resolved(source.name, read, data_root))
    newest = max(path.stat().st_mtime_ns for f in files for _, path in f.members)
    return identified(store, source, contracts, files, hashes, dt.datetime.fromtimestamp(newest // 1_000_000_000, dt.UTC))


def identified(
    store: Store,
    source: Source,
    contracts: Mapping[str, Contract],
    files: tuple[Incoming, ...],
    hashes: dict[str, tuple[int, int, str]],
    newest: dt.datetime,
) -> Fingerprint:
    """Return the batch that files of known content are; `newest` is its edition where the definition names none."""
    digest, *former = _digests(source, contracts, files)
    known = _same_delivery(store, source, contracts, files, (digest, *former))
    if known is not None:
        return Fingerprint(*known, files, hashes)
    edition = _edition(source, newest)
    return Fingerprint(f"{edition:%Y%m%d}-{digest}", edition.isoformat(timespec="microseconds"), files, hashes)


def _digests(source: Source, contracts: Mapping[str, Contract], files: tuple[Incoming, ...]) -> tuple[str, str]:
    """Return what ends the id of this batch, and what ended it in version 0.1."""
    versions = {into.contract: contracts[into.contract].version for into in source.into if into.contract in contracts}
    content = sorted(file.sha256 for file in files)
    texts = [json.dumps([content, by, versions], sort_keys=True) for by in (source.fingerprint, source.former_fingerprint)]
    return hashlib.sha256(texts[0].encode()).hexdigest()[:12], hashlib.sha256(texts[1].encode()).hexdigest()[:12]


def _same_delivery(
    store: Store, source: Source, contracts: Mapping[str, Contract], files: tuple[Incoming, ...], digests: tuple[str, ...]
) -> tuple[str, str] | None:
    """Return id and edition of the batch in the lake that this delivery is, None for a new one.

    Its id ends in one of the digests; or it is the last delivery of the source, of the same content under a definition that makes the same
    rows of it in all tables that both have, such as before a further table was added.
    """
    for folder in store.folders(f"landing/{source.name}"):
        edition_at = edition_of(store, f"landing/{source.name}/{folder}") if folder.endswith(digests) else None
        if edition_at is not None:
            return folder, edition_at
    order = deliveries(store, source.name)
    if order:
        landed = recall(store, f"landing/{source.name}/{order[-1]}/manifest.json", _edition_and_definition)
        if landed and order[-1].endswith(_digests(landed[1], contracts, files)) and source.has_rows_of(landed[1]):
            return order[-1], landed[0]
    return None


def _edition_and_definition(manifest: dict[str, Any]) -> tuple[str, Source]:
    return str(manifest["edition_at"]), Source.model_validate(manifest["definition"])


def edition_of(store: Store, folder: str) -> str | None:
    """Return the edition time of the batch in a folder, as its manifest says; None without one, or with one that has to be written anew."""
    return recall(store, f"{folder}/manifest.json", lambda manifest: str(manifest["edition_at"]))


def remembered(store: Store, source: Source) -> dict[str, tuple[int, int, str]]:
    """Return the hashes of the last run by name: size, modification time in ns, SHA-256. Nothing where they are lost or damaged."""
    return (
        recall(store, hashes_key(source), lambda said: {name: (int(size), int(at), str(sha)) for name, (size, at, sha) in said.items()})
        or {}
    )


def forget_hashes(store: Store, source: Source) -> None:
    """Forget all hashes: one of them has turned out to be wrong."""
    store.delete(hashes_key(source))


def keep_hashes(store: Store, source: Source, found: Fingerprint) -> None:
    """Remember the hashes of this run for the next one."""
    text = json.dumps(found.hashes, ensure_ascii=False, indent=0, sort_keys=True).encode()
    if store.get(hashes_key(source)) != text:
        store.put(hashes_key(source), text)


def read_options(read: Files, path: Path) -> ReadOptions:
    """Return how a file is parsed; without a `format` in the definition the file's content decides (SY-L034 if it can't)."""
    name = read.format or detect_format(path)
    if name is None:
        raise SanyuError("SY-L034", file=path.name, choices=", ".join(FORMATS))
    return ReadOptions(
        format=name,
        layer=read.layer,
        encoding=read.encoding,
        crs=read.crs,
        header=list(read.header) if read.header else None,
        x=read.x,
        y=read.y,
        wkt=read.wkt,
        delimiter=read.delimiter,
        limits=Limits(max_seconds=read.max_seconds, max_memory_mb=read.max_memory_mb),
    )


@functools.cache
def readers_digest() -> str:
    """Return a digest over the readers' code: parts made by other code are made anew."""
    digest = hashlib.sha256()
    for path in sorted(Path(sanyu.readers.__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def hashes_key(source: Source) -> str:
    """Return the key of what is remembered about a source's deliveries."""
    return f"landing/{source.name}/hashes.json"


def _resolved(source_name: str, read: Files, data_root: Path) -> list[Path]:
    """Return the files that the patterns match, each once, sorted by pattern, then name."""
    found: dict[Path, None] = {}
    for pattern in read.paths:
        if PurePosixPath(pattern).is_absolute() or ".." in PurePosixPath(pattern).parts:
            raise SanyuError("SY-L032", source=source_name, pattern=pattern)
        matches = [p for p in sorted(data_root.glob(pattern)) if p.is_file() or p.suffix.lower() == ".gdb"]
        if not matches:
            raise SanyuError("SY-L031", source=source_name, pattern=pattern, folder=str(data_root))
        found |= dict.fromkeys(matches)
    return list(found)


def _incoming(path: Path, root: Path, known: Mapping[str, tuple[int, int, str]], hashes: dict[str, tuple[int, int, str]]) -> Incoming:
    if path.is_dir():
        paths = sorted(p for p in path.rglob("*") if p.is_file())
    elif path.suffix.lower() == ".shp":
        paths = [path, *shapefile_siblings(path)]
    else:
        paths = [path]
    members = tuple((p.relative_to(root).as_posix(), p) for p in paths)
    digests = []
    size = 0
    for name, member in members:
        stat = member.stat()
        size += stat.st_size
        before = known.get(name)
        same = before is not None and before[:2] == (stat.st_size, stat.st_mtime_ns)
        sha = before[2] if before is not None and same else _sha256(member)
        digests.append((name, sha))
        if time.time_ns() - stat.st_mtime_ns > _SETTLED_NS:
            hashes[name] = (stat.st_size, stat.st_mtime_ns, sha)
    return Incoming(path.relative_to(root).as_posix(), path, size, Incoming.digest_of(digests), members)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _edition(source: Source, newest: dt.datetime) -> dt.datetime:
    """Return the edition time in UTC: the definition's, in its time zone where it has none, else the newest content's."""
    given = source.delivery.edition_at
    if given is None:
        return newest
    try:
        edition = dt.datetime.fromisoformat(given)
        if edition.tzinfo is None:
            edition = edition.replace(tzinfo=_zone(source.delivery.time_zone))
    except (ValueError, zoneinfo.ZoneInfoNotFoundError):
        raise SanyuError("SY-L035", source=source.name, value=given) from None
    return edition.astimezone(dt.UTC)


def _zone(name: str) -> dt.tzinfo:
    """Return a fixed offset such as +08:00 or an IANA zone such as America/Los_Angeles."""
    if name[:1] in "+-":
        return dt.datetime.fromisoformat(f"2000-01-01T00:00:00{name}").tzinfo or dt.UTC
    return zoneinfo.ZoneInfo(name)
