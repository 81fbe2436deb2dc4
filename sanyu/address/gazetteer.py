"""Reads user-supplied gazetteers: a file or frame with addresses, their elements and coordinates."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import shapely

from schemas.messages import SanyuError
from transforms.address.catalog import Alias
from transforms.address.divisions import KEPT_DIGITS, DivisionTable
from transforms.address.index import standard_columns
from transforms.address.text import key_of

Division = tuple[str, int, str]
_LEVELS = (("province", 1), ("city", 2), ("district", 3), ("township", 4))


def arrow_of(table: Any) -> pa.Table:
    """Return a frame, an Arrow table or a CSV/Parquet file as an Arrow table; CSV columns of codes and numbers stay text."""
    if isinstance(table, pa.Table):
        return table
    if isinstance(table, str | Path):
        path = Path(table)
        if path.suffix.lower() == ".csv":
            with path.open("rb") as file:
                names = pa.csv.open_csv(file).schema.names
            types = {name: pa.float64() if name.casefold() in ("lon", "lat", "x", "y") else pa.string() for name in names}
            options = pa.csv.ConvertOptions(column_types=types, strings_can_be_null=True)
            return pa.csv.read_csv(path, convert_options=options)
        return pq.read_table(path)
    frame = table.copy()
    for column in frame.columns:
        if str(frame[column].dtype) == "geometry" or isinstance(next(iter(frame[column].dropna()), None), shapely.Geometry):
            frame[column] = shapely.to_wkb(np.asarray(frame[column], dtype=object))
    return pa.Table.from_pandas(frame, preserve_index=False)


def prepared(table: Any, divisions: Any, table_of: Callable[[list[Division]], DivisionTable]) -> tuple[pa.Table, list[Division]]:
    """Return the gazetteer with the index's columns, points and division codes filled in, and its own divisions. SY-A004, SY-A007.

    `table_of` builds the table from which missing codes are derived.
    """
    rows = standard_columns(arrow_of(table))
    rows = _with_points(rows)
    _check(rows)
    if rows["division_code"].null_count:
        rows = with_codes(rows, table_of(own_divisions(rows, divisions)))
    return rows, own_divisions(rows, divisions)


def with_codes(rows: pa.Table, table: DivisionTable) -> pa.Table:
    """Fill in missing division codes from the elements province to township, else from the start of the address; the rest stay null."""
    gaps = np.flatnonzero(np.asarray(pc.is_null(rows["division_code"])))
    if not len(gaps):
        return rows
    part = rows.take(pa.array(gaps))
    heads = pc.binary_join_element_wise(
        *(part[level] for level, _ in _LEVELS), pa.scalar("", pa.large_string()), null_handling="replace", null_replacement=""
    )
    texts = pc.if_else(pc.equal(heads, ""), part["standard"], heads).to_pylist()
    found: dict[str, str | None] = {}
    for text in dict.fromkeys(text for text in texts if text):
        row = table.settle(table.read(key_of(text)))
        found[text] = None if row is None or table.levels[row] < 2 else table.codes[row]
    codes = np.array(rows["division_code"].to_pylist(), dtype=object)
    codes[gaps] = [found.get(text or "") for text in texts]
    return rows.set_column(rows.column_names.index("division_code"), "division_code", pa.array(codes, pa.large_string()))


def own_divisions(rows: pa.Table | None, divisions: Any) -> list[Division]:
    """Return (code, level, name) of the divisions in the rows' elements or the given table."""
    out: dict[tuple[str, int], str] = {}
    if divisions is not None:
        table = arrow_of(divisions)
        ended = table["valid_to_on"].to_pylist() if "valid_to_on" in table.column_names else [None] * table.num_rows
        for code, level, name, end in zip(
            table["division_code"].to_pylist(), table["division_level"].to_pylist(), table["name"].to_pylist(), ended, strict=True
        ):
            if int(level) <= 4 and end is None:
                out[str(code), int(level)] = str(name)
    if rows is None:
        return [(code, level, name) for (code, level), name in out.items()]
    for name, level in _LEVELS:
        code = pc.utf8_slice_codeunits(rows["division_code"], 0, KEPT_DIGITS[level])
        pairs = pa.table({"code": code, "name": rows[name]}).drop_null().group_by(["code", "name"]).aggregate([([], "count_all")])
        for short, text, _ in sorted(zip(*(pairs[c].to_pylist() for c in ("code", "name", "count_all")), strict=True), key=lambda p: -p[2]):
            if len(short) == KEPT_DIGITS[level] and not set(short[KEPT_DIGITS[level - 1] :]) <= {"0"}:
                out.setdefault((short.ljust(12, "0"), level), text)
    return [(code, level, name) for (code, level), name in out.items()]


def alias_rows(table: Any) -> list[Alias]:
    """Return the aliases of a table with columns alias and entity_id, or element and level, and kind, valid_from_on, valid_to_on."""
    if table is None:
        return []
    rows = arrow_of(table).to_pylist()
    return [
        Alias(
            str(row["alias"]),
            row.get("entity_id"),
            row.get("element"),
            row.get("level"),
            row.get("kind"),
            _day(row.get("valid_from_on")),
            _day(row.get("valid_to_on")),
        )
        for row in rows
    ]


def _day(value: Any) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    return date.fromisoformat(value) if isinstance(value, str) and value else value or None


def _with_points(rows: pa.Table) -> pa.Table:
    """Fill in missing lon and lat from the geometry: the point itself, or a point on the line or surface."""
    missing = np.asarray(pc.and_(pc.is_null(rows["lon"]), pc.is_valid(rows["geom"])))
    if not missing.any():
        return rows
    at = np.flatnonzero(missing)
    points = shapely.point_on_surface(shapely.from_wkb(rows["geom"].take(pa.array(at)).to_pylist()))
    for name, values in (("lon", shapely.get_x(points)), ("lat", shapely.get_y(points))):
        column = rows[name].to_numpy(zero_copy_only=False).copy()
        column[at] = values
        rows = rows.set_column(rows.column_names.index(name), name, pa.array(column, from_pandas=True))
    return rows


def _check(rows: pa.Table) -> None:
    for name, most in (("lon", 180.0), ("lat", 90.0)):
        values = rows[name].to_numpy(zero_copy_only=False)
        wrong = np.flatnonzero(~(np.abs(values) <= most) & ~np.isnan(values))
        if len(wrong):
            raise SanyuError("SY-A007", row=int(wrong[0]) + 1, field=name, value=float(values[wrong[0]]))
