"""Kinds of sources: the section `[read]` is one of several classes, distinguished by `kind`.

To add a kind, add a module here with a subclass of `Reading`, a line in `Read`, a way to land it (`sanyu.landing`), a way to plan it
(`jobs.loading.plan`) and a page in `docs/sources`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from schemas.kinds.base import Reading, kinds
from schemas.kinds.database import Database
from schemas.kinds.files import Files

__all__ = ["Database", "Files", "Read", "Reading", "kinds"]


def _kind_of(values: Any) -> str:
    """Return the kind that a section names; if it names none: a database if it says `format = "jdbc"` or has only a `url`, else files."""
    if isinstance(values, Reading):
        return values.name()
    if not isinstance(values, dict):
        return Files.name()
    if "kind" in values:
        return str(values["kind"])
    is_database = values.get("format") == "jdbc" or ("url" in values and "path" not in values)
    return (Database if is_database else Files).name()


Read = Annotated[
    Annotated[Files, Tag("files")] | Annotated[Database, Tag("database")],
    Discriminator(
        _kind_of,
        custom_error_type="kind",
        custom_error_message="unknown kind of source; there are: files, database",
    ),
]
