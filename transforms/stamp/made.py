"""The stamp: one function that gives rows, as Arrow columns, their time, space, attribute and identity domains and their digests.

Spark's workers call it for the rows of a load (`transforms.stamp.stamp`) and for what Spark has made of an analysis, a process calls it for
the rows that it holds itself (`jobs.results`). What a row gets depends on the row and on `Stamping` alone: not on the engine, the other
rows of its batch, the order of columns or the time zone of a session.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from schemas.model import Contract
from schemas.stamp import STAMP
from transforms.conform.times import in_utc
from transforms.space import beidou, hilbert
from transforms.space.wkb import point_coordinates
from transforms.stamp.digest import row_hashes
from transforms.stamp.identity import entity_ids, stamp_ids

Array = npt.NDArray[Any]
Columns = dict[str, Any]

BEIJING: Final = "+08:00"
INSTANT: Final = pa.timestamp("us", "UTC")
TIME_CODES: Final = {"year": "%Y", "month": "%Y%m", "day": "%Y%m%d", "second": "%Y%m%d%H%M%S"}
BOX: Final = ("xmin", "ymin", "xmax", "ymax")
_SHIFT: Final = pa.scalar(8 * 3600, pa.duration("s"))
_TEXT: Final = pa.string()
# Columns of the stamp that a contract may have as its own are content; the others say where and when the lake got it.
_NOT_CONTENT: Final = {f.name for f in STAMP} - {"division_code", "class_code", "industry_code"}


@dataclass(frozen=True)
class Stamping:
    """What is said about all rows of one write.

    `schema` is the table's, without metadata. `recorded_at` is the transaction time and `since` the start of validity of rows that bring
    none, both as UTC instants in ISO text; `zone` that of dates without a time of day.
    """

    contract: Contract
    schema: pa.Schema
    batch_id: str
    recorded_at: str
    since: str
    security_label: str
    zone: str = BEIJING


@dataclass(frozen=True)
class Placed:
    """Geometries that are parsed already: shapely's, their bounds (n, 4), and the divisions that they lie in."""

    geoms: Array
    bounds: Array
    divisions: pa.Array | None = None


def stamped_columns(given: Mapping[str, pa.Array], count: int, stamping: Stamping, placed: Placed | None = None) -> list[pa.Array]:
    """Return all columns of the table for `count` rows, in its order and types.

    `given` has the contract's own columns, `source_name`, and `geom` as WKB in EPSG:4490 where the contract has one; a column that is not
    there is empty. Without `source_key` a row's key is made of the contract's key columns, else of its content. `cell` and what belongs to
    it, `valid_from_at`, `entity_id` and the like are kept where they are given.
    """
    types = {field.name: field.type for field in stamping.schema}
    columns: Columns = {name: typed(column, types[name]) for name, column in given.items() if name in types}
    for column in stamping.contract.columns:
        columns.setdefault(column.name, pa.nulls(count, types[column.name]))
    _time(columns, count, stamping)
    _space(columns, count, stamping, placed)
    _attribute(columns, count, stamping)
    _identity(columns, count, stamping, placed)
    return [columns[name] if name in columns else pa.nulls(count, types[name]) for name in stamping.schema.names]


def content(contract: Contract) -> tuple[str, ...]:
    """Return the names of the columns that a row's digest is of: the contract's own and the geometry."""
    own = tuple(c.name for c in contract.columns if c.name not in _NOT_CONTENT)
    return (*own, "geom") if contract.geometry else own


def typed(column: Any, wanted: pa.DataType) -> pa.Array:
    """Return one array in the table's type; nanoseconds are cut off, a text in place of a number is an error."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    return array if array.type == wanted else array.cast(wanted, safe=not pa.types.is_timestamp(wanted))


def key_texts(columns: Mapping[str, pa.Array], names: tuple[str, ...]) -> pa.StringArray:
    """Return the key that columns of numbers and texts make of each row: `a|2`; a part that is missing is empty."""
    parts = [columns[name].cast(_TEXT) for name in names]
    return pc.binary_join_element_wise(*parts, "|", null_handling="replace", null_replacement="")


def same(value: Any, kind: pa.DataType, count: int) -> pa.Array:
    """Return one value for all rows."""
    return pa.nulls(count, kind) if value is None else pa.repeat(pa.scalar(value, kind), count)


def _time(columns: Columns, count: int, stamping: Stamping) -> None:
    contract = stamping.contract
    recorded = same(dt.datetime.fromisoformat(stamping.recorded_at), INSTANT, count)
    since = same(dt.datetime.fromisoformat(stamping.since), INSTANT, count)
    for name, source in (
        ("valid_from_at", contract.time.valid_from),
        ("valid_to_at", contract.time.valid_to),
        ("observed_at", contract.time.observed),
    ):
        if source is not None:
            columns[name] = _instants(columns[source], stamping.zone)
        columns.setdefault(name, pa.nulls(count, INSTANT))
    columns["valid_from_at"] = pc.coalesce(columns["valid_from_at"], since)
    columns["recorded_at"] = recorded
    columns["closed_at"] = pc.if_else(columns["valid_to_at"].is_valid(), recorded, pa.scalar(None, INSTANT))
    columns["superseded_at"] = pa.nulls(count, INSTANT)
    columns["time_code"] = time_codes(columns["valid_from_at"], contract.time.code)


def _instants(column: pa.Array, zone: str) -> pa.Array:
    """Return instants: dates begin at midnight in the zone, years in Beijing."""
    if pa.types.is_date(column.type):
        return in_utc(column.cast(pa.timestamp("s")).cast(pa.timestamp("us")), zone)
    if not pa.types.is_integer(column.type):
        return column.cast(INSTANT)
    known = pc.and_(pc.greater_equal(column, 1), pc.less_equal(column, 9999))
    years = pc.fill_null(pc.if_else(known, column, pa.scalar(None, column.type)), 1970).to_numpy(zero_copy_only=False)
    first = (years.astype("int64") - 1970).astype("datetime64[Y]").astype("datetime64[us]")
    starts = pa.array(first, pa.timestamp("us"), mask=~np.asarray(pc.fill_null(known, False)))
    return in_utc(starts, BEIJING)


def time_codes(instants: pa.Array, precision: str) -> pa.StringArray:
    """Return each instant in Beijing time at a contract's precision, such as 20260204; many rows have few different ones."""
    coded = instants.dictionary_encode()
    local = pc.add(coded.dictionary.cast(pa.timestamp("us")).cast(pa.timestamp("s"), safe=False), _SHIFT)
    return pc.strftime(local, TIME_CODES[precision]).take(coded.indices)


def _space(columns: Columns, count: int, stamping: Stamping, placed: Placed | None) -> None:
    contract = stamping.contract
    if contract.geometry:
        columns.setdefault("geom", pa.nulls(count, pa.binary()))
        if "cell" not in columns:
            bounds = _bounds(columns["geom"]) if placed is None else placed.bounds
            columns |= space_columns(bounds, contract.space.max_grid_level)
    within = None if placed is None else placed.divisions
    if contract.space.division == "within" and within is not None:
        own = columns.get("division_code")
        columns["division_code"] = within if own is None else pc.coalesce(own, within)


def _bounds(geom: pa.Array) -> Array:
    points = point_coordinates(geom)
    if points is not None:
        return np.column_stack([*points, *points])
    return np.asarray(shapely.bounds(shapely.from_wkb(geom.to_numpy(zero_copy_only=False)))).reshape(-1, 4)


def space_columns(bounds: Array, max_grid_level: int) -> dict[str, pa.Array]:
    """Return `cell`, `bbox`, `grid_code` and `grid_level` of bounds (n, 4) in degrees, all null where these are NaN."""
    known = np.isfinite(bounds).all(axis=1)
    lon, lat = (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2
    level = np.ones(len(bounds), dtype=np.int32)
    width, height = (bounds[known, i + 2] - bounds[known, i] for i in (0, 1))
    level[known] = np.minimum(beidou.level_for_extent(width, height), max_grid_level)
    code = beidou.encode_arrow(np.where(known, lon, np.nan), np.where(known, lat, np.nan), level, errors="null")
    cell = hilbert.hilbert_key(np.where(known, lon, 0.0), np.where(known, lat, 0.0))
    return {
        "cell": pa.array(cell, pa.int64(), mask=~known),
        "bbox": pa.StructArray.from_arrays([pa.array(bounds[:, i]) for i in range(4)], names=list(BOX), mask=pa.array(~known)),
        "grid_code": pa.array(code, _TEXT),
        "grid_level": pa.array(level, pa.int32(), mask=~known),
    }


def _attribute(columns: Columns, count: int, stamping: Stamping) -> None:
    attribute = stamping.contract.attribute
    for name, source in (("class_code", attribute.class_code), ("industry_code", attribute.industry_code)):
        if source is not None:
            columns[name] = columns[source].cast(_TEXT)
    columns["theme_code"] = same(attribute.theme_code, _TEXT, count)
    columns["security_label"] = same(stamping.security_label, _TEXT, count)


def _identity(columns: Columns, count: int, stamping: Stamping, placed: Placed | None) -> None:
    contract = stamping.contract
    columns["batch_id"] = same(stamping.batch_id, _TEXT, count)
    hashed = {name: columns[name] for name in content(contract)}
    if stamping.security_label != contract.security_label:
        hashed["security_label"] = columns["security_label"]  # a derived row whose inputs have become more secret is another row
    columns["row_hash"] = row_hashes(hashed, None if placed is None else placed.geoms)
    if "source_key" not in columns:
        own = tuple(c for c in contract.key if c not in ("source_name", "source_key"))
        columns["source_key"] = key_texts(columns, own) if own else columns["row_hash"]
    if "entity_id" not in columns:
        division, grid = (columns.get(name, pa.nulls(count, _TEXT)) for name in ("division_code", "grid_code"))
        columns["entity_id"] = entity_ids(contract, division, grid, columns["source_name"], columns["source_key"])
    columns["stamp_id"] = stamp_ids(columns["entity_id"], columns["valid_from_at"], columns["row_hash"])
