"""Coordinates between reference systems: every EPSG code by PROJ, GCJ-02 and BD-09 by exact inversion; an ambiguous datum shift is refused.

Arrays are in x, y order: longitude or easting first, whatever the authority's axis order. The rules
(`docs/decisions/0002-datum-shifts.md`):

* WGS 84 (all realisations) and CGCS2000 are one datum: PROJ knows no operation between them, and they differ by less than the accuracy of
  either realisation (centimetres; the WGS 84 ensemble is stated to 2 m).
* Any other datum goes over EPSG:4326 by PROJ's operations, place by place the best whose area holds the place, none worse than
  `max_shift_error_m` or of unknown accuracy. A place in no operation's area has no answer.
* Beijing 1954, Xian 1980 and New Beijing go only by an operation that the caller names; so does what has only a ballpark operation.
* No network, no grid downloads: the answer depends on the pinned PROJ database alone.
* What has no answer is NaN in both coordinates, never infinity.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyproj
import shapely

from schemas.messages import SanyuError
from transforms.space import obfuscated
from transforms.space.crs import (
    BD09,
    GCJ02,
    OBFUSCATED,
    WGS84,
    Candidate,
    candidates,
    canonical,
    crs_of,
    datum_of,
    geographic_of,
    is_named_only,
    metric_crs,
    operations,
)
from transforms.space.shifts import Floats, Helmert, Step, epsg_step, frozen, helmert_step, pipeline_step, proj_step

__all__ = ["Candidate", "Operation", "candidates", "metric_crs", "to_cgcs2000", "transform", "transform_geometries"]

Operation = str | Mapping[str, float | str] | None
Errors = Literal["null", "raise"]
CGCS2000 = "EPSG:4490"


def transform(
    x: Any,
    y: Any,
    source: str | int,
    target: str | int,
    *,
    operation: Operation = None,
    max_shift_error_m: float = 5.0,
    errors: Errors = "null",
) -> tuple[Any, Any]:
    """Return x, y in the target system; floats for scalars, arrays of the broadcast shape for arrays.

    `operation` names the datum operation between the two systems: an EPSG code ("EPSG:15918"), a PROJ pipeline that takes the source's x, y
    all the way to the target's, or Helmert parameters dx, dy, dz (m), rx, ry, rz (″), s (ppm), convention ("position_vector" or
    "coordinate_frame") from source datum to target datum. NaN stays NaN; so becomes what is not on Earth, outside the projection
    or outside the areas of the datum operations, or raises SY-G013 with `errors="raise"`. SY-G001, SY-G014: the system;
    SY-G010, SY-G011: the shift is refused, candidates listed; SY-G012: the operation does not fit.
    """
    first, second = np.broadcast_arrays(np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64))
    source, target = canonical(source), canonical(target)
    new_x, new_y = first.ravel(), second.ravel()
    given_x, given_y = new_x, new_y
    for step in _chain(source, target, frozen(operation, source, target), max_shift_error_m):
        new_x, new_y = _cleaned(*step(new_x, new_y))
    if errors == "raise":
        lost = np.isnan(new_x) & ~(np.isnan(given_x) | np.isnan(given_y))
        if lost.any():
            row = int(np.argmax(lost))
            raise SanyuError("SY-G013", row=row, x=float(given_x[row]), y=float(given_y[row]), source=source, target=target)
    if first.ndim == 0:
        return float(new_x[0]), float(new_y[0])
    return new_x.reshape(first.shape), new_y.reshape(first.shape)


def to_cgcs2000(x: Any, y: Any, source: str | int, operation: Operation = None) -> tuple[Any, Any]:
    """Return longitude and latitude in CGCS2000 (EPSG:4490); rules and errors as in `transform`."""
    return transform(x, y, source, CGCS2000, operation=operation)


def transform_geometries(
    geometries: Any,
    source: str | int,
    target: str | int,
    *,
    operation: Operation = None,
    max_shift_error_m: float = 5.0,
    errors: Errors = "null",
) -> npt.NDArray[np.object_]:
    """Return an array of shapely geometries in the target system, Z kept as it is (datum shifts here are horizontal).

    A geometry with a vertex that has no answer becomes None (or raises SY-G013, its `row` counting vertices); None stays None.
    """
    given = np.array(geometries, dtype=object, copy=True)
    shape, flat = given.shape, given.ravel()
    for has_z in (False, True):
        chosen = np.flatnonzero(shapely.has_z(flat) == has_z)
        coordinates, owner = shapely.get_coordinates(flat[chosen], include_z=has_z, return_index=True)
        x, y = transform(
            coordinates[:, 0], coordinates[:, 1], source, target, operation=operation, max_shift_error_m=max_shift_error_m, errors=errors
        )
        coordinates[:, 0], coordinates[:, 1] = x, y
        part = shapely.set_coordinates(flat[chosen], coordinates)
        part[owner[np.isnan(x)]] = None
        flat[chosen] = part
    return flat.reshape(shape)


@functools.lru_cache(maxsize=256)
def _chain(source: str, target: str, operation: str | Helmert | None, limit_m: float) -> tuple[Step, ...]:
    """Return the steps from source to target; each takes and gives x, y arrays."""
    steps: list[Step] = []
    start, end = (WGS84 if name in OBFUSCATED else name for name in (source, target))
    if source == target and operation is None:
        return (_on_earth,) if crs_of(start).is_geographic else ()
    crs_of(start), crs_of(end)
    if crs_of(start).is_geographic:
        steps.append(_on_earth)
    if source in OBFUSCATED:
        steps.append({GCJ02: obfuscated.wgs84_from_gcj02, BD09: obfuscated.wgs84_from_bd09}[source])
    steps += _between(start, end, operation, limit_m)
    if target in OBFUSCATED:
        steps.append({GCJ02: obfuscated.gcj02_from_wgs84, BD09: obfuscated.bd09_from_wgs84}[target])
    return tuple(steps)


def _between(source: str, target: str, operation: str | Helmert | None, limit_m: float) -> list[Step]:
    """Return the steps between two EPSG systems: unproject, shift the datum, project."""
    if operation is None:
        if datum_of(source) == datum_of(target):
            return [*_unproject(source), *_project(target)]
        return [*_to_world(source, target, limit_m), *_from_world(source, target, limit_m)]
    if isinstance(operation, str) and not operation.upper().startswith("EPSG:"):
        return [pipeline_step(operation, source, target)]
    if datum_of(source) == datum_of(target):
        reason = "both stand on the same datum"
        raise SanyuError("SY-G012", operation=operation, source=source, target=target, reason=reason)
    shift = epsg_step(operation, source, target) if isinstance(operation, str) else helmert_step(operation, source, target)
    return [*_unproject(source), shift, *_project(target)]


def _to_world(source: str, target: str, limit_m: float) -> list[Step]:
    if datum_of(source) == "world":
        return _unproject(source)
    return [*_unproject(source), _shift_by_area(source, target, _accepted(source, target, source, limit_m), inverse=False)]


def _from_world(source: str, target: str, limit_m: float) -> list[Step]:
    if datum_of(target) == "world":
        return _project(target)
    return [_shift_by_area(target, source, _accepted(source, target, target, limit_m), inverse=True), *_project(target)]


def _accepted(source: str, target: str, national: str, limit_m: float) -> tuple[pyproj.Transformer, ...]:
    """Return the operations from a national datum's geographic system to EPSG:4326 that are good enough; SY-G010, SY-G011 for none."""
    known = operations(_geographic_name(national), WGS84)
    listed = "; ".join(map(str, candidates(source, target))) or "none"
    if is_named_only(national) or not known:
        raise SanyuError("SY-G010", source=source, target=target, candidates=listed)
    accepted = tuple(t for t in known if t.accuracy is not None and 0 <= t.accuracy <= limit_m)
    if not accepted:
        raise SanyuError("SY-G011", source=source, target=target, limit=limit_m, candidates=listed)
    return accepted


def _shift_by_area(national: str, other: str, accepted: tuple[pyproj.Transformer, ...], *, inverse: bool) -> Step:
    """Return a step that shifts each place by the most accurate operation whose area holds it; NaN where there is none."""
    runs = [(t.area_of_use.bounds if t.area_of_use else None, proj_step(t, inverse=inverse)) for t in sorted(accepted, key=_accuracy)]

    def step(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        new_lon, new_lat = np.full_like(lon, np.nan), np.full_like(lat, np.nan)
        waiting = np.isfinite(lon) & np.isfinite(lat)
        for bounds, run in runs:
            chosen = waiting & _inside(bounds, lon, lat)
            if chosen.any():
                new_lon[chosen], new_lat[chosen] = run(lon[chosen], lat[chosen])
                waiting &= ~chosen
        return new_lon, new_lat

    return step


def _accuracy(operation: pyproj.Transformer) -> float:
    return float(operation.accuracy)


def _inside(bounds: tuple[float, float, float, float] | None, lon: Floats, lat: Floats) -> npt.NDArray[np.bool_]:
    """Tell which places lie in bounds (west, south, east, north; west > east crosses 180°)."""
    if bounds is None:
        return np.zeros(lon.shape, dtype=np.bool_)
    west, south, east, north = bounds
    in_lon = (lon >= west) & (lon <= east) if west <= east else (lon >= west) | (lon <= east)
    inside: npt.NDArray[np.bool_] = in_lon & (lat >= south) & (lat <= north)
    return inside


def _unproject(name: str) -> list[Step]:
    """Return the steps from a system to longitude and latitude on its own datum."""
    if crs_of(name).is_geographic:
        return []
    return [proj_step(pyproj.Transformer.from_crs(crs_of(name), geographic_of(name), always_xy=True))]


def _project(name: str) -> list[Step]:
    """Return the steps from longitude and latitude on a system's own datum to the system."""
    if crs_of(name).is_geographic:
        return []
    return [proj_step(pyproj.Transformer.from_crs(geographic_of(name), crs_of(name), always_xy=True))]


def _geographic_name(name: str) -> str:
    return canonical(geographic_of(name).to_epsg() or name)


def _on_earth(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
    bad = ~((np.abs(lon) <= 180.0) & (np.abs(lat) <= 90.0))
    return np.where(bad, np.nan, lon), np.where(bad, np.nan, lat)


def _cleaned(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Make both coordinates NaN where either is not finite."""
    lost = ~(np.isfinite(x) & np.isfinite(y))
    return (np.where(lost, np.nan, x), np.where(lost, np.nan, y)) if lost.any() else (x, y)
