"""Shapefiles (ESRI white paper, 1998): geometries are read with GDAL, the attribute table with our own reader.

The two halves are joined here by record index, so that a truncated or mismatched file yields every remaining row, and a reason for the
others.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyogrio

from sanyu.readers import gdal, textencoding
from sanyu.readers.archive import Staged
from sanyu.readers.dbf import Dbf, Field
from sanyu.readers.model import ReadOptions, RowError
from sanyu.readers.sink import RawSink, text_map
from schemas.messages import SanyuError

_HEADER = 100
_BATCH_ROWS = 20_000
_TYPES = {"C": "text", "N": "number", "F": "number", "D": "date", "L": "boolean", "M": "memo"}
# the byte "language driver ID" of the .dbf header
_LANGUAGE_DRIVERS = {
    0x4D: "gb18030",
    0x7A: "gb18030",
    0x4F: "big5",
    0x78: "big5",
    0x03: "cp1252",
    0x57: "cp1252",
    0x01: "cp437",
    0x02: "cp850",
}
_CODE_PAGES = {
    "936": "gb18030",
    "54936": "gb18030",
    "gbk": "gb18030",
    "gb2312": "gb18030",
    "950": "big5",
    "65001": "utf-8",
    "1252": "cp1252",
}


@dataclass(frozen=True)
class Index:
    """The records of a .shp: how many there should be, and which of them can be read."""

    count: int
    good: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Table:
    dbf: Dbf
    fields: list[Field]
    encoding: str


def read_shapefile(staged: Staged, options: ReadOptions, sink: RawSink) -> str:
    """Read a shapefile; `feature_id` is the record's index from 0, `row_number` from 1. A record with a missing half is a rejected row."""
    path = staged.path
    gdal.check_driver(staged.file)
    if not path.with_suffix(".dbf").exists():
        raise SanyuError("SY-R029", file=staged.file, missing=".dbf")
    dbf = Dbf(path.with_suffix(".dbf"), staged.file)
    encoding = _encoding(dbf, path, options, sink)
    table = _Table(dbf, dbf.fields(encoding), encoding)
    for field in table.fields:
        sink.columns[field.name] = _TYPES.get(field.kind, field.kind)
    index = _sound_index(path, sink)
    if index.count != dbf.claimed or dbf.present < dbf.claimed:
        sink.note("SY-R085", shapes=index.count, records=dbf.present)
    # GDAL opens only the geometries: it must neither decode the table nor stop where the table is short
    path.with_suffix(".dbf").rename(path.with_name("table"))
    sink.declared_crs = gdal.crs_name(gdal.guarded(staged, options, lambda: pyogrio.read_info(path))["crs"])
    shapes = zip(index.good.tolist(), _shapes(staged, options), strict=False)
    following = next(shapes, None)
    total, deleted = max(index.count, dbf.present), 0
    for begin in range(0, total, _BATCH_ROWS):
        rows = np.arange(begin, min(begin + _BATCH_ROWS, total))
        wkbs = np.full(len(rows), None, dtype=object)
        errors = {i: RowError("SY-R061") for i in range(len(rows))}
        while following is not None and following[0] < begin + len(rows):
            wkbs[following[0] - begin] = following[1]
            del errors[following[0] - begin]
            following = next(shapes, None)
        deleted += _add(rows, wkbs, errors, table, sink)
    if deleted:
        sink.note("SY-R087", found=deleted)
    return gdal.parser_name()


def _add(rows: npt.NDArray[np.int64], wkbs: npt.NDArray[np.object_], errors: dict[int, RowError], table: _Table, sink: RawSink) -> int:
    """Pass a run of records to the sink; return how many were skipped as deleted."""
    kept = np.flatnonzero(~table.dbf.is_deleted(rows))
    numbers, kept_wkbs = rows[kept], wkbs[kept]
    kept_errors = {position: errors[at] for position, at in enumerate(kept.tolist()) if at in errors}
    described = numbers[numbers < table.dbf.present]
    columns = []
    for field in table.fields:
        column, damaged = table.dbf.column(field, described, table.encoding)
        columns.append(pa.concat_arrays([column, pa.nulls(len(numbers) - len(described), pa.string())]))
        kept_errors |= {at: RowError("SY-R051", field=field.name, encoding=table.encoding) for at in damaged}
    kept_errors |= {at: RowError("SY-R062") for at in range(len(described), len(numbers))}
    attributes = text_map([field.name for field in table.fields], columns, len(numbers))
    sink.add_arrays(numbers + 1, pa.array(numbers.astype(str).tolist(), pa.string()), attributes, kept_wkbs, kept_errors)
    return len(rows) - len(kept)


def _shapes(staged: Staged, options: ReadOptions) -> Iterator[bytes | None]:
    batches = gdal.batches(staged, options, layer=None, columns=[])
    return itertools.chain.from_iterable(gdal.shapes(batch).tolist() for batch in batches)


def _encoding(dbf: Dbf, path: Path, options: ReadOptions, sink: RawSink) -> str:
    """Return the encoding from the override, the .cpg or the values.

    If the values are not plainly UTF-8, the header's language driver or else statistics decide, with a warning.
    """
    if options.encoding:
        sink.encoding = textencoding.known_encoding(options.encoding, sink.file)
        return sink.encoding
    for suffix in (".cpg", ".cst"):
        if path.with_suffix(suffix).exists():
            text = path.with_suffix(suffix).read_bytes()[:40].decode("ascii", "ignore").strip().lower()
            page = text.removeprefix("ansi").removeprefix("oem").removeprefix("cp").strip()
            sink.encoding = textencoding.known_encoding(_CODE_PAGES.get(page, text), sink.file)
            return sink.encoding
    encoding, certain = textencoding.detect(dbf.text_values())
    if not certain:
        encoding = _LANGUAGE_DRIVERS.get(dbf.language, encoding)
        sink.note("SY-R080", encoding=encoding)
    sink.encoding = encoding
    return encoding


def _sound_index(path: Path, sink: RawSink) -> Index:
    """Check the .shx against the .shp; if they disagree, write one that lists only the readable records."""
    size = path.stat().st_size
    if size < _HEADER:
        raise SanyuError("SY-R020", file=sink.file, format="shapefile", detail=".shp header is cut off")
    shp = np.memmap(path, np.uint8, "r")
    place = path.with_suffix(".shx")
    entries = _entries(place)
    if entries is None:
        entries = _walk(shp)
        sink.note("SY-R084")
        rebuilt = True
    else:
        rebuilt = False
    begins, ends = entries[:, 0] * 2, entries[:, 0] * 2 + 8 + entries[:, 1] * 2
    inside = (begins >= _HEADER) & (entries[:, 1] >= 2) & (ends <= size)
    good = np.flatnonzero(inside)
    lengths = shp[begins[good][:, None] + np.arange(4, 8)].copy().view(">i4").ravel()
    good = good[lengths == entries[good, 1]]
    if rebuilt or len(good) < len(entries):
        place.unlink(missing_ok=True)
        length = struct.pack(">i", (_HEADER + 8 * len(good)) // 2)
        place.write_bytes(shp[:24].tobytes() + length + shp[28:_HEADER].tobytes() + entries[good].astype(">i4").tobytes())
    return Index(len(entries), good)


def _entries(place: Path) -> npt.NDArray[np.int64] | None:
    """Return (offset, length) of each record in 16-bit words, None if the .shx is missing or shorter than it claims."""
    if not place.exists():
        return None
    data = place.read_bytes()
    if len(data) < _HEADER or data[:4] != b"\0\0\x27\x0a" or struct.unpack(">i", data[24:28])[0] * 2 > len(data):
        return None
    count = (struct.unpack(">i", data[24:28])[0] * 2 - _HEADER) // 8
    return np.frombuffer(data, ">i4", max(0, count) * 2, _HEADER).reshape(-1, 2).astype(np.int64)


def _walk(shp: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Return (offset, length) of the records found by walking the file; the last may extend beyond the end."""
    found = []
    at = _HEADER
    while at + 8 <= len(shp):
        length = int.from_bytes(shp[at + 4 : at + 8].tobytes(), "big", signed=True)
        if length < 0:
            break
        found.append((at // 2, length))
        at += 8 + length * 2
    return np.array(found, np.int64).reshape(-1, 2)
