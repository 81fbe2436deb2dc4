"""A table's Delta log, read without Spark: versions, transactions, what each commit says of itself, and what is damaged.

Delta writes a commit to a local disk without syncing it, so a power cut may leave an empty file, which all engines read silently as the
version before. `synced` makes a commit durable, `damaged` finds such files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sanyu.lake.store import LocalStore, Store
from schemas.messages import SanyuError

if TYPE_CHECKING:
    from deltalake import DeltaTable

HISTORY = 2_000  # commits that are looked through for one that is not among the newest


@dataclass(frozen=True)
class Commit:
    """One version of a table: the operation as Delta names it, its parameters and metrics, and what our writers noted in it."""

    version: int
    operation: str
    timestamp_ms: int
    parameters: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    noted: dict[str, Any] = field(default_factory=dict)


class TableLog:
    """The log of one table as it was when this object first looked; make a new one to see later commits."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self.path = path

    @property
    def exists(self) -> bool:
        return self._table is not None

    @property
    def version(self) -> int | None:
        """The newest version, None where there is no table."""
        return None if self._table is None else int(self._table.version())

    @property
    def table_id(self) -> str | None:
        """The identifier that Delta gave the table when it was made; a table that was made anew has another one."""
        return None if self._table is None else str(self._table.metadata().id)

    @property
    def configuration(self) -> dict[str, str]:
        return {} if self._table is None else dict(self._table.metadata().configuration)

    @property
    def has_deletion_vectors(self) -> bool:
        return self._table is not None and "deletionVectors" in (self._table.protocol().writer_features or ())

    @property
    def table(self) -> DeltaTable:
        """The table as delta-rs opened it; ValueError where there is none."""
        if self._table is None:
            raise ValueError(f"there is no table at {self.path}")
        return self._table

    def transaction(self, app_id: str) -> int:
        """Return the highest transaction number that an application has committed, 0 for none."""
        return 0 if self._table is None else int(self._table.transaction_version(app_id) or 0)

    def commits(self, since: int = 0) -> Iterator[Commit]:
        """Yield the commits after version `since`, newest first, as far back as the log reaches."""
        if self._table is None or self.version is None:
            return
        seen, wanted = 0, 50
        limit = min(HISTORY, self.version - since + 1)
        while seen < limit:
            found = [_commit(entry) for entry in self._table.history(min(wanted, limit))]
            for commit in found[seen:]:
                if commit.version <= since:
                    return
                yield commit
            if len(found) < min(wanted, limit):
                return
            seen, wanted = len(found), wanted * 8

    @cached_property
    def restored(self) -> int:
        """The version of the last RESTORE, 0 for none. What was committed before it need no longer be in the table, though Delta keeps
        its transaction numbers; later writes therefore count their transactions anew (`Write.app_id`)."""
        return next((c.version for c in self.commits() if c.operation == "RESTORE"), 0)

    def holds(self, version: int, table_id: str | None = None) -> bool:
        """Tell whether what was committed at a version is still what the table is built on: no other table, no restored one."""
        now = self.version
        if now is None or now < version or (table_id is not None and table_id != self.table_id):
            return False
        return all(_restored_to(c) >= version for c in self.commits(version) if c.operation == "RESTORE")

    @cached_property
    def _table(self) -> DeltaTable | None:
        from deltalake import DeltaTable
        from deltalake.exceptions import TableNotFoundError

        if not self._store.exists(f"{self.path}/_delta_log"):
            return None
        try:
            return DeltaTable(self._store.uri(self.path, scheme="s3"), storage_options=self._store.storage_options() or None)
        except TableNotFoundError:
            return None


def commit_keys(store: Store, path: str) -> list[str]:
    """Return the keys of a table's commit files, oldest first."""
    return [key for key in store.keys(f"{path}/_delta_log") if key.endswith(".json") and key.rpartition("/")[2][:-5].isdigit()]


def damaged(store: Store, path: str, *, all_of: bool = False) -> list[str]:
    """Return the keys of commit files that are empty or no JSON, as a power cut leaves them: among the newest, or `all_of` them."""
    keys = commit_keys(store, path)
    return [key for key in (keys if all_of else keys[-20:]) if not _is_commit(store.get(key) or b"")]


def set_aside(store: Store, path: str) -> list[str]:
    """Move the newest commit files of a table out of the way where they are empty or torn, and return their keys; call under its lease.

    The write that made one is made again: it was never reported as done. SY-L052 where whole commits follow a damaged one.
    """
    bad = damaged(store, path)
    if bad and bad != commit_keys(store, path)[-len(bad) :]:
        raise SanyuError("SY-L052", table=path, file=bad[0])
    for key in bad:
        store.put(f"_damaged/{key}", store.get(key) or b"")
        folder, _, name = key.rpartition("/")
        store.delete(f"{folder}/{name.removesuffix('.json')}.crc")  # Spark's checksum of the version
        if isinstance(store, LocalStore):
            (Path(store.uri(folder, scheme="path")) / f".{name}.crc").unlink(missing_ok=True)  # Hadoop's of the file
        store.delete(key)
    return bad


def synced(store: Store, path: str, version: int) -> None:
    """Make a commit and the files that it adds durable; an object store does that by itself."""
    if not isinstance(store, LocalStore):
        return
    folder = Path(store.uri(path, scheme="path"))
    commit = folder / "_delta_log" / f"{version:020d}.json"
    if not commit.is_file():
        return  # a checkpoint has taken its place
    files = [folder / name for name in added(commit.read_bytes())]
    folders = {folder, commit.parent, *(file.parent for file in files)}
    for one in (*files, commit, *sorted(folders)):
        if one.exists():
            _sync(one)


def added(commit: bytes) -> list[str]:
    """Return the files, relative to the table, that a commit adds."""
    from urllib.parse import unquote

    actions = (json.loads(line) for line in commit.splitlines() if line.startswith(b'{"add"'))
    return [unquote(action["add"]["path"]) for action in actions]


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_commit(data: bytes) -> bool:
    try:
        return bool(data.strip()) and all(isinstance(json.loads(line), dict) for line in data.splitlines() if line.strip())
    except ValueError:
        return False


def _commit(entry: dict[str, Any]) -> Commit:
    try:
        noted = json.loads(entry.get("userMetadata") or "{}")
    except ValueError:
        noted = {}
    return Commit(
        version=int(entry["version"]),
        operation=str(entry.get("operation", "")),
        timestamp_ms=int(entry.get("timestamp", 0)),
        parameters=dict(entry.get("operationParameters") or {}),
        metrics=dict(entry.get("operationMetrics") or {}),
        noted=noted if isinstance(noted, dict) else {},
    )


def _restored_to(commit: Commit) -> int:
    """Return the version that a RESTORE went back to; -1 where it tells a time only, which may lie before anything."""
    try:
        return int(commit.parameters.get("version", -1))
    except (TypeError, ValueError):
        return -1
