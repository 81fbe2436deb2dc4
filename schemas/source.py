"""The user's source definition: a TOML file that says where data come from and how they become rows of which contracts."""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from schemas.kinds import Read, kinds
from schemas.messages import SanyuError
from schemas.model import Frozen

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$")]


class About(Frozen):
    """Who publishes the data, and under which terms."""

    name: Name
    title: str
    title_zh: str | None = None
    domain: Literal["basemap", "thematic", "iot", "crawl"]
    publisher: str | None = None
    licence: str
    attribution: str


class Delivery(Frozen):
    """What a batch is: a `full` snapshot (missing rows have ended) or a `partial` one, its edition time and the zone of naive times."""

    snapshot: Literal["full", "partial"] = "full"
    edition_at: str | None = None  # ISO date or time; start of validity for rows without one. Default: the newest file's modification time
    time_zone: str = "+08:00"
    schedule: str | None = None
    max_ended: Annotated[float, Field(ge=0, le=1)] | None = None  # share of rows that a full delivery may end; default: the contract's
    fewer_files: bool = False  # a full delivery may have fewer files than the previous one


class ColumnFrom(Frozen):
    """How one column is filled: a Spark SQL expression over the raw fields, then a code table, a unit, or a time format."""

    expr: str
    codes: dict[str, str] = Field(default_factory=dict)
    default: str | None = None
    unit: str | None = None
    time_format: str | None = None


class Into(Frozen):
    """One target table of a source: which raw rows go there, and how their columns are filled."""

    contract: str
    where: str | None = None
    key: str | None = None  # SQL; default: feature id, else a digest of the geometry, else of the row
    order_by: str | None = None  # of rows with one key, the one with the largest value wins
    geometry: Literal["as_is", "point"] = "as_is"  # `point` takes a point on each shape, for tables of points
    extent: tuple[float, float, float, float] | None = None  # (west, south, east, north) in place of the city's
    near_duplicate_iou: Annotated[float, Field(gt=0, le=1)] | None = None
    match_sheet_edges_m: float | None = None
    columns: dict[str, str | ColumnFrom]

    @property
    def fingerprint(self) -> str:
        """Return a digest of all that decides what the raw rows become in this table: every field, in whatever order and form."""
        decisive = self.model_dump(mode="json") | {"columns": {name: rule.model_dump(mode="json") for name, rule in self.rules.items()}}
        return _digest(decisive)

    @property
    def rules(self) -> dict[str, ColumnFrom]:
        return {name: ColumnFrom(expr=rule) if isinstance(rule, str) else rule for name, rule in self.columns.items()}


class Source(Frozen):
    """A source definition; `name` is the file's stem."""

    source: About
    read: Read
    delivery: Delivery = Delivery()
    into: tuple[Into, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _each_table_once(self) -> Self:
        names = [i.contract for i in self.into]
        if len(set(names)) < len(names):
            raise ValueError("a contract is named by more than one [[into]]")
        return self

    @property
    def name(self) -> str:
        return self.source.name

    @property
    def raw_table(self) -> str:
        return f"raw.{self.source.domain}__{self.name}"

    @property
    def reading(self) -> str:
        """Return a digest of everything that decides which raw rows a delivery has and when they are valid.

        Titles, licences, schedules and the connection to a database do not count.
        """
        delivery = self.delivery.model_dump(mode="json", include={"snapshot", "edition_at", "time_zone"})
        return _digest(
            {
                "source": self.name,
                "domain": self.source.domain,
                "kind": self.read.name(),
                "read": self.read.decisive(),
                "delivery": delivery,
            }
        )

    @property
    def fingerprint(self) -> str:
        """Return a digest of everything that decides what the rows become; it is part of the batch id."""
        return _digest({"reading": self.reading, "into": {into.contract: into.fingerprint for into in self.into}})

    @property
    def former_fingerprint(self) -> str:
        """Return the digest as computed by version 0.1, to recognise batches landed then; it also covered titles and schedules."""
        read = dict.fromkeys(("path", "layer", "encoding", "header", "delimiter", "table", "query", "geometry")) | {"path": []}
        read |= self.read.decisive()
        delivery = self.delivery.model_dump(mode="json", include={"snapshot", "edition_at", "time_zone", "schedule"})
        return _digest(self.model_dump(mode="json") | {"read": read, "delivery": delivery})

    def has_rows_of(self, other: Source) -> bool:
        """Return whether a delivery that landed under another definition of this source is the same under this one.

        It is if the raw rows are the same and become the same in every table that both have; then only new tables have to be loaded.
        """
        theirs = {into.contract: into.fingerprint for into in other.into}
        return self.reading == other.reading and all(theirs.get(into.contract, into.fingerprint) == into.fingerprint for into in self.into)


def load_source(path: Path) -> Source:
    """Read a source definition; SY-D001 (not TOML) or SY-D002 (field, problem, nearest known name) if it is invalid."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SanyuError("SY-D001", file=path.name, detail=str(error)) from error
    try:
        return Source.model_validate(data)
    except ValidationError as error:
        first: Any = error.errors()[0]
        where = _field(first["loc"])
        hint = ""
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(first["loc"][-1]), _known_keys(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SanyuError("SY-D002", file=path.name, field=where, detail=first["msg"] + hint) from error


def _field(loc: tuple[int | str, ...]) -> str:
    """Return the location of an error as in the file; pydantic adds the kind of the section `[read]` to it."""
    return ".".join(str(part) for number, part in enumerate(loc) if not (number == 1 and loc[0] == "read" and part in kinds()))


def _digest(decisive: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def _known_keys() -> list[str]:
    models: tuple[type[Frozen], ...] = (Source, About, *kinds().values(), Delivery, Into, ColumnFrom)
    return sorted({key for model in models for key in model.model_fields})
