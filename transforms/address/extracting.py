"""Finds toponyms and addresses in running text (地名抽取): runs of adjacent divisions, names and numbers.

Numbers listed after one name are separate places: 建设西路28、30号 is 建设西路28号 and 建设西路30号.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from transforms.address.catalog import ENTITY
from transforms.address.divisions import FULL
from transforms.address.lattice import Named
from transforms.address.matcher import Matcher
from transforms.address.model import Match
from transforms.address.numbers import NUMBER_LEVELS, Number, numbers_in
from transforms.address.text import clean, key_with_offsets

_PIECE = 200  # number of characters read at once; the text is cut at punctuation if possible
_SENTENCE = re.compile("[^。！？!?；;\n\r]+")
_NUMBERED = frozenset("路街道巷弄里村区园苑庄城寓")  # endings of names that may be followed directly by a number
_AT_DOOR = re.compile("附近|旁|对面|对过|门[口前]")  # words that make a number without 号 a door: 秋江北路28附近
_NUMBER = "(?:[0-9]{1,5}(?:[-之][0-9]{1,4})?[A-Z]?|[一二三四五六七八九十百零〇]{1,5})"
_UNIT = "号楼|号(?!线|大街|路|公路|桥|码头|地块|公园|[楼幢栋])|幢|栋|座|单元|室"
_ITEM = re.compile(f" *(?P<number>{_NUMBER})(?P<unit>{_UNIT})?")
_JOIN = re.compile("[、,，/和及与]")
_LAST = re.compile(f"(?:{_NUMBER}(?:{_UNIT})?[、/和及与])*{_NUMBER}(?:{_UNIT})$")
_ROAD = re.compile("[\u4e00-\u9fff]{1,6}?(?:大道|大街|公路|路|街(?!道)|巷|弄)(?=[0-9])")


@dataclass(frozen=True, slots=True)
class Extract:
    """A toponym or address at `text[start:end]` and its match; `match.query` adds what a listed number shares with the ones before."""

    text: str
    start: int
    end: int
    match: Match


def extracts(matcher: Matcher, text: str) -> list[tuple[int, int, str]]:
    """Return the spans of toponyms and addresses in a text of any length, in order and without overlap, each with its query."""
    out: list[tuple[int, int, str]] = []
    plain = "".join(a if a in "、，,/" else b for a, b in zip(text, clean(text), strict=True))
    for sentence in _SENTENCE.finditer(text):
        for start in range(sentence.start(), sentence.end(), _PIECE):
            piece = text[start : min(start + _PIECE, sentence.end())]
            key, starts, ends = key_with_offsets(piece)
            parted = frozenset(k for k in range(1, len(key)) if "、" in piece[ends[k - 1] : starts[k]] or piece[starts[k]] == "、")
            for a, b in _runs(matcher, key, parted):
                begin, end = start + starts[a], start + ends[b - 1]
                if not out or begin >= out[-1][1]:
                    out += _listed(text, plain, begin, end)
    return out


def _listed(text: str, plain: str, start: int, end: int) -> list[tuple[int, int, str]]:
    """Return the places named by a run: itself or, if numbers are listed at or after its end, one for each of them."""
    last = _LAST.search(plain[start:end])
    begin = start + last.start() if last and last.start() else end
    items: list[re.Match[str]] = []
    at = begin
    while (item := _ITEM.match(plain, at)) is not None:
        items.append(item)
        if item.end() >= len(text) or not _JOIN.match(plain, item.end()):
            break
        at = item.end() + 1
    while items and items[-1]["unit"] is None:  # 8、10号、12人受伤
        items.pop()
    units = {item["unit"] for item in items} - {None}
    if len(items) < 2 or len(units) > 1 or (begin == end and plain[end - 1] not in _NUMBERED):
        return [(start, end, text[start:end])]
    head, unit = text[start:begin], items[-1]["unit"]
    spans = [(start if i == 0 else item.start("number"), item.end()) for i, item in enumerate(items)]
    return [(a, b, f"{head}{item['number']}{unit}") for (a, b), item in zip(spans, items, strict=True)]


def _runs(matcher: Matcher, key: str, parted: frozenset[int]) -> list[tuple[int, int]]:
    longest: dict[int, Named] = {}
    for piece in matcher.catalog.exact(key):
        if piece.end - piece.start > 1 and piece.end > longest.get(piece.start, Named(0, 0, ())).end:
            longest[piece.start] = piece
    numbers = {
        n.start: n for n in numbers_in(key) if n.level not in ("bare", "group") or (n.level == "bare" and _AT_DOOR.match(key, n.end))
    }
    out: list[tuple[int, int]] = []
    at = 0
    while at < len(key) - 1:
        end = _run(matcher, key, at, longest, numbers, parted)
        if end > at:
            out.append((at, end))
        at = max(end, at + 1)
    return out


def _run(matcher: Matcher, key: str, start: int, longest: dict[int, Named], numbers: dict[int, Number], parted: frozenset[int]) -> int:
    """Return the end of the run that begins here; `start` if none does, or if it does not name anything by itself.

    Text after a 、 (at `parted`) begins another run unless it is a number of a finer level: 8号、3幢.
    """
    at, strong, depth = start, False, -1
    piece = longest.get(start)
    reading = matcher.table.read(key, start)
    if reading.hits and reading.hits[0].start == start and (piece is None or piece.end <= reading.end):
        at = reading.end
        strong = any(hit.kind == FULL for hit in reading.hits)
    while at < len(key):
        piece, number = longest.get(at), numbers.get(at)
        if at in parted and at > start and (number is None or _depth(number) <= depth):
            break
        if piece is not None:
            levels = {matcher.catalog.names[n].level for n, cost in piece.names}
            strong = strong or bool(levels & {"road", "place", "community", "township", "district", "city", "province", ENTITY})
            at = piece.end
        elif number is not None and at > start:
            at, depth = number.end, _depth(number)
        elif at > start and (road := _ROAD.match(key, at)):
            at = road.end()
        else:
            break
    return at if strong else start


def _depth(number: Number) -> int:
    return NUMBER_LEVELS.index(number.level) if number.level in NUMBER_LEVELS else len(NUMBER_LEVELS)
