"""The grammar of Latin-script addresses in North America: house number, street with direction and type, unit; blocks.

Abbreviations after USPS Publication 28, appendices B (directionals) and C (street suffixes, unit designators).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_TYPES = {
    "ALLEY": "ALY ALLEE ALLY AL", "AVENUE": "AVE AV AVEN AVN AVENU", "BOULEVARD": "BLVD BOUL BL", "CIRCLE": "CIR CRCL", "COURT": "CT CRT",
    "DRIVE": "DR DRV", "EXPRESSWAY": "EXPY EXP", "FREEWAY": "FWY", "HIGHWAY": "HWY HIWAY", "HILL": "HL", "LANE": "LN", "LOOP": "LP",
    "PARKWAY": "PKWY PKY", "PLACE": "PL", "PLAZA": "PLZ", "PATH": "PTH", "ROAD": "RD", "ROW": "", "SQUARE": "SQ",
    "STAIRWAY": "STWY", "STREET": "ST STR", "TERRACE": "TER TERR", "TUNNEL": "TUNL", "WALK": "WK", "WAY": "WY",
}  # fmt: skip
TYPE_OF = {short: full for full, shorts in _TYPES.items() for short in (full, *shorts.split())}
_DIRECTIONS = {
    "N": "NORTH", "S": "SOUTH", "E": "EAST", "W": "WEST", "NE": "NORTHEAST", "NW": "NORTHWEST", "SE": "SOUTHEAST", "SW": "SOUTHWEST",
}  # fmt: skip
DIRECTION_OF = _DIRECTIONS | {full: full for full in _DIRECTIONS.values()}
_SPELT = (
    "FIRST", "SECOND", "THIRD", "FOURTH", "FIFTH", "SIXTH", "SEVENTH", "EIGHTH", "NINTH", "TENTH", "ELEVENTH", "TWELFTH", "THIRTEENTH",
    "FOURTEENTH", "FIFTEENTH", "SIXTEENTH",
)  # fmt: skip
_ORDINALS = {word: f"{n}{'ST' if n == 1 else 'ND' if n == 2 else 'RD' if n == 3 else 'TH'}" for n, word in enumerate(_SPELT, start=1)}
_WORDS = _ORDINALS | {"SAINT": "ST", "MOUNT": "MT", "FORT": "FT", "DOCTOR": "DR", "JUNIOR": "JR", "AND": "&"}
_UNIT = re.compile(r"(?:\b(?:APT|APARTMENT|UNIT|STE|SUITE|RM|ROOM|FL|FLOOR|BLDG|SPC|LOT)\b\.?\s*#?\s*|#\s*)([A-Z0-9-]+)")
_NUMBER = re.compile(r"^(\d+)(?:\s*-\s*\d+)?([A-Z]|\s+1/2)?\s+(?=\S)")
_ZIP = re.compile(r"\b[A-Z]{2}\s+\d{5}(?:-\d{4})?$|\b\d{5}(?:-\d{4})?$")
_BLOCK = re.compile(
    r"^(?P<street>[^:]+):\s*(?P<first>.+?)\s+TO\s+(?P<second>.+?)\s*\(\s*(?P<low>\d+)\s*-\s*(?P<high>\d+)\s*\)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Street:
    """The parts of a street's name: directions and type in full, the base in capitals, ordinals as 3RD."""

    direction: str
    base: str
    kind: str

    @property
    def key(self) -> str:
        """Return the parts as one text."""
        return " ".join(part for part in (self.direction, self.base, self.kind) if part)


@dataclass(frozen=True, slots=True)
class LatinAddress:
    """House number (None if missing), streets (two at a crossing), unit."""

    number: int | None
    streets: tuple[Street, ...]
    unit: str | None


@dataclass(frozen=True, slots=True)
class Block:
    """A stretch of a street between two cross streets with its range of numbers, as written by city works departments."""

    street: Street
    first: Street
    second: Street
    low: int
    high: int


def parse_street(text: str) -> Street:
    """Return a street's parts: `S. Van Ness Ave` → SOUTH, VAN NESS, AVENUE; a lone type or direction word is the name itself."""
    words = [_WORDS.get(word, word) for word in re.sub(r"[.,']", "", text.upper()).split()]
    words = [re.sub(r"^0+(?=\d+(?:ST|ND|RD|TH)$)", "", word) for word in words]
    kind = direction = ""
    if len(words) > 2 and words[-1] in DIRECTION_OF:
        direction = DIRECTION_OF[words.pop()]
    if len(words) > 1 and words[-1] in TYPE_OF and not (len(words) == 2 and words[0] == "THE"):
        kind = TYPE_OF[words.pop()]
    if len(words) > 1 and words[0] in DIRECTION_OF:
        direction = DIRECTION_OF[words.pop(0)]
    if len(words) > 1 and words[0] == "THE":
        words.pop(0)
    return Street(direction, " ".join(words), kind)


def parse_latin(text: str, localities: tuple[str, ...] = ()) -> LatinAddress | None:
    """Return the parts of an address or of a crossing (`A St & B St`, `A at B`); None if no street is given.

    `localities` (SAN FRANCISCO, CA) and ZIP codes after the street are left out.
    """
    plain = " ".join(text.upper().replace("\n", " ").split())
    plain = _ZIP.sub("", plain).strip(" ,")
    for name in localities:
        plain = re.sub(rf"[\s,]+{re.escape(name.upper())}\.?$", "", plain).strip(" ,")
    unit = _UNIT.search(plain)
    if unit:
        plain = (plain[: unit.start()] + plain[unit.end() :]).strip(" ,")
    number = _NUMBER.match(plain)
    if number and not re.match(r"\d+(?:ST|ND|RD|TH)\b", plain):
        street = plain[number.end() :].split(",")[0].strip()
        return LatinAddress(int(number[1]), (parse_street(street),), unit[1] if unit else None) if re.search("[A-Z]", street) else None
    sides = re.split(r"\s*(?:&|/|@)\s*|\s+(?:AND|AT)\s+", re.sub(r"^(?:CORNER|INTERSECTION)\s+OF\s+", "", plain))
    streets = tuple(parse_street(side.split(",")[0]) for side in sides if re.search("[A-Z]", side))
    if not 1 <= len(streets) <= 2 or any(len(s.base.split()) > 4 for s in streets):
        return None
    return LatinAddress(None, streets, unit[1] if unit else None)


def parse_block(text: str) -> Block | None:
    """Return the stretch named by a text such as `TAYLOR ST: BAY ST to NORTH POINT ST (2500 - 2599)`."""
    found = _BLOCK.match(text.strip())
    if not found:
        return None
    first, second = (parse_street(found[side].split("\\")[0]) for side in ("first", "second"))
    return Block(parse_street(found["street"]), first, second, int(found["low"]), int(found["high"]))
