"""Input and output of the address engine: elements, a parsed text, a match with its reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

LEVELS = (
    "province",
    "city",
    "district",
    "township",
    "community",
    "road",
    "lane",
    "door",
    "place",
    "building",
    "unit",
    "floor",
    "room",
)


class Status(StrEnum):
    """Outcome of a match: one answer, several equally good ones, none."""

    MATCHED = "M"
    TIED = "T"
    UNMATCHED = "U"


@dataclass(frozen=True, slots=True)
class Element:
    """One element of an address as found in the text: `text[start:end]`, its level and its normalised form."""

    level: str
    text: str
    start: int
    end: int
    norm: str
    code: str | None = None


@dataclass(frozen=True, slots=True)
class Parsed:
    """A text split into its elements, from the province down; `rest` is the unexplained text; `division_code` has 12 digits if known."""

    text: str
    elements: tuple[Element, ...]
    division_code: str | None
    rest: str


@dataclass(frozen=True, slots=True)
class Reason:
    """Why one element matched, was filled in, was corrected or failed; `code` is a message code (SY-A…) or `same`, `alias`, `mended`,
    `filled`, `also`."""

    level: str
    code: str
    asked: str | None
    found: str | None
    score: float


@dataclass(frozen=True, slots=True)
class Match:
    """The answer to one address: coordinates are CGCS2000 degrees, `geom` is ISO WKB of the kind given by `precision`.

    `precision` is one of LEVELS or `crossing`, `interpolated`, `offset`, `area`; `score` is 0–100. A tied or unmatched answer has no
    coordinate; its `code` is the message code of the cause and `candidates` are the possible answers.
    """

    query: str
    status: Status
    score: float
    standard: str | None = None
    division_code: str | None = None
    precision: str | None = None
    lon: float | None = None
    lat: float | None = None
    geom: bytes | None = None
    grid_code: str | None = None
    entity_id: str | None = None
    code: str | None = None
    message: str | None = None
    message_zh: str | None = None
    reasons: tuple[Reason, ...] = ()
    candidates: tuple[Match, ...] = ()
