"""Checksums of a table's files, kept beside the lake's tables so that a flipped bit is found whoever wrote the file.

Parquet's own page checksums are written by Spark and not by delta-rs, cover no footers, and are looked at by no reader. Kept for lakes in
a folder: `_sums/<table>/<version>.json` has size and SHA-256 of each file that a commit added. An object store keeps its own.
"""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from sanyu.lake.store import LocalStore, Store

FOLDER = "_sums"
# Delta writes ids of deletion vectors in Z85, Python reads Base85 of RFC 1924: the same digits in another order.
_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"
_RFC1924 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~"
_TO_RFC1924 = str.maketrans(_Z85, _RFC1924)


def keep(store: Store, path: str, version: int) -> None:
    """Keep the checksums of what a commit added; nothing on an object store."""
    if not isinstance(store, LocalStore):
        return
    commit = store.get(f"{path}/_delta_log/{version:020d}.json")
    if commit is None:
        return
    folder = Path(store.uri(path, scheme="path"))
    found = {name: [(folder / name).stat().st_size, digest(folder / name)] for name in files_of(commit) if (folder / name).is_file()}
    store.put(f"{FOLDER}/{path}/{version:020d}.json", json.dumps(found, indent=0, sort_keys=True).encode())


def kept(store: Store, path: str) -> dict[str, tuple[int, str]]:
    """Return file → (size, SHA-256) of all commits of a table."""
    found: dict[str, tuple[int, str]] = {}
    for key in store.keys(f"{FOLDER}/{path}"):
        found |= {name: (int(size), str(digest)) for name, (size, digest) in json.loads(store.get(key) or b"{}").items()}
    return found


def problem(store: Store, path: str, files: Iterable[str]) -> str | None:
    """Return the first of a table's files whose content is not what was written, with what is wrong; None where all are sound."""
    if not isinstance(store, LocalStore):
        return None
    known, folder = kept(store, path), Path(store.uri(path, scheme="path"))
    for name in files:
        at = folder / name
        if not at.is_file():
            return f"{name} is missing"
        if name in known and digest(at) != known[name][1]:
            return f"{name} is not what was written"
    return None


def forget(store: Store, path: str, live: set[str]) -> None:
    """Keep in one file the checksums of files that are still there, and remove the others."""
    keys = store.keys(f"{FOLDER}/{path}")
    if len(keys) < 2:
        return
    left = {name: value for name, value in kept(store, path).items() if name in live}
    store.put(keys[-1], json.dumps(left, indent=0, sort_keys=True).encode())
    for key in keys[:-1]:
        store.delete(key)


def files_of(commit: bytes) -> list[str]:
    """Return the data files and deletion vectors that a commit adds, relative to the table, each once."""
    found: dict[str, None] = {}
    for line in commit.splitlines():
        if line.startswith(b'{"add"'):
            action = json.loads(line)["add"]
            found[unquote(action["path"])] = None
            vector = vector_file(action.get("deletionVector"))
            if vector:
                found[vector] = None
    return list(found)


def vector_file(vector: dict[str, Any] | None) -> str | None:
    """Return the file of a deletion vector that stands in one beside the data (storage type `u`), None for none and for inline ones."""
    if not vector or vector.get("storageType") != "u":
        return None
    text = vector["pathOrInlineDv"]
    prefix, code = text[:-20], text[-20:]
    name = f"deletion_vector_{uuid.UUID(bytes=base64.b85decode(code.translate(_TO_RFC1924)))}.bin"
    return f"{prefix}/{name}" if prefix else name


def digest(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
