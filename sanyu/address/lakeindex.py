"""The address index of a lake: one folder per state of the gazetteer below `index/address`, and the pointer to the current one.

```
index/address/current.json     names the current index, with the Delta versions of the tables that it was built from
index/address/<id>/            an engine's folder (see `sanyu.address.store`), immutable except for its aliases
```
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from sanyu.address.engine import AddressEngine
from sanyu.lake import Lake
from sanyu.lake.records import recall, record
from sanyu.lake.store import LocalStore, Store, open_store
from sanyu.settings import Settings
from schemas.messages import SanyuError
from schemas.model import Frozen

ROOT = "index/address"
POINTER = f"{ROOT}/current.json"
WHOLE = "index.json"


class IndexInfo(Frozen):
    """An index: `versions` are the Delta versions of its tables, `shards` the digest of each district's rows (6-digit code)."""

    index_id: str
    built_at: str
    versions: dict[str, int]
    rows: int
    shards: dict[str, str]
    names: str = ""  # digest of what all shards share: divisions with their polygons, aliases
    own_aliases: int = 0  # number of aliases in the build; later ones were added to the index


def current(store: Store) -> IndexInfo | None:
    """Return the current index, None if the lake has none; SY-L060 if its pointer is damaged."""
    return record(store, POINTER, IndexInfo.model_validate, "sanyu address build")


def last(store: Store) -> IndexInfo | None:
    """Return the current index as the base of the next build; without a pointer, or with a damaged one, the build starts from scratch."""
    return recall(store, POINTER, IndexInfo.model_validate)


def index_folder(store: Store, index_id: str) -> Path:
    """Return the index as a local folder; from an object store it is fetched into the cache, with the file that marks it complete last."""
    key = f"{ROOT}/{index_id}"
    if isinstance(store, LocalStore):
        return Path(store.uri(key, "path"))
    from sanyu.lake.s3 import cache_folder

    folder = cache_folder() / "address" / hashlib.sha256(store.url.encode()).hexdigest()[:16] / index_id
    if not (folder / WHOLE).is_file():
        for name in sorted(store.keys(key), key=lambda name: name.endswith(f"/{WHOLE}")):
            target = folder / name.removeprefix(f"{key}/")
            target.parent.mkdir(parents=True, exist_ok=True)
            part = target.with_name(f".{target.name}.{os.getpid()}")
            shutil.copyfile(store.local(name), part)
            part.replace(target)
    return folder


def folder_at(url: str, settings: Settings, index_id: str) -> Path:
    """Return the index of a lake as a local folder, on a machine that has not opened a lake yet, such as Spark's workers."""
    return index_folder(open_store(url, settings), index_id)


def open_engine(lake: Lake) -> AddressEngine:
    """Return the engine over the current index; SY-A073 if the lake has none."""
    info = current(lake.store)
    if info is None:
        raise SanyuError("SY-A073", path=lake.url)
    return AddressEngine.load(index_folder(lake.store, info.index_id))


def publish(store: Store, built: Path, info: IndexInfo) -> None:
    """Move a finished engine folder into the lake and point to it; indexes before the previous one are removed."""
    key = f"{ROOT}/{info.index_id}"
    store.delete(key)
    if isinstance(store, LocalStore):
        target = Path(store.uri(key, "path"))
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(built, target)
    else:
        for path in sorted(p for p in built.rglob("*") if p.is_file()):
            store.upload(path, f"{key}/{path.relative_to(built).as_posix()}")
    before = last(store)
    store.put(POINTER, info.model_dump_json(indent=1).encode())
    kept = {info.index_id} | ({before.index_id} if before else set())
    for name in store.folders(ROOT):
        if name not in kept:
            store.delete(f"{ROOT}/{name}")


def work_folder(store: Store) -> Path:
    """Return an empty folder to build in, on the lake's own disk if it has one, so that publishing is a rename."""
    parent = Path(store.uri(ROOT, "path")) if isinstance(store, LocalStore) else None
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=".build-", dir=parent))
