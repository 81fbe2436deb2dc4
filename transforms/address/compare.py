"""Decides whether two texts mean the same address (同一地址判定): element by element, after both were matched."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from transforms.address.answer import answer
from transforms.address.matcher import Matcher
from transforms.address.model import LEVELS, Match, Reason, Status
from transforms.address.numbers import NUMBER_LEVELS, canonical
from transforms.address.parsing import parsed
from transforms.address.text import key_of


class Relation(StrEnum):
    """Same address; one contains the other; different addresses."""

    SAME = "same"
    PARTIAL = "partial"
    DIFFERENT = "different"


@dataclass(frozen=True, slots=True)
class Sameness:
    """The decision, with the result for each level (`same`, `missing` on one side, `differs`) and both matches."""

    relation: Relation
    reasons: tuple[Reason, ...]
    first: Match
    second: Match


def compare(matcher: Matcher, first: str, second: str) -> Sameness:
    """Compare two texts; a contradicting element makes them different, an element on one side only makes them partial."""
    one, two = (answer(matcher, text, matcher.find(key_of(text))) for text in (first, second))
    if one.entity_id is not None and one.entity_id == two.entity_id:
        return Sameness(Relation.SAME, (Reason(one.precision or "", "same", first, two.standard, 1.0),), one, two)
    left, right = _elements(matcher, one, first), _elements(matcher, two, second)
    reasons = []
    for level in LEVELS:
        a, b = left.get(level), right.get(level)
        if a is None and b is None:
            continue
        code = "missing" if a is None or b is None else "same" if a == b else "differs"
        reasons.append(Reason(level, code, a, b, float(code == "same")))
    codes = {reason.code for reason in reasons}
    fine = [reason.code for reason in reasons if reason.level not in LEVELS[:5]]
    known = one.status is Status.MATCHED and two.status is Status.MATCHED
    if "differs" in codes or "same" not in codes or (known and one.division_code != two.division_code and not fine):
        relation = Relation.DIFFERENT
    else:
        relation = Relation.PARTIAL if "missing" in fine or (known and one.precision != two.precision) else Relation.SAME
    return Sameness(relation, tuple(reasons), one, two)


def _elements(matcher: Matcher, match: Match, text: str) -> dict[str, str]:
    """Return the comparable form of each level, from the matched row or else from the parsed text."""
    if match.status is Status.MATCHED:
        depth = LEVELS.index(match.precision) if match.precision in LEVELS else len(LEVELS)
        found = {r.level: r.found for r in match.reasons if r.found and r.level in LEVELS and LEVELS.index(r.level) <= depth}
    else:
        found = {element.level: element.norm for element in parsed(matcher, text).elements}
    return {level: canonical(key_of(value)) if level in NUMBER_LEVELS else key_of(value) for level, value in found.items()}
