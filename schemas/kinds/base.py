"""What all kinds of sources have in common: how a place is found in the raw rows, and what reading may cost."""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import model_validator

from schemas.model import Frozen


class Reading(Frozen):
    """The section `[read]` of a source. Each kind is a subclass in a module of its own, with its fields and its page in `docs/sources`.

    `x`, `y`, `wkt` name coordinate columns, `crs` and `datum_operation` say what the coordinates are. `tags` is a column with hstore text,
    offered to expressions as the map `tags`. `open_schema` is for rows that each bring their own keys (OSM): a name that no row has is
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
        """Refuse a field of another kind by naming that kind; a field of none is refused by pydantic, with the nearest known name."""
        for key in values if isinstance(values, dict) else ():
            if key not in cls.model_fields:
                owners = [kind for kind, other in kinds().items() if key in other.model_fields]
                if owners:
                    raise ValueError(f'`{key}` is a field of kind = "{owners[0]}", and this source is kind = "{cls.name()}"')
        return values

    @classmethod
    def name(cls) -> str:
        """Return the word for this kind in a definition."""
        return str(cls.model_fields["kind"].default)

    @property
    def origin(self) -> str:
        """Return in a few words where the rows are."""
        raise NotImplementedError

    @property
    def shown_format(self) -> str:
        """Return how the rows are written there, as lists show it."""
        raise NotImplementedError

    def decisive(self) -> dict[str, Any]:
        """Return what decides which raw rows are read and how."""
        return self.model_dump(mode="json", exclude=set(self.access))


def kinds() -> dict[str, type[Reading]]:
    """Return the kinds of sources by their names."""
    return {kind.name(): kind for kind in Reading.__subclasses__()}
