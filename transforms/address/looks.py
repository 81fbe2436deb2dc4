"""How alike two characters look (形近字): stroke order and four-corner code of the 6,763 characters of GB 2312.

`strokes.csv` is from char-similar 0.0.2 (MIT licence, © yongzhuo): the strokes of a character in writing order as five kinds (1 横,
2 竖, 3 撇, 4 点, 5 折) and the four digits of its corners (四角号码).
"""

from __future__ import annotations

import csv
import functools
import io
from dataclasses import dataclass
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

LONGEST = 32


@dataclass(frozen=True)
class Looks:
    """`number[code point]` is a character's row (−1: none) in `strokes` (kinds, 0-padded), `count` (of strokes) and `corners` (4
    digits)."""

    number: NDArray[np.int32]
    strokes: NDArray[np.uint8]
    count: NDArray[np.int32]
    corners: NDArray[np.uint8]


@functools.cache
def looks() -> Looks:
    """Return the tables; read once per process from the package."""
    rows = list(csv.DictReader(io.StringIO((files("transforms.address") / "strokes.csv").read_text("utf-8"))))
    number = np.full(0x10000, -1, dtype=np.int32)
    number[[ord(row["char"]) for row in rows]] = np.arange(len(rows), dtype=np.int32)
    strokes = np.zeros((len(rows), LONGEST), dtype=np.uint8)
    corners = np.full((len(rows), 4), 255, dtype=np.uint8)
    for i, row in enumerate(rows):
        strokes[i, : len(row["strokes"])] = [int(c) for c in row["strokes"][:LONGEST]]
        corners[i, : len(row["corners"])] = [int(c) for c in row["corners"]]
    return Looks(number, strokes, np.array([min(len(row["strokes"]), LONGEST) for row in rows], dtype=np.int32), corners)
