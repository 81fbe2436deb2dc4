"""The Delta log over existing GeoParquet files: one commit, with comments from the contract and statistics for skipping.

Written with delta-rs instead of `CONVERT TO DELTA`, which starts 150 Spark tasks to find out what the writer of the files knows, rereads
every footer, and sets neither name nor comments. No feature beyond protocol (1, 2) is used, so every Delta reader can read a release.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import Field, Schema
from deltalake.transaction import AddAction, create_table_with_add_actions

from sanyu.lake.store import Store
from sanyu.serve.geoparquet import Part
from schemas.fields import fields_of
from schemas.model import Contract

# Times are left out, because Delta stores them in milliseconds and readers round them differently.
STATISTICS = ("entity_id", "stamp_id", "source_key", "cell", "division_code", "bbox")


def write_log(store: Store, key: str, contract: Contract, schema: pa.Schema, parts: Sequence[Part], *, modified: int) -> None:
    """Make the folder at `key` a Delta table of these files; `modified` (ms since the epoch) is used as each file's time."""
    titles = {f.name: f"{f.title_zh}: {f.description}" for f in fields_of(contract)}
    fields = [
        Field(f.name, f.type, nullable=f.nullable, metadata={"comment": titles[f.name]} if f.name in titles else None)
        for f in Schema.from_arrow(schema).fields
    ]
    actions = [AddAction(p.name, p.size, {}, modified, True, p.stats) for p in parts]
    create_table_with_add_actions(
        store.uri(key, "s3"),
        Schema(fields),
        actions,
        mode="error",
        name=contract.name,
        description=f"{contract.title_zh}: {contract.grain}",
        storage_options=store.storage_options() or None,
    )


def file_statistics(meta: pq.FileMetaData) -> str:
    """Return Delta's statistics of a file (JSON) from its Parquet footer: row count, and minimum, maximum, nulls of the leading columns."""
    low: dict[str, Any] = {}
    high: dict[str, Any] = {}
    nulls: dict[str, Any] = {}
    for index in range(meta.num_columns):
        path = meta.schema.column(index).path
        if path.split(".", 1)[0] not in STATISTICS:
            continue
        found = [meta.row_group(g).column(index).statistics for g in range(meta.num_row_groups)]
        if not found or any(s is None or not s.has_null_count for s in found):
            continue
        _put(nulls, path, sum(s.null_count for s in found))
        known = [s for s in found if s.has_min_max]
        if known and all(s.has_min_max or s.num_values == 0 for s in found):
            _put(low, path, min(s.min for s in known))
            _put(high, path, max(s.max for s in known))
    return json.dumps({"numRecords": meta.num_rows, "minValues": low, "maxValues": high, "nullCount": nulls}, separators=(",", ":"))


def _put(into: dict[str, Any], path: str, value: Any) -> None:
    *parents, leaf = path.split(".")
    for parent in parents:
        into = into.setdefault(parent, {})
    into[leaf] = value
