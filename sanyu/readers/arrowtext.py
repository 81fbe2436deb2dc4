"""Convert typed Arrow columns to text, a whole column at a time."""

from __future__ import annotations

import base64
import json
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def as_text(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Return a string array: numbers in their shortest exact form, dates and times in ISO 8601, binary as Base64, nested values as JSON."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    kind = array.type
    if pa.types.is_dictionary(kind):
        return as_text(array.dictionary_decode())
    if pa.types.is_string(kind):
        return array
    if pa.types.is_timestamp(kind):
        return _timestamps(array)
    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return pa.array([None if value is None else _text(value) for value in array.to_pylist()], pa.string())
    return pc.cast(array, pa.string())


def _timestamps(array: pa.Array) -> pa.Array:
    text = pc.cast(array, pa.string())
    text = pc.replace_substring(text, " ", "T", max_replacements=1)
    return pc.replace_substring_regex(text, r"\.0+(Z?)$", r"\1")


def _text(value: Any) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return json.dumps(
        value, ensure_ascii=False, default=lambda item: base64.b64encode(item).decode() if isinstance(item, bytes) else str(item)
    )
