"""Identifiers of entities and of their versions.

An entity id is made once, when a thing first appears, and then kept (`transforms.stamp.identify`), so it may speak of where the thing was
seen first: division, grid cell, theme, and a digest of contract, source and key. The same input gives the same id on any machine. Why it is
made so, and what happens when two things would get one id: `docs/decisions/0005-identity.md`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.model import Contract
from transforms.stamp.canonical import binaries
from transforms.stamp.digest import md5_digests, md5_texts

CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # without I, L, O, U: read out and typed in without mistakes
GRID_CHARACTERS = 11  # BeiDou level 5, 4″: about 120 m
DIVISION_CHARACTERS = 6
NO_DIVISION = "000000"
NO_GRID = "-"
_DIGEST_BYTES = 6
_DIGITS = 10


def stamp_id_sql() -> str:
    """Return the SQL of what `stamp_ids` gives, for rows in Spark that get another entity or start of validity after they were stamped."""
    return "md5(concat_ws('|', entity_id, cast(unix_micros(valid_from_at) as string), row_hash))"


def entity_ids(contract: Contract, division_code: Any, grid_code: Any, source_name: Any, source_key: Any) -> pa.StringArray:
    """Return the ids that rows get when they are new, `330102-N51H0051234-BUILDING-0A1B2C3D4E`, from string columns of one length.

    Two keys in one cell and theme share an id with a chance of 2⁻⁴⁸; the merge would then see one entity twice and reject the second with
    SY-Q006, not mix them.
    """
    digests = md5_digests(_joined(contract.name, source_name, source_key))[:, :_DIGEST_BYTES].astype(np.uint64)
    number = (digests << np.arange(8 * (_DIGEST_BYTES - 1), -1, -8, dtype=np.uint64)).sum(axis=1, dtype=np.uint64)
    digits = (number[:, None] >> np.arange(5 * (_DIGITS - 1), -1, -5, dtype=np.uint64)) & np.uint64(31)
    text = np.frombuffer(CROCKFORD.encode(), np.uint8)[digits]
    code = binaries(text, np.full(len(text), _DIGITS)).cast(pa.large_string()).cast(pa.string())
    division = pc.fill_null(pc.utf8_slice_codeunits(_one(division_code).cast(pa.string()), 0, DIVISION_CHARACTERS), NO_DIVISION)
    grid = pc.fill_null(pc.utf8_slice_codeunits(_one(grid_code).cast(pa.string()), 0, GRID_CHARACTERS), NO_GRID)
    return pc.binary_join_element_wise(division, grid, contract.entity.upper(), code, "-")


def stamp_ids(entity_id: Any, valid_from_at: Any, row_hash: Any) -> pa.StringArray:
    """Return the ids of versions: a digest of entity, start of validity (microseconds since 1970) and content.

    `valid_from_at` as timestamps in microseconds or as whole numbers of them.
    """
    return md5_texts(_joined(entity_id, _one(valid_from_at).cast(pa.int64()).cast(pa.string()), row_hash))


def _joined(*parts: Any) -> pa.StringArray:
    """Return the parts of each row with `|` between them; nulls are left out, as Spark's `concat_ws` does."""
    return pc.binary_join_element_wise(*(p if isinstance(p, str) else _one(p) for p in parts), "|", null_handling="skip")


def _one(column: Any) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
