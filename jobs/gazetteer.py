"""Build the address index of a lake from its own tables: divisions, addresses, roads, buildings, places and firms with a coordinate.

The index is named after the Delta versions that it was made of, so that an unchanged lake is recognised without reading a row. Where only
rows of some districts differ, only their shards are made; names that all shards share (divisions, aliases) make it anew as a whole. Aliases
that were added to the index in use are kept.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.ipc

from sanyu.address import lakeindex
from sanyu.address.engine import AddressEngine
from sanyu.address.lakeindex import IndexInfo
from sanyu.address.national import division_folder, former_names, national_divisions
from sanyu.lake import Lake
from schemas.messages import SanyuError
from transforms.address.instances import DIVISION, TABLES, derived_aliases, division_names, location_instances

ALIAS, ELEMENT_ALIAS = "core.basemap__address_alias", "core.basemap__address_element_alias"
FORM = "2"  # of the rows that `location_instances` makes; another number makes every index anew


@dataclass(frozen=True)
class GazetteerReport:
    """What a build did: `state` is `unchanged`, `updated` (some shards made) or `built` (all of them)."""

    index_id: str
    state: str
    rows: int
    shards: int
    shards_made: int
    seconds: float
    kinds: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def run(lake: Lake, *, progress: Callable[[str], None] = lambda text: None, force: bool = False) -> GazetteerReport:
    """Build the index if a table has changed, and point the lake to it; SY-A084 where there is nothing to build it of."""
    started = time.monotonic()
    present = set(lake.names())
    sources = [name for name in (*TABLES, ALIAS, ELEMENT_ALIAS) if name in present]
    if not set(sources) & set(TABLES):
        raise SanyuError("SY-A084", known=", ".join(TABLES))
    versions = {name: lake.table(name).version for name in sources}
    index_id = hashlib.sha256(f"{FORM}{sorted(versions.items())}".encode()).hexdigest()[:16]
    before = lakeindex.last(lake.store)
    if before is not None and before.index_id == index_id and not force:
        return GazetteerReport(index_id, "unchanged", before.rows, len(before.shards), 0, _since(started))
    progress("gazetteer: tables")
    tables = {name: _read(lake, name, versions[name]) for name in sources if name in TABLES}
    national = national_divisions(division_folder(lake.settings))
    rows = location_instances(tables, division_names(tables, national), [former.name for former in former_names()])
    entities, elements = derived_aliases(tables)
    entities = sorted(entities + _aliases(lake, ALIAS, "entity_id", versions), key=str)
    elements = sorted(elements + _aliases(lake, ELEMENT_ALIAS, "element", versions), key=str)
    divisions = tables.get(DIVISION)
    info = IndexInfo(
        index_id=index_id,
        built_at=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
        versions=versions,
        rows=rows.num_rows,
        shards=shard_digests(rows),
        names=_digest([divisions, _table(entities), _table(elements)]),
        own_aliases=len(entities) + len(elements),
    )
    progress(f"gazetteer: index of {rows.num_rows:,} rows")
    work = lakeindex.work_folder(lake.store)
    try:
        built = work / "index"
        changed = None if force else _changed(before, info)
        if before is not None and changed is not None:
            _update(lakeindex.index_folder(lake.store, before.index_id), built, rows, changed)
        else:
            engine = AddressEngine.build(rows, aliases=_table(entities), element_aliases=_table(elements), divisions=divisions)
            engine.save(built)
            _carry(lake, before, built)
        lakeindex.publish(lake.store, built, info)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    kinds = Counter(rows["kind"].to_pylist())
    state, made = ("built", len(info.shards)) if changed is None else ("updated", len(changed))
    return GazetteerReport(index_id, state, rows.num_rows, len(info.shards), made, _since(started), dict(kinds))


def shard_digests(rows: pa.Table) -> dict[str, str]:
    """Return the digest of each district's rows by 6-digit code; rows without a code are under the empty one."""
    codes = np.asarray(pc.fill_null(pc.utf8_slice_codeunits(rows["division_code"], 0, 6), "").to_pylist(), dtype=object)
    return {str(code): _digest([rows.filter(pa.array(codes == code))]) for code in sorted(set(codes))}


def _changed(before: IndexInfo | None, now: IndexInfo) -> list[str] | None:
    """Return the districts whose rows differ; None where the index must be made as a whole."""
    if before is None or before.names != now.names or set(before.shards) != set(now.shards):
        return None
    changed = [code for code, digest in now.shards.items() if before.shards[code] != digest]
    # A shard is made against the names of all, so that many are quicker made together.
    return changed if "" not in changed and len(changed) <= max(1, len(now.shards) // 3) else None


def _update(old: Path, built: Path, rows: pa.Table, changed: list[str]) -> None:
    shutil.copytree(old, built)
    engine = AddressEngine.load(built)
    for district in changed:
        mine = rows.filter(pc.equal(pc.utf8_slice_codeunits(rows["division_code"], 0, 6), district))
        engine = engine.rebuild(district, mine)


def _carry(lake: Lake, before: IndexInfo | None, built: Path) -> None:
    """Keep the aliases that were added to the index in use; what they name may be gone, and is then left out."""
    if before is None:
        return
    from sanyu.address.store import read_aliases

    engine = AddressEngine.load(built)
    for alias in read_aliases(lakeindex.index_folder(lake.store, before.index_id))[before.own_aliases :]:
        try:
            engine.add_alias(
                alias.alias,
                entity_id=alias.entity_id,
                element=alias.element,
                level=alias.level,
                kind=alias.kind,
                valid_from=alias.valid_from,
                valid_to=alias.valid_to,
            )
        except SanyuError as error:
            if error.code != "SY-A006":
                raise


def _read(lake: Lake, name: str, version: int) -> pa.Table:
    table = lake.table(name)
    known = set(table.columns)
    # Divisions of the past are asked for by their day, so that all of the table's believed rows count.
    where = "superseded_at IS NULL" if name == DIVISION and "superseded_at" in known else None
    columns = [column for column in TABLES[name] if column in known]
    return ordered(table.to_arrow(columns, where=where, history=where is not None, version=version))


def _aliases(lake: Lake, name: str, target: str, versions: dict[str, int]) -> list[dict[str, Any]]:
    if name not in versions:
        return []
    rows = lake.table(name).to_arrow(version=versions[name]).to_pylist()
    dates = ("valid_from_on", "valid_to_on")
    return [{"alias": r["alias_name"], "kind": r["alias_kind_code"], **{d: r[d] for d in dates}} | _target(r, target) for r in rows]


def _target(row: dict[str, Any], target: str) -> dict[str, Any]:
    if target == "entity_id":
        return {"entity_id": row["target_entity_id"]}
    return {"element": row["element_name"], "level": row["element_level"]}


def _table(rows: list[dict[str, Any]]) -> pa.Table | None:
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.Table.from_pylist([{name: row.get(name) for name in names} for row in rows]) if rows else None


def _digest(tables: list[pa.Table | None]) -> str:
    found = hashlib.sha256()
    for table in tables:
        if table is not None and table.num_rows:
            # Sorted rows have buffers of their own; a slice would be written with what lies around it.
            with pa.ipc.new_stream(sink := pa.BufferOutputStream(), table.schema) as writer:
                writer.write_table(ordered(table).combine_chunks())
            found.update(sink.getvalue())
    return found.hexdigest()[:16]


def ordered(table: pa.Table) -> pa.Table:
    """Return the rows in an order that depends on their content only."""
    keys = [f.name for f in table.schema if pa.types.is_string(f.type) or pa.types.is_integer(f.type) or pa.types.is_date(f.type)]
    return table.sort_by([(name, "ascending") for name in keys])


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
