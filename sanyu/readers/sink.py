"""The only writer of raw rows: checks geometries, keeps rejected rows, writes Parquet parts with a fixed schema."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from sanyu.readers import geometry
from sanyu.readers.model import RAW_TEXT, RAW_TEXT_LIMIT, Column, Limits, Note, Parsed, RowError
from schemas.messages import SanyuError

RAW_SCHEMA = pa.schema(
    [
        pa.field("row_number", pa.int64(), nullable=False),
        pa.field("feature_id", pa.string()),
        pa.field("attributes", pa.map_(pa.string(), pa.string()), nullable=False),
        pa.field("geom", pa.binary()),
        pa.field("error_code", pa.string()),
        pa.field("error_params", pa.string()),
    ]
)
_BATCH_ROWS = 20_000
_PART_ROWS = 250_000
_MEGABYTE = 1 << 20


def text_map(names: Sequence[str], columns: Sequence[pa.Array], size: int) -> pa.MapArray:
    """Return a map<string, string> of each row's values, without keys for nulls; columns are string arrays of `size` rows."""
    if not names or size == 0:
        return pa.MapArray.from_arrays(pa.array(np.zeros(size + 1, np.int32)), pa.array([], pa.string()), pa.array([], pa.string()))
    present = np.column_stack([np.asarray(column.is_valid()) for column in columns])
    offsets = np.zeros(size + 1, np.int32)
    np.cumsum(present.sum(axis=1), out=offsets[1:])
    row, column = np.nonzero(present)
    values = pa.chunked_array(columns, type=pa.string()).combine_chunks().take(pa.array(column * size + row))
    keys = pa.array(list(names), pa.string()).take(pa.array(column))
    return pa.MapArray.from_arrays(pa.array(offsets), keys, values)


class RawSink:
    """Collect the rows of one file and write them in parts.

    Readers set `columns`, `declared_crs` and `encoding`, and write geometries with `writer`, which counts the rings that it closes.
    Rows are added singly with `add` or as arrays with `add_arrays`; call `flush` between the two to keep their order.
    """

    def __init__(self, out_dir: Path, file: str, limits: Limits, progress: Callable[[int], None]) -> None:
        self.file = file
        self.limits = limits
        self.columns: dict[str, str] = {}
        self.declared_crs: str | None = None
        self.encoding: str | None = None
        self.writer = geometry.WkbWriter()
        self.row_count = 0
        self.rejected = 0
        self.with_geometry = 0
        self.outside_degrees = 0
        self._out_dir = out_dir
        self._progress = progress
        self._notes: dict[str, Note] = {}
        self._parts: list[Path] = []
        self._open: pq.ParquetWriter | None = None
        self._part_rows = 0
        self._written = 0
        self._rows: list[tuple[int, str | None, list[tuple[str, str]], bytes | None]] = []
        self._row_errors: dict[int, RowError] = {}

    def note(self, code: str, **params: Any) -> None:
        """Keep a warning about the file; only the first of each code is kept."""
        self._notes.setdefault(code, Note(code, {"file": self.file, **params}))

    def add(
        self,
        row_number: int,
        attributes: dict[str, str],
        wkb: bytes | None = None,
        feature_id: str | None = None,
        error: RowError | None = None,
    ) -> None:
        """Add one row."""
        for name in attributes:
            self.columns.setdefault(name, "text")
        if error is not None:
            self._row_errors[len(self._rows)] = error
        self._rows.append((row_number, feature_id, list(attributes.items()), wkb))
        if len(self._rows) >= _BATCH_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows taken by `add`."""
        rows, errors, self._rows, self._row_errors = self._rows, self._row_errors, [], {}
        if not rows:
            return
        numbers, ids, attributes, wkbs = zip(*rows, strict=True)
        geoms = np.empty(len(rows), dtype=object)
        geoms[:] = wkbs
        maps = pa.array(attributes, RAW_SCHEMA.field("attributes").type)
        self.add_arrays(np.array(numbers), pa.array(ids, pa.string()), maps, geoms, errors)

    def add_arrays(
        self,
        numbers: npt.NDArray[np.int64],
        ids: pa.Array | None,
        attributes: pa.MapArray,
        wkbs: npt.NDArray[np.object_],
        errors: dict[int, RowError],
    ) -> None:
        """Add a batch: row numbers, ids, attribute maps, WKB objects (None if absent) and row errors by index in the batch."""
        checked = geometry.check(wkbs, self.limits)
        all_errors = {**checked.errors, **errors}
        damaged = {i: wkbs[i].hex()[:RAW_TEXT_LIMIT] for i in checked.errors if i not in errors}
        if damaged:
            attributes = _with_raw(attributes, damaged)
        size = len(numbers)
        codes: list[str | None] = [None] * size
        params: list[str | None] = [None] * size
        for index, error in all_errors.items():
            codes[index] = error.code
            place = {"file": self.file, "row": int(numbers[index])}
            params[index] = json.dumps({**place, **error.params}, ensure_ascii=False, default=str)
        table = pa.table(
            [
                pa.array(numbers, pa.int64()),
                pa.nulls(size, pa.string()) if ids is None else ids,
                attributes,
                pa.array(checked.wkb, pa.binary()),
                pa.array(codes, pa.string()),
                pa.array(params, pa.string()),
            ],
            schema=RAW_SCHEMA,
        )
        self.with_geometry += checked.present
        self.outside_degrees += checked.outside_degrees
        self.row_count += size
        self.rejected += len(all_errors)
        self._write(table)
        self._progress(self.row_count)

    def _write(self, table: pa.Table) -> None:
        self._written += table.nbytes
        if self._written > self.limits.max_output_mb * _MEGABYTE:
            raise SanyuError("SY-R018", file=self.file, limit=self.limits.max_output_mb)
        if self._open is None:
            path = self._out_dir / f"part-{len(self._parts):05d}.parquet"
            self._open = pq.ParquetWriter(path, RAW_SCHEMA, compression="zstd", compression_level=1)
            self._parts.append(path)
            self._part_rows = 0
        self._open.write_table(table)
        self._part_rows += table.num_rows
        if self._part_rows >= _PART_ROWS:
            self._open.close()
            self._open = None

    def close(self, parser: str, isolation: str, crs: str | None) -> Parsed:
        """Write the remaining rows and return the record; `crs` is the user's override."""
        self.flush()
        if self._open is None and not self._parts:
            self._write(RAW_SCHEMA.empty_table())
        if self._open is not None:
            self._open.close()
        if self.writer.closed:
            self.note("SY-R086", found=self.writer.closed)
        return Parsed(
            parts=self._parts,
            row_count=self.row_count,
            declared_crs=self._trusted_crs(crs),
            encoding=self.encoding,
            columns=[Column(name, kind) for name, kind in self.columns.items()],
            warnings=list(self._notes.values()),
            rejected=self.rejected,
            parser=parser,
            isolation=isolation,
        )

    def _trusted_crs(self, override: str | None) -> str | None:
        if override is not None:
            return override
        if self.declared_crs is None:
            if self.with_geometry:
                self.note("SY-R081")
            return None
        if self.outside_degrees * 2 > self.with_geometry and _is_geographic(self.declared_crs):
            self.note("SY-R082", crs=self.declared_crs[:60], found=self.outside_degrees, total=self.with_geometry)
            return None
        return self.declared_crs


def _is_geographic(crs: str) -> bool:
    import pyproj

    try:
        return bool(pyproj.CRS.from_user_input(crs).is_geographic)
    except pyproj.exceptions.CRSError:
        return False


def _with_raw(attributes: pa.MapArray, raw: dict[int, str]) -> pa.MapArray:
    """Add the key `_raw` to some rows, unless they already have one."""
    rows = attributes.to_pylist()
    for index, text in raw.items():
        if all(key != RAW_TEXT for key, _ in rows[index]):
            rows[index].append((RAW_TEXT, text))
    return pa.array(rows, attributes.type)
