"""The city of a lake: its name, its location, and the order in which its sources are loaded."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError, field_validator

from schemas.messages import SanyuError
from schemas.model import Contract, Frozen
from schemas.source import Source, load_source

CITY_FILE = "city.toml"
_FORMER = frozenset(
    {"metric_crs", "time_zone", "country", "note"}
)  # fields of version 0.1 that nothing read; files that have them stay valid


class City(Frozen):
    """`extent` is (west, south, east, north) in degrees, EPSG:4490, with a margin: a coordinate outside it is an error of the source."""

    name: str
    title: str
    title_zh: str
    extent: tuple[float, float, float, float]

    @field_validator("extent")
    @classmethod
    def _box(cls, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        west, south, east, north = box
        if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
            raise ValueError("extent is west, south, east, north in degrees")
        return box


def load_city(folder: Path) -> City:
    """Read `city.toml` of a folder of sources; SY-D001 or SY-D002 if it is invalid, SY-D004 if it is missing."""
    path = folder / CITY_FILE
    if not path.is_file():
        raise SanyuError("SY-D004", folder=str(folder))
    try:
        given = tomllib.loads(path.read_text("utf-8"))
        return City.model_validate({key: value for key, value in given.items() if key not in _FORMER})
    except tomllib.TOMLDecodeError as error:
        raise SanyuError("SY-D001", file=str(path), detail=str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise SanyuError("SY-D002", file=str(path), field=".".join(map(str, first["loc"])), detail=first["msg"]) from error


@dataclass(frozen=True)
class Sources:
    """A city's definitions: the usable ones in the order of loading, and by name (the file's stem) what is wrong with the others."""

    usable: dict[str, Source]
    unusable: dict[str, SanyuError]


def read_sources(folder: Path, contracts: Mapping[str, Contract]) -> Sources:
    """Read all definitions below a folder, each by itself: one that is wrong is among the `unusable` and stops no other.

    SY-D001 (not TOML), SY-D002 (a field, or a contract that there is not, with the nearest name), SY-D003 (a name that is taken). Sources
    that fill the division table come first: every other table looks its division up there.
    """
    found: dict[str, Source] = {}
    wrong: dict[str, SanyuError] = {}
    for path in sorted(folder.rglob("*.toml")):
        if path.name in (CITY_FILE, "sanyu.toml"):
            continue
        try:
            source = load_source(path)
            _require_contracts(source, path, contracts)
            if source.name in found:
                raise SanyuError("SY-D003", file=path.name, name=source.name)
            found[source.name] = source
        except SanyuError as error:
            wrong[path.stem if path.stem not in {*found, *wrong} else path.relative_to(folder).as_posix()] = error

    def rank(source: Source) -> tuple[bool, str]:
        return all(i.contract != "core.basemap__division" for i in source.into), source.name

    return Sources({s.name: s for s in sorted(found.values(), key=rank)}, wrong)


def _require_contracts(source: Source, path: Path, contracts: Mapping[str, Contract]) -> None:
    for number, into in enumerate(source.into):
        if into.contract not in contracts:
            near = difflib.get_close_matches(into.contract, contracts, n=1, cutoff=0.0)
            detail = f"there is no contract {into.contract!r}; the nearest is {near[0] if near else '-'!r}"
            raise SanyuError("SY-D002", file=path.name, field=f"into.{number}.contract", detail=detail)
