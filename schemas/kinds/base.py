"""What all kinds of sources have in common: how a location is found in the raw rows, and the limits for reading."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator

from schemas.model import Frozen


class Reading(Frozen):
    """The section `[read]` of a source. Each kind is a subclass in its own module, with its own fields and a page in `docs/sources`.

    `x`, `y`, `wkt` name coordinate columns, `crs` and `datum_operation` define the coordinate system. `tags` is a column with hstore text,
    available to expressions as the map `tags`. `open_schema` is for rows that each have their own keys (OSM): a name that no row has is
    then empty, not an error.
    """

    kind: str
    crs: str | None = None
    datum_operation: str | None = None
    x: str | None = None
    y: str | None = None
    wkt: str | None = None
    tags: str | None = None
    open_schema: bool = False
    max_seconds: int = 600
    max_memory_mb: int = 4096

    access: ClassVar[frozenset[str]] = frozenset({"kind"})
    """Fields that say how the rows are reached and not what they are: they decide nothing of what becomes of the rows."""

    @model_validator(mode="before")
    @classmethod
    def _only_own_fields(cls, values: Any) -> Any:
        """Refuse a field that belongs to another kind, naming that kind; pydantic refuses unknown fields, with the nearest known name."""
        for key in values if isinstance(values, dict) else ():
            if key not in cls.model_fields:
                owners = [kind for kind, other in kinds().items() if key in other.model_fields]
                if owners:
                    raise ValueError(f'`{key}` is a field of kind = "{owners[0]}", and this source is kind = "{cls.name()}"')
        return values

    @classmethod
    def name(cls) -> str:
        """Return the name of this kind in a definition."""
        return str(cls.model_fields["kind"].default)

    @property
    def origin(self) -> str:
        """Return a short description of where the rows are."""
        raise NotImplementedError

    @property
    def shown_format(self) -> str:
        """Return the format of the rows, as shown in lists."""
        raise NotImplementedError

    def decisive(self) -> dict[str, Any]:
        """Return everything that decides which raw rows are read and how."""
        return self.model_dump(mode="json", exclude=set(self.access))


def kinds() -> dict[str, type[Reading]]:
    """Return the kinds of sources by name."""
    return {kind.name(): kind for kind in Reading.__subclasses__()}
