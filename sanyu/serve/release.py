"""Releases: published layers under one id, named by `release/current.json` and immutable.

```
release/current.json                        names the current release, switched by one atomic put
release/<id>/manifest.json                  written last: a folder without it is left over from an interrupted publication
release/<id>/README.md                      what is in it, from whom, under which terms
release/<id>/metadata/, release/<id>/stac/  the release described for other catalogues (sanyu.serve.catalog)
release/<id>/<domain>/<entity>/part-*.parquet   GeoParquet 1.1 (Parquet for tables without geometry)
release/<id>/<domain>/<entity>/_delta_log/  the same files as a Delta table
```
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from sanyu.lake import Lake
from sanyu.lake.lease import lease
from sanyu.lake.records import damage, record
from sanyu.lake.store import Store
from sanyu.serve.geoparquet import GEOMETRY, Part, file_sha256
from schemas.messages import SanyuError
from schemas.model import Frozen, SecurityLabel

ROOT = "release"
POINTER = f"{ROOT}/current.json"
RECORDS = ("metadata", "stac")
README = "README.md"


class Right(Frozen):
    """Terms of a source that has rows in the release."""

    source: str
    title: str
    publisher: str | None
    licence: str
    attribution: str


class Origin(Frozen):
    """A core table at the version that was read to derive another table, and the sources with rows in it at that version."""

    table: str
    delta_version: int
    sources: tuple[str, ...]


class Lineage(Frozen):
    """What a derived table was made from, and by what. `label` is the highest of its input rows; lower editions omit the table."""

    made_by: str
    inputs: tuple[Origin, ...]
    label: SecurityLabel = SecurityLabel.PUBLIC

    @property
    def sources(self) -> tuple[str, ...]:
        return tuple(sorted({name for origin in self.inputs for name in origin.sources}))


class PublishedTable(Frozen):
    """One table of a release. `path` is its folder below the lake; `withheld` rows are current, but have a higher label than the edition.

    `delta_version` and `committed_at` (ms since the epoch) are those of the lake's table that was read; `columns` are name and type;
    `valid_from` is when the first of its rows became valid, ISO 8601. `sources` are the sources of its rows or, for a derived table, of
    the rows it was made from, as recorded in `lineage`.
    """

    name: str
    path: str
    contract_version: int
    delta_version: int
    committed_at: int
    rows: int
    withheld: int
    sources: tuple[str, ...]
    columns: tuple[tuple[str, str], ...]
    files: tuple[Part, ...]
    log: tuple[Part, ...]
    valid_from: str | None = None
    lineage: Lineage | None = None

    @property
    def has_geometry(self) -> bool:
        return any(name == GEOMETRY for name, _ in self.columns)


class Release(Frozen):
    """The content of `manifest.json`. `digest` is over the inputs; `records` are the catalogue files, named below the release's folder;
    `changed` says whether the call that returned this object wrote the release.
    """

    release_id: str
    digest: str
    edition: SecurityLabel
    city: str
    tables: tuple[PublishedTable, ...]
    rights: tuple[Right, ...]
    records: tuple[Part, ...] = ()
    changed: bool = False

    @property
    def path(self) -> str:
        """Return the release's folder below the lake."""
        return f"{ROOT}/{self.release_id}"

    @property
    def attribution(self) -> tuple[str, ...]:
        """Return the attribution lines with their licences, without duplicates."""
        return tuple(dict.fromkeys(r.attribution if r.licence in r.attribution else f"{r.attribution} ({r.licence})" for r in self.rights))

    def rights_of(self, table: PublishedTable) -> tuple[Right, ...]:
        """Return the terms of the sources of a table's rows."""
        return tuple(r for r in self.rights if r.source in table.sources)

    def table(self, name: str) -> PublishedTable:
        """Return a table of the release by name; KeyError if there is none."""
        return next((t for t in self.tables if t.name == name), None) or _missing(name)

    def manifest(self) -> bytes:
        """Return the bytes of `manifest.json`; the same inputs and files give the same bytes."""
        return json.dumps(self.model_dump(mode="json", exclude={"changed"}), ensure_ascii=False, indent=1, sort_keys=True).encode()


def releases(lake: Lake) -> list[str]:
    """Return the ids of the complete releases, sorted; derived ids start with their time, so the newest is last."""
    return [name for name in lake.store.folders(ROOT) if lake.store.exists(f"{ROOT}/{name}/manifest.json")]


def release(lake: Lake, release_id: str) -> Release:
    """Return a release by id; SY-P004 with the known ids if there is none, SY-P005 if its manifest is damaged."""
    data = lake.store.get(f"{ROOT}/{release_id}/manifest.json")
    if data is None:
        known = releases(lake)
        near = difflib.get_close_matches(release_id, known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise SanyuError("SY-P004", release_id=release_id, lake=lake.url, hint=hint, known=", ".join(known) or "-")
    try:
        return Release.model_validate_json(data)
    except ValueError as error:
        raise SanyuError("SY-P005", release_id=release_id, file="manifest.json", what=damage(data, error)) from error


def current(lake: Lake) -> Release | None:
    """Return the current release; None before the first. SY-L060 if the pointer is damaged, SY-P005 if the manifest is."""
    chosen = record(lake.store, POINTER, lambda pointer: str(pointer["release_id"]), "sanyu repair release")
    return None if chosen is None else release(lake, chosen)


def repair_pointer(lake: Lake) -> Release | None:
    """Name the newest complete release again if `current.json` is damaged, missing, or names none that exists; None if all is well.

    Raises SY-P008 if no release is complete.
    """
    try:
        if current(lake) is not None or not releases(lake):
            return None
    except SanyuError as error:
        if error.code not in ("SY-L060", "SY-P004", "SY-P005"):
            raise
    with lease(lake.store, ROOT, "repair release"):
        whole = [found for name in releases(lake) if (found := _whole(lake, name)) is not None]
        if not whole:
            raise SanyuError("SY-P008", lake=lake.url)
        newest = max(whole, key=lambda found: (max(table.committed_at for table in found.tables), found.release_id))
        make_current(lake, newest)
    return newest


def _whole(lake: Lake, release_id: str) -> Release | None:
    """Return a release with a readable manifest and files of the stated sizes; None otherwise."""
    try:
        found = release(lake, release_id)
    except SanyuError:
        return None
    names = [f"{table.path}/{part.name}" for table in found.tables for part in (*table.files, *table.log)]
    return found if all(map(lake.store.exists, names)) else None


def make_current(lake: Lake, chosen: Release) -> None:
    """Make this release the current one with one atomic put; also used to go back to an older release."""
    digest = hashlib.sha256(chosen.manifest()).hexdigest()
    pointer = {"release_id": chosen.release_id, "path": chosen.path, "manifest_sha256": digest}
    lake.store.put(POINTER, json.dumps(pointer, indent=1).encode())


def verify(lake: Lake, chosen: Release) -> list[SanyuError]:
    """Check every file of a release against the manifest: presence, size, digest, rows, and no extra files. Returns SY-P005 errors."""
    problems: list[SanyuError] = []
    manifest = lake.store.get(f"{chosen.path}/manifest.json")
    if manifest != chosen.manifest():
        problems.append(_problem(chosen, f"{chosen.path}/manifest.json", "it is not the manifest of this release"))
    folders = [(table.path, {f"{table.path}/{part.name}": part for part in (*table.files, *table.log)}) for table in chosen.tables]
    for name in RECORDS:
        folder = f"{chosen.path}/{name}"
        folders.append((folder, {f"{chosen.path}/{part.name}": part for part in chosen.records if part.name.startswith(f"{name}/")}))
    folders.append(("", {f"{chosen.path}/{part.name}": part for part in chosen.records if "/" not in part.name}))
    for folder, expected in folders:
        extra = sorted(set(lake.store.keys(folder)) - set(expected)) if folder else []
        problems += [_problem(chosen, key, "it is not in the manifest") for key in extra]
        for key, part in expected.items():
            what = _difference(lake.store, key, part)
            if what:
                problems.append(_problem(chosen, key, what))
    return problems


def read_table(store: Store, table: PublishedTable, columns: Sequence[str] | None = None, bbox: Sequence[float] | None = None) -> Any:
    """Return a published table as a GeoDataFrame in EPSG:4490, or as a DataFrame if it has no geometry; `bbox` in degrees."""
    import geopandas as gpd
    import pandas as pd

    paths = [store.local(f"{table.path}/{part.name}") for part in table.files]
    names = None if columns is None else list(columns)
    if not table.has_geometry or (names is not None and GEOMETRY not in names):
        return pd.concat([pd.read_parquet(path, columns=names) for path in paths], ignore_index=True)
    window = None if bbox is None else tuple(bbox)
    frames = [gpd.read_parquet(path, columns=names, bbox=window) for path in paths]
    return pd.concat([f for f in frames if len(f)] or frames[:1], ignore_index=True)


def _difference(store: Store, key: str, part: Part) -> str | None:
    try:
        path: Path = store.local(key)
    except FileNotFoundError:
        return "it is missing"
    if path.stat().st_size != part.size:
        return f"it has {path.stat().st_size} bytes, the manifest says {part.size}"
    if file_sha256(path) != part.sha256:
        return "its SHA-256 is not that of the manifest"
    if path.suffix == ".parquet" and pq.read_metadata(path).num_rows != part.rows:
        return f"it does not hold the {part.rows} rows of the manifest"
    return None


def _problem(chosen: Release, file: str, what: str) -> SanyuError:
    return SanyuError("SY-P005", release_id=chosen.release_id, file=file, what=what)


def _missing(name: str) -> PublishedTable:
    raise KeyError(name)
