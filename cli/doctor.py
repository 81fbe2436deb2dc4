"""The checks of `sanyu doctor`: whether this machine can run the lakehouse, and how to fix what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sanyu.jars import jar_paths
from sanyu.readers.sandbox import capabilities
from sanyu.session import JAVA_MAJOR, jar_group_names, java_version
from sanyu.settings import Settings, memory_bytes
from sanyu.shipped import checkout
from schemas.messages import SanyuError, catalogue, language

_PYTHON = "3.11"
_GIB = 1 << 30
_DISK_BYTES = 5 * _GIB
_AIRFLOW_BYTES = 2 * _GIB


@dataclass(frozen=True)
class Check:
    """One finding: `detail` says what was found, `remedy` how to fix it (empty if `ok`)."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


def checks(settings: Settings) -> list[Check]:
    """Return the findings about this machine in the order in which to fix them; changes nothing."""
    looks: list[tuple[str, Callable[[Settings], str]]] = [
        ("python", _python),
        ("pins", _pins),
        ("pyspark", _pyspark),
        ("java", _java),
        ("jars", _jars),
        ("memory", _memory),
        ("disk", _disk),
        ("lake", _lake),
        ("port", _port),
        ("isolation", _isolation),
        ("real cities", _shared),
    ]
    found: list[Check] = []
    for name, look in looks:
        try:
            found.append(Check(name, True, look(settings)))
        except SanyuError as error:
            found.append(_failed(name, error))
    return found


def _failed(name: str, error: SanyuError) -> Check:
    """Split an error into what was found and its remedy, in the user's language."""
    message = catalogue()[error.code]
    text, remedy = (message.zh, message.remedy_zh) if language() == "zh" else (message.en, message.remedy_en)
    return Check(name, False, f"{error.code}: {text.format(**error.params)}", remedy.format(**error.params))


def _python(_: Settings) -> str:
    found = platform.python_version()
    if not found.startswith(_PYTHON + "."):
        raise SanyuError("SY-E040", found=found, wanted=_PYTHON)
    return found


def _pins(_: Settings) -> str:
    """Compare the locked packages with the installed ones; without the repository, the packages pinned by the library."""
    root = checkout()
    lock = "\n".join(importlib.metadata.requires("sanyu") or ()) if root is None else (root / "requirements.lock").read_text("utf-8")
    wanted = dict(re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s\\;]+)(?!.*extra ==)", lock, re.MULTILINE))
    installed = {_normal(one.name): one.version for one in importlib.metadata.distributions()}
    wrong = [
        f"{name} {installed.get(_normal(name), 'missing')} ≠ {pin}" for name, pin in wanted.items() if installed.get(_normal(name)) != pin
    ]
    if wrong:
        raise SanyuError("SY-E041", count=len(wrong), total=len(wanted), examples=", ".join(wrong[:3]))
    return f"{len(wanted)} = {'requirements.lock' if root else 'pins of the library'}"


def _normal(name: str) -> str:
    """Return a distribution's normalised name (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _pyspark(_: Settings) -> str:
    versions = {}
    for name in ("pyspark", "pyspark-client"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "missing"
    if len(set(versions.values())) != 1 or "missing" in versions.values():
        raise SanyuError("SY-E042", pyspark=versions["pyspark"], client=versions["pyspark-client"])
    return f"{versions['pyspark']} = pyspark-client"


def _java(_: Settings) -> str:
    major, version = java_version()
    if major != JAVA_MAJOR:
        raise SanyuError("SY-E010", detail=f"found {version}")
    return version


def _jars(settings: Settings) -> str:
    groups = jar_group_names(settings)
    count = len(jar_paths(settings.jar_folder, groups))
    return f"{count} ({', '.join(groups)}) = jars.lock"


def _memory(settings: Settings) -> str:
    available = _available_memory()
    needed = memory_bytes(settings.driver_memory) + _AIRFLOW_BYTES
    if available < needed:
        raise SanyuError("SY-E043", free=_size(available), needed=_size(needed))
    return _size(available)


def _available_memory() -> int:
    """Return the bytes of available memory, without swap."""
    text = Path("/proc/meminfo").read_text("ascii")
    match = re.search(r"^MemAvailable:\s+(\d+) kB", text, re.MULTILINE)
    return int(match[1]) * 1024 if match else os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")


def _disk(settings: Settings) -> str:
    folder = _existing(Path(settings.scratch_dir or tempfile.gettempdir()) if settings.on_s3 else Path(settings.lake))
    free = shutil.disk_usage(folder).free
    if free < _DISK_BYTES:
        raise SanyuError("SY-E044", free=_size(free), needed=_size(_DISK_BYTES), folder=str(folder))
    return _size(free)


def _lake(settings: Settings) -> str:
    """Try to create a file at the lake's (future) location; a lake on S3 is not touched."""
    if settings.on_s3:
        return settings.lake
    folder = _existing(Path(settings.lake))
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".sanyu-"):
            return str(Path(settings.lake).resolve())
    except OSError as error:
        raise SanyuError("SY-E045", lake=settings.lake, reason=error.strerror or str(error)) from None


def _port(settings: Settings) -> str:
    from sanyu.processes import free_port

    port = free_port(settings.airflow_port)
    return str(port) if port == settings.airflow_port else f"{settings.airflow_port} → {port}"


def _isolation(_: Settings) -> str:
    found = capabilities()
    missing = [name for name, there in found.items() if not there]
    if missing:
        raise SanyuError("SY-E046", missing=", ".join(missing))
    return ", ".join(found)


def _shared(_: Settings) -> str:
    """Return the location of the real cities' data; without them, only the tests and demos that need them are skipped."""
    place = Path(os.environ.get("SANYU_SHARED") or (checkout() or Path.cwd()).parent / "shared").resolve() / "data"
    return str(place) if place.is_dir() else "–"


def _existing(path: Path) -> Path:
    """Return the path or its nearest existing parent."""
    resolved = path.resolve()
    return next(place for place in (resolved, *resolved.parents) if place.exists())


def _size(count: int) -> str:
    return f"{count / _GIB:.1f} GiB"
