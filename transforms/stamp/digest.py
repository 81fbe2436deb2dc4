"""Digests of rows that are there as Arrow columns: the same content, the same digest, whatever the other rows and the machine."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import md5

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_SHORT = 32  # bytes of a text or blob that stand for themselves; of a longer one its MD5 does
_LONG, _NULL = 255, 254  # in place of the length
Bytes = npt.NDArray[np.uint8]


def row_digests(columns: Sequence[pa.Array]) -> pa.StringArray:
    """Return the MD5, as 32 hexadecimal digits, of each row of columns of one length; nulls are told from blanks and zeros.

    Numbers and times count by their bits, texts and blobs by their bytes, lists and maps by their JSON.
    """
    if not columns:
        raise ValueError("a digest of no columns")
    count = len(columns[0])
    packed = np.concatenate([_packed(column) for column in columns], axis=1)
    width, content = packed.shape[1], packed.tobytes()
    found = [md5(content[at : at + width], usedforsecurity=False).hexdigest() for at in range(0, count * width, width)]
    return pa.array(found, pa.string())


def _packed(column: pa.Array) -> Bytes:
    """Return the bytes that stand for each value: as many for all."""
    kind = column.type
    if pa.types.is_struct(kind):
        inner = [_packed(part) for part in column.flatten()]
        return np.concatenate([*inner, _validity(column)], axis=1)
    if pa.types.is_nested(kind):
        import json

        texts = [None if value is None else json.dumps(value, ensure_ascii=False) for value in column.to_pylist()]
        return _text_bytes(pa.array(texts, pa.string()).cast(pa.binary()))
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        coded = column.dictionary_encode()
        rows = np.append(_text_bytes(coded.dictionary.cast(pa.binary())), _text_bytes(pa.nulls(1, pa.binary())), axis=0)
        found: Bytes = rows[coded.indices.fill_null(len(coded.dictionary)).to_numpy()]
        return found
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _text_bytes(column)
    if pa.types.is_null(kind):
        return np.zeros((len(column), 1), np.uint8)
    plain = column.cast(pa.int8()) if pa.types.is_boolean(kind) else column
    values = plain.view(pa.int64()) if plain.type.bit_width == 64 else plain.view(pa.int32()) if plain.type.bit_width == 32 else plain
    numbers = np.ascontiguousarray(pc.fill_null(values, 0).to_numpy(zero_copy_only=False))
    return np.concatenate([numbers.view(np.uint8).reshape(len(column), numbers.dtype.itemsize), _validity(column)], axis=1)


def _validity(column: pa.Array) -> Bytes:
    return np.asarray(column.is_valid()).astype(np.uint8).reshape(-1, 1)


def _text_bytes(column: pa.Array) -> Bytes:
    """Return the bytes of each blob, filled up, and its length."""
    lengths = pc.binary_length(column).fill_null(_NULL).to_numpy()
    values = column.to_pylist()
    is_long = (lengths > _SHORT) & (lengths != _NULL) | (lengths == _NULL) & np.asarray(column.is_valid())
    for at in np.flatnonzero(is_long).tolist():
        values[at] = md5(values[at], usedforsecurity=False).digest()
    sizes = np.where(is_long, _LONG, lengths).astype(np.uint8).reshape(-1, 1)
    filled = np.array([value or b"" for value in values], f"S{_SHORT}") if column.null_count else np.array(values, f"S{_SHORT}")
    return np.concatenate([filled.view(np.uint8).reshape(len(column), _SHORT), sizes], axis=1)
