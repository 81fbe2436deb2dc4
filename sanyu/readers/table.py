"""Rows of fields, from CSV, spreadsheets and GTFS: attributes by name, and geometry from coordinate or WKT columns."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from sanyu.readers.geojson import escaped, is_readable
from sanyu.readers.geometry import text_depth
from sanyu.readers.model import RAW_TEXT, RAW_TEXT_LIMIT, Limits, ReadOptions, RowError
from sanyu.readers.sink import RawSink, text_map
from schemas.messages import SanyuError

_BATCH_ROWS = 20_000
_SRID = re.compile(r"^\s*SRID\s*=\s*\d+\s*;\s*", re.IGNORECASE)


def geometry_columns(names: Sequence[str], options: ReadOptions, file: str) -> tuple[str, ...]:
    """Return `(wkt,)`, `(x, y)` or `()`; SY-R026 if a named column does not exist."""
    wanted = tuple(name for name in ((options.wkt,) if options.wkt else (options.x, options.y)) if name)
    for name in wanted:
        if name not in names:
            raise SanyuError("SY-R026", file=file, field=name, choices=", ".join(names))
    if len(wanted) == 1 and not options.wkt:
        raise SanyuError("SY-R026", file=file, field="x, y", choices=", ".join(names))
    return wanted


def coordinate_geometry(
    columns: Sequence[Sequence[str | None]], names: Sequence[str], limits: Limits
) -> tuple[npt.NDArray[np.object_], dict[int, RowError]]:
    """Return WKB for columns of x and y, or of WKT, and row errors by index; rows without any value have no geometry."""
    size = len(columns[0])
    wkbs = np.full(size, None, dtype=object)
    errors: dict[int, RowError] = {}
    if len(names) == 1:
        for index, text in enumerate(columns[0]):
            if text:
                try:
                    wkbs[index] = _from_wkt(text, limits)
                except RowError as error:
                    errors[index] = error
        return wkbs, errors
    xy = np.full((size, 2), np.nan)
    for index, pair in enumerate(zip(*columns, strict=True)):
        if not any(pair):
            continue
        try:
            xy[index] = [_number(name, text) for name, text in zip(names, pair, strict=True)]
        except RowError as error:
            errors[index] = error
    present = ~np.isnan(xy[:, 0])
    wkbs[present] = shapely.to_wkb(shapely.points(xy[present]), byte_order=1, flavor="iso")
    return wkbs, errors


def _number(name: str, text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        raise RowError("SY-R053", field=name, value=escaped(text or "")[:60]) from None
    if not math.isfinite(value):
        raise RowError("SY-R054")
    return value


def _from_wkt(text: str, limits: Limits) -> bytes:
    if text_depth(text) > limits.max_wkb_depth:
        raise RowError("SY-R056", limit=limits.max_wkb_depth)
    try:
        shape = shapely.from_wkt(_SRID.sub("", text))
    except (shapely.errors.GEOSException, ValueError) as error:
        raise RowError("SY-R055", detail=escaped(str(error).partition(": ")[2])[:120]) from None
    binary: bytes = shapely.to_wkb(shape, output_dimension=3, byte_order=1, flavor="iso")
    return binary


class TableRows:
    """Collect records of one table and pass them to the sink in batches. Empty fields count as missing."""

    def __init__(self, names: Sequence[str], options: ReadOptions, sink: RawSink) -> None:
        self._names = list(names)
        self._sink = sink
        self._limits = options.limits
        self._geometry = geometry_columns(names, options, sink.file)
        self._numbers: list[int] = []
        self._records: list[Sequence[str]] = []
        for name in names:
            sink.columns.setdefault(name, "text")

    def add(self, row: int, record: Sequence[str]) -> None:
        """Add a record with as many fields as there are names."""
        self._numbers.append(row)
        self._records.append(record)
        if len(self._records) >= _BATCH_ROWS:
            self.flush()

    def add_ragged(self, row: int, record: Sequence[str]) -> None:
        """Add a record with more fields than there are names."""
        self.add_damaged(row, "\t".join(record), record, RowError("SY-R050", found=len(record), expected=len(self._names)))

    def add_damaged(self, row: int, raw: str, record: Sequence[str], error: RowError) -> None:
        """Add a record that does not fit, with its text; the fields that exist keep their names."""
        self.flush()
        values = {name: escaped(text) for name, text in zip(self._names, record, strict=False) if text}
        self._sink.add(row, {**values, RAW_TEXT: escaped(raw)[:RAW_TEXT_LIMIT]}, error=error)

    def flush(self) -> None:
        """Pass on the collected records."""
        self._sink.flush()
        records, numbers, self._records, self._numbers = self._records, self._numbers, [], []
        if not records:
            return
        errors: dict[int, RowError] = {}
        columns = list(zip(*records, strict=True))
        arrays = []
        for position, name in enumerate(self._names):
            try:
                array = pa.array(columns[position], pa.string())
            except UnicodeEncodeError:
                columns[position], damaged = _without_undecoded(columns[position])
                errors |= {index: RowError("SY-R051", field=name, encoding=self._sink.encoding) for index in damaged}
                array = pa.array(columns[position], pa.string())
            arrays.append(pc.if_else(pc.equal(array, ""), pa.scalar(None, pa.string()), array))
        attributes = text_map(self._names, arrays, len(records))
        wkbs = np.full(len(records), None, dtype=object)
        if self._geometry:
            chosen = [columns[self._names.index(name)] for name in self._geometry]
            wkbs, unreadable = coordinate_geometry(chosen, self._geometry, self._limits)
            errors = {**unreadable, **errors}
        self._sink.add_arrays(np.array(numbers, np.int64), None, attributes, wkbs, errors)


def _without_undecoded(values: Sequence[str]) -> tuple[tuple[str, ...], list[int]]:
    damaged = [index for index, text in enumerate(values) if not is_readable(text)]
    return tuple(escaped(text) for text in values), damaged
