"""An address index on disk: a folder per district, a list of them, and the aliases that were added later.

index.json            version, shards, whether the national divisions were available
divisions.parquet     the gazetteer's own divisions
aliases.jsonl         one alias per line; appended to by `add_alias`, read at the next load
shards/<code>/        rows.arrow, names.arrow, ids.npy, numbers.npy, postings.npy: memory-mapped
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.messages import SanyuError
from transforms.address.catalog import Alias
from transforms.address.index import NAME_LEVELS, Shard
from transforms.address.numbers import NUMBER_LEVELS

VERSION = 1


def save_shard(folder: Path, shard: Shard) -> None:
    """Write a complete shard next to the old one and move it into place."""
    folder.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=f".{shard.code}-", dir=folder))
    for name, table in (("rows", shard.rows), ("names", shard.names)):
        with pa.OSFile(str(work / f"{name}.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
    np.save(work / "ids.npy", np.stack([shard.ids[level] for level in NAME_LEVELS]))
    np.save(work / "numbers.npy", np.stack([shard.numbers[level] for level in NUMBER_LEVELS]))
    np.save(work / "postings.npy", shard.postings)
    target = folder / shard.code
    if target.exists():
        shutil.rmtree(target)
    work.replace(target)


def load_shard(folder: Path, code: str) -> Shard:
    """Map a shard into memory."""
    here = folder / code
    ids, numbers = np.load(here / "ids.npy", mmap_mode="r"), np.load(here / "numbers.npy", mmap_mode="r")
    rows = pa.ipc.open_file(pa.memory_map(str(here / "rows.arrow"))).read_all()
    names = pa.ipc.open_file(pa.memory_map(str(here / "names.arrow"))).read_all()
    return Shard(
        code,
        rows,
        {level: np.asarray(ids[i]) for i, level in enumerate(NAME_LEVELS)},
        {level: np.asarray(numbers[i]) for i, level in enumerate(NUMBER_LEVELS)},
        names,
        np.asarray(np.load(here / "postings.npy", mmap_mode="r")),
    )


def write_meta(path: Path, shards: Iterable[str], **more: Any) -> None:
    """Write the list of shards last, so that a half-written index is not an index."""
    part = path / ".index.json"
    part.write_text(json.dumps({"version": VERSION, "shards": sorted(shards), **more}, ensure_ascii=False, indent=1), "utf-8")
    part.replace(path / "index.json")


def read_meta(path: Path) -> dict[str, Any]:
    """Return the content of `index.json`; SY-A005 if it is missing or of another version."""
    try:
        meta: dict[str, Any] = json.loads((path / "index.json").read_text("utf-8"))
    except (OSError, ValueError):
        raise SanyuError("SY-A005", path=str(path)) from None
    if meta.get("version") != VERSION:
        raise SanyuError("SY-A005", path=str(path))
    return meta


def index_state(path: Path) -> tuple[int, ...]:
    """Return times and sizes of the files that change when an index is rebuilt or an alias is added."""
    files = [file.stat() for name in ("index.json", "aliases.jsonl") if (file := path / name).exists()]
    return tuple(value for stat in files for value in (stat.st_mtime_ns, stat.st_size))


def append_alias(path: Path, alias: Alias) -> None:
    """Add one line to the aliases; several processes write one after the other."""
    line = json.dumps(alias._asdict(), ensure_ascii=False, default=str) + "\n"
    with (path / "aliases.jsonl").open("a+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # released when the file is closed
        end = file.seek(0, os.SEEK_END)
        file.seek(max(0, end - 1))
        if end and file.read() != b"\n":  # a crash has truncated the last line
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)
        file.write(line.encode())


def read_aliases(path: Path) -> list[Alias]:
    """Return the aliases stored with an index; SY-A008 names an invalid line. A truncated last line is ignored."""
    file = path / "aliases.jsonl"
    if not file.exists():
        return []
    with file.open(encoding="utf-8") as lines:
        fcntl.flock(lines, fcntl.LOCK_SH)
        text = lines.read()
    *whole, _ = text.split("\n")
    return [_alias(file, number, line) for number, line in enumerate(whole, start=1)]


def _alias(file: Path, number: int, line: str) -> Alias:
    try:
        entry = json.loads(line)
        for field in ("valid_from", "valid_to"):
            entry[field] = date.fromisoformat(entry[field]) if entry[field] else None
        return Alias(**entry)
    except (ValueError, TypeError, KeyError) as error:
        raise SanyuError("SY-A008", path=str(file), line=number, detail=str(error)) from error
