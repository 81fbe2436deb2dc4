"""Read the rows of a database over JDBC in a separate process, which contains the JVM and any side effects of the driver.

A database is not an untrusted file, but its driver is third-party code, and a JVM cannot be started twice in one process. Unlike the
parsers, this process has network access. It gets the password on its standard input, where process lists don't show it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sanyu.readers.launch import converse, ignore, kill
from sanyu.readers.model import RESULT_NAME, Limits, Parsed
from sanyu.readers.sandbox import child_environment
from schemas.messages import SanyuError, catalogue

_WORK = ".work"
_INHERITED = ("HOME", "JAVA_HOME")  # drivers look for certificates in the home folder


@dataclass(frozen=True)
class Database:
    """How to connect to a database. `name` is used in messages and rows; the names of the variables are also shown in messages."""

    name: str
    url: str
    jars: tuple[str, ...]
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    user_env: str | None = None
    password_env: str | None = None
    fetch_size: int = 10_000
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True)
class Shape:
    """Where a row's geometry is: a column of WKB or WKT, or columns of coordinates; `crs` overrides the SRID in the data."""

    geometry: str | None = None
    x: str | None = None
    y: str | None = None
    wkt: str | None = None
    crs: str | None = None


@dataclass(frozen=True)
class Fetched:
    """Rows as Parquet parts, and a digest of them that does not depend on their order."""

    parsed: Parsed
    sha256: str


def fetch(
    database: Database,
    sql: str,
    shape: Shape,
    out_dir: Path,
    progress: Callable[[int], None] | None = None,
    limit: int | None = None,
) -> Fetched:
    """Write the rows of a query, at most `limit`, as Parquet parts into `out_dir`, with the record `parsed.json` beside them.

    At most `fetch_size` rows are in memory at a time. Raises SanyuError SY-R040 (unreachable), SY-R041 (refused), SY-R043 (bad query),
    SY-R044 (driver), SY-R045 (interrupted), SY-R046 (column names), SY-R026 (no such geometry column), SY-R016 (timeout), leaving no part
    behind.
    """
    out_dir.mkdir(parents=True, exist_ok=True)
    request = {"sql": sql, "shape": asdict(shape), "out_dir": str(out_dir), "limit": limit}
    try:
        answer = _asked(database, request, out_dir, progress or ignore)
        parsed = Parsed.from_dict(answer["parsed"], out_dir)
    except BaseException:
        for path in [*out_dir.glob("part-*.parquet"), out_dir / RESULT_NAME]:
            path.unlink(missing_ok=True)
        raise
    (out_dir / RESULT_NAME).write_text(parsed.to_json(), "utf-8")
    return Fetched(parsed, str(answer["sha256"]))


def ask(database: Database, sql: str, scratch: Path) -> list[list[str | None]]:
    """Return up to a thousand rows of a short query, as texts; raises as `fetch` does."""
    rows: list[list[str | None]] = _asked(database, {"sql": sql}, scratch, ignore)["answer"]
    return rows


def _asked(database: Database, request: Mapping[str, Any], scratch: Path, progress: Callable[[int], None]) -> dict[str, Any]:
    """Start the child, send the request and return its answer."""
    work = scratch / _WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    child = None
    try:
        with (work / "stderr").open("wb") as stderr:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "sanyu.readers.jdbc"],
                env=child_environment(**{name: os.environ[name] for name in _INHERITED if name in os.environ}),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=work,
                start_new_session=True,
            )
        said = json.dumps({"database": asdict(database), **request}).encode()
        answer, status = converse(child, said, database.name, database.limits, progress)
        if answer.get("error") in catalogue():
            raise SanyuError(answer["error"], **answer["params"])
        if status or not answer:
            words = (work / "stderr").read_bytes()[-2000:].decode("utf-8", "replace").strip().splitlines() or [f"status {status}"]
            raise SanyuError("SY-R045", source=database.name, detail=concealed(words[-1][:300], database.password))
        return answer
    finally:
        kill(child)
        shutil.rmtree(work, ignore_errors=True)


def concealed(text: str, password: str | None) -> str:
    """Return the text with the password replaced by asterisks."""
    return text.replace(password, "***") if password else text
