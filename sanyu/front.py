"""A lake as `sanyu.open` gives it: with the rooms that stand above the lake at hand."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sanyu.lake import read

if TYPE_CHECKING:
    from sanyu.address.engine import AddressEngine


class OpenedLake(read.Lake):
    """A `Lake` that also opens its address index."""

    def addresses(self) -> AddressEngine:
        """Return the engine over the lake's gazetteer, as `sanyu address build` made it last; SY-A073 where there is none."""
        from sanyu.address.lakeindex import open_engine

        return open_engine(self)


def open_lake(url: str | Path | None = None, **settings: Any) -> OpenedLake:
    """Return the lake at an address, by default the settings' own; SY-L001 where it should be a folder and there is none."""
    return OpenedLake(None, read.open_lake(url, **settings).settings)
