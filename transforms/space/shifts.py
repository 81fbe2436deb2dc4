"""Datum operations that the caller names: an EPSG code, a PROJ pipeline, or Helmert parameters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyproj
from pyproj.crs import CoordinateOperation  # type: ignore[attr-defined]
from pyproj.exceptions import CRSError, ProjError

from schemas.messages import SanyuError
from transforms.space.crs import datum_of, geographic_of

Floats = npt.NDArray[np.float64]
Step = Callable[[Floats, Floats], tuple[Floats, Floats]]
Helmert = tuple[tuple[str, float | str], ...]

_TRANSLATIONS: Final = ("dx", "dy", "dz")
_ROTATIONS: Final = ("rx", "ry", "rz")
_CONVENTIONS: Final = ("position_vector", "coordinate_frame")


def proj_step(transformer: pyproj.Transformer, *, inverse: bool = False) -> Step:
    """Return a step that runs a PROJ transformer over arrays."""
    direction = "INVERSE" if inverse else "FORWARD"

    def step(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        new_x, new_y = transformer.transform(x, y, direction=direction, errcheck=False)
        return np.asarray(new_x), np.asarray(new_y)

    return step


def frozen(operation: str | Mapping[str, float | str] | None, source: str, target: str) -> str | Helmert | None:
    """Return the operation in a hashable form, Helmert parameters checked: SY-G012 for wrong names, numbers or convention."""
    if operation is None or isinstance(operation, str):
        return operation

    def refuse(reason: str) -> SanyuError:
        return SanyuError("SY-G012", operation=dict(operation), source=source, target=target, reason=reason)

    known = {*_TRANSLATIONS, *_ROTATIONS, "s", "convention"}
    if unknown := sorted(set(operation) - known):
        raise refuse(f"unknown parameters {', '.join(unknown)}")
    if missing := [name for name in _TRANSLATIONS if name not in operation]:
        raise refuse(f"parameters {', '.join(missing)} are missing")
    numbers = {name: operation[name] for name in operation if name != "convention"}
    for name, value in numbers.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not np.isfinite(value):
            raise refuse(f"{name} is not a number")
    convention = operation.get("convention")
    if any(numbers.get(name) for name in _ROTATIONS) and convention not in _CONVENTIONS:
        raise refuse("rotations need convention='position_vector' or 'coordinate_frame'")
    return tuple(sorted((*numbers.items(), ("convention", convention or _CONVENTIONS[0]))))


def pipeline_step(definition: str, source: str, target: str) -> Step:
    """Return the step of a PROJ pipeline that takes x, y of the source all the way to x, y of the target."""
    try:
        return proj_step(pyproj.Transformer.from_pipeline(definition))
    except ProjError as error:
        raise SanyuError("SY-G012", operation=definition, source=source, target=target, reason=str(error)) from None


def helmert_step(parameters: Helmert, source: str, target: str) -> Step:
    """Return the step from the source's to the target's geographic system by a seven-parameter (Bursa-Wolf) shift.

    Translations in metres, rotations in arc-seconds, scale in ppm, from source datum to target datum; heights are taken as 0.
    """
    given = dict(parameters)
    names = {"dx": "x", "dy": "y", "dz": "z", "rx": "rx", "ry": "ry", "rz": "rz", "s": "s"}
    helmert = " ".join(f"+{proj}={given.get(name, 0.0)!r}" for name, proj in names.items())
    return proj_step(
        pyproj.Transformer.from_pipeline(
            "+proj=pipeline +step +proj=unitconvert +xy_in=deg +xy_out=rad +step +proj=push +v_3 "
            f"+step +proj=cart {_ellipsoid(source)} +step +proj=helmert {helmert} +convention={given['convention']} "
            f"+step +inv +proj=cart {_ellipsoid(target)} +step +proj=pop +v_3 +step +proj=unitconvert +xy_in=rad +xy_out=deg"
        )
    )


@functools.lru_cache(maxsize=64)
def epsg_step(operation: str, source: str, target: str) -> Step:
    """Return the step between the geographic systems by an EPSG operation, run backwards where it is defined the other way.

    The operation's two datums must be those of the source and the target (WGS 84 and CGCS2000 count as one), else SY-G012.
    """

    def refuse(reason: str) -> SanyuError:
        return SanyuError("SY-G012", operation=operation, source=source, target=target, reason=reason)

    try:
        found = CoordinateOperation.from_epsg(operation.upper().removeprefix("EPSG:"))
        start, end = (_datum_in(found, member) for member in ("source_crs", "target_crs"))
        transformer = pyproj.Transformer.from_pipeline(f"urn:ogc:def:coordinateOperation:EPSG::{operation.upper().removeprefix('EPSG:')}")
    except (CRSError, ProjError) as error:
        raise refuse(f"PROJ does not know it or lacks its grid file ({error})") from None
    here, there = datum_of(source), datum_of(target)
    if (start, end) not in ((here, there), (there, here)):
        raise refuse(f"it leads from {start} to {end}")
    run = proj_step(transformer, inverse=(start, end) != (here, there))

    def step(lon: Floats, lat: Floats) -> tuple[Floats, Floats]:
        # EPSG's geographic systems have latitude first, and a bare operation keeps their order.
        new_lat, new_lon = run(lat, lon)
        return new_lon, new_lat

    return step


def _datum_in(operation: CoordinateOperation, member: str) -> str:
    """Return the datum of one end of an operation, in the classes of `datum_of`; only geographic 2D ends can be run here."""
    crs: dict[str, Any] = operation.to_json_dict()[member]
    axes = crs["coordinate_system"]["axis"]
    if len(axes) != 2 or axes[0]["direction"] != "north":
        raise CRSError(f"{crs['name']} is not a geographic 2D system")
    return datum_of(f"EPSG:{crs['id']['code']}")


def _ellipsoid(name: str) -> str:
    shape = geographic_of(name).ellipsoid
    assert shape is not None
    return f"+a={shape.semi_major_metre!r} +rf={shape.inverse_flattening!r}"
