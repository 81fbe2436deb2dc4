"""Typed numbers of an address: lane, door, building, unit, floor and room, distinguished by the word after the number.

A number is compared as a whole (12, 12-3, 甲12, A): two numbers are either equal or different things; closeness does not count.
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache
from typing import NamedTuple

NUMBER_LEVELS = ("lane", "door", "building", "unit", "floor", "room")

_N = "[0-9]{1,5}(?:-[0-9]{1,4})*(?![0-9])"
_TOKEN = re.compile(
    rf"""(?<![0-9])(?:
      (?P<behind_road>(?<=[路街道巷弄]){_N}号(?=楼[下前后旁上里外边底]|门|路口))
    | (?P<building>(?:(?:[A-Z甲乙丙丁]?-?{_N}[A-Z]?|[A-Z][0-9]{{0,2}})(?:号楼|号幢|号栋|幢|栋|座|\#楼?)|(?<![A-Z])[A-Z甲乙丙丁]楼))
    | (?P<unit>(?:[甲乙丙丁]|{_N}|[A-Z])(?:单元|梯|号门(?![口前外面店牌旁])))
    | (?P<room>(?:[A-Z]?-?{_N}[A-Z]?)(?:号房|室|房(?!地产)|户))
    | (?P<floor>(?:地下|负|B)?{_N}(?:层|楼(?!盘)|F(?![A-Z])))
    | (?P<lane>{_N}(?:支?弄|巷(?!口)|里(?=[0-9]|$)|胡同))
    | (?P<door>[甲乙丙丁附]?{_N}[A-Z]?号(?!线|大街|路|公路|桥|桥|码头|地块|公园)(?:院)?(?:(?:之|-)[0-9]{{1,3}}|附[0-9]{{1,3}}号?)?)
    | (?P<group>{_N}(?:组|队|社)(?!区))
    | (?P<bare>(?<![A-Z0-9])(?:[A-Z]-?)?{_N}[A-Z]?(?=$|[ \#]|[附旁对门一王李张]))
    )""",
    re.VERBOSE,
)
_PARTS = re.compile("[甲乙丙丁]|[A-Z]+|[0-9]+")


class Number(NamedTuple):
    """A number at `[start, end)` of a key, its level (one of NUMBER_LEVELS or `bare`, `group`) and its canonical form."""

    start: int
    end: int
    level: str
    value: str


def numbers_in(key: str, start: int = 0) -> list[Number]:
    """Return the numbers of a key in order; a bare 3-2-501 without a preceding number is left whole, to be interpreted in context.

    Directly after a road, the word that follows 号 says where at the door something is and is not a kind of number: 28号楼下, 28号门前.
    """
    return [
        Number(match.start(), match.end(), "door" if match.lastgroup == "behind_road" else str(match.lastgroup), canonical(match.group()))
        for match in _TOKEN.finditer(key, start)
        if match.lastgroup is not None
    ]


@lru_cache(maxsize=65536)
def canonical(text: str) -> str:
    """Return digits, letters and 甲乙丙丁 of a number joined by hyphens, without leading zeros (12号之3 → 12-3, A座 → A)."""
    under = "B" if text.startswith(("地下", "负")) else ""
    parts = [part.lstrip("0") or "0" if part.isdigit() else part for part in _PARTS.findall(text)]
    if parts and text.endswith("F") and parts[-1] == "F":
        parts.pop()
    return under + "-".join(parts)


@lru_cache(maxsize=262144)
def number_code(value: str) -> int:
    """Return a number's code: plain integers keep their order, other forms get 61 bits of a hash; 0 means no number."""
    if not value:
        return 0
    if value.isascii() and value.isdigit() and len(value) < 10:
        return int(value) + 1
    return (1 << 61) | int.from_bytes(hashlib.blake2b(value.encode(), digest_size=8).digest(), "big") >> 3


def number_fields(level: str, key: str) -> dict[str, str]:
    """Return the canonical numbers in a gazetteer's column: its own level, and a lane in front of a door (88弄12号)."""
    if not key:
        return {}
    found = [n for n in numbers_in(key) if n.level in NUMBER_LEVELS]
    if level == "door" and len(found) == 2 and found[0].level == "lane":
        return {"lane": found[0].value, "door": found[1].value}
    return {level: canonical(key)} if canonical(key) else {}
