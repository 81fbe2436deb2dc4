"""Parsed parts by content (`landing/_parsed/<digest>/`), shared by the batches and sources whose manifests name them.

What no manifest names any more is dropped a day after it was last used: until then it can be the work of a landing that has not written
its manifest yet, or save a failed one its work.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sanyu.lake.records import recall
from sanyu.lake.store import LocalStore, Store
from sanyu.landing.manifest import LandedFile
from sanyu.readers import Parsed

PARSED = "landing/_parsed"
RECORD = "parsed.json"
KEPT_UNUSED = dt.timedelta(days=1)
_STAGED = ".parse-"


@contextlib.contextmanager
def staged(store: Store) -> Iterator[Path]:
    """Give a folder for parts in the making: on a disk one that `publish` only has to rename."""
    if isinstance(store, LocalStore):
        (store.root / PARSED).mkdir(parents=True, exist_ok=True)
        out = Path(tempfile.mkdtemp(prefix=_STAGED, dir=store.root / PARSED))
    else:
        out = Path(tempfile.mkdtemp(prefix="sanyu-parse-"))
    try:
        yield out
    finally:
        shutil.rmtree(out, ignore_errors=True)


def reused(store: Store, key: str) -> Parsed | None:
    """Return the record of parts that are there, marked as used now; None where there are none, or their record is damaged."""
    text = store.get(f"{key}/{RECORD}")
    if text is None:
        return None
    found = recall(store, f"{key}/{RECORD}", lambda values: Parsed.from_dict(values, Path(key)))
    if found is None:
        store.delete(key)  # so that parts made anew can take the place
    else:
        store.put(f"{key}/{RECORD}", text)
    return found


def publish(store: Store, out: Path, key: str, parsed: Parsed) -> Parsed:
    """Put a folder of parts in place, by one rename on a disk, with the record last on an object store, and return its record there."""
    if not isinstance(store, LocalStore):
        for part in (*parsed.parts, out / RECORD):
            store.upload(part, f"{key}/{part.name}")
    else:
        target = store.root / key
        out.chmod(0o755)
        try:
            out.rename(target)
        except OSError:
            if not (target / RECORD).is_file():  # else another process was first, with the same content
                raise
    return Parsed.from_dict(json.loads(parsed.to_json()), Path(key))


def complete(store: Store, folder: str) -> list[LandedFile] | None:
    """Return the files of the batch in a folder, if its manifest is there, undamaged, and its parsed parts still are."""
    files = recall(store, f"{folder}/manifest.json", files_of)
    if files is None or not all(store.exists(f"{f.parsed}/{RECORD}") for f in files if f.parsed):
        return None
    return files


def clean(store: Store, now: dt.datetime | None = None) -> list[str]:
    """Drop the parts that no manifest names and nobody has used for a day, and return their keys.

    As long as a manifest is damaged, nothing is dropped: its parts may be among those that no other names.
    """
    oldest = (now or dt.datetime.now(dt.UTC)) - KEPT_UNUSED
    unused = {f"{PARSED}/{name}" for name in store.folders(PARSED)}
    for source in store.folders("landing"):
        if unused and source != PARSED.rsplit("/", 1)[1]:
            for batch in store.folders(f"landing/{source}"):
                key = f"landing/{source}/{batch}/manifest.json"
                files = recall(store, key, files_of)
                if files is None and store.exists(key):
                    return []
                unused -= {f.parsed or "" for f in files or ()}
    dropped = []
    for key in sorted(unused):
        used_at = store.modified_at(f"{key}/{RECORD}")
        if used_at is None or used_at < oldest:
            store.delete(key)
            dropped.append(key)
    if isinstance(store, LocalStore):
        for path in (store.root / PARSED).glob(f"{_STAGED}*"):
            with contextlib.suppress(FileNotFoundError):
                if dt.datetime.fromtimestamp(path.stat().st_mtime, dt.UTC) < oldest:
                    shutil.rmtree(path, ignore_errors=True)
    return dropped


def files_of(manifest: dict[str, Any]) -> list[LandedFile]:
    """Return the files of a batch from its decoded manifest."""
    return [LandedFile.from_dict(file) for file in manifest["files"]]
