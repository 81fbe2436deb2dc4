"""Keys of partitions as used in a scheduler's assets: `330106|2026-01-05` is one district on one day.

A contract's `partition_by` names the columns, in order. `division_code` is represented by its district (the first six digits), an instant
by its day in Beijing time, anything else by its value, and a missing value by `-`. A key may name a month or a year instead of a day, for
consumers that work in larger pieces. The keys say nothing about how a table is stored.
"""

from __future__ import annotations

import datetime as dt
import re

from schemas.messages import SanyuError
from schemas.model import Contract, DType, FieldDef
from schemas.stamp import table_fields

SEPARATOR = "|"
NOTHING = "-"
DISTRICT_DIGITS = 6
BEIJING = dt.timezone(dt.timedelta(hours=8))
_PERIOD = re.compile(r"^(\d{4})(?:-(\d{2})(?:-(\d{2}))?)?$")


def partition_fields(contract: Contract) -> tuple[FieldDef, ...]:
    """Return the fields that form a key of the table, empty if it has no partitions."""
    fields = {field.name: field for field in table_fields(contract)} if contract.partition_by else {}
    return tuple(fields[name] for name in contract.partition_by)


def is_period(field: FieldDef) -> bool:
    """Return whether a field's part of the key is a day."""
    return field.dtype in (DType.TIMESTAMP, DType.DATE)


def key_sql(contract: Contract) -> str:
    """Return the key of a row as an expression in DuckDB's SQL, for a session in UTC."""
    parts = ", ".join(f"coalesce({_part_sql(field)}, '{NOTHING}')" for field in partition_fields(contract))
    return f"concat_ws('{SEPARATOR}', {parts})"


def _part_sql(field: FieldDef) -> str:
    if field.dtype is DType.TIMESTAMP:
        return f"strftime({field.name} + INTERVAL 8 HOUR, '%Y-%m-%d')"
    return f"left({field.name}, {DISTRICT_DIGITS})" if field.name == "division_code" else f"{field.name}::varchar"


def condition_sql(contract: Contract, key: str) -> str:
    """Return a DuckDB SQL condition for the rows of a key; SY-K007 if it is not a key of the table."""
    fields, parts = partition_fields(contract), key.split(SEPARATOR)
    wrong = SanyuError("SY-K007", key=key, table=contract.name, form=key_form(contract))
    if not fields or len(parts) != len(fields):
        raise wrong
    found = []
    for field, part in zip(fields, parts, strict=True):
        if part == NOTHING:
            found.append(f"{field.name} IS NULL")
        elif is_period(field):
            found.append(_within(field, part, wrong))
        else:
            text = part.replace("'", "''")
            is_district = field.name == "division_code"
            if is_district and not (part.isascii() and part.isdigit() and len(part) == DISTRICT_DIGITS):
                raise wrong
            found.append(f"starts_with({field.name}, '{text}')" if is_district else f"{field.name}::varchar = '{text}'")
    return " AND ".join(found)


def key_form(contract: Contract) -> str:
    """Return the form of a table's keys for a message: `district|YYYY-MM-DD`."""
    shown = {"division_code": "district of six digits"}
    return SEPARATOR.join("YYYY-MM-DD" if is_period(f) else shown.get(f.name, f.name) for f in partition_fields(contract)) or NOTHING


def _within(field: FieldDef, part: str, wrong: SanyuError) -> str:
    """Return the condition that a time lies in a day, month or year of Beijing time."""
    match = _PERIOD.match(part)
    if match is None:
        raise wrong
    year, month, day = (int(text) if text else None for text in match.groups())
    try:
        begin = dt.datetime(year or 0, month or 1, day or 1, tzinfo=BEIJING)
        if day:
            end = begin + dt.timedelta(days=1)
        else:
            end = begin.replace(month=month + 1) if month and month < 12 else begin.replace(year=begin.year + 1, month=1)
    except (ValueError, OverflowError):
        raise wrong from None
    if field.dtype is DType.DATE:
        return f"{field.name} >= DATE '{begin:%Y-%m-%d}' AND {field.name} < DATE '{end:%Y-%m-%d}'"
    low, high = (f"TIMESTAMPTZ '{at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S}+00:00'" for at in (begin, end))
    return f"{field.name} >= {low} AND {field.name} < {high}"
