"""Excel workbooks (ECMA-376), streamed with openpyxl. Formulas are never evaluated; the value last saved by Excel is used."""

from __future__ import annotations

import datetime
import warnings
import zipfile
from typing import Any
from xml.etree.ElementTree import ParseError

import openpyxl

from sanyu.readers.archive import Staged
from sanyu.readers.csvfile import check_header
from sanyu.readers.model import ReadOptions
from sanyu.readers.sink import RawSink
from sanyu.readers.table import TableRows
from schemas.messages import SanyuError

_UNREADABLE = (zipfile.BadZipFile, KeyError, ValueError, TypeError, AttributeError, ParseError, OSError)


def read_xlsx(staged: Staged, options: ReadOptions, sink: RawSink) -> str:
    """Read the sheet named by `layer`, or the only one; the first non-empty row is the header. `row_number` is the sheet's own."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            book = openpyxl.load_workbook(staged.path.resolve().open("rb"), read_only=True, data_only=True, keep_links=False)
            _read_sheet(book[_sheet(book.sheetnames, staged)], options, sink)
        except SanyuError:
            raise
        except _UNREADABLE as error:
            raise SanyuError("SY-R020", file=staged.file, format="xlsx", detail=f"{type(error).__name__}: {str(error)[:200]}") from None
    return f"openpyxl {openpyxl.__version__}"


def _sheet(names: list[str], staged: Staged) -> str:
    choices = ", ".join(names)
    if staged.layer is not None and staged.layer not in names:
        raise SanyuError("SY-R015", file=staged.file, layer=staged.layer, choices=choices)
    if staged.layer is None and len(names) != 1:
        raise SanyuError("SY-R014", file=staged.file, choices=choices)
    return staged.layer or names[0]


def _read_sheet(sheet: Any, options: ReadOptions, sink: RawSink) -> None:
    sheet.reset_dimensions()  # the recorded extent is often wrong and can't be trusted
    names: list[str] = []
    rows: TableRows | None = None
    for number, cells in enumerate(sheet.iter_rows(values_only=True), start=1):
        record = [cell_text(value) for value in cells]
        while record and not record[-1]:
            record.pop()
        if not record:
            continue
        if rows is None:
            names = list(options.header) if options.header is not None else [name.strip() for name in record]
            is_header = options.header is None or record == names
            if options.header is None:
                check_header(names, number, sink.file)
            rows = TableRows(names, options, sink)
            if is_header:
                continue
        if len(record) > len(names):
            rows.add_ragged(number, record)
        else:
            rows.add(number, record + [""] * (len(names) - len(record)))
    if rows is None:
        raise SanyuError("SY-R002", file=sink.file)
    rows.flush()


def cell_text(value: Any) -> str:
    """Return a cell as text: integers without ".0", because Excel doesn't distinguish them, dates and times in ISO 8601."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat()
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    return str(value)
