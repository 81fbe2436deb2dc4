"""Protects against text that a spreadsheet would take for a formula: one rule for all written tables, after OWASP's "CSV injection".

A text that begins with `=`, `+`, `-`, `@` (also in full width), a tab, a carriage return or a line feed can be a formula that runs when
the table is opened. A plain number such as `-2.5` is not a formula. Numbers in the table are never changed.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openpyxl.worksheet._write_only import WriteOnlyWorksheet

CELL_CHARS = 32_767  # maximum length of a cell in a workbook
_STARTS = "=+-@\t\r\n＝＋－＠"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?")
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")


def may_be_formula(text: str) -> bool:
    """Return whether a spreadsheet that opens a CSV file could evaluate a cell with this text."""
    return text[:1] in _STARTS and bool(text) and not _NUMBER.fullmatch(text)


def csv_cell(value: Any) -> Any:
    """Return the text for a CSV file: a possible formula gets a leading apostrophe, because CSV has no types."""
    return f"'{value}" if isinstance(value, str) and may_be_formula(value) else value


def xlsx_cell(sheet: WriteOnlyWorksheet, value: Any) -> Any:
    """Return the value for a workbook: without control characters; a text becomes a text cell, which is never a formula, and is unchanged.

    A possible formula gets the cell style "quote prefix", so that it stays text when it is edited.
    """
    from openpyxl.cell import WriteOnlyCell

    if not isinstance(value, str):
        return value if value is None or isinstance(value, bool | int | float) else str(value)
    clean = _CONTROL.sub("", value)[:CELL_CHARS]
    if not may_be_formula(clean) and not clean.startswith("#"):  # openpyxl would treat `#N/A` and the like as errors
        return clean
    cell = WriteOnlyCell(sheet)
    cell._value, cell.data_type = clean, "s"
    cell.quotePrefix = True
    return cell
