"""Sources that are files below the data root."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from schemas.kinds.base import Reading


class Files(Reading):
    """Which files to read and how to parse them. `path` is a glob below the data root, or a list of globs."""

    kind: Literal["files"] = "files"
    path: str | tuple[str, ...] = ()
    format: str | None = None
    layer: str | None = None
    encoding: str | None = None
    header: tuple[str, ...] | None = None
    delimiter: str | None = None

    @model_validator(mode="after")
    def _has_path(self) -> Self:
        if not self.path:
            raise ValueError("`path` is missing: which files to read")
        return self

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def origin(self) -> str:
        """Return the files' patterns."""
        return ", ".join(self.paths)

    @property
    def shown_format(self) -> str:
        return self.format or "auto"
