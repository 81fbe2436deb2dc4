"""The small files of a lake behind one interface: a folder, or `s3a://bucket/prefix`.

Manifests, leases, release pointers and landed files go through here; Delta tables are read and written by their engines, which get the
address (`uri`) and the access (`storage_options`) from here. Keys are relative, with `/`: `landing/osm/20260101-…/manifest.json`.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from sanyu.lake.base import Blob, Scheme, Store, checked, checked_url, literal
from sanyu.settings import Settings

__all__ = ["Blob", "LocalStore", "Scheme", "Store", "checked", "checked_url", "flocked", "literal", "open_store"]


class LocalStore(Store):
    """A lake in a folder."""

    def __init__(self, root: Path) -> None:
        self.root = root.expanduser().resolve()
        self.url = checked_url(str(self.root))

    def _path(self, key: str) -> Path:
        return self.root / checked(key)

    def read(self, key: str) -> Blob | None:
        try:
            data = self._path(key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None
        return Blob(data, _etag(data))

    def put(self, key: str, data: bytes) -> None:
        with _staged(self._path(key), data) as staged:
            staged.replace(self._path(key))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        # The link makes the whole, durable content appear at once; O_EXCL alone would show an empty file to a reader.
        with _staged(self._path(key), data) as staged:
            try:
                os.link(staged, self._path(key))
            except FileExistsError:
                return False
        return True

    def replace_if(self, key: str, data: bytes, etag: str) -> bool:
        with flocked(self._path(key).with_name(f".{PurePosixPath(key).name}.swap")):
            now = self.read(key)
            if now is None or now.etag != etag:
                return False
            self.put(key, data)
            return True

    def keys(self, prefix: str = "") -> list[str]:
        base = self._path(prefix) if prefix else self.root
        found = []
        for folder, names, files in os.walk(base):
            names[:] = [n for n in names if not n.startswith(".")]
            at = Path(folder).relative_to(self.root)
            found += [(at / f).as_posix() for f in files if not f.startswith(".")]
        return sorted(found)

    def folders(self, prefix: str = "") -> list[str]:
        base = self._path(prefix) if prefix else self.root
        if not base.is_dir():
            return []
        return sorted(p.name for p in base.iterdir() if p.is_dir() and not p.name.startswith("."))

    def exists(self, key: str) -> bool:
        return self._path(key).exists()

    def modified_at(self, key: str) -> dt.datetime | None:
        try:
            return dt.datetime.fromtimestamp(self._path(key).stat().st_mtime, dt.UTC)
        except FileNotFoundError:
            return None

    def delete(self, prefix: str) -> None:
        path = self._path(prefix)
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)

    def uri(self, key: str = "", scheme: Scheme = "s3a") -> str:
        return str(self._path(key)) if key else str(self.root)

    def storage_options(self) -> dict[str, str]:
        return {}

    def host_lock(self, key: str) -> Path | None:
        path = self._path(key)
        return path.with_name(f".{path.name}.lock")

    def upload(self, path: Path, key: str) -> None:
        target = self._path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        staged = target.with_name(f".{target.name}.{os.getpid()}.part")
        shutil.copyfile(path, staged)
        _sync(staged)
        staged.replace(target)
        _sync(target.parent)

    def local(self, key: str) -> Path:
        path = self._path(key)
        if not path.is_file():
            raise FileNotFoundError(path)
        return path


def open_store(url: str | Path, settings: Settings | None = None) -> Store:
    """Return the store of a lake: a folder (made on the first write), `file://…`, or `s3a://bucket/prefix` (`s3://` is the same)."""
    text = str(url)
    if text.startswith(("s3a://", "s3://")):
        from sanyu.lake.s3 import S3Store  # boto3 takes a third of a second to import

        return S3Store(text, settings or Settings.load(lake=text.replace("s3://", "s3a://", 1)))
    return LocalStore(Path(text.removeprefix("file://")))


@contextlib.contextmanager
def flocked(path: Path, *, wait: bool = True) -> Iterator[bool]:
    """Hold an exclusive lock of the operating system on a file; yields False at once where `wait` is off and another holds it.

    It excludes processes of one machine, is independent of clocks, and ends with the process however that dies.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
        else:
            try:
                yield True
            finally:
                fcntl.flock(handle, fcntl.LOCK_UN)  # closing is not enough where a forked child has inherited the handle
    finally:
        os.close(handle)


@contextlib.contextmanager
def _staged(target: Path, data: bytes) -> Iterator[Path]:
    """Write the data durably beside the target, under a name of this call, and sync the folder after the caller has put it in place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    staged = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fchmod(file.fileno(), 0o644)
            os.fsync(file.fileno())
        yield staged
        _sync(target.parent)
    finally:
        staged.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _etag(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
