"""What a spreadsheet may not take for a formula: one rule for all tables that people open, after OWASP's "CSV injection".

A text that begins with `=`, `+`, `-`, `@` (also in full width), a tab, a carriage return or a line feed can be a formula that runs when
the table is opened. A plain number such as `-2.5` is none: it stands for itself. Numbers of the table are never touched.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openpyxl.worksheet._write_only import WriteOnlyWorksheet

CELL_CHARS = 32_767  # what a cell of a workbook holds
_STARTS = "=+-@\t\r\n＝＋－＠"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def may_be_formula(text: str) -> bool:
    """Tell whether a spreadsheet that opens a CSV file could evaluate a cell with this text."""
    return text[:1] in _STARTS and bool(text) and not _NUMBER.fullmatch(text)


def csv_cell(value: Any) -> Any:
    """Return what stands in a CSV file: a text that may be a formula gets an apostrophe before it, as CSV has no types."""
    return f"'{value}" if isinstance(value, str) and may_be_formula(value) else value


def xlsx_cell(sheet: WriteOnlyWorksheet, value: Any) -> Any:
    """Return what a workbook takes: no control characters; a text is a cell of type text, hence never a formula, and unchanged.

    One that may be a formula has the cell style "quote prefix", with which it stays a text also when it is edited.
    """
    from openpyxl.cell import WriteOnlyCell

    if not isinstance(value, str):
        return value if value is None or isinstance(value, bool | int | float) else str(value)
    clean = _CONTROL.sub("", value)[:CELL_CHARS]
    if not may_be_formula(clean) and not clean.startswith("#"):  # openpyxl would take `#N/A` and the like for errors
        return clean
    cell = WriteOnlyCell(sheet)
    cell._value, cell.data_type = clean, "s"
    cell.quotePrefix = True
    return cell
