"""Digests of rows that are there as Arrow columns: the same content, the same digest, whatever the other rows, the engine and the machine.

A row's content is hashed as the MD5 of its values, one column after the other by name. A value that is missing adds nothing, so a column
that a contract gains changes no digest of the rows that have no value in it. A value adds

    name of the column | 0x00 | kind (1 byte) | for kinds of no fixed length: length (8 bytes) | bytes

with numbers in little-endian order:

==== ============================================================================================================================
kind value
==== ============================================================================================================================
n    a number as IEEE 754 double; -0.0 is 0.0, and there is one NaN
i    a whole number beyond ±2^53, as int64
b    yes or no, 1 byte
d    a date, days since 1970 as int64
t    an instant, microseconds since 1970 as int64
s    a text in Unicode's form NFC, without white space at its ends, in UTF-8
x    bytes
g    a geometry in its canonical form (`transforms.stamp.canonical`)
l    a list of texts, each as 0x01, length and bytes, or 0x00 where it is missing
m    a map of texts by its keys in the order of their bytes: key and value, each as in a list
==== ============================================================================================================================

So 5 and 5.0 are one number, and a column that is widened from whole numbers to doubles keeps its digests.
"""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import md5
from itertools import pairwise
from typing import Any, Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from transforms.space.wkb import point_coordinates
from transforms.stamp.canonical import binaries, geometry_bytes, joined, point_bytes

VERSION: Final = "v2:"  # how each digest begins; those of version 1 were hexadecimal digits alone
HASH_PROPERTY: Final = "sanyu.row_hash"  # property of a table all of whose rows have digests of one version
GEOMETRY: Final = "geom"
_FEW: Final = 30_000  # rows for which a connection to DuckDB costs more than it saves
_HEXADECIMAL: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_EXACT: Final = 2**53
Array = npt.NDArray[Any]


def row_hashes(columns: Mapping[str, pa.Array], geoms: Array | None = None) -> pa.StringArray:
    """Return the digest of each row of columns of one length: `VERSION` and 32 hexadecimal digits.

    `geom` is WKB in EPSG:4490; `geoms` are the same geometries where they are there as shapely's. Raises TypeError for a column whose type
    no contract has.
    """
    if not columns:
        raise ValueError("a digest of no columns")
    parts: list[pa.Array] = []
    for name in sorted(columns):
        column = _plain(columns[name])
        parts += _geometry(name, column, geoms) if name == GEOMETRY else _parts(name, column)
    return md5_texts(joined(*parts), VERSION)


def md5_texts(values: pa.Array, prefix: str = "") -> pa.StringArray:
    """Return `prefix` and the MD5 of texts or byte strings, none of them null, as 32 hexadecimal digits."""
    return _hexadecimal(md5_digests(values), prefix)


def md5_digests(values: pa.Array) -> npt.NDArray[np.uint8]:
    """Return the MD5 of texts or byte strings, none of them null, as an array of shape (n, 16)."""
    plain = values.cast(pa.large_binary())
    if len(plain) < _FEW:
        _, ends, data = plain.buffers()
        at = np.frombuffer(ends, np.int64)[plain.offset : plain.offset + len(plain) + 1].tolist()
        view = memoryview(data) if data is not None else memoryview(b"")
        found = b"".join([md5(view[a:b], usedforsecurity=False).digest() for a, b in pairwise(at)])
        return np.frombuffer(found, np.uint8).reshape(-1, 16)
    with duckdb.connect(":memory:") as connection:
        connection.register("given", pa.table({"given": plain}))
        table = connection.execute("SELECT unhex(md5(given)) AS digest FROM given").to_arrow_table()
    column = table.column("digest").combine_chunks().cast(pa.large_binary())
    return np.frombuffer(column.buffers()[2], np.uint8).reshape(-1, 16)


def _hexadecimal(digests: npt.NDArray[np.uint8], prefix: str) -> pa.StringArray:
    count, start = len(digests), len(prefix)
    text = np.empty((count, start + 32), np.uint8)
    text[:, :start] = np.frombuffer(prefix.encode(), np.uint8)
    text[:, start::2], text[:, start + 1 :: 2] = _HEXADECIMAL[digests >> 4], _HEXADECIMAL[digests & 15]
    return binaries(text, np.full(count, start + 32)).cast(pa.large_string()).cast(pa.string())


def _plain(column: Any) -> pa.Array:
    """Return one array that starts at its buffers' beginning and is no dictionary."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):  # without chunks
        array = pa.array([], array.type)
    return array.cast(array.type.value_type) if pa.types.is_dictionary(array.type) else array


def _parts(name: str, column: pa.Array) -> list[pa.Array]:
    """Return what the values of a column add, in one or two arrays to be joined; null where a value is missing."""
    kind = column.type
    if pa.types.is_null(kind):
        return []
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return _sized(name, b"s", _text(column))
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        return _sized(name, b"x", column)
    if pa.types.is_map(kind):
        return _sized(name, b"m", _map(column))
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return _sized(name, b"l", _list(column))
    return [_fixed(name, column)]


def _fixed(name: str, column: pa.Array) -> pa.Array:
    kind = column.type
    if pa.types.is_boolean(kind):
        return _tagged(name, np.full(len(column), ord("b")), _numpy(column.cast(pa.uint8())), column)
    if pa.types.is_date32(kind):
        return _tagged(name, np.full(len(column), ord("d")), _numpy(column.cast(pa.int32())).astype("<i8"), column)
    if pa.types.is_timestamp(kind):
        micros = column.cast(pa.timestamp("us", kind.tz), safe=False).cast(pa.int64())
        return _tagged(name, np.full(len(column), ord("t")), _numpy(micros).astype("<i8"), column)
    if pa.types.is_integer(kind):
        whole = _numpy(column.cast(pa.int64())).astype("<i8")
        exact = (whole >= -_EXACT) & (whole <= _EXACT)
        values = np.where(exact, whole.astype("<f8").view("<i8"), whole)
        return _tagged(name, np.where(exact, ord("n"), ord("i")), values, column)
    if pa.types.is_floating(kind):
        numbers = _numpy(column.cast(pa.float64())).astype("<f8") + 0.0
        numbers[np.isnan(numbers)] = np.nan
        return _tagged(name, np.full(len(column), ord("n")), numbers, column)
    raise TypeError(f"no digest of column {name} of type {kind}")


def _numpy(column: pa.Array) -> Array:
    return np.asarray(pc.fill_null(column, 0).to_numpy(zero_copy_only=False))


def _tagged(name: str, tags: Array, values: Array, like: pa.Array) -> pa.Array:
    """Return name, tag and value of each row as byte strings of one length, null where `like` is."""
    label = np.frombuffer(name.encode() + b"\0", np.uint8)
    count, size = len(values), values.dtype.itemsize
    data = np.empty((count, len(label) + 1 + size), np.uint8)
    data[:, : len(label)] = label
    data[:, len(label)] = tags
    data[:, len(label) + 1 :] = np.ascontiguousarray(values).view(np.uint8).reshape(count, size)
    found = binaries(data, np.full(count, data.shape[1]))
    if not like.null_count:
        return found
    return pa.Array.from_buffers(found.type, count, [like.is_valid().buffers()[1], *found.buffers()[1:]])


def _sized(name: str, tag: bytes, values: pa.Array) -> list[pa.Array]:
    lengths = _numpy(pc.binary_length(values)).astype("<i8")
    return [_tagged(name, np.full(len(values), ord(tag)), lengths, values), values.cast(pa.large_binary())]


def _text(column: pa.Array) -> pa.Array:
    """Return texts as they are compared."""
    if not pc.all(pc.string_is_ascii(column), min_count=0).as_py():
        column = pc.utf8_normalize(column, "NFC")
    return pc.utf8_trim_whitespace(column).cast(pa.large_binary())


def _geometry(name: str, column: pa.Array, geoms: Array | None) -> list[pa.Array]:
    if geoms is None:
        points = point_coordinates(column)
        if points is not None:
            return _sized(name, b"g", point_bytes(*points))
        geoms = shapely.from_wkb(column.to_numpy(zero_copy_only=False)) if len(column) else np.empty(0, object)
    return _sized(name, b"g", geometry_bytes(geoms))


def _items(texts: pa.Array) -> pa.Array:
    """Return each text as 0x01, length and bytes, or as 0x00 where it is missing."""
    if not pa.types.is_string(texts.type) and not pa.types.is_large_string(texts.type):
        raise TypeError(f"no digest of items of type {texts.type}")
    values = _text(texts)
    data = np.ones((len(values), 9), np.uint8)
    data[:, 1:] = _numpy(pc.binary_length(values)).astype("<i8").view(np.uint8).reshape(-1, 8)
    given = joined(binaries(data, np.full(len(values), 9)), values)
    return pc.if_else(texts.is_valid(), given, pa.scalar(b"\0", pa.large_binary()))


def _list(column: pa.Array) -> pa.Array:
    counts = _numpy(pc.list_value_length(column))
    return _rows(_items(column.flatten()), counts, column)


def _map(column: pa.Array) -> pa.Array:
    pairs = column.cast(pa.list_(pa.struct([("key", column.type.key_type), ("value", column.type.item_type)])))
    counts = _numpy(pc.list_value_length(pairs))
    keys, values = pairs.flatten().flatten()
    row = np.repeat(np.arange(len(column)), counts)
    sorted_by = pa.table({"row": row, "key": _text(keys), "at": np.arange(len(row))})
    order = pc.sort_indices(sorted_by, sort_keys=[("row", "ascending"), ("key", "ascending"), ("at", "ascending")])
    return _rows(joined(_items(keys), _items(values)).take(order), counts, column)


def _rows(items: pa.Array, counts: Array, like: pa.Array) -> pa.Array:
    """Return the items of each row one after the other, null where `like` is."""
    ends = np.append(0, np.cumsum(counts)).astype(np.int64)
    each = pc.binary_join(pa.LargeListArray.from_arrays(pa.array(ends), items), pa.scalar(b"", items.type))
    return pc.if_else(like.is_valid(), each, pa.scalar(None, items.type))
