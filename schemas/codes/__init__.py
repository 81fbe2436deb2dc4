"""Dated code lists: one CSV per list in this folder, `code,name,name_zh,parent,valid_from,valid_to,note`.

Codes are never removed; they get a `valid_to`, so that old rows keep their meaning. An empty date is open. `note` says where a code comes
from; "Ours" means that the list is not from a standard.
"""

from __future__ import annotations

import csv
import difflib
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from schemas.messages import SanyuError

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Code:
    """One code; `[valid_from, valid_to)` are days, None is open."""

    code: str
    name: str
    name_zh: str
    parent: str | None
    valid_from: date | None
    valid_to: date | None
    note: str

    def holds(self, at: date) -> bool:
        """Return whether the code may be used on a day."""
        return (self.valid_from is None or self.valid_from <= at) and (self.valid_to is None or at < self.valid_to)


@dataclass(frozen=True)
class CodeList:
    """The codes of one list, in the order of its file."""

    name: str
    entries: tuple[Code, ...]

    def __iter__(self) -> Iterator[Code]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, code: object) -> bool:
        return any(e.code == code for e in self.entries)

    def codes(self, at: date | None = None) -> tuple[str, ...]:
        """Return the codes valid on a day; without a day, all codes."""
        return tuple(e.code for e in self.entries if at is None or e.holds(at))

    def entry(self, code: str) -> Code:
        """Return the entry of a code; KeyError if it is not in the list."""
        for e in self.entries:
            if e.code == code:
                return e
        raise KeyError(code)


def code_lists() -> tuple[str, ...]:
    """Return the names of all lists, sorted."""
    return tuple(sorted(path.stem for path in FOLDER.glob("*.csv")))


@functools.cache
def code_list(name: str) -> CodeList:
    """Return a list by name; SY-K002 with the nearest name if there is none, SY-K003 with file and row if its file is invalid."""
    path = FOLDER / f"{name}.csv"
    if name not in code_lists():
        near = difflib.get_close_matches(name, code_lists(), n=1)
        raise SanyuError("SY-K002", name=name, near=near[0] if near else "-")
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.DictReader(file, restval="")
        return CodeList(name, tuple(_entry(path.name, number, row) for number, row in enumerate(rows, start=2)))


def _entry(file: str, number: int, row: dict[str, str]) -> Code:
    try:
        if None in row:
            raise ValueError("more values than columns")
        return Code(
            code=row["code"],
            name=row["name"],
            name_zh=row["name_zh"],
            parent=row["parent"] or None,
            valid_from=_day(row["valid_from"]),
            valid_to=_day(row["valid_to"]),
            note=row["note"],
        )
    except (KeyError, ValueError) as error:
        raise SanyuError("SY-K003", file=file, row=number, detail=str(error)) from error


def _day(text: str) -> date | None:
    return date.fromisoformat(text) if text else None
