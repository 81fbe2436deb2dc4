"""The city of a lake: its name, its location, and the order in which its sources are loaded."""

from __future__ import annotations

import tomllib
from pathlib import Path

from pydantic import ValidationError, field_validator

from schemas.messages import SanyuError
from schemas.model import Frozen
from schemas.source import Source, load_sources

CITY_FILE = "city.toml"


class City(Frozen):
    """`extent` is (west, south, east, north) in degrees, EPSG:4490, with a margin: a coordinate outside it is an error of the source."""

    name: str
    title: str
    title_zh: str
    extent: tuple[float, float, float, float]
    metric_crs: str
    time_zone: str = "+08:00"
    country: str = "CN"
    note: str = ""

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
        return City.model_validate(tomllib.loads(path.read_text("utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise SanyuError("SY-D001", file=str(path), detail=str(error)) from error
    except ValidationError as error:
        first = error.errors()[0]
        raise SanyuError("SY-D002", file=str(path), field=".".join(map(str, first["loc"])), detail=first["msg"]) from error


def ordered_sources(folder: Path) -> dict[str, Source]:
    """Return the city's sources, starting with those that fill the division table, because every other table looks up divisions in it."""
    sources = load_sources(folder)

    def rank(source: Source) -> tuple[bool, str]:
        return all(i.contract != "core.basemap__division" for i in source.into), source.name

    return {s.name: s for s in sorted(sources.values(), key=rank)}
