"""Read a file made by a test, and look at the rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import shapely

from sanyu.readers import Parsed, ReadOptions, parse
from schemas.messages import SanyuError


@dataclass(frozen=True)
class Outcome:
    """The record and its rows; attributes as dict, error parameters decoded."""

    parsed: Parsed
    rows: list[dict[str, Any]]

    @property
    def codes(self) -> list[str | None]:
        return [row["error_code"] for row in self.rows]

    @property
    def warnings(self) -> list[str]:
        return [note.code for note in self.parsed.warnings]

    def wkt(self, index: int = 0) -> str | None:
        geom = self.rows[index]["geom"]
        return None if geom is None else shapely.from_wkb(geom).wkt


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Outcome]:
    """Return a function that parses a file into a fresh folder and loads the parts."""

    def run(path: Path, fmt: str, **options: Any) -> Outcome:
        parsed = parse(path, tmp_path / "out", ReadOptions(format=fmt, **options))
        rows = [row for part in parsed.parts for row in pq.read_table(part).to_pylist()]
        for row in rows:
            row["attributes"] = dict(row["attributes"])
            row["error_params"] = json.loads(row["error_params"]) if row["error_params"] else None
            if row["error_code"]:
                assert path.name in SanyuError(row["error_code"], **row["error_params"]).message("zh")
        assert all(path.name in note.message("en") for note in parsed.warnings)
        assert len(rows) == parsed.row_count
        assert sum(row["error_code"] is not None for row in rows) == parsed.rejected
        return Outcome(parsed, rows)

    return run


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str | bytes], Path]:
    """Return a function that writes a file and gives its path."""

    def run(name: str, content: str | bytes) -> Path:
        path = tmp_path / "in" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return run
