"""What people do to an address: each function takes its pieces and gives them back with one fault, or None where the fault finds no hold.

The faults come from sources of the language at large, not from the engine's tables: homophones from pypinyin over the 3,755 characters of
GB 2312 level 1, traditional forms from OpenCC, look-alikes and interchangeable characters from the lists of `words.toml`.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable

import numpy as np
import opencc
from pypinyin import Style, lazy_pinyin, pinyin

from demo.gazetteer.words import words

Piece = tuple[str, str]  # level, text
Fault = Callable[[list[Piece], np.random.Generator], list[Piece] | None]

SECTION = "东西南北中"
_TAIL = re.compile(r"(第?[一二三四五六七八九十]+)?[东西南北中]?(支路|大道|高架路|快速路|路|街|巷|弄|街道|镇|社区|村|区)$")
_PLACE_TAIL = re.compile(
    r"(花园|新村|家园|华庭|名城|小区|公寓|景苑|苑|府|湾|里|第?[一二三四五六七八九十]+(小学|幼儿园|社区卫生服务站)|人民政府|办事处|(?:火锅|面馆|面庄|茶语|便利|超市|大药房)?（.*）)$"
)
_ORDINAL = re.compile("(?<=第)[一二三四五六七八九](?=小学|幼儿园)")
_DIGITS = "零一二三四五六七八九"


def _pairs(entries: tuple[str, ...]) -> dict[str, str]:
    table: dict[str, str] = {}
    for pair in entries:
        if len(pair) == 2:
            table[pair[0]] = table.get(pair[0], "") + pair[1]
    return table


_LOOKS, _VARIANTS = _pairs(words("lookalike")), _pairs(words("interchangeable"))


@functools.cache
def _homophones() -> dict[str, str]:
    """Return the common characters of each toneless syllable, GB 2312 rows 16 to 55."""
    table: dict[str, str] = {}
    for row in range(0xB0, 0xD8):
        for cell in range(0xA1, 0xFF):
            try:
                char = bytes((row, cell)).decode("gb2312")
            except UnicodeDecodeError:
                continue
            syllable = lazy_pinyin(char)[0]
            table[syllable] = table.get(syllable, "") + char
    return table


@functools.lru_cache(maxsize=100_000)
def syllables_of(text: str) -> tuple[str, ...]:
    """Return the toneless syllables of a text."""
    return tuple(lazy_pinyin(text))


def core(piece: Piece) -> tuple[int, int]:
    """Return the span of a name's own characters: without its class word, its section or its ordinal."""
    level, text = piece
    if level in ("road", "district", "township", "community"):
        found = _TAIL.search(text)
    elif level == "place":
        found = _PLACE_TAIL.search(text)
    else:
        return 0, 0
    end = found.start() if found else len(text)
    return (0, end) if end >= 2 else (0, 0)


def _target(pieces: list[Piece], rng: np.random.Generator) -> int | None:
    """Choose the piece that suffers: mostly the road or the place, at times a division."""
    spots = [i for i, p in enumerate(pieces) if core(p)[1] >= 2]
    if not spots:
        return None
    weight = np.array([3.0 if pieces[i][0] in ("road", "place") else 0.5 for i in spots])
    return int(rng.choice(spots, p=weight / weight.sum()))


def _replace(pieces: list[Piece], i: int, text: str) -> list[Piece]:
    return [*pieces[:i], (pieces[i][0], text), *pieces[i + 1 :]]


def _by_character(swap: Callable[[str, np.random.Generator], str | None]) -> Fault:
    def fault(pieces: list[Piece], rng: np.random.Generator) -> list[Piece] | None:
        i = _target(pieces, rng)
        if i is None:
            return None
        text = pieces[i][1]
        start, end = core(pieces[i])
        for k in rng.permutation(np.arange(start, end)):
            new = swap(text[k], rng) if text[k] not in SECTION else None
            if new is not None and new != text[k]:
                return _replace(pieces, i, text[:k] + new + text[k + 1 :])
        return None

    return fault


def _homophone(char: str, rng: np.random.Generator) -> str | None:
    syllables = pinyin(char, style=Style.NORMAL)[0]
    options = [c for c in _homophones().get(syllables[0], "") if c != char]
    return str(rng.choice(options)) if options else None


def _listed(table: dict[str, str]) -> Callable[[str, np.random.Generator], str | None]:
    return lambda char, rng: str(rng.choice(list(table[char]))) if char in table else None


def _dropped(pieces: list[Piece], rng: np.random.Generator) -> list[Piece] | None:
    return _by_character(lambda char, _: "")(pieces, rng)


def _repeated(pieces: list[Piece], rng: np.random.Generator) -> list[Piece] | None:
    return _by_character(lambda char, _: char * 2)(pieces, rng)


def _swapped(pieces: list[Piece], rng: np.random.Generator) -> list[Piece] | None:
    i = _target(pieces, rng)
    if i is None:
        return None
    text, (start, end) = pieces[i][1], core(pieces[i])
    k = int(rng.integers(start, end - 1))
    if text[k] == text[k + 1] or set(text[k : k + 2]) & set(SECTION):
        return None
    return _replace(pieces, i, text[:k] + text[k + 1] + text[k] + text[k + 2 :])


def _in_pieces(levels: tuple[str, ...], pattern: str, options: dict[str, tuple[str, ...]]) -> Fault:
    """Return a fault that puts a synonym for the first match of the pattern in a piece of these levels."""
    compiled = re.compile(pattern)

    def fault(pieces: list[Piece], rng: np.random.Generator) -> list[Piece] | None:
        for i in rng.permutation(len(pieces)):
            found = compiled.search(pieces[i][1]) if pieces[i][0] in levels else None
            if found:
                new = str(rng.choice(options[found[0]]))
                return _replace(pieces, int(i), pieces[i][1][: found.start()] + new + pieces[i][1][found.end() :])
        return None

    return fault


def chinese(number: int) -> str:
    """Return a number below 10,000 in Chinese numerals (一百二十三, 一千零五)."""
    if number < 10:
        return _DIGITS[number]
    out, zero = "", False
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit, number = divmod(number, unit)
        if digit:
            out += ("零" if zero and out else "") + _DIGITS[digit] + name
            zero = False
        else:
            zero = bool(out)
    return out[1:] if out.startswith("一十") else out


def _numeral(pieces: list[Piece], rng: np.random.Generator) -> list[Piece] | None:
    spots = [i for i, (level, _) in enumerate(pieces) if level in ("door", "building", "unit", "room")]
    ordinals = [
        i for i, (level, text) in enumerate(pieces) if level == "place" and re.search("第[一二三四五六七八九](?=小学|幼儿园)", text)
    ]
    if ordinals:
        i = ordinals[0]
        return _replace(pieces, i, _ORDINAL.sub(lambda m: str(_DIGITS.index(m[0])), pieces[i][1]))
    if not spots:
        return None
    i = int(rng.choice(spots))
    return _replace(pieces, i, re.sub(r"\d+", lambda m: chinese(int(m[0])), pieces[i][1], count=1))


@functools.cache
def _traditional_converter() -> opencc.OpenCC:
    return opencc.OpenCC("s2t")


def _traditional(pieces: list[Piece], rng: np.random.Generator) -> list[Piece] | None:
    new = [(level, str(_traditional_converter().convert(text))) for level, text in pieces]
    return new if new != pieces else None


def _full_width(pieces: list[Piece], rng: np.random.Generator) -> list[Piece] | None:
    new = [(level, "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)) for level, text in pieces]
    return new if new != pieces else None


def _noise(pieces: list[Piece], rng: np.random.Generator) -> list[Piece] | None:
    before = ("", str(rng.choice(words("noise_before")))) if rng.random() < 0.5 else None
    after = ("", str(rng.choice(words("noise_after")))) if before is None or rng.random() < 0.3 else None
    return [*([before] if before else []), *pieces, *([after] if after else [])]


def _punctuated(pieces: list[Piece], rng: np.random.Generator) -> list[Piece] | None:
    mark = str(rng.choice(list(" ,，、-/|;\t")))
    spread: list[Piece] = []
    for i, piece in enumerate(pieces):
        spread += [piece] if i == 0 else [("", mark if rng.random() < 0.8 else ""), piece]
    return spread if len(pieces) > 1 else None


def _reordered(pieces: list[Piece], rng: np.random.Generator) -> list[Piece] | None:
    """Put the divisions behind the rest, behind in reverse order or in brackets, or the smaller before the larger."""
    divisions = [p for p in pieces if p[0] in ("province", "city", "district", "township", "community")]
    rest = [p for p in pieces if p not in divisions]
    if len(divisions) < 2 or not rest:
        return None
    style = int(rng.integers(0, 3))
    if style == 0:
        return [*rest, ("", "，"), *divisions]
    if style == 1:
        return [*rest, *[q for p in reversed(divisions) for q in (("", "，"), p)]]
    return [*divisions[:1], *rest, ("", "（"), *divisions[1:], ("", "）")]


def _door_form(pieces: list[Piece], rng: np.random.Generator) -> list[Piece] | None:
    return _in_pieces(("door",), "号", {"号": ("#", "號", " 号", "号院" if pieces[-1][0] == "door" else "号", "")})(pieces, rng)


def _both(first: Fault, second: Fault) -> Fault:
    def fault(pieces: list[Piece], rng: np.random.Generator) -> list[Piece] | None:
        once = first(pieces, rng)
        return second(once, rng) if once else None

    return fault


FAULTS: dict[str, Fault] = {
    "homophone": _by_character(_homophone),
    "lookalike": _by_character(_listed(_LOOKS)),
    "interchangeable": _by_character(_listed(_VARIANTS)),
    "synonym_building": _in_pieces(("building",), "幢", {"幢": ("栋", "座", "号楼")}),
    "synonym_road": _in_pieces(
        ("road",),
        "(大道|弄|巷|街)$",
        {"大道": ("大街",), "弄": ("巷", "里"), "巷": ("弄", "里"), "街": ("大街",)},
    ),
    "traditional": _traditional,
    "full_width": _full_width,
    "numeral": _numeral,
    "dropped": _dropped,
    "swapped": _swapped,
    "repeated": _repeated,
    "noise": _noise,
    "reordered": _reordered,
    "punctuated": _punctuated,
    "door_form": _door_form,
}
FAULTS["homophone_noise"] = _both(FAULTS["homophone"], _noise)
FAULTS["numeral_traditional"] = _both(_numeral, _traditional)
FAULTS["homophone_twice"] = _both(FAULTS["homophone"], FAULTS["homophone"])
