"""The layout of the BeiDou grid location code (北斗网格位置码, GB/T 39409-2020): cell sizes, character positions, lookup tables.

Angles are whole numbers of *units*: 1 unit = 1/2048″, 1° = 7 372 800 units, so that every cell edge of every level is an integer. A 2D code
is one hemisphere character and ten fragments; the tables give whole runs of its characters for a part of the angle, so that an encoder does
a handful of gathers per code instead of twenty character computations.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

UNITS_PER_DEGREE: Final = 7_372_800
LEVELS: Final = 10
POLAR_LATITUDE: Final = 88

EARTH_RADIUS_M: Final = 6_378_137.0
HEIGHT_BASE_RAD: Final = math.pi / 180
HEIGHT_BITS: Final = 31

_ANGLES = "0123456789ABCDEF"
_UNITS_PER_2S = 4096
_STEPS_PER_MINUTE = 30
ROW: Final = np.dtype([("a", "<u8"), ("b", "<u4"), ("c", "<u4"), ("d", "<u4")])


@dataclass(frozen=True)
class Level:
    """One level: cell size in units, cells per parent, and where its fragment ends in the 2D and the 3D code."""

    lon_units: int
    lat_units: int
    lon_count: int
    lat_count: int
    end_2d: int
    end_3d: int
    height_bits: int
    height_shift: int


def _levels() -> tuple[Level, ...]:
    seconds = [(21600, 14400), (1800, 1800), (900, 600), (60, 60), (4, 4), (2, 2), (0.25, 0.25), (1 / 32, 1 / 32), (1 / 256, 1 / 256)]
    units = [(int(lon * 2048), int(lat * 2048)) for lon, lat in seconds] + [(1, 1)]
    counts = [(60, 22), (12, 8), (2, 3), (15, 10), (15, 15), (2, 2), (8, 8), (8, 8), (8, 8), (8, 8)]
    ends = [4, 6, 7, 9, 11, 12, 14, 16, 18, 20]
    bits = [6, 3, 1, 4, 4, 1, 3, 3, 3, 3]
    found = []
    for i, ((lon, lat), (columns, rows)) in enumerate(zip(units, counts, strict=True)):
        found.append(Level(lon, lat, columns, rows, ends[i], ends[i] + i + 3, bits[i], HEIGHT_BITS - sum(bits[: i + 1])))
    return tuple(found)


GRID: Final = _levels()


def layout_3d() -> tuple[list[int], list[int]]:
    """Return the columns, in a 32-character 3D code, of the 20 characters of the 2D code and of the 12 of the height code.

    The 3D code interleaves: hemisphere, height sign, then for each level its 2D fragment followed by its height fragment.
    """
    plane, height = [0], [1]
    column, before = 2, 1
    for number, level in enumerate(GRID):
        plane += range(column, column + level.end_2d - before)
        column += level.end_2d - before
        width = 2 if number == 0 else 1
        height += range(column, column + width)
        column, before = column + width, level.end_2d
    return plane, height


def _packed(texts: list[bytes], dtype: str) -> npt.NDArray[Any]:
    return np.frombuffer(b"".join(texts), dtype=dtype)


def _minute_head(minute: int, negative: bool, of_lon: bool) -> bytes:
    """Return the characters 0..7 (hemisphere to L4 longitude) that a minute of longitude or latitude contributes; the two parts add up."""
    out = bytearray(8)
    if of_lon:
        zone = minute // 360
        out[1:3] = f"{30 - zone if negative else 31 + zone:02d}".encode()
        out[4] = ord(_ANGLES[minute // 30 % 12])
        out[6] = ord("0") + minute // 15 % 2
        out[7] = ord(_ANGLES[minute % 15])
    else:
        out[0] = ord("S" if negative else "N")
        out[3] = ord("A") + minute // 240
        out[5] = ord(_ANGLES[minute // 30 % 8])
        out[6] = 2 * (minute // 10 % 3)
    return bytes(out)


def _step_middle(step: int, of_lon: bool) -> bytes:
    """Return the characters 8..11 (L4 latitude to L6) that a 2″ step contributes; the two parts add up."""
    out = bytearray(4)
    if of_lon:
        out[1] = ord(_ANGLES[step // 2 % 15])
        out[3] = ord("0") + step % 2
    else:
        out[0] = ord(_ANGLES[step // 30 % 10])
        out[2] = ord(_ANGLES[step // 2 % 15])
        out[3] = 2 * (step % 2)
    return bytes(out)


_MINUTES_LON = 180 * 60
_MINUTES_LAT = POLAR_LATITUDE * 60
_LON_HEAD = _packed([_minute_head(m, negative, True) for negative in (False, True) for m in range(_MINUTES_LON)], "<u8")
_LAT_HEAD = _packed([_minute_head(m, negative, False) for negative in (False, True) for m in range(_MINUTES_LAT)], "<u8")
_LON_MIDDLE = _packed([_step_middle(s, True) for s in range(_STEPS_PER_MINUTE)], "<u4")
_LAT_MIDDLE = _packed([_step_middle(s, False) for s in range(_STEPS_PER_MINUTE * 10)], "<u4")
_OCTAL_TAIL = _packed([f"{x >> 3}{y >> 3}{x & 7}{y & 7}".encode() for x in range(64) for y in range(64)], "<u4")


def plane_characters(
    lon: npt.NDArray[np.int32], lat: npt.NDArray[np.int32], west: npt.NDArray[np.bool_], south: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """Return the (n, 20) ASCII matrix of level-10 codes for absolute angles in units, below 180° and 88°, and their hemispheres."""
    rows = np.empty(lon.shape, dtype=ROW)
    lon_step, lat_step = lon // _UNITS_PER_2S, lat // _UNITS_PER_2S
    lon_minute, lat_minute = lon_step // _STEPS_PER_MINUTE, lat_step // _STEPS_PER_MINUTE
    rows["a"] = _LON_HEAD[lon_minute + west * np.int32(_MINUTES_LON)] + _LAT_HEAD[lat_minute + south * np.int32(_MINUTES_LAT)]
    rows["b"] = _LON_MIDDLE[lon_step - lon_minute * _STEPS_PER_MINUTE] + _LAT_MIDDLE[lat_step % (_STEPS_PER_MINUTE * 10)]
    rows["c"] = _OCTAL_TAIL[(lon & 0xFC0) | (lat >> 6 & 63)]
    rows["d"] = _OCTAL_TAIL[(lon & 63) << 6 | (lat & 63)]
    return rows.view(np.uint8).reshape(-1, 20)


def height_characters(layer: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    """Return the (n, 12) ASCII matrix of height codes: sign, two decimal digits, then nine digits (appendix C of the standard)."""
    out = np.empty((layer.size, 12), dtype=np.uint8)
    digits = np.frombuffer(_ANGLES.encode(), dtype=np.uint8)
    magnitude = np.abs(layer)
    out[:, 0] = np.where(layer < 0, ord("1"), ord("0"))
    for number, level in enumerate(GRID):
        value = magnitude >> level.height_shift & ((1 << level.height_bits) - 1)
        if number == 0:
            out[:, 1], out[:, 2] = digits[value // 10], digits[value % 10]
        else:
            out[:, number + 2] = digits[value]
    return out
