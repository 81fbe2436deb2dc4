"""The index of a gazetteer: one memory-mappable shard per district, and one lexicon over the names of all shards.

A shard holds its rows sorted by road, place and numbers, the names of its roads, places, communities and townships, and for each name the
rows that have it. There are few names and many numbers, so a query resolves names through the lexicon and then compares typed
numbers on the rows of the matching names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from schemas.messages import SanyuError
from transforms.address.model import LEVELS
from transforms.address.numbers import NUMBER_LEVELS, number_code, number_fields
from transforms.address.text import key_of

NAME_LEVELS = ("township", "community", "road", "place")
DIVISION_LEVELS = ("province", "city", "district")
UNPLACED = "000000"  # district of rows whose division code is unknown

_COLUMNS = {
    "standard": ("address_text", "standard", "address"),
    "entity_id": ("entity_id", "id"),
    "kind": ("kind", "class_code"),
    "province": ("province_name", "province"),
    "city": ("city_name", "city"),
    "district": ("district_name", "district"),
    "township": ("township_name", "township"),
    "community": ("community_name", "community"),
    "road": ("road_name", "road"),
    "lane": ("lane_number", "lane_name", "lane"),
    "door": ("door_number", "door"),
    "place": ("place_name", "name", "place"),
    "building": ("building_number", "building"),
    "unit": ("unit_number", "unit"),
    "floor": ("floor_number", "floor"),
    "room": ("room_number", "room"),
    "division_code": ("division_code",),
    "lon": ("lon", "longitude", "x"),
    "lat": ("lat", "latitude", "y"),
    "geom": ("geom", "geometry", "wkb"),
}
_BRACKET = re.compile(r"[（(][^（）()]*[）)]")


@dataclass(frozen=True)
class Shard:
    """The rows of one district (6-digit code).

    `rows`: Arrow table (entity_id, standard, kind, division_code, lon, lat, geom and the element texts); `ids[level]`: name number of
    each row in `names` (−1: none); `numbers[level]`: number codes (0: none); `names`: table (level, key, name, start, count) and
    `postings`: rows per name.
    """

    code: str
    rows: pa.Table
    ids: dict[str, NDArray[np.int32]]
    numbers: dict[str, NDArray[np.int64]]
    names: pa.Table
    postings: NDArray[np.int32]

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    @cached_property
    def columns(self) -> dict[str, Any]:
        """Return the rows' columns by name, each as one array: access by table and chunk costs more than the look-up itself."""
        return {name: self.rows[name].chunk(0) if len(self) else pa.array([], pa.large_string()) for name in self.rows.column_names}

    def prepare(self) -> None:
        """Build what the first query would build."""
        _ = self.columns, self._coded

    @cached_property
    def _coded(self) -> tuple[list[list[str | None]], NDArray[np.int32]]:
        """Return the distinct values of each of LEVELS and their numbers, shape (rows, columns), because queries read whole rows."""
        values: list[list[str | None]] = []
        codes = np.zeros((len(self), len(LEVELS)), dtype=np.int32)
        for i, name in enumerate(LEVELS):
            coded = self.columns[name].dictionary_encode(null_encoding="encode")
            values.append(coded.dictionary.to_pylist())
            if len(self):  # pyarrow's own conversion to numpy imports pandas, a quarter of a second at every start
                codes[:, i] = np.frombuffer(coded.indices.buffers()[1], np.int32, len(self), 4 * coded.indices.offset)
        return values, codes

    def elements(self, row: int) -> dict[str, str | None]:
        """Return the elements of a row by level, from the province down."""
        values, codes = self._coded
        return {name: known[code] for name, known, code in zip(LEVELS, values, codes[row].tolist(), strict=True)}

    def cell(self, name: str, row: int) -> Any:
        """Return one value, None if it is null or the column is missing."""
        column = self.columns.get(name)
        return None if column is None else column[row].as_py()


def standard_columns(table: pa.Table) -> pa.Table:
    """Return a gazetteer table with this module's column names; missing columns are null. SY-A004 names required ones."""
    known = {name.casefold(): name for name in table.column_names}
    found = {to: next((known[c] for c in options if c in known), None) for to, options in _COLUMNS.items()}
    if found["standard"] is None and not any(found[level] for level in ("road", "place", "community", "township", "district")):
        raise SanyuError("SY-A004", field="address_text", known=", ".join(table.column_names))
    if found["lon"] is None and found["geom"] is None:
        raise SanyuError("SY-A004", field="lon", known=", ".join(table.column_names))
    size = table.num_rows
    out: dict[str, Any] = {}
    for to, name in found.items():
        wanted = pa.float64() if to in ("lon", "lat") else pa.large_binary() if to == "geom" else pa.large_string()
        column = pa.nulls(size, wanted) if name is None else table[name].cast(wanted)
        out[to] = column
    if found["entity_id"] is None:
        out["entity_id"] = pa.array([f"row-{i}" for i in range(size)], pa.large_string())
    return pa.table(out)


def shards_of(table: pa.Table) -> Iterator[Shard]:
    """Split a table of `standard_columns` (division codes filled) into shards, by code."""
    district = pc.fill_null(pc.utf8_slice_codeunits(table["division_code"], 0, 6), UNPLACED)
    coded = pc.dictionary_encode(district).combine_chunks()
    codes = np.asarray(coded.indices)
    order = np.argsort(codes, kind="stable")
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    for part in sorted(np.split(order, cuts), key=lambda p: str(coded.dictionary[int(codes[p[0]])])) if len(order) else []:
        yield shard_of(str(coded.dictionary[int(codes[part[0]])]), table.take(pa.array(part)))


def shard_of(code: str, table: pa.Table) -> Shard:
    """Build one shard from its rows."""
    ids: dict[str, NDArray[np.int32]] = {}
    levels: list[str] = []
    keys: list[str] = []
    names: list[str] = []
    for level in NAME_LEVELS:
        ids[level], fresh = _name_ids(table[level], len(keys))
        for key, name in fresh:
            levels.append(level)
            keys.append(key)
            names.append(name)
    numbers = _numbers(table)
    order = np.lexsort(np.stack([*(numbers[level] for level in reversed(NUMBER_LEVELS)), ids["place"], ids["road"]]))
    ids = {level: column[order] for level, column in ids.items()}
    numbers = {level: column[order] for level, column in numbers.items()}
    counts = np.zeros(len(keys), dtype=np.int32)
    parts = []
    for level in NAME_LEVELS:
        rows = np.flatnonzero(ids[level] >= 0).astype(np.int32)
        mine = ids[level][rows]
        parts.append(rows[np.argsort(mine, kind="stable")])
        counts += np.bincount(mine, minlength=len(keys)).astype(np.int32)
    starts = np.concatenate(([0], np.cumsum(counts)[:-1])).astype(np.int32) if keys else counts
    listed = pa.table({"level": levels, "key": keys, "name": names, "start": starts, "count": counts})
    return Shard(code, table.take(pa.array(order)).combine_chunks(), ids, numbers, listed, np.concatenate(parts))


def _name_ids(column: pa.ChunkedArray, base: int) -> tuple[NDArray[np.int32], list[tuple[str, str]]]:
    """Return the number of each row's name from `base` on, and (key, name) of the numbers; spellings with the same key are one name."""
    coded = pc.dictionary_encode(column).combine_chunks()
    numbers: dict[str, int] = {}
    names: list[tuple[str, str]] = []
    to = np.full(len(coded.dictionary) + 1, -1, dtype=np.int32)
    for i, name in enumerate(coded.dictionary.to_pylist()):
        key = key_of(name)
        if key:
            if key not in numbers:
                numbers[key] = base + len(numbers)
                names.append((key, name))
            to[i] = numbers[key]
    indices = np.asarray(coded.indices.fill_null(len(coded.dictionary)))
    return to[indices], names


def _numbers(table: pa.Table) -> dict[str, NDArray[np.int64]]:
    out = {level: np.zeros(table.num_rows, dtype=np.int64) for level in NUMBER_LEVELS}
    for level in NUMBER_LEVELS:
        coded = pc.dictionary_encode(table[level]).combine_chunks()
        values = [number_fields(level, key_of(text)) for text in coded.dictionary.to_pylist()]
        indices = np.asarray(coded.indices.fill_null(len(values)))
        for to in {to for fields in values for to in fields}:
            codes = np.array([number_code(fields.get(to, "")) for fields in values] + [0], dtype=np.int64)[indices]
            out[to] = np.where(codes != 0, codes, out[to])
    return out


def spellings(level: str, name: str, key: str) -> list[tuple[str, float]]:
    """Return the possible spellings of a name (as keys) with their costs: itself, its synonyms, without its type or its branch."""
    out: dict[str, float] = {key: 0.0}
    for pattern, others in _SYNONYMS:
        if pattern.search(key):
            for other in others:
                out.setdefault(pattern.sub(other, key), 0.1)
    if level == "community":
        stem = re.sub("(社区|村)?(居委会|居民委员会|村委会|村民委员会|社区|村)$", "", key)
        for tail in ("社区", "村", "社区居委会", "社区居民委员会", "村委会", "村民委员会", "居委会"):
            if len(stem) >= 2 and (tail.startswith("社区") or tail == "居委会") == ("社区" in key or "居" in key):
                out.setdefault(stem + tail, 0.1)
    elif level == "township":
        stem = re.sub("(地区)?(街道办事处|街道办|街道|镇|乡|办事处)$", "", key)
        if "街道" in key and len(stem) >= 2:
            out.setdefault(stem + "街道办事处", 0.05)
            out.setdefault(stem + "街道办", 0.05)
            out.setdefault(stem + "街", 0.3)
    elif level == "place":
        stem = key_of(_BRACKET.sub("", name))
        if len(stem) >= 2:
            out.setdefault(stem, 0.3)
        if key.endswith("小区") and len(key) > 4:
            out.setdefault(key[:-2], 0.15)
    return list(out.items())


_SYNONYMS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern), others)
    for pattern, others in (
        ("大道$", ("大街",)),
        ("大街$", ("大道",)),
        ("巷$", ("弄", "里", "胡同")),
        ("弄$", ("巷", "里")),
        ("(?<=..)里$", ("弄", "巷")),
        ("胡同$", ("巷",)),
        ("大厦$", ("大楼",)),
        ("大楼$", ("大厦",)),
        ("(?<!大)(?:酒店|宾馆|饭店)$", ("酒店", "宾馆", "饭店")),
        ("大(?:酒店|饭店)$", ("大酒店", "大饭店", "酒店")),
        ("幼儿园$", ("幼稚园",)),
        ("小学$", ("小",)),
        ("(?:股份|责任)?有限(?:责任)?公司$", ("", "有限公司", "公司")),
        ("超级市场$", ("超市",)),
        ("超市$", ("超级市场",)),
        ("(?<=.)卫生院$", ("医院",)),
        ("新村$", ("新邨",)),
        ("^第(?=[0-9])", ("",)),
    )
)
