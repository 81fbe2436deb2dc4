"""Reference systems and the datum operations between them, as PROJ knows them; never its network, never its ballpark operations."""

from __future__ import annotations

import functools
import re
import warnings
from dataclasses import dataclass
from typing import Final

import pyproj
from pyproj import network
from pyproj.crs import CoordinateOperation  # type: ignore[attr-defined]
from pyproj.exceptions import CRSError
from pyproj.transformer import TransformerGroup

from schemas.messages import SanyuError

WGS84: Final = "EPSG:4326"
GCJ02: Final = "GCJ-02"
BD09: Final = "BD-09"
OBFUSCATED: Final = (GCJ02, BD09)

_WORLD_DATUMS: Final = ("World Geodetic System 1984", "China 2000")
_NAMED_ONLY: Final = ("Beijing 1954", "Xian 1980", "New Beijing")
_FIRST_BELT_CENTRE, _LAST_BELT_CENTRE, _FIRST_BELT_EPSG = 75, 135, 4534
_AREA_SHOWN: Final = 60
Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class Candidate:
    """One datum operation that PROJ lists: `epsg` is None where it has no code, `accuracy_m` None where the accuracy is unknown."""

    name: str
    epsg: str | None
    accuracy_m: float | None
    area: str
    bounds: Bounds | None
    needs_grid: bool

    def __str__(self) -> str:
        accuracy = "accuracy unknown" if self.accuracy_m is None else f"{self.accuracy_m:g} m"
        area = self.area if len(self.area) <= _AREA_SHOWN else f"{self.area[:_AREA_SHOWN]}…"
        return f"{self.epsg or 'no code'} {self.name} ({accuracy}{', needs a grid file' if self.needs_grid else ''}; {area})"


def canonical(name: str | int) -> str:
    """Return `EPSG:n`, `GCJ-02` or `BD-09` for a system's name in any case (`4490`, `epsg:4490`, `gcj02`); SY-G001 for any other."""
    text = str(name).strip().upper()
    if match := re.fullmatch(r"(?:EPSG:{1,2})?(\d{4,6})", text):
        return f"EPSG:{match[1]}"
    for known in OBFUSCATED:
        if text.replace("-", "").replace("_", "") == known.replace("-", ""):
            return known
    raise SanyuError("SY-G001", crs=str(name))


@functools.lru_cache(maxsize=256)
def crs_of(name: str) -> pyproj.CRS:
    """Return the pyproj system behind a canonical name (GCJ-02 and BD-09 stand over EPSG:4326); SY-G001 unknown, SY-G014 not horizontal."""
    network.set_network_enabled(active=False)  # type: ignore[attr-defined]
    try:
        crs = pyproj.CRS.from_user_input(WGS84 if name in OBFUSCATED else name)
    except CRSError:
        raise SanyuError("SY-G001", crs=name) from None
    if not (crs.is_geographic or crs.is_projected) or crs.is_geocentric:
        raise SanyuError("SY-G014", crs=name, kind=crs.type_name)
    return crs


def geographic_of(name: str) -> pyproj.CRS:
    """Return the geographic system under a projected one, or the system itself."""
    base = crs_of(name).geodetic_crs
    assert base is not None
    return base


def datum_of(name: str) -> str:
    """Return the datum's name; all realisations of WGS 84 and CGCS2000 are one class, `world`."""
    datum = geographic_of(name).datum
    assert datum is not None
    return "world" if str(datum.name).startswith(_WORLD_DATUMS) else str(datum.name)


def is_named_only(name: str) -> bool:
    """Tell the families whose shift PROJ may not choose: Beijing 1954, Xian 1980, New Beijing."""
    return datum_of(name) in _NAMED_ONLY


@functools.lru_cache(maxsize=256)
def operations(source: str, target: str) -> tuple[pyproj.Transformer, ...]:
    """Return PROJ's usable non-ballpark operations, best first, lon/lat order."""
    return tuple(t for t in _group(source, target).transformers if not _is_ballpark(t.description))


@functools.lru_cache(maxsize=256)
def candidates(source: str | int, target: str | int) -> tuple[Candidate, ...]:
    """Return the datum operations between two systems, usable ones first, each with its EPSG code, accuracy and area.

    Ballpark operations are left out: they are PROJ's word for "none is known". Between two national datums both ways over EPSG:4326 count.
    """
    source, target = canonical(source), canonical(target)
    legs = [(source, target)]
    if datum_of(source) != "world" and datum_of(target) != "world" and datum_of(source) != datum_of(target):
        legs = [(source, WGS84), (WGS84, target)]
    found: list[Candidate] = []
    for start, end in legs:
        if datum_of(start) == datum_of(end):
            continue
        pair = [WGS84 if datum_of(name) == "world" else name for name in (start, end)]
        found += [_candidate(t, needs_grid=False) for t in operations(*pair)]
        found += [_candidate(missing, needs_grid=True) for missing in _group(*pair).unavailable_operations]
    return tuple(found)


def metric_crs(lon: float, lat: float) -> str:
    """Return the projected system for metric work at a place, as `EPSG:n`.

    In China (73.5°E to 136.5°E, 3°N to 54°N) the CGCS2000 3° Gauss-Krüger belt without zone prefix (EPSG:4534 for 75°E to EPSG:4554 for
    135°E), elsewhere the UTM zone of WGS 84, beyond 84°N and 80°S UPS. SY-G002 for what is not on Earth.
    """
    if not (abs(lon) <= 180 and abs(lat) <= 90):
        raise SanyuError("SY-G002", row=0, lon=lon, lat=lat)
    half = 1.5
    if _FIRST_BELT_CENTRE - half <= lon < _LAST_BELT_CENTRE + half and 3 <= lat <= 54:
        return f"EPSG:{_FIRST_BELT_EPSG + int((lon - _FIRST_BELT_CENTRE + half) // 3)}"
    if lat > 84 or lat < -80:
        return "EPSG:32661" if lat > 0 else "EPSG:32761"
    zone = min(int((lon + 180) // 6) + 1, 60)
    return f"EPSG:{(32600 if lat >= 0 else 32700) + zone}"


def _is_ballpark(description: str) -> bool:
    return "ballpark" in description.lower()


@functools.lru_cache(maxsize=256)
def _group(source: str, target: str) -> TransformerGroup:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a better operation needs a grid file that is not here: `candidates` says so
        return TransformerGroup(crs_of(source), crs_of(target), always_xy=True)


def _candidate(operation: pyproj.Transformer | CoordinateOperation, *, needs_grid: bool) -> Candidate:
    accuracy, area = operation.accuracy, operation.area_of_use
    shift = next((part for part in operation.operations or () if _is_shift(part)), None)
    if isinstance(operation, CoordinateOperation):
        shift = shift or operation
        name = shift.name
    else:
        name = shift.name if shift else operation.description
    identifier = shift.to_json_dict().get("id") if shift else None
    return Candidate(
        name=name,
        epsg=f"EPSG:{identifier['code']}" if identifier and "EPSG" in str(identifier["authority"]) else None,
        accuracy_m=accuracy if accuracy is not None and accuracy >= 0 else None,
        area=str(area.name).rstrip(".") if area else "area unknown",
        bounds=area.bounds if area else None,
        needs_grid=needs_grid,
    )


def _is_shift(part: CoordinateOperation) -> bool:
    """Tell a change of datum from a map projection and from a mere change of axis order."""
    return (
        part.type_name in ("Transformation", "Other Coordinate Operation", "Concatenated Operation")
        and "axis order" not in part.name.lower()
    )
