"""Identifiers of entities and of their versions, as Spark SQL.

An entity id is made once, when a thing first appears, and then kept (`transforms.stamp.identify`), so it may speak of where the thing was
seen first: division, grid cell, theme, and a digest of contract, source and key. The same input gives the same id on any machine.
"""

from __future__ import annotations

from schemas.model import Contract

BASE32 = "0123456789ABCDEFGHIJKLMNOPQRSTUV"
CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # without I, L, O, U: read out and typed in without mistakes
GRID_CHARACTERS = 11  # BeiDou level 5, 4″: about 120 m
NO_DIVISION = "000000"


def entity_id_sql(contract: Contract) -> str:
    """Return the SQL of the id that a row gets when it is new: `330102-N51H0051234-TRANSPORT-0A1B2C3D4E`.

    Reads `division_code, grid_code, source_name, source_key`. Two keys share an id with a chance of 2⁻⁵⁰ for a pair in one cell and theme;
    the merge would then see one key twice and reject the second with SY-Q006, not mix them.
    """
    digest = f"substring(md5(concat_ws('|', '{contract.name}', source_name, source_key)), 1, 12)"
    text = f"lpad(translate(conv({digest}, 16, 32), '{BASE32}', '{CROCKFORD}'), 10, '0')"
    division = f"coalesce(substring(division_code, 1, 6), '{NO_DIVISION}')"
    grid = f"coalesce(substring(grid_code, 1, {GRID_CHARACTERS}), '-')"
    return f"concat_ws('-', {division}, {grid}, upper('{contract.entity}'), {text})"


def stamp_id_sql() -> str:
    """Return the SQL of a version's id: a digest of `entity_id`, `valid_from_at` (microseconds since 1970) and `row_hash`."""
    return "md5(concat_ws('|', entity_id, cast(unix_micros(valid_from_at) as string), row_hash))"
