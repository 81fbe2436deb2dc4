"""Splits a text into the elements of an address, with the offsets in the original text."""

from __future__ import annotations

import re

from transforms.address.catalog import ENTITY
from transforms.address.divisions import LEVEL_NAMES
from transforms.address.matcher import Matcher
from transforms.address.model import Element, Parsed
from transforms.address.numbers import NUMBER_LEVELS
from transforms.address.text import key_with_offsets

# Text that the gazetteer does not know is split at the words that end an element.
_RULES = re.compile(
    r"""(?P<township>[\u4e00-\u9fff]{2,5}?(?:街道|镇(?!江)|乡(?!村)))
      | (?P<community>[\u4e00-\u9fff]{2,6}?(?:社区|居委会|村委会|行政村|(?<![新农山])村(?!路|镇)))
      | (?P<road>[\u4e00-\u9fff0-9]{1,8}?(?:大道|大街|公路|支路|路|街(?!道)|巷|弄|胡同))
      | (?P<place>[\u4e00-\u9fffA-Z0-9]{2,})""",
    re.VERBOSE,
)


def parsed(matcher: Matcher, text: str) -> Parsed:
    """Return the elements of a text in order; names that are not in a gazetteer are split by rules."""
    key, starts, ends = key_with_offsets(text)
    asked = matcher.ask(key)
    table, catalog = matcher.table, matcher.catalog
    spans: list[tuple[int, int, str, str, str | None]] = []
    for hit in asked.reading.hits:
        spans.append((hit.start, hit.end, LEVEL_NAMES[table.levels[hit.division]], table.names[hit.division], table.codes[hit.division]))
    for piece in asked.named:
        name = catalog.names[piece.names[0][0]]
        level = "place" if name.level == ENTITY else name.level
        spans.append((piece.start, piece.end, level, name.text, table.codes[name.division] if name.division >= 0 else None))
    taken = sorted((a, b) for a, b, *_ in spans)
    for level, number in asked.numbers.items():
        if level in NUMBER_LEVELS:
            spans.append((number.start, number.end, level, number.value, None))
            taken.append((number.start, number.end))
    spans += _by_rules(key, asked.reading.end, sorted(taken))
    spans.sort()
    elements = tuple(
        Element(level, text[starts[a] : ends[b - 1]], starts[a], ends[b - 1], norm, code) for a, b, level, norm, code in spans if b > a
    )
    division = table.settle(asked.reading, matcher.home)
    covered = [False] * len(text)
    for element in elements:
        covered[element.start : element.end] = [True] * (element.end - element.start)
    rest = "".join(c for c, known in zip(text, covered, strict=True) if not known).strip()
    return Parsed(text, elements, table.codes[division] if division is not None else None, rest)


def _by_rules(key: str, start: int, taken: list[tuple[int, int]]) -> list[tuple[int, int, str, str, str | None]]:
    """Split the gaps between known pieces."""
    out: list[tuple[int, int, str, str, str | None]] = []
    at = start
    for a, b in [*taken, (len(key), len(key))]:
        if a > at:
            for match in _RULES.finditer(key, at, a):
                out.append((match.start(), match.end(), str(match.lastgroup), match.group(), None))
        at = max(at, b)
    return out
