"""BeiDou grid location codes (北斗网格位置码, GB/T 39409-2020), 2D and 3D, levels 1 to 10: encode, decode, choose a level.

Longitude and latitude are degrees (CGCS2000), height is the geodetic height in metres.

Rules, in the order in which a coordinate meets them:

* An angle is read as a whole number of 2⁻⁴⁷° (0.8 nm), and everything after that is integer arithmetic; no code depends on rounding.
* Edges: a number within 2⁻⁴³° (13 nm, four steps of a double at 180°) below a cell edge denotes that edge, so that `116 + 1/60` opens its
  minute and the corner of a decoded cell encodes to the same cell.
* Cells are half-open and counted from the corner nearest the equator and the prime meridian, mirrored in the western and southern
  hemispheres; 0 belongs to east and north; ±180° closes the outermost cell of its hemisphere.
* From |latitude| = 88° the standard has a polar scheme (5.3), for which there is no public example to verify against: refused.
* 3D: the layer is n = floor(θ₀/θ · log₁₊θ₀((H + r₀)/r₀)) with θ = 1/2048″; its sign is one character, the 31 bits of |n| fill the levels
  (appendix C). A layer edge is met within 10⁻⁶ layers (15 nm). See `docs/decisions/0003-beidou-grid.md`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.messages import SanyuError
from transforms.space import beidou_layout as layout
from transforms.space.beidou_decoding import Parsed, parse

Errors = Literal["raise", "null"]
Floats = npt.NDArray[np.float64]
Angle = float | Floats

_FRACTION_BITS = 47
_SNAP_QUANTA = 16
_SNAP_DEGREES = _SNAP_QUANTA * 2.0**-_FRACTION_BITS
_ODD_FACTOR = 225
_EVEN_BITS = 15
_LON_LAST = 180 * layout.UNITS_PER_DEGREE - 1
_PLANE_COLUMNS, _HEIGHT_COLUMNS = layout.layout_3d()
_ENDS_2D = np.array([0] + [level.end_2d for level in layout.GRID])
_ENDS_3D = np.array([0] + [level.end_3d for level in layout.GRID])
_LAYERS_PER_E = layout.UNITS_PER_DEGREE / np.log1p(layout.HEIGHT_BASE_RAD)
_LAYER_LIMIT = 2**layout.HEIGHT_BITS
HEIGHT_LOWEST_M = layout.EARTH_RADIUS_M * float(np.expm1(-(_LAYER_LIMIT - 1) / _LAYERS_PER_E))
HEIGHT_HIGHEST_M = layout.EARTH_RADIUS_M * float(np.expm1((_LAYER_LIMIT - 1) / _LAYERS_PER_E))


@dataclass(frozen=True)
class Cell:
    """A decoded cell, or the cells of an array of codes (then every field is an array).

    `lon`, `lat` is the centre, `corner_lon`, `corner_lat` the corner from which the code counts (定位角点); heights are None for 2D codes.
    A code that was nulled has level 0 and NaN elsewhere.
    """

    level: Any
    west: Any
    south: Any
    east: Any
    north: Any
    lon: Any
    lat: Any
    corner_lon: Any
    corner_lat: Any
    height_bottom: Any = None
    height_top: Any = None


def cell_size(level: int) -> tuple[float, float]:
    """Return the width and height of a cell in degrees; SY-G004 for a level outside 1..10."""
    if level != int(level) or not 1 <= level <= layout.LEVELS:
        raise SanyuError("SY-G004", row=0, level=level)
    chosen = layout.GRID[int(level) - 1]
    return chosen.lon_units / layout.UNITS_PER_DEGREE, chosen.lat_units / layout.UNITS_PER_DEGREE


def level_for_extent(width_deg: Any, height_deg: Any, cap: int = 10) -> Any:
    """Return the finest level, at most `cap`, whose cell is at least as large as the extents in both directions.

    Extents are degrees ≥ 0, scalars or arrays; a point (0, 0) gets `cap`, an extent beyond 6° x 4° gets level 1, NaN (no geometry) gets 0.
    An extent within 2⁻⁴²° of a cell's size fits it. Level 10 is 1.5 cm: for points whose accuracy is metres, a cap of 7 (8 m) says more.
    """
    cell_size(cap)
    width, height = np.broadcast_arrays(np.asarray(width_deg, dtype=np.float64), np.asarray(height_deg, dtype=np.float64))
    found = np.ones(width.shape, dtype=np.int8)
    for level in range(2, cap + 1):
        columns, rows = cell_size(level)
        found[(width <= columns + 2 * _SNAP_DEGREES) & (height <= rows + 2 * _SNAP_DEGREES)] = level
    found[np.isnan(width) | np.isnan(height)] = 0
    return int(found) if found.ndim == 0 else found


def encode(lon: Any, lat: Any, level: Any, height: Any = None, *, errors: Errors = "raise") -> Any:
    """Return the codes of places as `str` (scalars in) or an array of `str` (arrays in, broadcast against each other).

    `lon`, `lat` in degrees, `level` 1..10 (one, or one a row), `height` in metres for 3D codes. A bad row raises SY-G002 (not on Earth),
    SY-G003 (polar), SY-G004 (level) or SY-G005 (height), or becomes "" with `errors="null"`. Source: GB/T 39409-2020, 5.2, 6.2.
    """
    scalar = all(np.ndim(value) == 0 for value in (lon, lat, level, height))
    shape, text, _ = _characters(lon, lat, level, height, errors)
    codes = text.astype("<u4").view(f"<U{text.shape[1]}").reshape(shape)
    return str(codes[()]) if scalar else codes


def encode_arrow(lon: Any, lat: Any, level: Any, height: Any = None, *, errors: Errors = "null") -> pa.StringArray:
    """Return the codes as an Arrow string array, straight from the character matrix; a bad row is null (or raises, as in `encode`)."""
    _, text, lengths = _characters(lon, lat, level, height, errors)
    ends = np.zeros(lengths.size + 1, dtype=np.int32)
    np.cumsum(lengths, out=ends[1:])
    data = text if ends[-1] == text.size else text[np.arange(text.shape[1]) < lengths[:, None]]
    bad = lengths == 0
    validity = pa.py_buffer(np.packbits(~bad, bitorder="little")) if bad.any() else None
    return pa.StringArray.from_buffers(lengths.size, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(data)), validity, int(bad.sum()))


def decode(code: Any, *, errors: Errors = "raise") -> Cell:
    """Return the cell of a code, or of an array of codes; 2D and 3D codes are told apart by their fourth character.

    SY-G006 names the first wrong character (counted from 1), SY-G007 a length that ends no level; with `errors="null"` such rows
    get level 0 and NaN. Corners are the exact values rounded once to a double, so that each encodes to its own cell (a corner on the
    equator or the prime meridian encodes to the cell north or east of it).
    """
    texts = np.asarray(code, dtype=object)
    parsed = parse(["" if text is None else str(text) for text in texts.ravel().tolist()], errors)
    cell = _cells(parsed)
    if texts.ndim:
        return Cell(**{name: None if value is None else value.reshape(texts.shape) for name, value in vars(cell).items()})
    return Cell(**{name: None if value is None else value[0].item() for name, value in vars(cell).items()})


def _characters(
    lon: Any, lat: Any, level: Any, height: Any, errors: Errors
) -> tuple[tuple[int, ...], npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return the broadcast shape, the ASCII matrix (zero beyond each code's end) and the code lengths (0 for nulled rows)."""
    given = [np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64), np.asarray(level)]
    if height is not None:
        given.append(np.asarray(height, dtype=np.float64))
    shape = np.broadcast_shapes(*(value.shape for value in given))
    x, y, *above = (np.broadcast_to(value, shape).ravel() for value in (given[0], given[1], *given[3:]))
    wrong_level = ~((given[2] >= 1) & (given[2] <= layout.LEVELS) & (given[2] == np.floor(given[2])))
    levels = np.where(wrong_level, 0, given[2]).astype(np.int64)
    off_earth = ~((np.abs(x) <= 180.0) & (np.abs(y) <= 90.0))
    polar = np.abs(y) >= layout.POLAR_LATITUDE - _SNAP_DEGREES
    bad = off_earth | polar | np.broadcast_to(wrong_level, shape).ravel()
    if above:
        too_far = ~((above[0] > HEIGHT_LOWEST_M) & (above[0] < HEIGHT_HIGHEST_M))
        bad |= too_far
    if bad.any():
        if errors == "raise":
            row = int(np.argmax(bad))
            _refuse(row, x[row], y[row], np.broadcast_to(given[2], shape).ravel()[row], above[0][row] if above else 0.0)
        x, y, above = np.where(bad, 0.0, x), np.where(bad, 0.0, y), [np.where(bad, 0.0, z) for z in above]
    text = layout.plane_characters(
        np.minimum(_units(x), _LON_LAST).astype(np.int32), _units(y).astype(np.int32), _negative(x), _negative(y)
    )
    ends = _ENDS_2D
    if above:
        plane, ends = text, _ENDS_3D
        text = np.empty((plane.shape[0], 32), dtype=np.uint8)
        text[:, _PLANE_COLUMNS] = plane
        text[:, _HEIGHT_COLUMNS] = layout.height_characters(_layers(above[0]))
    return shape, *_cut(text, ends, levels, shape, bad)


def _cut(
    text: npt.NDArray[np.uint8],
    ends: npt.NDArray[np.int64],
    levels: npt.NDArray[np.int64],
    shape: tuple[int, ...],
    bad: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Cut the characters of level-10 codes to the asked levels: drop common columns, zero the rest."""
    lengths = np.where(bad, 0, np.broadcast_to(ends[levels], shape).ravel())
    width = max(int(lengths.max(initial=0)), 1)
    text = np.ascontiguousarray(text[:, :width])
    if lengths.min(initial=width) < width:
        text[np.arange(width) >= lengths[:, None]] = 0
    return text, lengths


def _units(degrees: Floats) -> npt.NDArray[np.int64]:
    """Return |degrees| as whole units, edges snapped; exact for every double up to 180° (57 + 8 bits would not fit, 55 + 8 do)."""
    quanta = (np.abs(degrees) * 2.0**_FRACTION_BITS).astype(np.int64)
    units: npt.NDArray[np.int64] = (quanta + _SNAP_QUANTA) * _ODD_FACTOR >> (_FRACTION_BITS - _EVEN_BITS)
    return units


def _negative(degrees: Floats) -> npt.NDArray[np.bool_]:
    """Tell west or south; what lies within the snap distance of 0 is 0, which is east and north."""
    return degrees < -_SNAP_DEGREES


def _layers(height_m: Floats) -> npt.NDArray[np.int64]:
    """Return n = floor(θ₀/θ · log₁₊θ₀((H + r₀)/r₀)), layer edges snapped."""
    exact = np.log1p(height_m / layout.EARTH_RADIUS_M) * _LAYERS_PER_E
    nearest = np.rint(exact)
    snapped: npt.NDArray[np.int64] = np.where(np.abs(exact - nearest) <= _layer_snap(exact), nearest, np.floor(exact)).astype(np.int64)
    return snapped


def _layer_snap(layers: Floats) -> Floats:
    """Return the snap distance in layers: 1e-6, and no less than eight steps of a double."""
    snap: Floats = np.maximum(1e-6, 8 * np.spacing(np.abs(layers)))
    return snap


def _heights(layers: npt.NDArray[np.int64]) -> Floats:
    heights: Floats = layout.EARTH_RADIUS_M * np.expm1(layers / _LAYERS_PER_E)
    return heights


def _cells(parsed: Parsed) -> Cell:
    """Turn parsed indices into degrees and metres; rows of level 0 become NaN."""
    lon_near, lat_near = parsed.lon_units, parsed.lat_units
    size = np.array([[1, 1]] + [[level.lon_units, level.lat_units] for level in layout.GRID])[parsed.level]
    lon_sign, lat_sign = np.where(parsed.west, -1, 1), np.where(parsed.south, -1, 1)
    missing = parsed.level == 0

    def degrees(units: npt.NDArray[np.int64], parts: int = 1) -> Floats:
        value: Floats = np.where(missing, np.nan, (units + 0.0) / (layout.UNITS_PER_DEGREE * parts))
        return value

    near_x, far_x = lon_sign * lon_near, lon_sign * (lon_near + size[:, 0])
    near_y, far_y = lat_sign * lat_near, lat_sign * (lat_near + size[:, 1])
    bottom = top = None
    if parsed.is_3d.any():
        bottom, top = (np.where(parsed.is_3d & ~missing, _heights(edge), np.nan) for edge in (parsed.layer_bottom, parsed.layer_top))
    return Cell(
        level=parsed.level,
        west=degrees(np.minimum(near_x, far_x)),
        south=degrees(np.minimum(near_y, far_y)),
        east=degrees(np.maximum(near_x, far_x)),
        north=degrees(np.maximum(near_y, far_y)),
        lon=degrees(near_x + far_x, 2),
        lat=degrees(near_y + far_y, 2),
        corner_lon=degrees(near_x),
        corner_lat=degrees(near_y),
        height_bottom=bottom,
        height_top=top,
    )


def _refuse(row: int, lon: float, lat: float, level: Any, height: float) -> None:
    """Raise the error of a row that cannot be encoded."""
    if not (abs(lon) <= 180.0 and abs(lat) <= 90.0):
        raise SanyuError("SY-G002", row=row, lon=float(lon), lat=float(lat))
    if abs(lat) >= layout.POLAR_LATITUDE - _SNAP_DEGREES:
        raise SanyuError("SY-G003", row=row, lat=float(lat))
    if not (1 <= level <= layout.LEVELS and level == np.floor(level)):
        raise SanyuError("SY-G004", row=row, level=level.item())
    raise SanyuError("SY-G005", row=row, height=float(height), lowest=round(HEIGHT_LOWEST_M), highest=round(HEIGHT_HIGHEST_M))
