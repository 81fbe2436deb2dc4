"""The engine on columns of a Spark frame: Arrow batches are processed by it in the Python workers.

A worker loads the engine with its first batch, from the folder of a saved index whose shards are memory-mapped, so the workers of a
machine share its pages. The folder is readable under the same path on every executor, or `Index` is a function that returns it and is
called on the worker (each machine then fetches an index in an object store). A row's result depends on that row only, never on the
partitioning.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sanyu.address.batch import engine_at, free_prefix, joined_table, matched_table
from sanyu.address.formats import RESULT
from schemas.messages import SanyuError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sanyu.address.engine import AddressEngine

Index = str | Path | Callable[[], Path]
_TYPES = {pa.string(): "string", pa.float64(): "double", pa.binary(): "binary"}
REVERSE = {
    **{
        name: "string" for level in ("province", "city", "district", "township", "community") for name in (f"{level}_code", f"{level}_name")
    },
    "road_id": "string",
    "road_name": "string",
    "road_distance_m": "double",
    "entity_id": "string",
    "address_text": "string",
    "address_distance_m": "double",
    "division_code": "string",
    "code": "string",
}


def matched(
    frame: DataFrame, column: str | Mapping[str, str], index: Index, *, context: str | None = None, at: date | None = None
) -> DataFrame:
    """Return the frame with the columns of `formats.RESULT`, prefixed `match_`, added to its own.

    `column` has the whole address, or a mapping names the columns of levels (`{"road": "jie", "door": "hao"}`); `context` and `at` as in
    `AddressEngine.match`. SY-A070: no such column.
    """
    names = tuple(frame.columns)
    _require(names, [column] if isinstance(column, str) else column.values())
    prefix = free_prefix(names)
    asked = column if isinstance(column, str) else dict(column)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for engine, rows in _asked(index, batches):
            yield from joined_table(rows, matched_table(engine, rows, asked, prefix, context, at)).combine_chunks().to_batches()

    made = ", ".join(f"`{prefix}{field.name}` {_TYPES[field.type]}" for field in RESULT)
    return frame.mapInArrow(run, f"{_ddl(frame)}, {made}")


def reverse(frame: DataFrame, lon: str, lat: str, index: Index, *, crs: str = "EPSG:4490", at: date | None = None) -> DataFrame:
    """Return the frame with division chain, nearest road and nearest address, prefixed `at_`, added to its own columns.

    `crs` is the datum of the coordinates, `at` the day of the divisions. A missing coordinate has the code SY-A051. SY-A070.
    """
    _require(tuple(frame.columns), (lon, lat))

    def run(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for engine, rows in _asked(index, batches):
            yield from joined_table(rows, _reversed(engine, rows, lon, lat, crs, at)).combine_chunks().to_batches()

    made = ", ".join(f"`at_{name}` {kind}" for name, kind in REVERSE.items())
    return frame.mapInArrow(run, f"{_ddl(frame)}, {made}")


def _reversed(engine: AddressEngine, rows: pa.Table, lon: str, lat: str, crs: str, at: date | None) -> pa.Table:
    x, y = (rows[name].cast(pa.float64()).to_numpy(zero_copy_only=False) for name in (lon, lat))
    found = engine.reverse(x, y, crs=crs, at=at)
    columns: dict[str, Any] = {}
    for name, kind in REVERSE.items():
        wanted = pa.float64() if kind == "double" else pa.string()
        columns[f"at_{name}"] = found[name].cast(wanted) if name in found.column_names else pa.nulls(rows.num_rows, wanted)
    return pa.table(columns)


def _asked(index: Index, batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[AddressEngine, pa.Table]]:
    """Yield each batch with the engine, which is opened with the first batch."""
    engine: AddressEngine | None = None
    for batch in batches:
        engine = engine or engine_at(str(index() if callable(index) else index))
        yield engine, pa.Table.from_batches([batch])


def _require(names: tuple[str, ...], wanted: Iterable[str]) -> None:
    for name in wanted:
        if name not in names:
            raise SanyuError("SY-A070", source="the frame", column=name, known=", ".join(names))


def _ddl(frame: DataFrame) -> str:
    return ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in frame.schema.fields)
