"""Similarity of characters in sound and shape, as tables over code points for compiled loops.

A syllable is toneless pinyin in which zh/z, ch/c, sh/s and the nasals in/ing, en/eng, an/ang are merged, as southern speakers and input
methods confuse them. `TYPED` characters carry order or direction (digits, letters, 东西南北, 上下, 甲乙丙丁): a name that differs in one is
a different name.
"""

from __future__ import annotations

import functools
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CODES = 0x10000
DIRECTIONS = "东南西北中上下前后内外左右"
TYPED_CHARS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ甲乙丙丁戊己庚辛" + DIRECTIONS
_TONE = str.maketrans(
    "āáǎàēéěèōóǒòīíǐìūúǔùǖǘǚǜüńňǹḿ",
    "aaaaeeeeooooiiiiuuuuvvvvvnnnm",
)
_MERGE = ((re.compile("^([zcs])h"), r"\1"), (re.compile("([aei]n)g$"), r"\1"))


@dataclass(frozen=True)
class Sounds:
    """`first` and `second` reading as syllable ids per code point (a character without reading is its own id); `typed` marks TYPED."""

    first: NDArray[np.int32]
    second: NDArray[np.int32]
    typed: NDArray[np.bool_]


@functools.cache
def sounds() -> Sounds:
    """Return the tables, built once per process from pypinyin's character readings."""
    spec = importlib.util.find_spec("pypinyin")
    if spec is None or spec.origin is None:
        raise ImportError("pypinyin")
    # Its regular import also reads 40,000 phrases, which takes longer than everything done here.
    readings_of = json.loads(Path(spec.origin).with_name("pinyin_dict.json").read_text("utf-8"))
    ids: dict[str, int] = {}
    first = np.arange(CODES, dtype=np.int32)
    second = np.full(CODES, -1, dtype=np.int32)
    for code, text in ((int(code), text) for code, text in readings_of.items()):
        if not 0x3400 <= code < CODES:
            continue
        readings = list(dict.fromkeys(_syllable(reading) for reading in text.split(",")))
        numbers = [CODES + ids.setdefault(reading, len(ids)) for reading in readings]
        first[code] = numbers[0]
        if len(numbers) > 1:
            second[code] = numbers[1]
    typed = np.zeros(CODES, dtype=np.bool_)
    typed[[ord(c) for c in TYPED_CHARS]] = True
    return Sounds(first, second, typed)


def _syllable(reading: str) -> str:
    plain = reading.translate(_TONE)
    for pattern, to in _MERGE:
        plain = pattern.sub(to, plain)
    return plain
