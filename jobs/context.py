"""What the commands share: settings, city, lake, contracts, and a run's identity."""

from __future__ import annotations

import datetime as dt
import difflib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sanyu.settings import Settings
from schemas.city import CITY_FILE, City, Sources, load_city, read_sources
from schemas.messages import SanyuError
from schemas.model import Contract
from schemas.registry import read_contracts
from schemas.source import Source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sanyu.lake import Lake


@dataclass(frozen=True)
class Loading:
    """What a job needs from outside; `spark` is called only when there is something to do."""

    lake: Lake
    contracts: dict[str, Contract]
    data_root: Path
    run_id: str
    recorded_at: str
    spark: Callable[[], SparkSession]
    extent: tuple[float, float, float, float] | None = None
    progress: Callable[[str], None] = field(default=lambda text: None)


@dataclass
class Context:
    """One invocation: options of the command line over the settings, opened as far as a command needs."""

    options: dict[str, Any] = field(default_factory=dict)

    @cached_property
    def settings(self) -> Settings:
        return Settings.load(**{k: v for k, v in self.options.items() if v is not None})

    @cached_property
    def sources_folder(self) -> Path:
        return Path(self.settings.sources_dir).expanduser()

    @cached_property
    def city(self) -> City:
        return load_city(self.sources_folder)

    @cached_property
    def definitions(self) -> Sources:
        """The city's source definitions, those that can be used and those that can't; one that is wrong does not stop the others."""
        _ = self.city  # a folder without one is no folder of sources
        return read_sources(self.sources_folder, self.contracts)

    @property
    def sources(self) -> dict[str, Source]:
        return self.definitions.usable

    @property
    def unusable(self) -> dict[str, SanyuError]:
        """What is wrong with the definitions that can't be used, by the name of the source."""
        return {**self.definitions.unusable, **self._read_contracts[1]}

    @cached_property
    def _read_contracts(self) -> tuple[dict[str, Contract], dict[str, SanyuError]]:
        folder = self.settings.contracts_dir
        return read_contracts(Path(folder).expanduser() if folder else None)

    @property
    def contracts(self) -> dict[str, Contract]:
        """The contracts that can be used; a file of the user's own that can't is among the `unusable`."""
        return self._read_contracts[0]

    @cached_property
    def lake(self) -> Lake:
        from sanyu.lake import Lake

        return Lake(self.settings.lake, self.settings)

    def source(self, name: str) -> Source:
        """Return a source by name; SY-D005 with the nearest name where there is none, its own error where its definition is wrong."""
        if name in self.unusable:
            raise self.unusable[name]
        if name not in self.sources:
            nearest = (difflib.get_close_matches(name, self.sources, n=1, cutoff=0.0) or ["-"])[0]
            raise SanyuError("SY-D005", name=name, nearest=nearest)
        return self.sources[name]

    def loading(self, progress: Any, run_id: str | None = None) -> Loading:
        """Return what a job needs, by default with a new run id; Spark starts when it first asks for it.

        Jobs that read the lake alone (mining, matching, marts) need no sources, and so no city either.
        """
        now = dt.datetime.now(dt.UTC)
        return Loading(
            lake=self.lake,
            contracts=self.contracts,
            data_root=Path(self.settings.data_root or ".").expanduser().resolve(),
            run_id=run_id or new_run_id(),
            recorded_at=now.isoformat(timespec="microseconds"),
            spark=self.spark,
            extent=self.city.extent if (self.sources_folder / CITY_FILE).is_file() else None,
            progress=progress,
        )

    def spark(self) -> Any:
        from sanyu.session import spark_session

        return spark_session(self.settings, "sanyu")


def new_run_id() -> str:
    """Return an id for a run that begins now."""
    return f"{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(3)}"
