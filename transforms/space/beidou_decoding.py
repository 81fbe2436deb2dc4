"""Read BeiDou grid codes (GB/T 39409-2020) into whole-number indices, checking every character."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from schemas.messages import SanyuError
from transforms.space import beidou_layout as layout

_HEX: Final = "0123456789ABCDEF"
_PLANE_COLUMNS, _HEIGHT_COLUMNS = layout.layout_3d()
_INVALID: Final = 99


@dataclass(frozen=True)
class Parsed:
    """Indices of decoded codes, one element a row: absolute angle of the counting corner in units, hemispheres, height layers."""

    level: npt.NDArray[np.int64]
    is_3d: npt.NDArray[np.bool_]
    west: npt.NDArray[np.bool_]
    south: npt.NDArray[np.bool_]
    lon_units: npt.NDArray[np.int64]
    lat_units: npt.NDArray[np.int64]
    layer_bottom: npt.NDArray[np.int64]
    layer_top: npt.NDArray[np.int64]


def _allowed_plane() -> list[str]:
    allowed = ["NS", "0123456", "0123456789", "".join(chr(ord("A") + i) for i in range(layout.GRID[0].lat_count))]
    for level in layout.GRID[1:]:
        single = level.end_2d in (7, 12)
        allowed += [_HEX[: level.lon_count * level.lat_count]] if single else [_HEX[: level.lon_count], _HEX[: level.lat_count]]
    return allowed


def _allowed_height() -> list[str]:
    return ["01", "0123456", "0123456789"] + [_HEX[: 1 << level.height_bits] for level in layout.GRID[1:]]


_ALLOWED_2D: Final = _allowed_plane()
_ALLOWED_3D: Final = [text for _, text in sorted(zip(_PLANE_COLUMNS + _HEIGHT_COLUMNS, _ALLOWED_2D + _allowed_height(), strict=True))]


def _value_table(allowed: list[str]) -> npt.NDArray[np.uint8]:
    """Return, by position and ASCII code, the value of a character, `_INVALID` where it is not allowed; NUL (beyond the end) is 0."""
    table = np.full((len(allowed), 128), _INVALID, dtype=np.uint8)
    table[:, 0] = 0
    for position, characters in enumerate(allowed):
        for value, character in enumerate(characters):
            table[position, ord(character)] = value
    return table


_VALUES_2D: Final = _value_table(_ALLOWED_2D)
_VALUES_3D: Final = _value_table(_ALLOWED_3D)


def parse(texts: list[str], errors: Literal["raise", "null"]) -> Parsed:
    """Parse codes of any levels; a malformed one raises SY-G006 or SY-G007, or gets level 0 with `errors="null"`."""
    width = 33
    raw = np.array(texts, dtype=f"<U{width}").reshape(-1, 1).view("<u4").reshape(-1, width)
    lengths = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    is_3d = (raw[:, 3] >= ord("0")) & (raw[:, 3] <= ord("9"))
    ascii_codes = np.where(raw < 128, raw, 127)[:, :32].astype(np.uint8)
    level_by_length = np.zeros((2, width + 1), dtype=np.int64)
    for number, size in enumerate(layout.GRID, start=1):
        level_by_length[0, size.end_2d] = level_by_length[1, size.end_3d] = number
    level = level_by_length[is_3d.astype(np.int64), np.minimum(lengths, width)]

    values = _VALUES_3D[np.arange(32), ascii_codes]
    values[~is_3d] = 0
    values[~is_3d, :20] = _VALUES_2D[np.arange(20), ascii_codes[~is_3d, :20]]
    inside = np.arange(32) < lengths[:, None]
    wrong = inside & ((values == _INVALID) | (ascii_codes == 0))
    plane = np.where(is_3d[:, None], values[:, _PLANE_COLUMNS], values[:, :20]).astype(np.int64)
    height = np.where(is_3d[:, None], values[:, _HEIGHT_COLUMNS], 0).astype(np.int64)
    _mark_combinations(wrong, plane, height, level, is_3d)
    bad = wrong.any(axis=1) | (level == 0)
    if errors == "raise" and bad.any():
        row = int(np.argmax(bad))
        _refuse(row, texts[row], wrong[row], bool(is_3d[row]))
    level = np.where(bad, 0, level)
    plane[bad], height[bad] = 0, 0
    return _indices(level, is_3d, plane, height)


def _mark_combinations(
    wrong: npt.NDArray[np.bool_],
    plane: npt.NDArray[np.int64],
    height: npt.NDArray[np.int64],
    level: npt.NDArray[np.int64],
    is_3d: npt.NDArray[np.bool_],
) -> None:
    """Mark two-digit numbers out of range at their second digit, and a layer "minus zero" at its sign."""
    zone = plane[:, 1] * 10 + plane[:, 2]
    bad_zone = ((zone < 1) | (zone > layout.GRID[0].lon_count)) & (level > 0)
    wrong[bad_zone & ~is_3d, 2] = True
    wrong[bad_zone & is_3d, _PLANE_COLUMNS[2]] = True
    wrong[is_3d & (height[:, 1] * 10 + height[:, 2] >= 1 << layout.GRID[0].height_bits), _HEIGHT_COLUMNS[2]] = True
    wrong[is_3d & (level == layout.LEVELS) & (height[:, 0] == 1) & ~height[:, 1:].any(axis=1), _HEIGHT_COLUMNS[0]] = True


def _indices(
    level: npt.NDArray[np.int64], is_3d: npt.NDArray[np.bool_], plane: npt.NDArray[np.int64], height: npt.NDArray[np.int64]
) -> Parsed:
    zone = plane[:, 1] * 10 + plane[:, 2]
    west = zone <= 30
    lon = np.where(west, 30 - zone, zone - 31) * layout.GRID[0].lon_units
    lat = plane[:, 3] * layout.GRID[0].lat_units
    column = 4
    for size in layout.GRID[1:]:
        if size.end_2d in (7, 12):
            lon, lat = lon + plane[:, column] % 2 * size.lon_units, lat + plane[:, column] // 2 * size.lat_units
            column += 1
        else:
            lon, lat = lon + plane[:, column] * size.lon_units, lat + plane[:, column + 1] * size.lat_units
            column += 2
    magnitude = (height[:, 1] * 10 + height[:, 2]) << layout.GRID[0].height_shift
    for number, size in enumerate(layout.GRID[1:], start=3):
        magnitude += height[:, number] << size.height_shift
    span = np.int64(1) << np.array([0] + [size.height_shift for size in layout.GRID])[level]
    below = height[:, 0] == 1
    top = np.where(below, np.where(magnitude == 0, 0, 1 - magnitude), magnitude + span)
    bottom = np.where(below, 1 - magnitude - span, magnitude)
    return Parsed(level, is_3d, west, plane[:, 0] == 1, lon, lat, bottom, top)


def _refuse(row: int, text: str, wrong: npt.NDArray[np.bool_], is_3d: bool) -> None:
    allowed = _ALLOWED_3D if is_3d else _ALLOWED_2D
    if wrong.any() and (position := int(np.argmax(wrong))) < len(allowed):
        expected = f"one of {allowed[position]}"
        if position == (_PLANE_COLUMNS[2] if is_3d else 2) and text[position] in allowed[position]:
            expected = "a zone from 01 to 60"
        elif is_3d and position == _HEIGHT_COLUMNS[2] and text[position] in allowed[position]:
            expected = "a height number from 00 to 63"
        elif is_3d and position == _HEIGHT_COLUMNS[0] and text[position] in allowed[position]:
            expected = "0, for there is no layer minus zero"
        raise SanyuError("SY-G006", row=row, text=text, position=position + 1, found=text[position], expected=expected)
    raise SanyuError("SY-G007", row=row, text=text, position=len(text))
