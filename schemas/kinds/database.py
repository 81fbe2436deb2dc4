"""Sources that are tables or queries of a database, read over JDBC."""

from __future__ import annotations

import re
from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from schemas.kinds.base import Reading

_CREDENTIALS = re.compile(r"[?;&](user|username|password|pwd)=|://[^/@]*@|thin:[^/@]+/[^@]*@", re.IGNORECASE)


class Database(Reading):
    """The rows of a database: `url`, and `table` or `query`.

    Credentials come from the environment variables named by `user_env` and `password_env`, never from here. `geometry` is a column with
    WKB, EWKB or WKT; `changed_by` is a cheap query whose result changes when the rows do.
    """

    kind: Literal["database"] = "database"
    format: Literal["jdbc"] = "jdbc"
    url: str | None = None
    table: Annotated[str, StringConstraints(pattern=r"^[\w$]+(\.[\w$]+){0,2}$")] | None = None
    query: str | None = None
    user_env: str | None = None
    password_env: str | None = None
    driver: str | None = None
    geometry: str | None = None
    changed_by: str | None = None
    fetch_size: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000

    access: ClassVar[frozenset[str]] = Reading.access | {"url", "user_env", "password_env", "driver", "changed_by", "fetch_size"}

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if not (self.url or "").startswith("jdbc:"):
            raise ValueError("`url` is missing or no JDBC address, such as jdbc:postgresql://host:5432/city")
        if _CREDENTIALS.search(self.url or ""):
            raise ValueError("credentials in `url`: name the variables that hold them as `user_env` and `password_env`")
        if (self.table is None) == (self.query is None):
            raise ValueError("give either `table` or `query`")
        return self

    @property
    def server(self) -> str:
        """Return the database's URL without the options after it."""
        return re.split(r"[?;]", (self.url or "").removeprefix("jdbc:"))[0]

    @property
    def sql(self) -> str:
        """Return the query that gives the rows."""
        return self.query.strip().rstrip(";") if self.query else f"select * from {self.table}"

    @property
    def origin(self) -> str:
        """Return the database with its table."""
        return f"{self.server} {self.table or 'query'}"

    @property
    def shown_format(self) -> str:
        return self.format
