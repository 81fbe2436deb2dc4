"""What the commands share: settings, city, lake, contracts, and a run's identity."""

from __future__ import annotations

import datetime as dt
import difflib
import secrets
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sanyu.settings import Settings
from schemas.city import CITY_FILE, City, load_city, ordered_sources
from schemas.messages import SanyuError
from schemas.model import Contract
from schemas.registry import contracts
from schemas.source import Source

if TYPE_CHECKING:
    from jobs.loading.load import Loading
    from sanyu.lake import Lake


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
    def sources(self) -> dict[str, Source]:
        _ = self.city  # a folder without one is no folder of sources
        return ordered_sources(self.sources_folder)

    @cached_property
    def contracts(self) -> dict[str, Contract]:
        folder = self.settings.contracts_dir
        return contracts(Path(folder).expanduser() if folder else None)

    @cached_property
    def lake(self) -> Lake:
        from sanyu.lake import Lake

        return Lake(self.settings.lake, self.settings)

    def source(self, name: str) -> Source:
        """Return a source by name; SY-D005 with the nearest name where there is none."""
        if name not in self.sources:
            nearest = (difflib.get_close_matches(name, self.sources, n=1, cutoff=0.0) or ["-"])[0]
            raise SanyuError("SY-D005", name=name, nearest=nearest)
        return self.sources[name]

    def loading(self, progress: Any) -> Loading:
        """Return what a job needs, with a new run id; Spark starts when it first asks for it.

        Jobs that read the lake alone (mining, matching, marts) need no sources, and so no city either.
        """
        from jobs.loading.load import Loading

        now = dt.datetime.now(dt.UTC)
        return Loading(
            lake=self.lake,
            contracts=self.contracts,
            data_root=Path(self.settings.data_root or ".").expanduser().resolve(),
            run_id=f"{now:%Y%m%dT%H%M%S}-{secrets.token_hex(3)}",
            recorded_at=now.isoformat(timespec="microseconds"),
            spark=self.spark,
            extent=self.city.extent if (self.sources_folder / CITY_FILE).is_file() else None,
            progress=progress,
        )

    def spark(self) -> Any:
        from sanyu.session import spark_session

        return spark_session(self.settings, "sanyu")
