"""Finds toponyms and addresses in running text (地名抽取): runs of divisions, names and numbers that touch."""

from __future__ import annotations

import re
from dataclasses import dataclass

from transforms.address.catalog import ENTITY
from transforms.address.divisions import FULL
from transforms.address.lattice import Named
from transforms.address.matcher import Matcher
from transforms.address.model import Match
from transforms.address.numbers import Number, numbers_in
from transforms.address.text import key_with_offsets

_PIECE = 200  # characters read at once; a cut falls on punctuation where there is any
_SENTENCE = re.compile("[^。！？!?；;\n\r]+")
_AT_DOOR = re.compile("附近|旁|对面|对过|门[口前]")  # what makes a number without 号 a door: 秋江北路28附近
_ROAD = re.compile("[\u4e00-\u9fff]{1,6}?(?:大道|大街|公路|路|街(?!道)|巷|弄)(?=[0-9])")


@dataclass(frozen=True, slots=True)
class Extract:
    """A toponym or address at `text[start:end]` and what it matches."""

    text: str
    start: int
    end: int
    match: Match


def extracts(matcher: Matcher, text: str) -> list[tuple[int, int]]:
    """Return the spans of toponyms and addresses in a text of any length, in order and without overlap."""
    out: list[tuple[int, int]] = []
    for sentence in _SENTENCE.finditer(text):
        for start in range(sentence.start(), sentence.end(), _PIECE):
            piece = text[start : min(start + _PIECE, sentence.end())]
            key, starts, ends = key_with_offsets(piece)
            out += [(start + starts[a], start + ends[b - 1]) for a, b in _runs(matcher, key)]
    return out


def _runs(matcher: Matcher, key: str) -> list[tuple[int, int]]:
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
        end = _run(matcher, key, at, longest, numbers)
        if end > at:
            out.append((at, end))
        at = max(end, at + 1)
    return out


def _run(matcher: Matcher, key: str, start: int, longest: dict[int, Named], numbers: dict[int, Number]) -> int:
    """Return the end of the run that begins here, `start` where none does or where it names nothing by itself."""
    at, strong = start, False
    piece = longest.get(start)
    reading = matcher.table.read(key, start)
    if reading.hits and reading.hits[0].start == start and (piece is None or piece.end <= reading.end):
        at = reading.end
        strong = any(hit.kind == FULL for hit in reading.hits)
    while at < len(key):
        piece, number = longest.get(at), numbers.get(at)
        if piece is not None:
            levels = {matcher.catalog.names[n].level for n, cost in piece.names}
            strong = strong or bool(levels & {"road", "place", "community", "township", "district", "city", "province", ENTITY})
            at = piece.end
        elif number is not None and at > start:
            at = number.end
        elif at > start and (road := _ROAD.match(key, at)):
            at = road.end()
        else:
            break
    return at if strong else start
