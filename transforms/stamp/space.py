"""The space domain of the stamp: one pass over Arrow batches gives each row its geometry in EPSG:4490, bounds, layout key, grid code and division.

Runs inside Spark's `mapInArrow`; everything is vectorised on shapely arrays, nothing is done row by row but the wording of rejections.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import shapely

from schemas.model import GeometryKind
from schemas.rejection import error_row
from transforms.conform.geometry import Conformed, conform_geometries
from transforms.space import beidou
from transforms.space.hilbert import hilbert_key
from transforms.stamp.division import Division, DivisionIndex

ERROR = pa.struct([pa.field(name, pa.string()) for name in ("field", "check", "code", "value", "message", "message_zh")])
BBOX = pa.struct([pa.field(name, pa.float64()) for name in ("xmin", "ymin", "xmax", "ymax")])
# Columns taken in and dropped again, and columns given.
TAKEN = ("raw_geom", "crs")
GIVEN: tuple[tuple[str, pa.DataType, str], ...] = (
    ("geom", pa.binary(), "binary"),
    ("bbox", BBOX, "struct<xmin:double,ymin:double,xmax:double,ymax:double>"),
    ("cell", pa.int64(), "bigint"),
    ("grid_code", pa.string(), "string"),
    ("grid_level", pa.int32(), "int"),
    ("division_within", pa.string(), "string"),
    ("geometry_errors", pa.list_(ERROR), "array<struct<field:string,check:string,code:string,value:string,message:string,message_zh:string>>"),
    ("geometry_notes", pa.list_(pa.string()), "array<string>"),
)


@dataclass(frozen=True)
class SpacePlan:
    """What a batch's geometries are and what they must become.

    `crs` overrides what the files declare; `operation` names the datum shift where PROJ has no certain one; `extent` is the city's
    (west, south, east, north) in degrees; `divisions` are those valid at the batch's edition.
    """

    kind: GeometryKind | None
    required: bool
    crs: str | None
    operation: Any | None
    extent: tuple[float, float, float, float] | None
    max_grid_level: int
    divisions: tuple[Division, ...] = ()


def stamp_space(batches: Iterator[pa.RecordBatch], plan: SpacePlan) -> Iterator[pa.RecordBatch]:
    """Give each batch the columns of `GIVEN` in place of those of `TAKEN`."""
    index = DivisionIndex(plan.divisions)
    for batch in batches:
        rest = batch.drop_columns(list(TAKEN))
        columns = _stamped(batch, plan, index) if plan.kind is not None else _unplaced(len(batch))
        yield pa.RecordBatch.from_arrays([*rest.columns, *columns], names=[*rest.schema.names, *(name for name, _, _ in GIVEN)])


def _stamped(batch: pa.RecordBatch, plan: SpacePlan, index: DivisionIndex) -> list[pa.Array]:
    assert plan.kind is not None
    done = _conformed(batch, plan)
    there = ~shapely.is_missing(done.geoms)
    bounds = np.where(there[:, None], done.bounds, np.nan)
    lon, lat = (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2
    codes, levels, cells, divisions = (np.full(len(batch), None, dtype=object) for _ in range(4))
    if there.any():
        level = np.minimum(
            beidou.level_for_extent(bounds[there, 2] - bounds[there, 0], bounds[there, 3] - bounds[there, 1]), plan.max_grid_level
        ).astype(np.int32)
        codes[there] = beidou.encode_arrow(lon[there], lat[there], level).to_numpy(zero_copy_only=False)
        levels[there] = level
        cells[there] = hilbert_key(lon[there], lat[there])
        divisions[there] = index.codes(done.geoms[there])
    none = ~there
    return [
        pa.array(shapely.to_wkb(done.geoms, output_dimension=3, flavor="iso"), pa.binary()),
        pa.StructArray.from_arrays([pa.array(bounds[:, i]) for i in range(4)], fields=list(BBOX), mask=pa.array(none)),
        pa.array(cells, pa.int64()),
        pa.array(codes, pa.string()),
        pa.array(levels, pa.int32()),
        pa.array(divisions, pa.string()),
        _lists([_errors(done, i, plan) for i in range(len(batch))] if none.any() else None, len(batch), ERROR),
        _lists([list(n) if n else [] for n in done.notes], len(batch), pa.string()),
    ]


def _conformed(batch: pa.RecordBatch, plan: SpacePlan) -> Conformed:
    """Conform all rows; files of one batch may declare different systems, so rows go by system."""
    assert plan.kind is not None
    wkb = batch.column("raw_geom")

    def conform(part: pa.Array, crs: str | None) -> Conformed:
        return conform_geometries(part, plan.kind, source_crs=crs, operation=plan.operation, extent=plan.extent)

    if plan.crs is not None:
        return conform(wkb, plan.crs)
    systems = batch.column("crs").dictionary_encode()
    if len(systems.dictionary) <= 1 and systems.null_count in (0, len(batch)):
        return conform(wkb, systems.dictionary[0].as_py() if len(systems.dictionary) else None)
    index = systems.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    parts = {i: conform(wkb.filter(pa.array(index == i)), systems.dictionary[i].as_py() if i >= 0 else None) for i in np.unique(index)}
    return Conformed.scattered(parts, index)


def _errors(done: Conformed, row: int, plan: SpacePlan) -> list[dict[str, str | None]]:
    if (error := done.error(row)) is not None:
        return [error]
    if done.geoms[row] is None and plan.required:
        return [error_row("geom", "required", "SY-Q003", None)]
    return []


def _unplaced(size: int) -> list[pa.Array]:
    empty = {"geometry_errors": ERROR, "geometry_notes": pa.string()}
    return [_lists(None, size, empty[name]) if name in empty else pa.nulls(size, dtype) for name, dtype, _ in GIVEN]


def _lists(rows: list[list[Any]] | None, size: int, item: pa.DataType) -> pa.Array:
    if rows is None or not any(rows):
        return pa.ListArray.from_arrays(pa.array(np.zeros(size + 1, np.int32)), pa.array([], item))
    return pa.array(rows, pa.list_(item))
