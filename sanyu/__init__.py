"""Sanyu (三域): the space-time lakehouse of a city.

`open` gives a lake whose tables are read as GeoPandas, Arrow, DuckDB or Spark; `beidou` are grid codes, `coords` transforms coordinates,
`mining` finds patterns in space and time.
Importing this module starts nothing and imports no engine; each name is loaded when it is first used.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sanyu import beidou as beidou
    from sanyu import coords as coords
    from sanyu import mining as mining
    from sanyu.address.engine import AddressEngine as AddressEngine
    from sanyu.front import OpenedLake
    from sanyu.lake import Lake as Lake
    from sanyu.lake import Table as Table
    from sanyu.lake import TableInfo as TableInfo
    from sanyu.settings import Settings as Settings
    from schemas.messages import SanyuError as SanyuError

_WHERE = {
    "AddressEngine": "sanyu.address.engine",
    "Lake": "sanyu.lake",
    "SanyuError": "schemas.messages",
    "Settings": "sanyu.settings",
    "Table": "sanyu.lake",
    "TableInfo": "sanyu.lake",
    "beidou": "sanyu.beidou",
    "coords": "sanyu.coords",
    "mining": "sanyu.mining",
}

__all__ = ["AddressEngine", "Lake", "SanyuError", "Settings", "Table", "TableInfo", "beidou", "coords", "mining", "open"]


def open(path_or_url: str | Path | None = None, **settings: Any) -> OpenedLake:  # noqa: A001 - the public name
    """Open a lake for reading: a folder, `s3a://bucket/prefix`, or by default the one that the settings name.

    `settings` are fields of `Settings`, over file and environment. SY-L001 where there is no such folder.
    """
    from sanyu.front import open_lake

    return open_lake(path_or_url, **settings)


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'sanyu' has no attribute {name!r}")
    module = importlib.import_module(_WHERE[name])
    return module if _WHERE[name] == f"sanyu.{name}" else getattr(module, name)


def __dir__() -> list[str]:
    return sorted(__all__)
