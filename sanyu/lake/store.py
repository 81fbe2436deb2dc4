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
import re
import shutil
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from sanyu.settings import Settings
from schemas.messages import SanyuError

Scheme = Literal["s3a", "s3", "path"]
_UNSAFE = re.compile(r"[%\[\]\\|^`\x00-\x1f\x7f\ud800-\udfff]")
_UNSAFE_ON_S3 = re.compile(r"[%\[\]\\|^`?#\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True)
class Blob:
    """A small file and the tag of exactly this content, for `replace_if`."""

    data: bytes
    etag: str


def checked(key: str) -> str:
    """Return the key; ValueError where it could leave the lake or name a file that is hidden from listings."""
    parts = PurePosixPath(key).parts
    if not key or key.startswith("/") or "\\" in key or any(part.startswith(".") for part in parts):
        raise ValueError(f"{key!r} is not a key of a lake")
    return key


def checked_url(url: str) -> str:
    """Return a lake's address; SY-L061 where it holds a character with which one of the engines could not read back what is written.

    delta-rs and DuckDB decode `%`, take `\\` for `/`, and refuse `[`, `]`, `|` and `^`; a backquote ends a path in Spark's SQL; control
    characters and bytes that are no UTF-8 are in no address. On S3, `?` and `#` begin other parts of the address.
    """
    unsafe = _UNSAFE_ON_S3 if "://" in url else _UNSAFE
    found = unsafe.search(url)
    if found:
        raise SanyuError("SY-L061", path=url.encode("utf-8", "backslashreplace").decode(), character=repr(found[0]).strip("'\""))
    return url


class Store(ABC):
    """Small files by key. Every write is whole or not there at all, and durable when the call returns."""

    url: str

    def get(self, key: str) -> bytes | None:
        """Return the content, or None where there is no such file."""
        blob = self.read(key)
        return None if blob is None else blob.data

    @abstractmethod
    def read(self, key: str) -> Blob | None:
        """Return content and etag, or None."""

    @abstractmethod
    def put(self, key: str, data: bytes) -> None:
        """Write or overwrite."""

    @abstractmethod
    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Write where there is nothing yet, and tell whether this call did; of several at once exactly one does."""

    @abstractmethod
    def replace_if(self, key: str, data: bytes, etag: str) -> bool:
        """Write where the content is still the one that bears the etag, and tell whether this call did."""

    @abstractmethod
    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys below a folder, all levels, sorted."""

    @abstractmethod
    def folders(self, prefix: str = "") -> list[str]:
        """Return the names of the folders right below a folder, sorted."""

    @abstractmethod
    def exists(self, key: str) -> bool:
        """Tell whether there is a file of this key, or anything below a folder of this key."""

    @abstractmethod
    def modified_at(self, key: str) -> dt.datetime | None:
        """Return when the file was last written, in UTC; None where there is none."""

    @abstractmethod
    def delete(self, prefix: str) -> None:
        """Remove the file, or the folder with all below it; nothing there is no error."""

    @abstractmethod
    def uri(self, key: str = "", scheme: Scheme = "s3a") -> str:
        """Return the address an engine opens: Spark wants `s3a`, DuckDB and delta-rs `s3`; on a folder it is the absolute path.

        `path` raises ValueError on an object store.
        """

    @abstractmethod
    def storage_options(self) -> dict[str, str]:
        """Return what delta-rs needs to open an address of this store; keys are fresh, so don't keep them for hours."""

    def host_lock(self, key: str) -> Path | None:
        """Return the file whose lock excludes all processes that can write this store; None where other machines can, too."""
        return None

    @abstractmethod
    def upload(self, path: Path, key: str) -> None:
        """Bring a copy of a local file of any size in."""

    @abstractmethod
    def local(self, key: str) -> Path:
        """Return a local path with this file's content, fetched into the cache where the store is remote; FileNotFoundError if absent."""


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


def literal(uri: str) -> str:
    """Return an address for Spark's readers of plain files, which take `* ? {` in a path for a pattern: escaped, so that it is itself."""
    return re.sub(r"([*?{}])", r"\\\1", uri)


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
