"""The attribute table of a shapefile (dBase III and its dialects), read as fixed-width text.

Reading it here instead of with GDAL keeps the original text of every value and allows detecting the encoding from the values.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from sanyu.readers.geojson import escaped
from schemas.messages import SanyuError

_SAMPLE_RECORDS = 20_000


@dataclass(frozen=True)
class Field:
    """One column of a .dbf: its name, type letter, and place in the record."""

    name: str
    kind: str
    start: int
    width: int


class Dbf:
    """The table of a .dbf, memory-mapped; `claimed` is the number of records by its header, `present` by its size."""

    def __init__(self, path: Path, file: str) -> None:
        size = path.stat().st_size
        with path.open("rb") as stream:
            head = stream.read(32)
            if len(head) < 32:
                raise SanyuError("SY-R020", file=file, format="shapefile", detail=".dbf header is cut off")
            self.claimed, header, self._width = struct.unpack("<IHH", head[4:12])
            self.language = head[29]
            described = stream.read(max(0, header - 32))
        if self._width < 1 or header < 33 or size < header:
            raise SanyuError("SY-R020", file=file, format="shapefile", detail=".dbf header is damaged")
        self.raw_fields = list(self._described(described))
        self.present = min(self.claimed, (size - header) // self._width)
        shape = (self.present, self._width)
        self.records: npt.NDArray[np.uint8] = np.zeros(shape, np.uint8)
        if self.present:
            self.records = np.memmap(path, np.uint8, "r", header, shape)

    def _described(self, described: bytes) -> Iterator[tuple[bytes, Field]]:
        start = 1
        for at in range(0, len(described) - 31, 32):
            entry = described[at : at + 32]
            if entry[0] == 0x0D:
                return
            # a text field wider than 255 stores the high byte of its width where others store the number of decimals
            width = entry[16] + (entry[17] << 8 if entry[11:12] == b"C" else 0)
            if start + width > self._width:
                return
            yield entry[:11].split(b"\0")[0], Field("", entry[11:12].decode("latin-1"), start, width)
            start += width

    def fields(self, encoding: str) -> list[Field]:
        """Return the columns with their names decoded; repeated names get a number."""
        named: list[Field] = []
        for raw, field in self.raw_fields:
            name = raw.decode(encoding, "replace").strip() or "field"
            taken = {other.name for other in named}
            unique = next(n for n in [name, *(f"{name}_{i}" for i in range(2, 10_000))] if n not in taken)
            named.append(Field(unique, field.kind, field.start, field.width))
        return named

    def is_deleted(self, rows: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        """Return which records are marked as deleted; records beyond the end of the file are not."""
        marked = np.zeros(len(rows), bool)
        inside = rows < self.present
        marked[inside] = self.records[rows[inside], 0] == ord("*")
        return marked

    def text_values(self) -> Iterator[bytes]:
        """Yield names and values of text fields that are not plain ASCII, for detecting the encoding."""
        yield from (raw for raw, _ in self.raw_fields)
        for begin in range(0, self.present, _SAMPLE_RECORDS):
            chunk = self.records[begin : begin + _SAMPLE_RECORDS]
            for _, field in self.raw_fields:
                if field.kind == "C":
                    part = np.ascontiguousarray(chunk[:, field.start : field.start + field.width])
                    for index in np.flatnonzero((part >= 0x80).any(axis=1)):
                        yield _uncut(part[index].tobytes().rstrip(b"\0"), field.width, "utf-8")

    def column(self, field: Field, rows: npt.NDArray[np.int64], encoding: str) -> tuple[pa.Array, list[int]]:
        """Return the trimmed text of a field for some records, with blanks as null, and the positions that could not be decoded."""
        part = np.ascontiguousarray(self.records[rows, field.start : field.start + field.width])
        fixed = part.view(f"S{field.width}").ravel() if field.width else np.full(len(rows), b"", "S1")
        damaged: list[int] = []
        if (part < 0x80).all():
            array = pc.cast(pa.array(fixed, pa.binary()), pa.string())
        else:
            texts = [_uncut(value, field.width, encoding).decode(encoding, "surrogateescape") for value in fixed.tolist()]
            damaged = [index for index, text in enumerate(texts) if escaped(text) is not text]
            array = pa.array([escaped(text) for text in texts], pa.string())
        array = pc.utf8_trim(array, " \t\0\r\n")
        if field.kind == "D":
            array = pc.replace_substring_regex(array, r"^(\d{4})(\d\d)(\d\d)$", r"\1-\2-\3")
        if field.kind in "NF":
            array = pc.if_else(pc.starts_with(array, "*"), pa.scalar(None, pa.string()), array)
        return pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array), damaged


def _uncut(value: bytes, width: int, encoding: str) -> bytes:
    """Return the value without a half character at its end if it fills its field, because the field width may have cut the character."""
    if len(value) < width or value.isascii() or value[-1] < 0x80:
        return value
    if encoding == "utf-8":
        tail = next((i for i in range(1, 4) if len(value) >= i and value[-i] >= 0xC0), 0)
        wanted = 2 + (value[-tail] >= 0xE0) + (value[-tail] >= 0xF0) if tail else 0
        return value[:-tail] if tail and wanted > tail else value
    try:
        value.decode(encoding)
    except UnicodeDecodeError as error:
        if error.end == len(value) and error.start >= len(value) - 3:
            return value[: error.start]
    return value
