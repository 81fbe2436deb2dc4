"""The space domain of the stamp: one pass over Arrow batches gives each row geometry in EPSG:4490, bounds, layout key, grid code, division.

Runs inside Spark's `mapInArrow`; everything is vectorised on shapely arrays, nothing is done row by row but the wording of rejections.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from schemas.model import GeometryKind
from schemas.rejection import ERRORS_TYPE, error_row
from transforms.conform.geometry import Conformed, conform_geometries
from transforms.space import beidou
from transforms.space.hilbert import hilbert_key
from transforms.stamp.division import Division, DivisionIndex, representative_points

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
    ("geometry_errors", pa.list_(ERROR), ERRORS_TYPE),
    ("geometry_notes", pa.list_(pa.string()), "array<string>"),
)


NULL_ISLAND = [shapely.to_wkb(shapely.Point(xyz), flavor="iso") for xyz in ((0.0, 0.0), (0.0, 0.0, 0.0), (-0.0, 0.0), (0.0, -0.0))]
UNDECLARED = "SY-C113"
# Names that a person gives when releasing rows; every other geometry code is the check `geometry`.
CHECKS = {
    "SY-C101": "required",
    "SY-C107": "axes",
    "SY-C108": "axes",
    "SY-C109": "extent",
    "SY-C110": "kind",
    "SY-C112": "valid",
    UNDECLARED: "crs",
}


@dataclass(frozen=True)
class SpacePlan:
    """What a batch's geometries are and what they must become.

    `crs` overrides what the files declare; `operation` names the datum shift where PROJ has no certain one; `extent` is the city's
    (west, south, east, north) in degrees; `to_point` takes a point on each shape; `divisions` are those valid at the batch's edition.
    """

    kind: GeometryKind | None
    required: bool
    crs: str | None
    operation: Any | None
    extent: tuple[float, float, float, float] | None
    max_grid_level: int
    multi: bool = True
    to_point: bool = False
    divisions: tuple[Division, ...] = ()


def stamp_space(batches: Iterable[pa.RecordBatch], plan: SpacePlan) -> Iterator[pa.RecordBatch]:
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
        pa.array(done.wkb(), pa.binary()),
        pa.StructArray.from_arrays([pa.array(bounds[:, i]) for i in range(4)], fields=list(BBOX), mask=pa.array(none)),
        pa.array(cells, pa.int64()),
        pa.array(codes, pa.string()),
        pa.array(levels, pa.int32()),
        pa.array(divisions, pa.string()),
        _lists(_errors(done) if none.any() else None, len(batch), ERROR),
        _lists([list(n) if n else [] for n in done.notes], len(batch), pa.string()),
    ]


def _conformed(batch: pa.RecordBatch, plan: SpacePlan) -> Conformed:
    """Conform all rows; files of one batch may declare different systems, so rows go by system."""
    wkb = without_null_island(batch.column("raw_geom"))
    if plan.crs is not None:
        return _conform(wkb, plan.crs, plan)
    systems = batch.column("crs").dictionary_encode()
    index = systems.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    present = np.unique(index)
    names = [systems.dictionary[int(i)].as_py() if i >= 0 else None for i in present]
    if len(present) == 1:
        return _conform(wkb, names[0], plan)
    parts = [_conform(wkb.filter(pa.array(index == i)), name, plan) for i, name in zip(present, names, strict=True)]
    back = np.argsort(np.argsort(index, kind="stable"), kind="stable")
    return Conformed(*(np.concatenate([getattr(part, f.name) for part in parts])[back] for f in fields(Conformed)))


def _conform(wkb: pa.Array, crs: str | None, plan: SpacePlan) -> Conformed:
    """Conform rows of one declared system; where none is declared and none is set, every geometry is rejected rather than guessed."""
    assert plan.kind is not None
    done = conform_geometries(
        wkb,
        GeometryKind.ANY if plan.to_point else plan.kind,
        source_crs=crs or "EPSG:4490",
        operation=plan.operation,
        extent=plan.extent,
        required=plan.required,
        multi=plan.multi,
    )
    if plan.to_point:
        there = ~shapely.is_missing(done.geoms)
        geoms = done.geoms.copy()
        geoms[there] = representative_points(done.geoms[there])
        done = replace(done, geoms=geoms, bounds=shapely.bounds(geoms))
    if crs is not None:
        return done
    given = ~np.asarray(wkb.is_null())
    code, geoms = done.error_code.copy(), done.geoms.copy()
    code[given], geoms[given] = UNDECLARED, None
    return replace(done, geoms=geoms, error_code=code)


def without_null_island(wkb: pa.Array) -> pa.Array:
    """Return the geometries with points at exactly (0, 0) as missing: that is how sources write that there is no position."""
    return pc.if_else(pc.is_in(wkb, value_set=pa.array(NULL_ISLAND, wkb.type)), pa.scalar(None, wkb.type), wkb)


def _errors(done: Conformed) -> list[list[dict[str, str | None]]]:
    return [
        [] if code is None else [error_row(field or "geom", CHECKS.get(code, "geometry"), code, value)]
        for code, field, value in zip(done.error_code, done.error_field, done.error_value, strict=True)
    ]


def _unplaced(size: int) -> list[pa.Array]:
    empty = {"geometry_errors": ERROR, "geometry_notes": pa.string()}
    return [_lists(None, size, empty[name]) if name in empty else pa.nulls(size, dtype) for name, dtype, _ in GIVEN]


def _lists(rows: list[list[Any]] | None, size: int, item: pa.DataType) -> pa.Array:
    if rows is None or not any(rows):
        return pa.ListArray.from_arrays(pa.array(np.zeros(size + 1, np.int32)), pa.array([], item))
    return pa.array(rows, pa.list_(item))
