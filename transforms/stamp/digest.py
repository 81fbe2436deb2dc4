"""Digests of rows that are there as Arrow columns: the same content, the same digest, whatever the other rows and the machine."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import md5

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

_SHORT = 32  # bytes of a text or blob that stand for themselves; of a longer one its MD5 does
_LONG, _NULL = 255, 254  # in place of the length
_FEW = 30_000  # rows for which a connection to DuckDB costs more than it saves
Bytes = npt.NDArray[np.uint8]


def row_digests(columns: Sequence[pa.Array]) -> pa.StringArray:
    """Return the MD5, as 32 hexadecimal digits, of each row of columns of one length; nulls are told from blanks and zeros.

    Numbers and times count by their bits, texts and blobs by their bytes, lists and maps by their JSON.
    """
    if not columns:
        raise ValueError("a digest of no columns")
    packed = np.concatenate([part for column in columns for part in _packed(column)], axis=1)
    if len(packed) < _FEW:
        return pa.array([md5(row.tobytes(), usedforsecurity=False).hexdigest() for row in packed], pa.string())
    ends = pa.py_buffer(np.arange(len(packed) + 1, dtype=np.int64) * packed.shape[1])
    rows = pa.Array.from_buffers(pa.large_binary(), len(packed), [None, ends, pa.py_buffer(packed)])
    with duckdb.connect(":memory:") as connection:
        connection.register("given", pa.table({"packed": rows}))
        found = connection.execute("SELECT md5(packed) AS digest FROM given").to_arrow_table().column("digest")
    return found.cast(pa.string()).combine_chunks()


def _packed(column: pa.Array) -> list[Bytes]:
    """Return the bytes that stand for each value, as many for all, in parts of whole rows."""
    kind = column.type
    if pa.types.is_struct(kind):
        return [*(part for inner in column.flatten() for part in _packed(inner)), _validity(column)]
    if pa.types.is_nested(kind):
        import json

        texts = [None if value is None else json.dumps(value, ensure_ascii=False) for value in column.to_pylist()]
        return [_text_bytes(pa.array(texts, pa.string()).cast(pa.binary()))]
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        coded = column.dictionary_encode()
        rows = np.append(_text_bytes(coded.dictionary.cast(pa.binary())), _text_bytes(pa.nulls(1, pa.binary())), axis=0)
        return [rows[coded.indices.fill_null(len(coded.dictionary)).to_numpy()]]
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return [_text_bytes(column)]
    if pa.types.is_null(kind):
        return [np.zeros((len(column), 1), np.uint8)]
    plain = column.cast(pa.int8()) if pa.types.is_boolean(kind) else column
    values = plain.view(pa.int64()) if plain.type.bit_width == 64 else plain.view(pa.int32()) if plain.type.bit_width == 32 else plain
    numbers = np.ascontiguousarray(pc.fill_null(values, 0).to_numpy(zero_copy_only=False))
    return [numbers.view(np.uint8).reshape(len(column), numbers.dtype.itemsize), _validity(column)]


def _even(column: pa.Array) -> Bytes | None:
    """Return the same for short blobs of one length without nulls, as points are, straight from the column's buffer."""
    if pa.types.is_large_binary(column.type) or column.null_count or not len(column):
        return None
    ends = np.frombuffer(column.buffers()[1], np.int32)[column.offset : column.offset + len(column) + 1]
    size = int(ends[1] - ends[0])
    if not 0 < size <= _SHORT or (np.diff(ends) != size).any():
        return None
    filled = np.zeros((len(column), _SHORT + 1), np.uint8)
    filled[:, :size] = np.frombuffer(column.buffers()[2], np.uint8)[ends[0] : ends[-1]].reshape(-1, size)
    filled[:, _SHORT] = size
    return filled


def _validity(column: pa.Array) -> Bytes:
    return np.asarray(column.is_valid()).astype(np.uint8).reshape(-1, 1)


def _text_bytes(column: pa.Array) -> Bytes:
    """Return the bytes of each blob, filled up, and its length."""
    if (even := _even(column)) is not None:
        return even
    lengths = pc.binary_length(column).fill_null(_NULL).to_numpy()
    values = column.to_pylist()
    is_long = (lengths > _SHORT) & (lengths != _NULL) | (lengths == _NULL) & np.asarray(column.is_valid())
    for at in np.flatnonzero(is_long).tolist():
        values[at] = md5(values[at], usedforsecurity=False).digest()
    sizes = np.where(is_long, _LONG, lengths).astype(np.uint8).reshape(-1, 1)
    filled = np.array([value or b"" for value in values], f"S{_SHORT}") if column.null_count else np.array(values, f"S{_SHORT}")
    return np.concatenate([filled.view(np.uint8).reshape(len(column), _SHORT), sizes], axis=1)
