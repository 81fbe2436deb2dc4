"""Well-known binary: writing it from coordinate lists, and checking WKB written by others.

All of it is ISO WKB (OGC 06-103r4, 8.2), little endian, in the file's own coordinates, x = easting or longitude first.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from sanyu.readers.model import Limits, RowError

Floats = npt.NDArray[np.float64]

POINT, LINE, POLYGON, MULTIPOINT, MULTILINE, MULTIPOLYGON, COLLECTION = range(1, 8)
_CURVES = frozenset({8, 9, 10, 11, 12, 13, 14})
_NESTING = frozenset({MULTIPOINT, MULTILINE, MULTIPOLYGON, COLLECTION, 9, 10, 11, 12, 15, 16})
_EWKB_FLAGS = 0xE0000000
_Z_FLAG, _M_FLAG, _SRID_FLAG = 0x80000000, 0x40000000, 0x20000000
_MIN_RING = 4


def positions(values: Any) -> Floats:
    """Return an (n, 2) or (n, 3) array of a list of positions; a fourth ordinate is dropped."""
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise RowError("SY-R055", detail=f"positions: {str(error)[:120]}") from None
    if array.size == 0:
        return np.empty((0, 2))
    if array.ndim != 2 or array.shape[1] < 2:
        raise RowError("SY-R055", detail="a position needs at least two numbers")
    return array[:, :3]


def closed_ring(ring: Floats) -> tuple[Floats, bool]:
    """Return the closed ring and whether it had to be closed; fewer than three distinct corners cannot be closed (SY-R057)."""
    was_open = len(ring) > 0 and not np.array_equal(ring[0], ring[-1])
    if was_open:
        ring = np.vstack([ring, ring[:1]])
    if 0 < len(ring) < _MIN_RING:
        raise RowError("SY-R057", found=len(ring))
    return ring, was_open


class WkbWriter:
    """Write WKB from arrays; `closed` counts the rings that had to be closed."""

    def __init__(self) -> None:
        self.closed = 0

    def point(self, position: Floats) -> bytes:
        """Return a point of a (1, 2|3) array."""
        return _head(POINT, position) + position.astype("<f8").tobytes()

    def line(self, line: Floats) -> bytes:
        """Return a line string; a single position is refused (SY-R055)."""
        if len(line) == 1:
            raise RowError("SY-R055", detail="a line needs two positions")
        return _head(LINE, line) + _sequence(line)

    def polygon(self, rings: Iterable[Floats]) -> bytes:
        """Return a polygon with closed rings."""
        shut = []
        for ring in rings:
            closed, was_open = closed_ring(ring)
            self.closed += was_open
            shut.append(closed)
        if len({ring.shape[1] for ring in shut}) > 1:
            shut = [ring[:, :2] for ring in shut]
        return _head(POLYGON, shut[0] if shut else None) + struct.pack("<I", len(shut)) + b"".join(map(_sequence, shut))

    def collection(self, kind: int, parts: Sequence[bytes]) -> bytes:
        """Return a multi-geometry or collection; it has Z if its parts do."""
        has_z = any(struct.unpack_from("<I", part, 1)[0] // 1000 == 1 for part in parts)
        return struct.pack("<BII", 1, kind + 1000 * has_z, len(parts)) + b"".join(parts)

    def from_geojson(self, value: Any, max_depth: int) -> bytes | None:
        """Return the WKB of a GeoJSON geometry (RFC 7946, 3.1); null gives None, a broken one raises RowError."""
        if value is None:
            return None
        if not isinstance(value, dict):
            raise RowError("SY-R058", detail="its geometry is not an object")
        if max_depth < 0:
            raise RowError("SY-R056", limit=max_depth)
        kind = value.get("type")
        if kind == "GeometryCollection":
            members = _list(value.get("geometries"))
            return self.collection(COLLECTION, [part for item in members if (part := self.from_geojson(item, max_depth - 1)) is not None])
        coordinates = _list(value.get("coordinates"))
        match kind:
            case "Point":
                return self.point(positions([coordinates])) if coordinates else self.collection(MULTIPOINT, [])
            case "LineString":
                return self.line(positions(coordinates))
            case "Polygon":
                return self.polygon(map(positions, coordinates))
            case "MultiPoint":
                return self.collection(MULTIPOINT, [self.point(position[None, :]) for position in positions(coordinates)])
            case "MultiLineString":
                return self.collection(MULTILINE, [self.line(positions(line)) for line in coordinates])
            case "MultiPolygon":
                return self.collection(MULTIPOLYGON, [self.polygon(map(positions, _list(rings))) for rings in coordinates])
            case _:
                raise RowError("SY-R055", detail=f"geometry type {str(kind)[:40]!r}")


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise RowError("SY-R055", detail="coordinates are not a list")
    return value


def _head(kind: int, array: Floats | None) -> bytes:
    return struct.pack("<BI", 1, kind + (1000 if array is not None and array.shape[1] == 3 else 0))


def _sequence(array: Floats) -> bytes:
    return struct.pack("<I", len(array)) + array.astype("<f8", copy=False).tobytes()


def type_code(wkb: bytes) -> int:
    """Return the geometry type 0–17 of ISO or extended WKB; 0 if the bytes are not a header."""
    if len(wkb) < 5 or wkb[0] > 1:
        return 0
    raw = int.from_bytes(wkb[1:5], "little" if wkb[0] else "big")
    return (raw & ~_EWKB_FLAGS) % 1000


def is_curve(wkb: bytes | None) -> bool:
    """Return whether the geometry has arcs, which the engines downstream cannot read; checks the outermost type."""
    return wkb is not None and type_code(wkb) in _CURVES


def structure(wkb: bytes, limits: Limits) -> None:
    """Walk the headers of one WKB without recursion; raise RowError if it is nested too deeply, too long or truncated.

    GEOS, GDAL and JTS use recursion: a file of nested collections would overflow their stack.
    """
    pending: list[int] = [1]  # number of remaining parts on each level; a level stays until its last part has been walked
    offset, total = 0, 0
    while True:
        while pending and pending[-1] == 0:
            pending.pop()
        if not pending:
            return
        pending[-1] -= 1
        kind, order, width, offset = _read_header(wkb, offset)
        if kind == POINT:
            count, size = 1, width
        else:
            count, offset = _read_count(wkb, offset, order)
            size = count * width
        if kind in _NESTING:
            if count * 5 > len(wkb):
                raise RowError("SY-R055", detail="it claims more parts than there are bytes")
            pending.append(count)
            if len(pending) > limits.max_wkb_depth:
                raise RowError("SY-R056", limit=limits.max_wkb_depth)
            continue
        if kind in (POLYGON, 17):
            for _ in range(count):
                points, offset = _read_count(wkb, offset, order)
                offset += points * width
                total += points
                if offset > len(wkb):
                    raise RowError("SY-R055", detail="the binary is cut off")
        else:
            offset += size
            total += count
        if offset > len(wkb):
            raise RowError("SY-R055", detail="the binary is cut off")
        if total > limits.max_coordinates:
            raise RowError("SY-R063", found=total, limit=limits.max_coordinates)


def _read_header(wkb: bytes, offset: int) -> tuple[int, str, int, int]:
    if offset + 5 > len(wkb) or wkb[offset] > 1:
        raise RowError("SY-R055", detail="the binary is cut off or no WKB")
    order = "<" if wkb[offset] else ">"
    raw = struct.unpack_from(order + "I", wkb, offset + 1)[0]
    iso = raw & ~_EWKB_FLAGS
    kind, dimension = iso % 1000, iso // 1000
    if not 1 <= kind <= 17 or dimension > 3:
        raise RowError("SY-R055", detail=f"geometry type {iso}")
    ordinates = 2 + (dimension in (1, 3) or bool(raw & _Z_FLAG)) + (dimension in (2, 3) or bool(raw & _M_FLAG))
    return kind, order, ordinates * 8, offset + 5 + (4 if raw & _SRID_FLAG else 0)


def _read_count(wkb: bytes, offset: int, order: str) -> tuple[int, int]:
    if offset + 4 > len(wkb):
        raise RowError("SY-R055", detail="the binary is cut off")
    return struct.unpack_from(order + "I", wkb, offset)[0], offset + 4


class Checked:
    """The outcome of `check`: the geometries as ISO WKB, row errors by index, and the number of geometries outside the range of degrees."""

    def __init__(self, size: int) -> None:
        self.wkb: npt.NDArray[np.object_] = np.full(size, None, dtype=object)
        self.errors: dict[int, RowError] = {}
        self.present = 0
        self.outside_degrees = 0


def check(values: npt.NDArray[np.object_], limits: Limits) -> Checked:
    """Check WKB of unknown origin: structure, readability, finite coordinates; return it as ISO WKB without SRID and M.

    A bad geometry becomes None with a RowError; the call itself never fails.
    """
    checked = Checked(len(values))
    safe = values.copy()
    for index, wkb in enumerate(values):
        if wkb is None:
            continue
        try:
            structure(wkb, limits)
        except RowError as error:
            checked.errors[index] = error
            safe[index] = None
    asked = _present(safe)
    geometries = shapely.from_wkb(safe, on_invalid="ignore")
    readable = _present(geometries)
    for position in np.flatnonzero(asked & ~readable).tolist():
        checked.errors[position] = RowError("SY-R055", detail=_reason(safe[position]))
    coordinates, owner = shapely.get_coordinates(geometries, include_z=True, return_index=True)
    has_z = shapely.has_z(geometries)
    finite = np.isfinite(coordinates[:, :2]).all(axis=1) & (np.isfinite(coordinates[:, 2]) | ~has_z[owner])
    for position in np.unique(owner[~finite]).tolist():
        checked.errors[position] = RowError("SY-R054")
        readable[position] = False
    geometries[~readable] = None
    bounds = shapely.bounds(geometries)
    with np.errstate(invalid="ignore"):
        outside = (bounds[:, 0] < -360) | (bounds[:, 2] > 360) | (bounds[:, 1] < -90) | (bounds[:, 3] > 90)
    checked.present = int(readable.sum())
    checked.outside_degrees = int(outside.sum())
    checked.wkb = shapely.to_wkb(geometries, output_dimension=3, byte_order=1, flavor="iso")
    return checked


def _present(values: npt.NDArray[np.object_]) -> npt.NDArray[np.bool_]:
    return np.array([value is not None for value in values], dtype=bool)


def _reason(wkb: bytes) -> str:
    try:
        shapely.from_wkb(wkb)
    except shapely.errors.GEOSException as error:
        return str(error).partition(": ")[2][:120] or "unreadable"
    return "unreadable"


def text_depth(text: str) -> int:
    """Return the nesting depth of the parentheses in a WKT."""
    depth = deepest = 0
    if text.count("(") <= 1:
        return text.count("(")
    for character in text:
        if character == "(":
            depth += 1
            deepest = max(deepest, depth)
        elif character == ")":
            depth -= 1
    return deepest
