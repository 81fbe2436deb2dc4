"""Requests to a reader and its results; exchanged between processes as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from schemas.messages import render

FORMATS = (
    "csv",
    "dxf",
    "filegdb",
    "flatgeobuf",
    "geojson",
    "geoparquet",
    "gml",
    "gpkg",
    "gtfs",
    "nominatim",
    "osm_pbf",
    "overpass",
    "parquet",
    "shapefile",
    "topojson",
    "xlsx",
)

RAW_TEXT = "_raw"
RAW_TEXT_LIMIT = 10_000
RESULT_NAME = "parsed.json"


@dataclass(frozen=True)
class Limits:
    """Limits for one file; each limit names the setting that the message of a refused file suggests to raise.

    `max_ratio` compares unpacked with packed bytes and applies from 16 MB on (small text compresses well and does no harm).
    `max_coordinates` and `max_wkb_depth` apply to one geometry.
    """

    max_seconds: int = 600
    max_memory_mb: int = 3072
    max_output_mb: int = 8192
    max_uncompressed_mb: int = 4096
    max_members: int = 10_000
    max_ratio: int = 200
    max_coordinates: int = 10_000_000
    max_wkb_depth: int = 32


@dataclass(frozen=True)
class ReadOptions:
    """How a file is to be read.

    `layer` is a layer, sheet, feature class or the member of a zip. `encoding` and `crs` override what the file declares. `header` names
    the columns of a CSV without header row. `x`, `y`, `wkt` name coordinate columns of a table; they stay among the attributes.
    `strict` refuses the file if the machine cannot isolate the parser.
    """

    format: str
    layer: str | None = None
    encoding: str | None = None
    crs: str | None = None
    header: list[str] | None = None
    x: str | None = None
    y: str | None = None
    wkt: str | None = None
    delimiter: str | None = None
    limits: Limits = field(default_factory=Limits)
    strict: bool = False

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ReadOptions:
        """Return the options from a decoded JSON object."""
        return cls(**{**values, "limits": Limits(**values["limits"])})


@dataclass(frozen=True)
class Column:
    """One attribute as in the file; `type` is the type name used by the format."""

    name: str
    type: str


@dataclass(frozen=True)
class Note:
    """A warning about a whole file: a message code and its parameters."""

    code: str
    params: dict[str, Any]

    def message(self, lang: str | None = None) -> str:
        """Return the localised text and remedy."""
        return render(self.code, self.params, lang)


@dataclass(frozen=True)
class Parsed:
    """The outcome for one file.

    `parts` are Parquet files of `RAW_SCHEMA`, in row order. `declared_crs` is the override if there is one, otherwise the CRS declared by
    the file ("EPSG:n" or WKT), or None if it declares none or the coordinates contradict it. `rejected` of the `row_count` rows have
    an `error_code`.
    """

    parts: list[Path]
    row_count: int
    declared_crs: str | None
    encoding: str | None
    columns: list[Column]
    warnings: list[Note]
    rejected: int
    parser: str
    isolation: str

    def to_json(self) -> str:
        """Return the record that is written next to the parts; part names are relative to it."""
        values = asdict(self)
        values["parts"] = [part.name for part in self.parts]
        return json.dumps(values, ensure_ascii=False, indent=1)

    @classmethod
    def from_dict(cls, values: dict[str, Any], folder: Path) -> Parsed:
        """Rebuild the record from decoded JSON; parts are looked up in the folder by bare name, whatever path the text claims."""
        return cls(
            parts=[folder / Path(name).name for name in values["parts"]],
            row_count=int(values["row_count"]),
            declared_crs=values["declared_crs"],
            encoding=values["encoding"],
            columns=[Column(**column) for column in values["columns"]],
            warnings=[Note(**note) for note in values["warnings"]],
            rejected=int(values["rejected"]),
            parser=str(values["parser"]),
            isolation=str(values["isolation"]),
        )


class RowError(Exception):
    """A row that cannot be read: its code and parameters; the sink adds file and row."""

    def __init__(self, code: str, **params: Any) -> None:
        super().__init__(code)
        self.code = code
        self.params = params
