"""The process that queries a database. Started by `sanyu.readers.database`, one per query; writes JSON lines to standard output.

Every value becomes text: numbers as the database writes them, booleans as true/false, times in ISO 8601, bytes as Base64. The session is
read-only and sees one snapshot of the database (REPEATABLE READ) if the database supports it. The JVM's zone is UTC, so that texts of
instants do not depend on the machine.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sanyu.readers import sandbox
from sanyu.readers.child import Unwanted
from sanyu.readers.database import Database, Shape, concealed
from sanyu.readers.model import Limits, ReadOptions, RowError
from schemas.messages import SanyuError

_BATCH_ROWS = 20_000
_ANSWER_ROWS = 1000
_LOGIN_SECONDS = 15
_HEAP_MB = 1024
_SECONDS_TO_CANCEL = 3  # before this process is killed; otherwise the server would keep working for nobody
_BINARY = frozenset({-2, -3, -4, 2004})  # java.sql.Types: BINARY, VARBINARY, LONGVARBINARY, BLOB
_TRUTH = frozenset({-7, 16})
_TIMES = frozenset({91, 92, 93, 2013, 2014})
_TRUTHS = {"t": "true", "f": "false", "1": "true", "0": "false"}
_INSTANT = re.compile(r"^(\d{4,}-\d\d-\d\d) (\d\d:\d\d:\d\d)(\.\d+)?\s?([+-]\d\d)?(:?\d\d)?$")
_HEX = re.compile(r"^0[01]([0-9A-Fa-f]{2}){4,}$")
_MANY = 1 << 256


def main() -> None:
    """Read the request from standard input, run the query, and answer."""
    sandbox.die_with_parent()
    sys.meta_path.insert(0, Unwanted())
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # output printed by a driver must not be mistaken for an answer

    def answer(**message: Any) -> None:
        answers.write(json.dumps(message, ensure_ascii=False, default=str) + "\n")
        answers.flush()

    asked = json.loads(sys.stdin.read())
    told = asked["database"]
    database = Database(**{**told, "jars": tuple(told["jars"]), "limits": Limits(**told["limits"])})
    try:
        if "out_dir" in asked:
            answer(**_fetched(database, asked, lambda rows: answer(rows=rows)))
        else:
            with _Session(database) as session:
                answer(answer=[list(row) for _, row in zip(range(_ANSWER_ROWS), session.rows(asked["sql"], _ANSWER_ROWS), strict=False)])
    except SanyuError as error:
        answer(error=error.code, params={k: concealed(str(v), database.password) for k, v in error.params.items()})
    answers.close()
    os._exit(0)  # a driver may leave threads running


class _Session:
    """A connection, with the column names and types of the most recent query."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.names: list[str] = []
        self.kinds: list[int] = []
        self.type_names: list[str] = []
        self._connection: Any = None

    def __enter__(self) -> _Session:
        import jpype

        database = self.database
        heap = min(_HEAP_MB, max(128, database.limits.max_memory_mb))
        try:
            options = [f"-Xmx{heap}m", "-Duser.timezone=UTC", "-Djava.awt.headless=true", "-XX:+UseSerialGC"]
            jpype.startJVM(*options, classpath=list(database.jars), convertStrings=True)
        except (jpype.JVMNotFoundException, OSError) as error:
            raise SanyuError("SY-E010", detail=str(error)[:200]) from None
        manager = jpype.JClass("java.sql.DriverManager")
        manager.setLoginTimeout(_LOGIN_SECONDS)
        try:
            driver = manager.getDriver(database.url)
        except jpype.JException:
            raise SanyuError("SY-R044", source=database.name, detail=f"no driver for {database.url.split('//')[0]}") from None
        given = jpype.JClass("java.util.Properties")()
        for key, value in (("user", database.user), ("password", database.password)):
            if value is not None:
                given.setProperty(key, value)
        try:
            self._connection = driver.connect(database.url, given)
        except jpype.JException as error:
            raise self._refused(error) from None
        self.product = f"{driver.getClass().getName()} {self._connection.getMetaData().getDriverVersion()}"
        self._calm()
        return self

    def __exit__(self, *_: object) -> None:
        import jpype

        with contextlib.suppress(jpype.JException):
            self._connection.rollback()
            self._connection.close()

    def _calm(self) -> None:
        """Make the session read-only on one snapshot; a cursor that streams needs a transaction."""
        import jpype

        connection = self._connection
        for setter, value in (
            (connection.setReadOnly, True),
            (connection.setTransactionIsolation, connection.TRANSACTION_REPEATABLE_READ),
            (connection.setAutoCommit, False),
        ):
            with contextlib.suppress(jpype.JException):
                setter(value)

    def rows(self, sql: str, limit: int | None = None) -> Iterator[tuple[str | bytes | None, ...]]:
        """Yield the query's rows as texts, binary as bytes; the first step sets names and types."""
        import jpype

        database = self.database
        try:
            statement = self._connection.createStatement()
            statement.setFetchSize(database.fetch_size)
            statement.setQueryTimeout(max(1, database.limits.max_seconds - _SECONDS_TO_CANCEL))
            if limit is not None:
                statement.setMaxRows(limit)
            result = statement.executeQuery(sql)
            about = result.getMetaData()
            places = range(1, int(about.getColumnCount()) + 1)
            self.names = [str(about.getColumnLabel(i)) for i in places]
            self.kinds = [int(about.getColumnType(i)) for i in places]
            self.type_names = [str(about.getColumnTypeName(i)) for i in places]
        except jpype.JException as error:
            raise self._failed(error) from None
        getters = [(_bytes_of(result), i) if kind in _BINARY else (result.getString, i) for i, kind in zip(places, self.kinds, strict=True)]
        adapt = [(i, _truth if kind in _TRUTH else _instant) for i, kind in enumerate(self.kinds) if kind in _TRUTH | _TIMES]
        following = result.next
        try:
            while following():
                row: list[Any] = [get(i) for get, i in getters]
                for i, change in adapt:
                    row[i] = change(row[i])
                yield tuple(row)
        except jpype.JException as error:
            raise self._failed(error) from None

    def _refused(self, error: Any) -> SanyuError:
        database, state = self.database, _state(error)
        if state.startswith("28") or state == "08004":
            names = ", ".join(name for name in (database.user_env, database.password_env) if name) or "user_env, password_env"
            return SanyuError("SY-R041", source=database.name, user=database.user or "-", variables=names)
        return SanyuError("SY-R040", source=database.name, detail=self._words(error))

    def _failed(self, error: Any) -> SanyuError:
        database, state = self.database, _state(error)
        if state == "57014":
            return SanyuError("SY-R016", file=database.name, limit=database.limits.max_seconds)
        code = "SY-R043" if state[:2] in ("42", "22", "26", "0A", "25") else "SY-R045"
        return SanyuError(code, source=database.name, detail=self._words(error))

    def _words(self, error: Any) -> str:
        text = " ".join(str(error.getMessage() or error.getClass().getName()).split())
        return concealed(text, self.database.password)[:300]


def _state(error: Any) -> str:
    """Return the SQLSTATE of a Java exception (ISO/IEC 9075-2, 24.1), or an empty string."""
    return str(error.getSQLState() or "") if hasattr(error, "getSQLState") else ""


def _bytes_of(result: Any) -> Callable[[int], bytes | None]:
    def get(place: int) -> bytes | None:
        value = result.getBytes(place)
        return None if value is None else bytes(value)

    return get


def _truth(text: str | None) -> str | None:
    return _TRUTHS.get(text, text) if text is not None else None


def _instant(text: str | None) -> str | None:
    """Return a date and time in ISO 8601; other text is unchanged."""
    found = _INSTANT.match(text) if text is not None else None
    if found is None:
        return text
    date, time, fraction, hours, minutes = found.groups()
    zone = f"{hours}:{(minutes or '00').lstrip(':')}" if hours else ""
    return f"{date}T{time}{fraction or ''}{zone}"


def _fetched(database: Database, asked: dict[str, Any], progress: Callable[[int], None]) -> dict[str, Any]:
    """Write the query's rows as parts; return their record and digest."""
    from sanyu.readers.sink import RawSink

    shape = Shape(**asked["shape"])
    sink = RawSink(Path(asked["out_dir"]), database.name, database.limits, progress)
    with _Session(database) as session:
        table = _Table(session, shape, sink)
        rows = session.rows(asked["sql"], asked["limit"])
        while batch := [row for _, row in zip(range(_BATCH_ROWS), rows, strict=False)]:
            table.take(batch)
        table.named()
        parsed = sink.close(session.product, "process", shape.crs)
    return {"parsed": json.loads(parsed.to_json()), "sha256": table.sha256}


class _Table:
    """Pass batches of rows with their geometry to the sink, and sum their digests."""

    def __init__(self, session: _Session, shape: Shape, sink: Any) -> None:
        self._session = session
        self._shape = shape
        self._sink = sink
        self._options = ReadOptions(format="jdbc", x=shape.x, y=shape.y, wkt=shape.wkt, limits=session.database.limits)
        self._coordinates: tuple[str, ...] | None = None
        self._srids: set[int] = set()
        self._count = 0
        self._sum = 0

    @property
    def sha256(self) -> str:
        """Return a digest of columns and rows that does not depend on their order, which databases do not guarantee."""
        session = self._session
        what = json.dumps([session.names, session.type_names, self._count, f"{self._sum:064x}"], ensure_ascii=False)
        return hashlib.sha256(what.encode()).hexdigest()

    def named(self) -> None:
        """Check the columns' names once they are known, and pass them to the sink."""
        if self._coordinates is not None:
            return
        from sanyu.readers.table import geometry_columns

        session, shape = self._session, self._shape
        counts = Counter(session.names)
        doubtful = next((n for n in session.names if not n or n == "?column?" or counts[n] > 1), None)
        if doubtful is not None:
            raise SanyuError("SY-R046", source=self._sink.file, field=doubtful)
        if shape.geometry is not None and shape.geometry not in counts:
            raise SanyuError("SY-R026", file=self._sink.file, field=shape.geometry, choices=", ".join(session.names))
        self._coordinates = geometry_columns(session.names, self._options, self._sink.file)
        self._sink.columns |= {n: t for n, t in zip(session.names, session.type_names, strict=True) if n != shape.geometry}

    def take(self, batch: list[tuple[str | bytes | None, ...]]) -> None:
        """Pass on a batch; `row_number` counts the rows as they arrive."""
        import numpy as np
        import pyarrow as pa

        from sanyu.readers.sink import text_map
        from sanyu.readers.table import coordinate_geometry

        self.named()
        for row in batch:
            self._sum = (self._sum + int.from_bytes(hashlib.sha256(repr(row).encode("utf-8", "surrogatepass")).digest())) % _MANY
        names, columns = self._session.names, [list(c) for c in zip(*batch, strict=True)]
        wkbs = np.full(len(batch), None, dtype=object)
        errors: dict[int, RowError] = {}
        if self._shape.geometry is not None:
            wkbs, errors = self._shapes(columns[names.index(self._shape.geometry)])
        elif self._coordinates:
            texts = [[None if v is None else str(v) for v in columns[names.index(n)]] for n in self._coordinates]
            wkbs, errors = coordinate_geometry(texts, self._coordinates, self._sink.limits)
        kept = [i for i, name in enumerate(names) if name != self._shape.geometry]
        arrays = [pa.array([_text(v) for v in columns[i]] if self._session.kinds[i] in _BINARY else columns[i], pa.string()) for i in kept]
        attributes = text_map([names[i] for i in kept], arrays, len(batch))
        numbers = np.arange(self._count + 1, self._count + 1 + len(batch))
        self._count += len(batch)
        self._sink.add_arrays(numbers, None, attributes, wkbs, errors)
        self._sink.declared_crs = f"EPSG:{next(iter(self._srids))}" if len(self._srids) == 1 else None

    def _shapes(self, values: list[Any]) -> tuple[Any, dict[int, RowError]]:
        """Return WKB from a column of WKB, hexadecimal WKB (as PostGIS prints a geometry) or WKT."""
        import numpy as np

        from sanyu.readers.table import coordinate_geometry

        wkbs = np.full(len(values), None, dtype=object)
        texts: list[str | None] = [None] * len(values)
        for index, value in enumerate(values):
            if isinstance(value, str) and not _HEX.match(value):
                texts[index] = value
            elif value is not None:
                wkbs[index] = bytes.fromhex(value) if isinstance(value, str) else value
                self._srids |= _srid(wkbs[index])
        if not any(texts):
            return wkbs, {}
        written, errors = coordinate_geometry([texts], (self._shape.geometry or "",), self._sink.limits)
        return np.where(np.array([t is not None for t in texts]), written, wkbs), errors


def _srid(wkb: bytes) -> set[int]:
    """Return the SRID of extended WKB; empty if there is none."""
    if len(wkb) < 9:
        return set()
    order: Any = "little" if wkb[0] else "big"
    if not int.from_bytes(wkb[1:5], order) & 0x20000000:
        return set()
    srid = int.from_bytes(wkb[5:9], order)
    return {srid} if srid else set()


def _text(value: Any) -> str | None:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


if __name__ == "__main__":
    main()
