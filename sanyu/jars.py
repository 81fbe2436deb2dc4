"""The jars beside Spark: resolved once by Maven coordinates, locked by name and SHA-256, then used from a folder without network.

`jars.toml` holds the coordinates by group (`core` always, `s3` for a lake on `s3a://`), `jars.lock` the files they resolve to. Spark's own
Ivy does the resolving, so that the machine's usual Maven settings hold.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from schemas.messages import SanyuError

_HERE = Path(__file__).parent
_LOCK = _HERE / "jars.lock"
_SEEN = ".verified.json"


@dataclass(frozen=True)
class JarGroup:
    """Coordinates that belong together; `exclude` are globs `group:artifact` left out of the closure."""

    name: str
    coordinates: tuple[str, ...]
    exclude: tuple[str, ...]


@functools.cache
def jar_groups() -> dict[str, JarGroup]:
    """Return the groups of `jars.toml` by name."""
    content = tomllib.loads((_HERE / "jars.toml").read_text("utf-8"))
    return {name: JarGroup(name, tuple(entry["coordinates"]), tuple(entry["exclude"])) for name, entry in content.items()}


@functools.cache
def locked_jars() -> dict[str, dict[str, str]]:
    """Return SHA-256 by file name for each group, as committed in `jars.lock`."""
    locked: dict[str, dict[str, str]] = json.loads(_LOCK.read_text("utf-8"))
    return locked


def jar_paths(folder: Path, groups: Iterable[str] = ("core",)) -> list[str]:
    """Return the paths of the groups' jars, each present and known to have the locked checksum.

    A file is hashed again only when its size or mtime changed since it was last found right. Raises SanyuError SY-E011 (missing),
    SY-E012 (wrong checksum), SY-E014 (no such group).
    """
    seen = _read_seen(folder)
    known = dict(seen)
    paths: list[str] = []
    for group in groups:
        for name, expected in _locked(group).items():
            path = folder / name
            try:
                stat = path.stat()
            except OSError:
                raise SanyuError("SY-E011", name=name, folder=str(folder)) from None
            state = [stat.st_size, stat.st_mtime_ns, expected]
            if known.get(name) != state:
                actual = file_sha256(path)
                if actual != expected:
                    raise SanyuError("SY-E012", name=name, folder=str(folder), actual=actual, expected=expected)
                known[name] = state
            paths.append(str(path))
    if known != seen:
        _write_seen(folder, known)
    return paths


def install_jars(folder: Path, groups: Iterable[str] = ("core",)) -> list[str]:
    """Resolve what is missing or wrong into the folder, verify it against the lock and return the paths; all right already is quick."""
    chosen = list(groups)
    for group in chosen:
        try:
            jar_paths(folder, [group])
        except SanyuError as error:
            if error.code not in ("SY-E011", "SY-E012"):
                raise
            _fetch(jar_groups()[group], folder)
    return jar_paths(folder, chosen)


def lock_jars() -> None:
    """Resolve all groups afresh and write `jars.lock`; the Maven repository's own checksums are checked by Ivy."""
    content: dict[str, dict[str, str]] = {}
    for group in jar_groups().values():
        with tempfile.TemporaryDirectory(prefix="sanyu-jars-") as work:
            content[group.name] = {path.name: file_sha256(path) for path in resolve(group, Path(work))}
    _LOCK.write_text(json.dumps(content, indent=2, sort_keys=True) + "\n", "utf-8")
    locked_jars.cache_clear()


def resolve(group: JarGroup, work: Path) -> list[Path]:
    """Resolve a group with Spark's Ivy inside the folder `work` and return its jars, sorted; raises SanyuError SY-E013."""
    empty = work / "empty.py"
    empty.write_text("", "utf-8")
    spark_home = _spark_home()
    environment = {**os.environ, "SPARK_HOME": spark_home, "PYSPARK_PYTHON": sys.executable, "PYSPARK_DRIVER_PYTHON": sys.executable}
    command = [f"{spark_home}/bin/spark-submit", "--master", "local[1]", "--packages", ",".join(group.coordinates)]
    command += ["--exclude-packages", ",".join(group.exclude), "--conf", f"spark.jars.ivy={work}", str(empty)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=1800, check=False)
    jars = sorted((work / "jars").glob("*.jar"))
    if done.returncode or not jars:
        lines = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        telling = [line for line in lines if "unresolved" in line.lower() or "not found" in line.lower() or "Error" in line] or lines
        raise SanyuError("SY-E013", reason="; ".join(telling[:4]) or f"spark-submit ended with {done.returncode}")
    return jars


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _fetch(group: JarGroup, folder: Path) -> None:
    """Resolve a group beside the folder and move its jars in; other files there stay."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = _locked(group.name)
    with tempfile.TemporaryDirectory(prefix=".resolve-", dir=folder) as work:
        for path in resolve(group, Path(work)):
            if path.name in wanted:
                path.replace(folder / path.name)


def _locked(group: str) -> dict[str, str]:
    try:
        return locked_jars()[group]
    except KeyError:
        raise SanyuError("SY-E014", group=group, known=", ".join(locked_jars())) from None


def _read_seen(folder: Path) -> dict[str, Any]:
    """Return what was found right earlier; an unreadable note only costs hashing again."""
    try:
        seen: dict[str, Any] = json.loads((folder / _SEEN).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return seen


def _write_seen(folder: Path, seen: dict[str, Any]) -> None:
    """Write the note whole or not at all; a folder that is not ours to write is verified at each start instead."""
    try:
        descriptor, name = tempfile.mkstemp(dir=folder)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(seen, file)
        Path(name).replace(folder / _SEEN)
    except OSError:
        return


def _spark_home() -> str:
    """Return the folder of the installed pyspark without importing it."""
    spec = importlib.util.find_spec("pyspark")
    if spec is None or not spec.submodule_search_locations:
        raise SanyuError("SY-E013", reason="pyspark is not installed")
    return spec.submodule_search_locations[0]
