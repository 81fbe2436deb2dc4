"""The user's source definition: one TOML file that says where data come from and how they become rows of which contracts."""

from __future__ import annotations

import difflib
import hashlib
import json
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, ValidationError, model_validator

from schemas.messages import SanyuError
from schemas.model import Frozen

_OF_DATABASES = frozenset({"url", "table", "query", "user_env", "password_env", "driver", "geometry", "changed_by", "fetch_size"})
_OF_FILES = frozenset({"path", "layer", "encoding", "header", "delimiter"})
# How a database is reached does not decide what its rows become.
_OF_ACCESS = frozenset({"url", "user_env", "password_env", "driver", "changed_by", "fetch_size"})
_CREDENTIALS = re.compile(r"[?;&](user|username|password|pwd)=|://[^/@]*@|thin:[^/@]+/[^@]*@", re.IGNORECASE)
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


class Read(Frozen):
    """Which files, and how they are parsed. `path` is a glob below the data root; a list reads several.

    With `format = "jdbc"` the rows of a database are read instead of files: `url`, and `table` or `query`. Credentials come from the
    variables that `user_env` and `password_env` name, never from here.
    `open_schema` is for formats whose rows each bring their own keys (OSM): a name that no row has is then empty, not an error.
    """

    path: str | tuple[str, ...] = ()
    format: str | None = None
    layer: str | None = None
    encoding: str | None = None
    crs: str | None = None
    datum_operation: str | None = None
    header: tuple[str, ...] | None = None
    delimiter: str | None = None
    x: str | None = None
    y: str | None = None
    wkt: str | None = None
    tags: str | None = None  # a column with hstore text, offered to expressions as the map `tags`
    open_schema: bool = False
    max_seconds: int = 600
    max_memory_mb: int = 4096
    url: str | None = None
    table: Annotated[str, StringConstraints(pattern=r"^[\w$]+(\.[\w$]+){0,2}$")] | None = None
    query: str | None = None
    user_env: str | None = None
    password_env: str | None = None
    driver: str | None = None
    geometry: str | None = None
    changed_by: str | None = None
    fetch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000

    @model_validator(mode="after")
    def _files_or_database(self) -> Self:
        given = {name for name in self.model_fields_set if getattr(self, name) is not None}
        if not self.is_database:
            if not self.path:
                raise ValueError("`path` is missing: which files to read")
            if wrong := sorted(given & _OF_DATABASES):
                raise ValueError(f'{wrong[0]} is for format = "jdbc"')
            return self
        if wrong := sorted(given & _OF_FILES):
            raise ValueError(f'{wrong[0]} is for files, not for format = "jdbc"')
        if not (self.url or "").startswith("jdbc:"):
            raise ValueError("`url` is missing or no JDBC address, such as jdbc:postgresql://host:5432/city")
        if _CREDENTIALS.search(self.url or ""):
            raise ValueError("credentials in `url`: name the variables that hold them as `user_env` and `password_env`")
        if (self.table is None) == (self.query is None):
            raise ValueError("give either `table` or `query`")
        return self

    @property
    def is_database(self) -> bool:
        return self.format == "jdbc"

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def server(self) -> str:
        """Return the database's address without the options behind it."""
        return re.split(r"[?;]", (self.url or "").removeprefix("jdbc:"))[0]

    @property
    def sql(self) -> str:
        """Return the query that gives a database's rows."""
        return self.query.strip().rstrip(";") if self.query else f"select * from {self.table}"

    @property
    def origin(self) -> str:
        """Return in a few words where the rows are: the files' patterns, or the database with its table."""
        return f"{self.server} {self.table or 'query'}" if self.is_database else ", ".join(self.paths)


class Delivery(Frozen):
    """What a batch is: the `full` set (what is missing has ended) or a `partial` one, its edition time and the zone of naive times."""

    snapshot: Literal["full", "partial"] = "full"
    edition_at: str | None = (
        None  # ISO date or time; start of validity of rows that bring none. Default: the newest file's modification time
    )
    time_zone: str = "+08:00"
    schedule: str | None = None
    max_ended: Annotated[float, Field(ge=0, le=1)] | None = None  # share of rows that a full delivery may end; default: the contract's
    fewer_files: bool = False  # a full delivery may have fewer files than the one before


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
    def fingerprint(self) -> str:
        """Return a digest of all that decides what the rows become; it is part of the batch id."""
        decisive = self.model_dump(mode="json", exclude={"read": set(_OF_ACCESS), "delivery": {"max_ended", "fewer_files"}})
        return hashlib.sha256(json.dumps(decisive, sort_keys=True).encode()).hexdigest()[:16]


def load_source(path: Path) -> Source:
    """Read a source definition; SY-D001 (not TOML) or SY-D002 (field, what is wrong, nearest known name) on a bad one."""
    try:
        data = tomllib.loads(path.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SanyuError("SY-D001", file=path.name, detail=str(error)) from error
    try:
        return Source.model_validate(data)
    except ValidationError as error:
        first: Any = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        hint = ""
        if first["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(first["loc"][-1]), _known_keys(), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
        raise SanyuError("SY-D002", file=path.name, field=where, detail=first["msg"] + hint) from error


def load_sources(folder: Path) -> dict[str, Source]:
    """Read all definitions below a folder, sorted by name; SY-D003 when two bear one name."""
    found: dict[str, Source] = {}
    for path in sorted(folder.rglob("*.toml")):
        if path.name in ("city.toml", "sanyu.toml"):
            continue
        source = load_source(path)
        if source.name in found:
            raise SanyuError("SY-D003", file=path.name, name=source.name)
        found[source.name] = source
    return found


def _known_keys() -> list[str]:
    models: tuple[type[Frozen], ...] = (Source, About, Read, Delivery, Into, ColumnFrom)
    return sorted({key for model in models for key in model.model_fields})
