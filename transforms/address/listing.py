"""Several numbers in one text: for 文三路8、10号 and 文三路8-12号, one place is the answer, and the others are reported with it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from transforms.address.model import Match, Reason, Status

_UNIT = "号楼|号(?![线楼幢栋]|大街|路|公路|桥|码头|地块|公园)|幢|栋|室"
_ITEM = "[0-9０-９]{1,5}(?:[-－][0-9０-９]{1,4})?[A-ZＡ-Ｚ]?"
_LIST = re.compile(f"(?<![0-9０-９A-ZＡ-Ｚ-])({_ITEM})({_UNIT})?((?:[、,，/和及与]{_ITEM}(?:{_UNIT})?)+)(?<=[号楼幢栋室])")
_NEXT = re.compile(f"[、,，/和及与]({_ITEM})({_UNIT})?")
_ENDS = "(?<![0-9０-９A-ZＡ-Ｚ-])([0-9０-９]{1,5})(?:%s)([0-9０-９]{1,5})(%s)"
_RANGE = re.compile(_ENDS % ("号?(?:[~～—]+|至|到)", _UNIT))
_HYPHEN = re.compile(_ENDS % ("[-－]|号[-－]", _UNIT))
_LEVELS = {"号": "door", "室": "room"}
_MAY = re.compile("[0-9０-９][A-ZＡ-Ｚ]?(?:号楼|号|幢|栋|室)?[、,，/和及与~～—－至到-]+[0-9０-９]")
MOST_LISTED = 20
WIDEST = 100  # between the ends of a range; anything wider is not a range of doors
_DERIVED = ("interpolated", "area", "offset")


def by_list(text: str, match: Callable[[str], Match]) -> Match | None:
    """Return the match of a text with a list or range of numbers, None if it has neither or none of the numbers exists.

    `match` matches a single number. The answer is the first one in the gazetteer; for a range, its beginning or its end. The others
    are reasons with the code `also`, with their standard addresses, or with nothing found and a score of 0.
    """
    if not _MAY.search(text):
        return None
    told = _LIST.search(text)
    if told is None:
        return _between(_RANGE.search(text), match)
    others = _NEXT.findall(told.group(3))
    units = [told.group(2) or "", *(unit for _, unit in others)]
    if len(kinds := {unit for unit in units if unit}) > 1:  # 20号、3幢 is one place
        return None
    unit = kinds.pop()
    return _answer(told, [number + unit for number in (told.group(1), *(n for n, _ in others))][:MOST_LISTED], unit, match)


def by_hyphen(text: str, match: Callable[[str], Match]) -> Match | None:
    """Return the match of a text such as 文三路8-12号 by the ends of the range; None if there is no range, or neither end exists.

    Only call this if the gazetteer has no number written that way: 8-12号 may itself be a door.
    """
    return _between(_HYPHEN.search(text), match) if _MAY.search(text) else None


def _between(told: re.Match[str] | None, match: Callable[[str], Match]) -> Match | None:
    if told is None or not 0 < int(told.group(2)) - int(told.group(1)) <= WIDEST:
        return None
    unit = told.group(3)
    return _answer(told, [told.group(1) + unit, told.group(2) + unit], unit, match)


def _answer(told: re.Match[str], numbers: list[str], unit: str, match: Callable[[str], Match]) -> Match | None:
    text = told.string
    answers = [match(text[: told.start()] + number + text[told.end() :]) for number in numbers]
    found = [i for i, answer in enumerate(answers) if answer.status is Status.MATCHED]
    if not found:
        return None
    chosen = next((i for i in found if answers[i].precision not in _DERIVED), found[0])
    level = _LEVELS.get(unit, "building")
    also = tuple(
        Reason(level, "also", number, answer.standard if i in found else None, float(i in found))
        for i, (number, answer) in enumerate(zip(numbers, answers, strict=True))
        if i != chosen
    )
    answer = answers[chosen]
    score = max(answer.score - 3.0 * (len(numbers) - len(found)), 1.0)
    return replace(answer, query=text, score=score, reasons=(*answer.reasons, *also))
