"""The terms of a published table: the licences of all sources whose rows are in it, and their combined obligations.

A table of rows as sources delivered them is a collection: each row keeps the licence of its source, given by `source_name`. A derived
table (a mart) has no such rows; the obligations of all licences behind it apply to the whole table, and a share-alike licence requires
derived data to be offered under the same licence (ODbL 1.0, 4.4; CC BY-SA 4.0, 3(b)). What follows for a city's own terms is for a person
to decide: this module reports it, and forbids nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

_CC = re.compile(r"^CC-(BY(?:-NC)?(?:-SA|-ND)?)-(\d\.\d)$", re.IGNORECASE)
_SPDX_PAGE = "https://spdx.org/licenses/{}.html"
_ODC = "https://opendatacommons.org/licenses/"
_TEXTS = {
    "CC0-1.0": "https://creativecommons.org/publicdomain/zero/1.0/",
    "PDDL-1.0": f"{_ODC}pddl/1-0/",
    "ODC-By-1.0": f"{_ODC}by/1-0/",
    "ODbL-1.0": f"{_ODC}odbl/1-0/",
    "OGL-UK-3.0": "https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/",
    "DL-DE-BY-2.0": "https://www.govdata.de/dl-de/by-2-0",
    "DL-DE-ZERO-2.0": "https://www.govdata.de/dl-de/zero-2-0",
    "etalab-2.0": _SPDX_PAGE.format("etalab-2.0"),
    "MIT": _SPDX_PAGE.format("MIT"),
    "Apache-2.0": _SPDX_PAGE.format("Apache-2.0"),
}
_KNOWN = {name.lower(): name for name in _TEXTS}


@dataclass(frozen=True)
class Licence:
    """A licence as named by a source; `presumed` is its SPDX identifier, `certain` unless the name adds e.g. `(to be confirmed)`."""

    name: str
    presumed: str | None = None
    certain: bool = True

    @property
    def spdx(self) -> str | None:
        return self.presumed if self.certain else None

    @property
    def url(self) -> str | None:
        """Return the URL of its text; None for terms that this module does not know."""
        found = _CC.match(self.presumed or "")
        return f"https://creativecommons.org/licenses/{found[1].lower()}/{found[2]}/" if found else _TEXTS.get(self.presumed or "")

    @property
    def is_share_alike(self) -> bool:
        return self.presumed == "ODbL-1.0" or self._asks("-SA-")

    @property
    def forbids_changes(self) -> bool:
        return self._asks("-ND-")

    @property
    def forbids_commerce(self) -> bool:
        return self._asks("-NC-")

    def _asks(self, part: str) -> bool:
        return part in (self.presumed or "")


def licence(name: str) -> Licence:
    """Return the licence named in a source definition: `ODbL 1.0`, `CC-BY-4.0`, `PDDL-1.0 (to be confirmed)`, or custom terms."""
    words, _, more = name.partition("(")
    text = "-".join(words.split())
    return Licence(name, text.upper() if _CC.match(text) else _KNOWN.get(text.lower()), certain=not more)


@dataclass(frozen=True)
class Terms:
    """The terms of one table: its sources' licences without duplicates, and whether its rows are derived from those of the sources."""

    licences: tuple[Licence, ...]
    is_derived: bool

    @property
    def expression(self) -> str:
        """Return the applicable SPDX identifier or expression, `other` if a licence has none (STAC 1.1, common metadata)."""
        names = [one.spdx for one in self.licences]
        known = [name for name in names if name is not None]
        return " AND ".join(known) if known and len(known) == len(names) else "other"

    @property
    def statements(self) -> tuple[str, ...]:
        """Return what a reader must know beyond the list of licences, in sentences; empty if one permissive licence is enough."""
        found = []
        if len(self.licences) > 1:
            found.append(
                f"Derived from rows under {self._names()}; what each of them asks holds for the whole table"
                if self.is_derived
                else f"Each row is under the licence of its source, named in source_name; the table holds rows under {self._names()}"
            )
        found += self._share_alike([one.name for one in self.licences if one.is_share_alike])
        found += [f"{one.name} forbids passing on changed data" for one in self.licences if one.forbids_changes]
        found += [f"{one.name} forbids commercial use" for one in self.licences if one.forbids_commerce]
        return tuple(found)

    def _share_alike(self, names: list[str]) -> list[str]:
        if not names:
            return []
        if len(names) == 1 and self.is_derived:
            return [f"Share-alike: this table is a derived database and is offered under {names[0]}"]
        if len(names) == 1:
            return [f"Share-alike: a database that is made from rows under {names[0]} has to be offered under it"]
        advice = "ask the publishers before you pass this table on" if self.is_derived else "don't merge their rows into one derived table"
        return [f"Share-alike licences differ: {_listed(names)} each ask that what is derived is offered under it; {advice}"]

    def _names(self) -> str:
        return _listed([one.name for one in self.licences])


def terms(names: Iterable[str], *, is_derived: bool) -> Terms:
    """Return the terms that follow from the licences of a table's sources."""
    return Terms(tuple(licence(name) for name in sorted(set(names))), is_derived)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + (" and " if len(names) > 1 else "") + names[-1]
