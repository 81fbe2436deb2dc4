"""What every store of a lake offers, whatever it lies on, and which keys and addresses it takes."""

from __future__ import annotations

import datetime as dt
import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

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


def literal(uri: str) -> str:
    """Return an address for Spark's readers of plain files, which take `* ? {` in a path for a pattern: escaped, so that it is itself."""
    return re.sub(r"([*?{}])", r"\\\1", uri)


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
