"""The address index of a lake: a folder per state of the gazetteer below `index/address`, and the pointer to the one in use.

```
index/address/current.json     which index readers take, with the Delta versions of the tables that it was made of
index/address/<id>/            an engine's folder (see `sanyu.address.store`), never changed but for its aliases
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
    """An index: `versions` are Delta's of the tables it was made of, `shards` the digest of each district's rows (6-digit code)."""

    index_id: str
    built_at: str
    versions: dict[str, int]
    rows: int
    shards: dict[str, str]
    names: str = ""  # digest of what all shards share: divisions with their polygons, aliases
    own_aliases: int = 0  # aliases that the build made; those behind them were added to the index


def current(store: Store) -> IndexInfo | None:
    """Return the index in use, None where the lake has none; SY-L060 where the pointer to it is damaged."""
    return record(store, POINTER, IndexInfo.model_validate, "sanyu address build")


def last(store: Store) -> IndexInfo | None:
    """Return the index in use, for who builds the next one: without a pointer, or with a damaged one, it is built from scratch."""
    return recall(store, POINTER, IndexInfo.model_validate)


def index_folder(store: Store, index_id: str) -> Path:
    """Return the index as a local folder; one in an object store is fetched into the cache, the file that makes it whole last."""
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
    """Return the index of a lake as a local folder, on a machine that has opened no lake yet, as Spark's workers are."""
    return index_folder(open_store(url, settings), index_id)


def open_engine(lake: Lake) -> AddressEngine:
    """Return the engine over the index in use; SY-A073 where the lake has none."""
    info = current(lake.store)
    if info is None:
        raise SanyuError("SY-A073", path=lake.url)
    return AddressEngine.load(index_folder(lake.store, info.index_id))


def publish(store: Store, built: Path, info: IndexInfo) -> None:
    """Bring a finished engine folder into the lake and point to it; indexes before the last are removed."""
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
    """Return an empty folder to build in, on the lake's own disk where it has one, so that publishing is a rename."""
    parent = Path(store.uri(ROOT, "path")) if isinstance(store, LocalStore) else None
    if parent is not None:
        parent.mkdir(parents=True, exist_ok=True)
    return Path(tempfile.mkdtemp(prefix=".build-", dir=parent))
