"""A guard before the WKB parser: GEOS recurses once per level of nesting, so that a small hostile value could overflow the stack.

Types are read as GEOS reads them, and what GEOS could read differently is refused: what the guard lets through nests no deeper than it
counted and holds only points, lines, polygons and collections of them.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Array = npt.NDArray[Any]

MALFORMED: Final = "SY-C102"
TOO_DEEP: Final = "SY-C103"
NOT_LINEAR: Final = "SY-C104"

_HEADER: Final = 5
_MULTI_HEADER: Final = 9
_SIMPLE: Final = 3
_COLLECTION: Final = 7
_LAST_TYPE: Final = 17
_SRID: Final = 0x20000000
_UNKNOWN_FLAGS: Final = 0x1FFF0000


def guard(binary: pa.Array, blobs: Array, max_depth: int) -> Array:
    """Return per row the code of what makes its WKB unfit for parsing, or the empty string.

    Points, lines, polygons and multi-geometries of one simple part are judged from their headers, all rows at once; the others are walked.
    """
    verdict = np.full(len(binary), "", dtype=object)
    lengths = pc.binary_length(binary).fill_null(0).to_numpy(zero_copy_only=False)
    given = binary.is_valid().to_numpy(zero_copy_only=False)
    verdict[given & (lengths < _HEADER)] = MALFORMED
    headed = np.flatnonzero(given & (lengths >= _HEADER))
    base, sound = _headers(blobs[headed], 0)
    verdict[headed[~sound]] = MALFORMED
    verdict[headed[sound & (base > _COLLECTION)]] = NOT_LINEAR
    nested = headed[sound & (base > _SIMPLE) & (base <= _COLLECTION)]
    outer = base[np.searchsorted(headed, nested)]
    long_enough = lengths[nested] >= _MULTI_HEADER + _HEADER
    plain = np.zeros(len(nested), dtype=bool)
    inner, inner_sound = _headers(blobs[nested[long_enough]], _MULTI_HEADER)
    single = np.array([_holds_one(blob) for blob in blobs[nested[long_enough]]], dtype=bool)
    plain[long_enough] = inner_sound & single & (inner <= _SIMPLE) & (inner == outer[long_enough] - _SIMPLE)
    for i in nested[~plain]:
        verdict[i] = _walk(blobs[i], max_depth)
    return verdict


def _holds_one(blob: bytes) -> bool:
    """Return whether a collection without SRID says that it has one part."""
    if blob[0] == 1:
        return blob[5:9] == b"\x01\0\0\0" and not blob[4] & 0x20
    return blob[5:9] == b"\0\0\0\x01" and not blob[1] & 0x20


def _headers(blobs: Array, at: int) -> tuple[Array, Array]:
    """Return the base geometry types that stand at byte `at`, and whether the headers make sense.

    The type is read as GEOS reads it (low 16 bits modulo 1000); other bits than the EWKB flags would let a collection pass for a point.
    """
    heads = np.frombuffer(b"".join([blob[at : at + _HEADER] for blob in blobs]), dtype=np.uint8).reshape(-1, _HEADER)
    raw = np.ascontiguousarray(heads[:, 1:])
    word = np.where(heads[:, 0] == 1, raw.view("<u4")[:, 0], raw.view(">u4")[:, 0])
    base = (word & 0xFFFF) % 1000
    sound = (heads[:, 0] <= 1) & (word & _UNKNOWN_FLAGS == 0) & ((word & 0xFFFF) < 4000) & (base >= 1) & (base <= _LAST_TYPE)
    return base, sound


def _walk(blob: bytes, max_depth: int) -> str:
    """Return the code of what is wrong with a collection's structure, walking it without recursion; the empty string if nothing is."""
    pending = [1]
    position = 0
    try:
        while pending:
            if pending[-1] == 0:
                pending.pop()
                continue
            pending[-1] -= 1
            order = "<" if blob[position] == 1 else ">"
            (word,) = struct.unpack_from(order + "I", blob, position + 1)
            base = (word & 0xFFFF) % 1000
            if blob[position] > 1 or word & _UNKNOWN_FLAGS or not 1 <= base <= _LAST_TYPE:
                return MALFORMED
            if base > _COLLECTION:
                return NOT_LINEAR
            position += _HEADER + (4 if word & _SRID else 0)
            if base > _SIMPLE:
                if len(pending) > max_depth:
                    return TOO_DEEP
                pending.append(*struct.unpack_from(order + "I", blob, position))
                position += 4
            else:
                position = _after_simple(blob, position, order, word, base)
    except (struct.error, IndexError):
        return MALFORMED
    return ""


def _after_simple(blob: bytes, position: int, order: str, word: int, base: int) -> int:
    """Return the position behind the body of a point, line or polygon that starts at `position`."""
    iso = (word & 0xFFFF) // 1000
    ordinates = 2 + (bool(word & 0x80000000) or iso in (1, 3)) + (bool(word & 0x40000000) or iso in (2, 3))
    if base == 1:
        return position + 8 * ordinates
    (count,) = struct.unpack_from(order + "I", blob, position)
    position += 4
    if base == 2:
        return int(position + 8 * ordinates * count)
    for _ in range(count):
        (points,) = struct.unpack_from(order + "I", blob, position)
        position += 4 + 8 * ordinates * points
    return position


def first_position(blob: bytes) -> tuple[float, float] | None:
    """Return x, y of the first vertex, None where there is none; for values that the guard has let through.

    A ring that begins with NaN never closes, and the parser calls it malformed: this tells the one from the other.
    """
    position = 0
    try:
        while True:
            order = "<" if blob[position] == 1 else ">"
            (word,) = struct.unpack_from(order + "I", blob, position + 1)
            base = (word & 0xFFFF) % 1000
            position += _HEADER + (4 if word & _SRID else 0) + {1: 0, 3: 8}.get(base, 4)
            if base <= _SIMPLE:
                x, y = struct.unpack_from(order + "dd", blob, position)
                return x, y
    except (struct.error, IndexError):
        return None
