"""Parse one untrusted file in a confined child process; the only way to call the parsers."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any

from sanyu.readers.archive import shapefile_siblings
from sanyu.readers.model import FORMATS, RESULT_NAME, Limits, Parsed, ReadOptions
from sanyu.readers.sandbox import child_environment
from schemas.messages import SanyuError, catalogue

_WORK = ".work"
_LONGEST_ANSWER = 64 << 20
_DRIVERS = {
    "shapefile": "ESRI Shapefile",
    "gpkg": "GPKG",
    "flatgeobuf": "FlatGeobuf",
    "gml": "GML",
    "filegdb": "OpenFileGDB",
    "dxf": "DXF",
}


def parse(path: Path, out_dir: Path, options: ReadOptions, progress: Callable[[int], None] | None = None) -> Parsed:
    """Turn a city file into Parquet parts of raw rows in `out_dir`, and write the record `parsed.json` next to them.

    `progress` is called with the number of rows read so far. A file that cannot be read raises SanyuError (SY-R…) and leaves no part
    behind; the same holds for an interruption. Rows that cannot be read become rows with an `error_code`.
    """
    _check_request(path, options)
    path = path.resolve()
    out_dir = out_dir.resolve()
    out_dir.mkdir(parents=True, exist_ok=True)
    work = out_dir / _WORK
    _remove_results(out_dir)
    work.mkdir()
    child = None
    try:
        with (work / "stderr").open("w+b") as stderr:
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "sanyu.readers.child"],
                env=_environment(options.format, work),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                cwd=work,
                start_new_session=True,
            )
            answer, status = converse(child, _request(path, out_dir, options), path.name, options.limits, progress or ignore)
            parsed = _outcome(answer, status, path, out_dir, options, _last_words(stderr))
    except BaseException:
        kill(child)
        _remove_results(out_dir)
        raise
    kill(child)
    shutil.rmtree(work, ignore_errors=True)
    _write_record(out_dir, parsed)
    return parsed


def _write_record(out_dir: Path, parsed: Parsed) -> None:
    """Write `parsed.json` as a new file: the child could have left a link with that name, which must not be followed."""
    record = out_dir / RESULT_NAME
    record.unlink(missing_ok=True)
    with record.open("x", encoding="utf-8") as file:
        file.write(parsed.to_json())


def _last_words(stderr: IO[bytes]) -> list[str]:
    """Return the last lines of the child's standard error from the open file, because its name could now be a link made by the child."""
    size = stderr.seek(0, os.SEEK_END)
    stderr.seek(max(0, size - 2000))
    return stderr.read().decode("utf-8", "replace").strip().splitlines() or [""]


def ignore(_: int) -> None:
    """Ignore progress."""


def _check_request(path: Path, options: ReadOptions) -> None:
    text = str(path)
    if (
        "/vsi" in text
        or text.startswith("vsi")
        or "://" in text
        or ":/" in text
        or path.name.lower().startswith(("http:", "https:", "pg:", "mysql:"))
    ):
        raise SanyuError("SY-R006", file=text)
    if options.format not in FORMATS:
        raise SanyuError("SY-R003", file=path.name, format=options.format, choices=", ".join(FORMATS))
    if not path.exists():
        raise SanyuError("SY-R001", file=text)
    if path.is_dir() and (options.format != "filegdb" or path.suffix.lower() != ".gdb"):
        raise SanyuError("SY-R004", file=path.name, format=options.format, found="folder")
    if path.is_file() and path.stat().st_size == 0:
        raise SanyuError("SY-R002", file=path.name)
    if not path.is_dir() and not path.is_file():
        raise SanyuError("SY-R004", file=path.name, format=options.format, found="device")


def _request(path: Path, out_dir: Path, options: ReadOptions) -> bytes:
    siblings = shapefile_siblings(path) if options.format == "shapefile" else []
    request = {
        "path": str(path),
        "out_dir": str(out_dir),
        "work": str(out_dir / _WORK),
        "siblings": [str(part) for part in siblings],
        "options": asdict(options),
    }
    return json.dumps(request).encode()


@functools.cache
def _all_drivers() -> frozenset[str]:
    import pyogrio

    return frozenset(pyogrio.list_drivers()) | {"VRT", "OGR_VRT", "GTI", "DERIVED"}


def _environment(name: str, work: Path) -> dict[str, str]:
    """Return the child's environment; GDAL registers only one driver, so that no other can be tricked into opening the file."""
    extra = {"HOME": str(work), "TMPDIR": str(work)}
    if name in _DRIVERS:
        skipped = ["VRT", "OGR_VRT", *sorted(_all_drivers() - {_DRIVERS[name], "VRT", "OGR_VRT"})]
        extra |= {
            "GDAL_SKIP": ",".join(skipped),
            "SANYU_GDAL_DRIVER": _DRIVERS[name],
            "CPL_TMPDIR": str(work),
            "GDAL_HTTP_MAX_RETRY": "0",
            "GDAL_CACHEMAX": "64",
            "GDAL_NUM_THREADS": "1",
            "GML_SKIP_RESOLVE_ELEMS": "ALL",
            "OGR_SQLITE_LOAD_EXTENSIONS": "NO",
        }
    return child_environment(**extra)


def converse(
    child: subprocess.Popen[bytes], request: bytes, file: str, limits: Limits, progress: Callable[[int], None]
) -> tuple[dict[str, Any], int]:
    """Send the request, follow the answers until the child ends, and return the last one and the exit status.

    Raises SanyuError SY-R016 on timeout.
    """
    assert child.stdin is not None
    assert child.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(request)
        child.stdin.close()
    deadline = time.monotonic() + limits.max_seconds
    pending = b""
    answer: dict[str, Any] = {}
    with selectors.DefaultSelector() as selector:
        selector.register(child.stdout, selectors.EVENT_READ)
        while True:
            if not selector.select(max(0.0, deadline - time.monotonic())):
                raise SanyuError("SY-R016", file=file, limit=limits.max_seconds)
            chunk = os.read(child.stdout.fileno(), 1 << 16)
            if not chunk:
                break
            pending += chunk
            *lines, pending = pending.split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "rows" in message:
                    progress(int(message["rows"]))
                else:
                    answer = message
            if len(pending) > _LONGEST_ANSWER:
                raise SanyuError("SY-R031", file=file, detail="answer too long")
    try:
        return answer, child.wait(timeout=max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise SanyuError("SY-R016", file=file, limit=limits.max_seconds) from None


def _outcome(answer: dict[str, Any], status: int, path: Path, out_dir: Path, options: ReadOptions, last_words: list[str]) -> Parsed:
    """Validate the last answer: the child has parsed hostile bytes and is not trusted."""
    if "parsed" in answer and status == 0:
        parsed = Parsed.from_dict(answer["parsed"], out_dir)
        if all(part.is_file() and not part.is_symlink() for part in parsed.parts):
            return parsed
        raise SanyuError("SY-R031", file=path.name, detail="parts are missing")
    if answer.get("error") in catalogue():
        raise SanyuError(answer["error"], **answer["params"])
    if status == -signal.SIGXCPU:
        raise SanyuError("SY-R016", file=path.name, limit=options.limits.max_seconds)
    if status == -signal.SIGABRT and "bad_alloc" in " ".join(last_words):
        raise SanyuError("SY-R017", file=path.name, limit=options.limits.max_memory_mb)
    if status < 0:
        raise SanyuError("SY-R019", file=path.name, format=options.format, detail=signal.Signals(-status).name)
    raise SanyuError("SY-R031", file=path.name, detail=last_words[-1][:300])


def kill(child: subprocess.Popen[bytes] | None) -> None:
    """Kill the child and everything it started."""
    if child is None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()


def _remove_results(out_dir: Path) -> None:
    shutil.rmtree(out_dir / _WORK, ignore_errors=True)
    for path in [*out_dir.glob("part-*.parquet"), out_dir / RESULT_NAME]:
        path.unlink(missing_ok=True)
