"""Identifiers of entities and of their versions, as Spark SQL and on Arrow columns; both give the same.

An entity id is made once, when a thing first appears, and then kept (`transforms.stamp.identify`), so it may speak of where the thing was
seen first: division, grid cell, theme, and a digest of contract, source and key. The same input gives the same id on any machine. Why it is
made so, and what happens when two things would get one id: `docs/decisions/0005-identity.md`.
"""

from __future__ import annotations

from hashlib import md5

import pyarrow as pa

from schemas.model import Contract

BASE32 = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # without I, L, O, U: read out and typed in without mistakes
GRID_CHARACTERS = 11  # BeiDou level 5, 4″: about 120 m
DIVISION_CHARACTERS = 6
NO_DIVISION = "000000"
NO_GRID = "-"
_DIGEST_HEX = 12
_DIGITS = 10


def entity_id_sql(contract: Contract) -> str:
    """Return the SQL of the id that a row gets when it is new: `330102-N51H0051234-BUILDING-0A1B2C3D4E`.

    Reads `division_code, grid_code, source_name, source_key`. Two keys in one cell and theme share an id with a chance of 2⁻⁴⁸; the merge
    would then see one entity twice and reject the second with SY-Q006, not mix them.
    """
    digest = f"substring(md5(concat_ws('|', '{contract.name}', source_name, source_key)), 1, {_DIGEST_HEX})"
    text = f"lpad(translate(conv({digest}, 16, 32), '{BASE32}', '{CROCKFORD}'), {_DIGITS}, '0')"
    division = f"coalesce(substring(division_code, 1, {DIVISION_CHARACTERS}), '{NO_DIVISION}')"
    grid = f"coalesce(substring(grid_code, 1, {GRID_CHARACTERS}), '{NO_GRID}')"
    return f"concat_ws('-', {division}, {grid}, upper('{contract.entity}'), {text})"


def stamp_id_sql() -> str:
    """Return the SQL of a version's id: a digest of `entity_id`, `valid_from_at` (microseconds since 1970) and `row_hash`."""
    return "md5(concat_ws('|', entity_id, cast(unix_micros(valid_from_at) as string), row_hash))"


def entity_ids(
    contract: Contract, division_code: pa.Array, grid_code: pa.Array, source_name: pa.Array, source_key: pa.Array
) -> pa.StringArray:
    """Return what `entity_id_sql` gives, for string columns of one length; nulls as there."""
    middle = contract.entity.upper()
    columns = (column.to_pylist() for column in (division_code, grid_code, source_name, source_key))
    return pa.array(
        [
            "-".join(
                (
                    NO_DIVISION if division is None else division[:DIVISION_CHARACTERS],
                    NO_GRID if grid is None else grid[:GRID_CHARACTERS],
                    middle,
                    _crockford(_digest(contract.name, name, key)[:_DIGEST_HEX]),
                )
            )
            for division, grid, name, key in zip(*columns, strict=True)
        ],
        pa.string(),
    )


def stamp_ids(entity_id: pa.Array, valid_from_at: pa.Array, row_hash: pa.Array) -> pa.StringArray:
    """Return what `stamp_id_sql` gives; `valid_from_at` as timestamps in microseconds or as whole numbers of them."""
    instants = valid_from_at.cast(pa.int64()).cast(pa.string())
    return pa.array(
        [_digest(*row) for row in zip(entity_id.to_pylist(), instants.to_pylist(), row_hash.to_pylist(), strict=True)], pa.string()
    )


def _digest(*parts: str | None) -> str:
    """Return the MD5 as `md5(concat_ws('|', …))` of Spark, which leaves nulls out."""
    return md5("|".join(part for part in parts if part is not None).encode(), usedforsecurity=False).hexdigest()


def _crockford(digits: str) -> str:
    """Return a hexadecimal number of 12 digits in 10 digits of Crockford's base 32."""
    number = int(digits, 16)
    return "".join(CROCKFORD[number >> shift & 31] for shift in range(5 * (_DIGITS - 1), -1, -5))
