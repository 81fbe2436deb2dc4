"""The rows of a database as a delivery: fetched, digested, and the batch that they are.

Its content is the rows whatever their order, so that the same rows are the same batch. Where the source has a `changed_by` query, its
answer is asked for first: one that the lake knows stands for the rows that came after it, and they are not fetched again. A look that
finds new rows keeps them for the landing that follows it, so that they are fetched once: the delivery is the state of the database that the
look has seen. The first landing takes them, and none that comes later than `KEPT_FOR`.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sanyu.jars import JarGroup, install_jars, resolve
from sanyu.lake.records import recall
from sanyu.lake.store import Store
from sanyu.landing.incoming import Fingerprint, Incoming, identified, remembered
from sanyu.landing.manifest import LandedFile
from sanyu.landing.parsed import PARSED, complete, publish, reused, staged
from sanyu.readers import Database, Fetched, Limits, Parsed, Shape, ask, fetch
from schemas.kinds import Database as Query
from schemas.messages import SanyuError
from schemas.model import Contract
from schemas.source import Source

_COORDINATE = re.compile(r"^[\w.-]+:[\w.-]+:[\w.-]+$")
_SAMPLE_ROWS = 1000
KEPT_FOR = dt.timedelta(minutes=15)


def database_of(source: Source, read: Query, jar_folder: Path, environ: Mapping[str, str] = os.environ) -> Database:
    """Return how the source's database is reached, with credentials from the environment and its driver's jar in place.

    Raises SanyuError SY-R042 (variable not set), SY-R044 (no driver).
    """
    values: dict[str, str | None] = {}
    for setting in ("user_env", "password_env"):
        variable = getattr(read, setting)
        values[setting] = environ.get(variable) if variable else None
        if variable and not values[setting]:
            raise SanyuError("SY-R042", source=source.name, variable=variable, setting=setting)
    return Database(
        name=f"{read.server} {read.table or source.name}",
        url=read.url or "",
        jars=tuple(_driver(source.name, read, jar_folder)),
        user=values["user_env"],
        password=values["password_env"],
        user_env=read.user_env,
        password_env=read.password_env,
        fetch_size=read.fetch_size,
        limits=Limits(max_seconds=read.max_seconds, max_memory_mb=read.max_memory_mb),
    )


@dataclass(frozen=True)
class _Rows:
    """The rows of one fetch: what they are, when they were fetched, and the folder of the lake that they are kept in."""

    parsed: Parsed
    sha256: str
    size_bytes: int
    at: dt.datetime
    key: str


@dataclass(frozen=True)
class _Kept:
    """What a look leaves for the landing that follows it: what it asked, when, and where its rows are."""

    question: str
    at: dt.datetime
    key: str
    sha256: str
    size_bytes: int

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> _Kept:
        return cls(**{**values, "at": dt.datetime.fromisoformat(values["at"])})


def fingerprint_rows(store: Store, source: Source, read: Query, contracts: Mapping[str, Contract], jar_folder: Path) -> Fingerprint:
    """Return the batch that the database's rows are now; fetches them unless `changed_by` says that they are known, and keeps new ones."""
    database = database_of(source, read, jar_folder)
    answer, found = known_rows(store, source, read, contracts, database)
    if found is None:
        with staged(store) as out:
            rows = _rows(read, database, out, None)
            found = _identified(store, source, contracts, database, rows, answer)
            if not store.exists(f"landing/{source.name}/{found.batch_id}/manifest.json"):
                publish(store, out, rows.key, rows.parsed)
                kept = {"question": _question(source, read, database, answer), "at": rows.at.isoformat(), "key": rows.key}
                store.put(_kept_key(source), json.dumps({**kept, "sha256": rows.sha256, "size_bytes": rows.size_bytes}).encode())
    return found


def land_rows(
    store: Store,
    source: Source,
    read: Query,
    contracts: Mapping[str, Contract],
    jar_folder: Path,
    progress: Callable[[int], None],
    say: Callable[[str], None] = lambda text: None,
) -> tuple[Fingerprint, list[LandedFile], bool]:
    """Bring the database's rows in, and return the batch, its one entry for the manifest, and whether they had been there already.

    `say` is told where the rows are those that a look before has fetched.
    """
    database = database_of(source, read, jar_folder)
    answer, found = known_rows(store, source, read, contracts, database)
    if found is not None:
        files = complete(store, f"landing/{source.name}/{found.batch_id}")
        if files is not None:
            return found, files, True
    taken = _taken(store, source, read, database, answer)
    if taken is not None:
        say(f"{source.name}: rows as fetched at {taken.at:%H:%M:%S} UTC")
    with staged(store) as out:
        rows = taken or _rows(read, database, out, progress)
        found = _identified(store, source, contracts, database, rows, answer)
        files = complete(store, f"landing/{source.name}/{found.batch_id}")
        if files is not None:
            return found, files, True
        parsed = rows.parsed if taken else publish(store, out, rows.key, rows.parsed)
    (entry,) = found.files
    return found, [LandedFile(name=entry.name, size_bytes=entry.size_bytes, sha256=entry.sha256).parsed_as(rows.key, parsed)], False


def _taken(store: Store, source: Source, read: Query, database: Database, answer: str | None) -> _Rows | None:
    """Return the rows that the look before has kept, if it asked the same and is recent; whoever asks first takes them."""
    kept = recall(store, _kept_key(source), _Kept.from_dict)
    store.delete(_kept_key(source))
    if kept is None or kept.question != _question(source, read, database, answer) or not dt.timedelta() <= _now() - kept.at <= KEPT_FOR:
        return None
    parsed = reused(store, kept.key)
    return None if parsed is None else _Rows(parsed, kept.sha256, kept.size_bytes, kept.at, kept.key)


def _kept_key(source: Source) -> str:
    return f"landing/{source.name}/fetched.json"


def _question(source: Source, read: Query, database: Database, answer: str | None) -> str:
    """Return a digest of what was asked of which database, and of what `changed_by` said then."""
    asked = [database.url, database.user, read.sql, source.reading, answer]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()


def sampled(source: Source, read: Query, jar_folder: Path) -> tuple[Database, Parsed, int]:
    """Return the first rows' record, and how many rows there are, for a dry run."""
    database = database_of(source, read, jar_folder)
    with tempfile.TemporaryDirectory(prefix="sanyu-rows-") as scratch:
        parsed = _fetch(read, database, Path(scratch), None, _SAMPLE_ROWS).parsed
        count = ask(database, f"select count(*) from ({read.sql}) counted", Path(scratch))
    return database, parsed, int(count[0][0] or 0)


def known_rows(
    store: Store, source: Source, read: Query, contracts: Mapping[str, Contract], database: Database
) -> tuple[str | None, Fingerprint | None]:
    """Return a digest of what `changed_by` answers, and the batch in the lake that came with the same answer, if there is one."""
    if read.changed_by is None:
        return None, None
    with tempfile.TemporaryDirectory(prefix="sanyu-rows-") as scratch:
        said = ask(database, read.changed_by.strip().rstrip(";"), Path(scratch))
    answer = hashlib.sha256(json.dumps([read.changed_by, read.sql, said]).encode()).hexdigest()
    known = remembered(store, source)
    if answer not in known:
        return answer, None
    size, _, sha256 = known[answer]
    found = identified(store, source, contracts, (_entry(database, size, sha256),), {answer: (size, 0, sha256)}, _now())
    return answer, found if store.exists(f"landing/{source.name}/{found.batch_id}/manifest.json") else None


def _fetch(read: Query, database: Database, out: Path, progress: Callable[[int], None] | None, limit: int | None = None) -> Fetched:
    return fetch(database, read.sql, Shape(read.geometry, read.x, read.y, read.wkt, read.crs), out, progress, limit)


def _rows(read: Query, database: Database, out: Path, progress: Callable[[int], None] | None) -> _Rows:
    at, fetched = _now(), _fetch(read, database, out, progress)
    size = sum(part.stat().st_size for part in fetched.parsed.parts)
    key = f"{PARSED}/{fetched.sha256[:24]}-{hashlib.sha256(database.name.encode()).hexdigest()[:12]}"
    return _Rows(fetched.parsed, fetched.sha256, size, at, key)


def _identified(
    store: Store, source: Source, contracts: Mapping[str, Contract], database: Database, rows: _Rows, answer: str | None
) -> Fingerprint:
    hashes = {answer: (rows.size_bytes, 0, rows.sha256)} if answer else {}
    return identified(store, source, contracts, (_entry(database, rows.size_bytes, rows.sha256),), hashes, rows.at)


def _entry(database: Database, size: int, sha256: str) -> Incoming:
    return Incoming(database.name, Path(), size, sha256, ())


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC).replace(microsecond=0)


def _driver(source_name: str, read: Query, jar_folder: Path) -> list[str]:
    """Return the jars of the driver: the locked one of PostgreSQL, a path, or a Maven coordinate resolved once beside the other jars."""
    driver, url = read.driver, read.url or ""
    if driver is None:
        if url.startswith("jdbc:postgresql:"):
            return install_jars(jar_folder, ["jdbc"])
        raise SanyuError("SY-R044", source=source_name, detail=f"none is named for {url.split('//')[0]}")
    if driver.endswith(".jar"):
        path = Path(driver).expanduser()
        if not path.is_file():
            raise SanyuError("SY-R044", source=source_name, detail=f"no file {driver}")
        return [str(path.resolve())]
    if not _COORDINATE.match(driver):
        raise SanyuError("SY-R044", source=source_name, detail=f"{driver!r} is neither a path nor a coordinate")
    folder = jar_folder / "drivers" / driver.replace(":", "_")
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".resolve-", dir=folder.parent) as work:
            resolve(JarGroup(driver, (driver,), ()), Path(work))
            (Path(work) / "jars").rename(folder)
    return sorted(str(path) for path in folder.glob("*.jar"))
