"""Common table files, read in chunks and written atomically: CSV, XLSX, Parquet; results also as GeoJSON and GeoPackage.

No input row is ever dropped: a CSV row with too few cells is padded, surplus cells stay in the last one. A target is written under
a temporary name and renamed at the end, so that it is always either the old or the complete new file.
"""

from __future__ import annotations

import csv
import itertools
import json
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TextIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from sanyu.address.cells import csv_cell, xlsx_cell
from sanyu.readers.textencoding import detect
from schemas.messages import SanyuError

XLSX_ROWS = 1_048_575
CRS = "EPSG:4490"
_DELIMITERS = ",\t;|"


@dataclass(frozen=True)
class Rows:
    """Rows that can be read repeatedly: `chunks(n)` gives tables of at most n rows in order."""

    title: str
    names: tuple[str, ...]
    chunks: Callable[[int], Iterator[pa.Table]]


def rows_of(path: Path) -> Rows:
    """Return the rows of a .csv (.txt, .tsv), .xlsx or .parquet file; SY-A071 for other suffixes, SY-A082 if it cannot be read."""
    readers = {".csv": _csv_rows, ".txt": _csv_rows, ".tsv": _csv_rows, ".xlsx": _xlsx_rows, ".parquet": _parquet_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise SanyuError("SY-A071", path=path.name, known=", ".join(OUTPUTS))
    try:
        return reader(path)
    except SanyuError:
        raise
    except Exception as error:  # any exception raised by a broken file is reported with its name
        raise SanyuError("SY-A082", path=str(path), detail=f"{type(error).__name__}: {error}") from error


def table_rows(title: str, table: pa.Table) -> Rows:
    """Return the rows of an Arrow table."""
    return Rows(title, tuple(table.column_names), lambda size: _slices(table, size))


def _slices(table: pa.Table, size: int) -> Iterator[pa.Table]:
    for start in range(0, table.num_rows, size):
        yield table.slice(start, size)


def _csv_rows(path: Path) -> Rows:
    with path.open("rb") as file:
        head = file.readlines(1 << 20)
    encoding = "utf-8-sig" if head and head[0].startswith(b"\xef\xbb\xbf") else detect(head)[0]
    first = head[0].decode(encoding, "replace") if head else ""
    delimiter = max(_DELIMITERS, key=first.count)
    csv.field_size_limit(1 << 27)

    def rows() -> Iterator[list[str]]:
        with path.open(encoding=encoding, errors="replace", newline="") as file:
            yield from csv.reader(file, delimiter=delimiter)

    names = _names(next(rows(), []))

    def chunks(size: int) -> Iterator[pa.Table]:
        # csv returns no cells for an empty line: it is skipped, except in a table with one column, where it is an empty cell.
        filled = (row for row in itertools.islice(rows(), 1, None) if row or len(names) == 1)
        return _text_chunks(filled, names, size, delimiter)

    return Rows(path.name, names, chunks)


def _xlsx_rows(path: Path) -> Rows:
    def rows() -> Iterator[list[str]]:
        import openpyxl

        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        try:
            for row in book.worksheets[0].iter_rows(values_only=True):
                yield ["" if value is None else str(value) for value in row]
        finally:
            book.close()

    names = _names(next(rows(), []))
    return Rows(path.name, names, lambda size: _text_chunks(itertools.islice(rows(), 1, None), names, size, " "))


def _parquet_rows(path: Path) -> Rows:
    names = tuple(pq.read_schema(path).names)

    def chunks(size: int) -> Iterator[pa.Table]:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(size):
                yield pa.Table.from_batches([batch])

    return Rows(path.name, names, chunks)


def _names(header: Sequence[str]) -> tuple[str, ...]:
    """Return the headings; empty or repeated ones get a number."""
    found: list[str] = []
    for number, name in enumerate(header, start=1):
        wanted = name.strip() or f"column_{number}"
        found.append(wanted if wanted not in found else f"{wanted}_{number}")
    return tuple(found)


def _text_chunks(rows: Iterator[list[str]], names: tuple[str, ...], size: int, delimiter: str) -> Iterator[pa.Table]:
    width = len(names)
    while listed := list(itertools.islice(rows, size)):
        fitted = [
            row if len(row) == width else [*row[: width - 1], delimiter.join(row[width - 1 :])] if len(row) > width else row
            for row in listed
        ]
        columns = [pa.array([row[i] if i < len(row) else None for row in fitted], pa.string()) for i in range(width)]
        yield pa.table(columns, names=list(names))


class Writer(ABC):
    """Writes chunks to a file next to the target; `finish` moves it into place, leaving the context without it removes it."""

    def __init__(self, path: Path, prefix: str) -> None:
        self.path = path
        self.prefix = prefix
        self.rows = 0
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=path.suffix, dir=path.parent)
        os.close(handle)
        self.part = Path(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self.part.exists():
            self.close()
            self.part.unlink(missing_ok=True)

    def finish(self) -> None:
        """Close the file and move it into place."""
        self.close()
        self.part.chmod(0o644)
        self.part.replace(self.path)

    @abstractmethod
    def write(self, table: pa.Table) -> None:
        """Add rows."""

    @abstractmethod
    def close(self) -> None:
        """Close everything that is open; a second call does nothing."""

    def plain(self, table: pa.Table) -> pa.Table:
        """Return the table without geometry, which text tables can't hold; lon and lat are separate columns."""
        binary = [field.name for field in table.schema if pa.types.is_binary(field.type) or pa.types.is_large_binary(field.type)]
        return table.drop_columns(binary)


class _Text(Writer):
    def __init__(self, path: Path, prefix: str) -> None:
        super().__init__(path, prefix)
        self.file: TextIO = self.part.open("w", encoding=self.encoding, newline="")

    encoding = "utf-8"

    def close(self) -> None:
        self.file.close()


class CsvWriter(_Text):
    """CSV in UTF-8 with a byte order mark, which spreadsheets need to distinguish it from GBK; possible formulas are guarded."""

    encoding = "utf-8-sig"

    def write(self, table: pa.Table) -> None:
        plain = self.plain(table)
        out = csv.writer(self.file)
        if not self.rows:
            out.writerow(map(csv_cell, plain.column_names))
        columns = (map(csv_cell, plain[name].to_pylist()) for name in plain.column_names)
        out.writerows(zip(*columns, strict=True))
        self.rows += table.num_rows


class GeoJsonWriter(_Text):
    """One feature per row; a row without a location has the geometry null (RFC 7946). Coordinates are CGCS2000 degrees."""

    def __init__(self, path: Path, prefix: str) -> None:
        super().__init__(path, prefix)
        self.file.write('{"type":"FeatureCollection","features":[')

    def write(self, table: pa.Table) -> None:
        shapes = shapely.to_geojson(shapes_of(table, self.prefix))
        for shape, record in zip(shapes, self.plain(table).to_pylist(), strict=True):
            told = json.dumps(record, ensure_ascii=False, default=str)
            comma = "," if self.rows else ""
            self.file.write(f'{comma}\n{{"type":"Feature","geometry":{shape or "null"},"properties":{told}}}')
            self.rows += 1

    def close(self) -> None:
        if not self.file.closed:
            self.file.write("\n]}\n")
        super().close()


class ParquetWriter(Writer):
    """GeoParquet-compatible Parquet: geometry as WKB."""

    def __init__(self, path: Path, prefix: str) -> None:
        super().__init__(path, prefix)
        self.writer: pq.ParquetWriter | None = None

    def write(self, table: pa.Table) -> None:
        if self.writer is None:
            self.writer = pq.ParquetWriter(self.part, table.schema, compression="zstd")
        self.writer.write_table(table.cast(self.writer.schema))
        self.rows += table.num_rows

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()


class XlsxWriter(Writer):
    """One sheet; SY-A072 if there are too many rows."""

    def __init__(self, path: Path, prefix: str) -> None:
        import openpyxl

        super().__init__(path, prefix)
        self.book = openpyxl.Workbook(write_only=True)
        self.sheet = self.book.create_sheet("addresses")
        self.is_open = True

    def write(self, table: pa.Table) -> None:
        plain = self.plain(table)
        if not self.rows:
            self.sheet.append([xlsx_cell(self.sheet, name) for name in plain.column_names])
        self.rows += plain.num_rows
        if self.rows > XLSX_ROWS:
            raise SanyuError("SY-A072", path=self.path.name, limit=XLSX_ROWS)
        for row in zip(*(plain[name].to_pylist() for name in plain.column_names), strict=True):
            self.sheet.append([xlsx_cell(self.sheet, value) for value in row])

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self.book.save(self.part)


class GpkgWriter(Writer):
    """A GeoPackage with one layer in EPSG:4490."""

    def write(self, table: pa.Table) -> None:
        import geopandas as gpd
        import pyogrio

        frame = gpd.GeoDataFrame(self.plain(table).to_pandas(), geometry=shapes_of(table, self.prefix), crs=CRS)
        if not self.rows:
            self.part.unlink(missing_ok=True)
        pyogrio.write_dataframe(frame, self.part, layer="addresses", driver="GPKG", append=self.rows > 0, geometry_type="Unknown")
        self.rows += table.num_rows

    def close(self) -> None:
        return


OUTPUTS: Mapping[str, Callable[[Path, str], Writer]] = {
    ".csv": CsvWriter,
    ".xlsx": XlsxWriter,
    ".parquet": ParquetWriter,
    ".geojson": GeoJsonWriter,
    ".gpkg": GpkgWriter,
}


def writer_of(path: Path, prefix: str, more: Mapping[str, Callable[[Path, str], Writer]]) -> Writer:
    """Return the writer for a path's suffix, built in or from `more`; SY-A071 if there is none."""
    kinds = {**OUTPUTS, **more}
    kind = kinds.get(path.suffix.lower())
    if kind is None:
        raise SanyuError("SY-A071", path=path.name, known=", ".join(kinds))
    return kind(path, prefix)


def shapes_of(table: pa.Table, prefix: str) -> Any:
    """Return the geometry of each row, None if it has no location."""
    return np.asarray(shapely.from_wkb(table[f"{prefix}geom"].to_numpy(zero_copy_only=False)), dtype=object)
