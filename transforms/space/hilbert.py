"""Hilbert keys of places over the fixed extent of the world, the order in which tables are laid out (`cell`).

The curve is the classic one (Hilbert 1891): order n numbers the 2ⁿ x 2ⁿ boxes of -180..180 x -90..90 degrees from the south-west to the
south-east corner. A key of a coarser order is a prefix of the keys of the finer boxes in it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

_CHUNK_BITS: Final = 4
_MASK: Final = (1 << _CHUNK_BITS) - 1
_BLOCK: Final = 1 << 15
MAX_ORDER: Final = 31
NO_KEY: Final = -1


def _step(state: int, x: int, y: int) -> tuple[int, int]:
    """Walk one level: return the quadrant's number (0..3) and the next state, whose bit 0 swaps the axes and bit 1 flips both."""
    if state & 2:
        x, y = 1 - x, 1 - y
    if state & 1:
        x, y = y, x
    quadrant = (3 * x) ^ y
    if y == 0:
        state ^= 1 if x == 0 else 3
    return quadrant, state


def _table() -> npt.NDArray[np.uint16]:
    """Return, for state and four bits of x and y, eight bits of key and, above them, the next state (as the index bits of this table)."""
    table = np.zeros(1 << (2 + 2 * _CHUNK_BITS), dtype=np.uint16)
    for index in range(table.size):
        state, x, y = index >> 8, index >> 4 & _MASK, index & _MASK
        key = 0
        for bit in reversed(range(_CHUNK_BITS)):
            quadrant, state = _step(state, x >> bit & 1, y >> bit & 1)
            key = key << 2 | quadrant
        table[index] = state << 8 | key
    return table


_TABLE: Final = _table()


def hilbert_key(lon: Any, lat: Any, order: int = 26) -> Any:
    """Return the keys (int64, 2·order bits) of places in degrees; scalars in, int out.

    What is not on Earth (NaN, inf, out of range) gets -1, so that rows without a place lie together at the front. Boxes are half-open,
    180° and 90° close the last ones. Order 26 has boxes of 0.6 m x 0.3 m at the equator. Raises ValueError for an order outside 1..31.
    """
    if not 1 <= order <= MAX_ORDER:
        raise ValueError(f"order must lie in 1..{MAX_ORDER}, not {order}")
    lon, lat = np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64)
    x, y = np.broadcast_arrays(lon, lat)
    flat_x, flat_y = x.ravel(), y.ravel()
    keys = np.empty(flat_x.size, dtype=np.int64)
    for start in range(0, keys.size, _BLOCK):
        part = slice(start, start + _BLOCK)
        keys[part] = _block(flat_x[part], flat_y[part], order)
    return int(keys[0]) if x.ndim == 0 else keys.reshape(x.shape)


def hilbert_range(bbox: tuple[float, float, float, float], order: int = 26, max_ranges: int = 32) -> list[tuple[int, int]]:
    """Return sorted, disjoint key ranges (first, last; both included) that cover the boxes touching `bbox` (west, south, east, north).

    Quadrants are split where the bbox cuts them until `max_ranges` would be exceeded, so the cover may hold more than the bbox but never
    less. Raises ValueError for a bbox that is not finite, ordered and on Earth; split one that crosses 180° before.
    """
    west, south, east, north = bbox
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise ValueError(f"bbox {bbox} is not west, south, east, north in degrees")
    side = 1 << order
    x_low, x_high = (int(v) for v in _boxes(np.array([west, east]), 360.0, side))
    y_low, y_high = (int(v) for v in _boxes(np.array([south, north]), 180.0, side))
    whole: list[tuple[int, int]] = []
    cut = [(0, 0, 0, 0)]
    size = side
    while cut and size > 1:
        size >>= 1
        finer, done = [], []
        for state, prefix, left, bottom in cut:
            for dx, dy in ((0, 0), (0, 1), (1, 0), (1, 1)):
                quadrant, after = _step(state, dx, dy)
                x, y, key = left + dx * size, bottom + dy * size, prefix << 2 | quadrant
                if x > x_high or y > y_high or x + size <= x_low or y + size <= y_low:
                    continue
                if x >= x_low and y >= y_low and x + size - 1 <= x_high and y + size - 1 <= y_high:
                    done.append((key * size * size, (key + 1) * size * size - 1))
                else:
                    finer.append((after, key, x, y))
        if len(_merged(whole + done + _spans(finer, size))) > max_ranges:
            size <<= 1
            break
        whole, cut = whole + done, finer
    return _merged(whole + _spans(cut, size))


def _spans(cut: list[tuple[int, int, int, int]], size: int) -> list[tuple[int, int]]:
    return [(key * size * size, (key + 1) * size * size - 1) for _, key, _, _ in cut]


def _merged(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if merged and first == merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], last)
        else:
            merged.append((first, last))
    return merged


def _boxes(degrees: npt.NDArray[np.float64], extent: float, side: int) -> npt.NDArray[np.int64]:
    boxes: npt.NDArray[np.int64] = np.minimum((degrees + extent / 2) * (side / extent), side - 1).astype(np.int64)
    return boxes


def _block(lon: npt.NDArray[np.float64], lat: npt.NDArray[np.float64], order: int) -> npt.NDArray[np.int64]:
    """Key one block that stays in the processor's cache."""
    known = (np.abs(lon) <= 180.0) & (np.abs(lat) <= 90.0)
    if not known.all():
        lon, lat = np.where(known, lon, 0.0), np.where(known, lat, 0.0)
    side = 1 << order
    x, y = _boxes(lon, 360.0, side), _boxes(lat, 180.0, side)
    keys = np.zeros(lon.size, dtype=np.int64)
    padding = -order % _CHUNK_BITS
    # Leading zero bits stay in the first quadrant, each swapping the axes: an odd number of them is undone by swapping once more.
    state = np.full(lon.size, (padding & 1) << 8, dtype=np.int64)
    for shift in range(order + padding - _CHUNK_BITS, -1, -_CHUNK_BITS):
        entry = _TABLE[state | (x >> shift & _MASK) << _CHUNK_BITS | (y >> shift & _MASK)]
        keys = keys << 2 * _CHUNK_BITS | (entry & 0xFF)
        state = (entry & 0x300).astype(np.int64)
    if not known.all():
        keys[~known] = NO_KEY
    return keys
