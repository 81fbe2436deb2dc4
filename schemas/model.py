"""The parts of a contract: fields, columns, the stamp rule per domain, checks, thresholds.

A contract is the only place where a table is described. Spark and Arrow schemas, Delta constraints and comments, row checks, the Great
Expectations suite, dbt sources, ODCS YAML, the docs page and the golden file are derived from it (package `quality`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

LAYERS = ("raw", "core", "mart")
DOMAINS = ("basemap", "thematic", "iot", "crawl", "mining", "ops")
TABLE_NAME = re.compile(rf"^({'|'.join(LAYERS)})\.({'|'.join(DOMAINS)})__([a-z][a-z0-9_]*)$")
FIELD_NAME = re.compile(r"^[a-z][a-z0-9_]*$")


class Frozen(BaseModel):
    """Base of all contract parts: immutable, and unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DType(StrEnum):
    """Column types that all engines in use can read: Spark, Arrow, DuckDB, Polars, GeoPandas."""

    STRING = "string"
    BOOLEAN = "boolean"
    INTEGER = "integer"
    LONG = "long"
    DOUBLE = "double"
    DATE = "date"
    TIMESTAMP = "timestamp"  # a UTC instant, microseconds
    BINARY = "binary"  # ISO WKB for geometry
    STRINGS = "array<string>"
    TAGS = "map<string,string>"
    BBOX = "struct<xmin:double,ymin:double,xmax:double,ymax:double>"


class GeometryKind(StrEnum):
    POINT = "point"
    LINE = "line"
    POLYGON = "polygon"
    ANY = "any"


class History(StrEnum):
    """How a table keeps its history."""

    ENTITY = "entity"  # bitemporal keyed merge: one live row per entity and valid interval
    FACT = "fact"  # partition overwrite bounded by the batch
    APPEND = "append"  # rows are only ever added, once per (source, batch)


class SecurityLabel(StrEnum):
    PUBLIC = "public"
    INTERNAL = "internal"
    RESTRICTED = "restricted"
    SECRET = "secret"


def highest(labels: Iterable[SecurityLabel]) -> SecurityLabel:
    """Return the highest of the labels, `public` if there are none."""
    order = list(SecurityLabel)
    return max(labels, key=order.index, default=SecurityLabel.PUBLIC)


class FieldDef(Frozen):
    """A quantity with the same name everywhere; defined once, in `schemas/fields.py`."""

    name: str
    dtype: DType
    title_zh: str
    description: str
    unit: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    code_list: str | None = None
    aliases: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _named_by_rule(self) -> Self:
        if not FIELD_NAME.match(self.name):
            raise ValueError(f"field name {self.name!r} is not snake_case")
        return self


class Column(Frozen):
    """A field as one contract uses it: `required` rows without a value are quarantined."""

    field: FieldDef
    required: bool = False
    description: str | None = None

    @property
    def name(self) -> str:
        return self.field.name

    @property
    def dtype(self) -> DType:
        return self.field.dtype


class Geometry(Frozen):
    """The geometry column `geom` of a contract: ISO WKB in EPSG:4490, and the geometry kind that a row must have after conforming."""

    kind: GeometryKind
    required: bool = True
    multi: bool = True


class TimeStamp(Frozen):
    """Time domain: `valid_from` names a column with the start of validity; without one, the edition time of the batch is used.

    `code` is the precision of `time_code`: `year`, `month`, `day`, `second`.
    """

    valid_from: str | None = None
    valid_to: str | None = None
    observed: str | None = None
    code: Annotated[str, StringConstraints(pattern="^(year|month|day|second)$")] = "day"


class SpaceStamp(Frozen):
    """Space domain: the finest BeiDou level (1–10), and how `division_code` is determined.

    `within` looks up a representative point in `core.basemap__division`; `own` takes the contract's own column `division_code`;
    `none` leaves it empty. `geocode` names the address column used to geocode rows without a geometry.
    """

    max_grid_level: Annotated[int, Field(ge=1, le=10)] = 8
    division: Annotated[str, StringConstraints(pattern="^(within|own|none)$")] = "within"
    geocode: str | None = None


class AttributeStamp(Frozen):
    """Attribute domain: the theme of the table and the columns with class and industry codes, each in a dated code list."""

    theme_code: str
    class_code: str | None = None
    class_list: str | None = None
    industry_code: str | None = None


class Matching(Frozen):
    """How an entity is recognised when its key has changed: geometry overlap or distance, and equal attributes."""

    min_overlap: float = 0.5  # intersection over union for polygons, shared length for lines
    max_distance_m: float = 20.0
    attributes: tuple[str, ...] = ()


class Check(Frozen):
    """A row check that columns can't express: `expression` is Spark SQL that is true for a good row."""

    name: str
    field: str
    expression: str
    message: str
    message_zh: str
    level: Annotated[str, StringConstraints(pattern="^(error|warning)$")] = "error"


class Thresholds(Frozen):
    """Shares (0–1): the share of rejected rows in a batch from which a run warns or fails, and the share of a source's open rows that a
    full delivery may end before it is held for a decision."""

    warn: float = 0.01
    fail: float = 0.25
    ended: float = 0.2


class Contract(Frozen):
    """The complete description of a table. `grain` is one sentence that says what a row stands for."""

    name: str
    version: int = 1
    title_zh: str
    grain: str
    description: str
    key: tuple[str, ...] = ("source_name", "source_key")
    columns: tuple[Column, ...]
    geometry: Geometry | None = None
    history: History = History.ENTITY
    partition_by: tuple[str, ...] = ()
    time: TimeStamp = TimeStamp()
    space: SpaceStamp = SpaceStamp()
    attribute: AttributeStamp
    matching: Matching | None = None
    checks: tuple[Check, ...] = ()
    thresholds: Thresholds = Thresholds()
    security_label: SecurityLabel = SecurityLabel.PUBLIC
    owner: str = "data-centre"
    source_note: str = ""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not TABLE_NAME.match(self.name):
            raise ValueError(f"table name {self.name!r} is not layer.domain__entity with a layer of {LAYERS} and a domain of {DOMAINS}")
        names = [c.name for c in self.columns]
        twice = {n for n in names if names.count(n) > 1}
        if twice:
            raise ValueError(f"{self.name}: columns given twice: {sorted(twice)}")
        own = {*names, "source_name", "source_key", "division_code"}
        for role, column in (
            ("time.valid_from", self.time.valid_from),
            ("time.valid_to", self.time.valid_to),
            ("time.observed", self.time.observed),
            ("space.geocode", self.space.geocode),
            ("attribute.class_code", self.attribute.class_code),
            ("attribute.industry_code", self.attribute.industry_code),
            *(("key", k) for k in self.key),
            *(("partition_by", p) for p in self.partition_by),
        ):
            if column is not None and column not in own:
                raise ValueError(f"{self.name}: {role} names {column!r}, which is not a column of the contract")
        if self.space.geocode and (self.layer != "core" or self.geometry is None or self.geometry.required):
            raise ValueError(f"{self.name}: space.geocode is for core tables whose geometry may be missing")
        return self

    @property
    def layer(self) -> str:
        return self.name.split(".", 1)[0]

    @property
    def domain(self) -> str:
        return self.name.split(".", 1)[1].split("__", 1)[0]

    @property
    def entity(self) -> str:
        return self.name.split("__", 1)[1]

    @property
    def path(self) -> str:
        """Return the table's path below the lake: `core/basemap/building`."""
        return f"{self.layer}/{self.domain}/{self.entity}"

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.columns if c.required)

    def column(self, name: str) -> Column:
        """Return the column; KeyError if there is no column of that name."""
        for c in self.columns:
            if c.name == name:
                return c
        raise KeyError(name)
