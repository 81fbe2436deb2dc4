"""Geometries of a batch on their way into a table: conformed to EPSG:4490, with their bounds and divisions, or the reason why not.

Runs inside Spark's `mapInArrow`; everything is vectorised on shapely arrays, nothing is done row by row but the wording of rejections.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from schemas.model import GeometryKind
from schemas.rejection import error_row
from transforms.conform.geometry import Conformed, conform_geometries
from transforms.stamp.division import Division, representative_points

ERROR = pa.struct([pa.field(name, pa.string()) for name in ("field", "check", "code", "value", "message", "message_zh")])

NULL_ISLAND = [
    shapely.to_wkb(shapely.Point(xyz), flavor="iso") for xyz in ((0.0, 0.0), (0.0, 0.0, 0.0), (-0.0, 0.0), (0.0, -0.0), (-0.0, -0.0))
]
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
    multi: bool = True
    to_point: bool = False
    divisions: tuple[Division, ...] = ()


def placed(batch: pa.RecordBatch, plan: SpacePlan) -> Conformed:
    """Return the geometries of a batch (`raw_geom`, `crs`) in EPSG:4490; the rows that have none have no bounds."""
    done = _conformed(batch, plan)
    there = ~shapely.is_missing(done.geoms)
    return replace(done, bounds=np.where(there[:, None], done.bounds, np.nan))


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


def geometry_errors(done: Conformed) -> dict[int, dict[str, str | None]]:
    """Return the error of each row that was rejected."""
    return {
        int(i): error_row(
            done.error_field[i] or "geom", CHECKS.get(done.error_code[i], "geometry"), done.error_code[i], done.error_value[i]
        )
        for i in np.flatnonzero(done.error_code.astype(bool))
    }
