"""The lake as an edition of the demo city left it, and the truth that the generator wrote."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd
import shapely
from numpy.typing import NDArray

from schemas.messages import SanyuError

Anys = NDArray[Any]
TABLES = ("rejects", "duplicates", "files", "counts", "identities", "divisions", "coordinates", "edges", "hot_spots")
# Keyless things are told by where they are: published to 1e-9 degrees, so neighbours (metres apart) can't be mistaken.
SAME_PLACE_DEG = 2e-7


class Tables(Protocol):
    """What the score needs of `sanyu.lake.Lake`."""

    def names(self) -> list[str]: ...

    def table(self, name: str) -> Any: ...


def load_truth(folder: Path) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Read the truth tables and the facts of the edition; SY-M003 where one is missing."""
    missing = [name for name in ("edition.json", *(f"{t}.parquet" for t in TABLES)) if not (folder / name).is_file()]
    if missing:
        raise SanyuError("SY-M003", folder=str(folder), missing=missing[0])
    tables = {name: pd.read_parquet(folder / f"{name}.parquet") for name in TABLES}
    return tables, json.loads((folder / "edition.json").read_text("utf-8"))


class View:
    """The lake as an edition left it: rows valid half a day after the edition's date."""

    def __init__(self, lake: Tables, facts: dict[str, Any]) -> None:
        self._lake = lake
        self._names = set(lake.names())
        self._editions = {int(k): dt.datetime.fromisoformat(v) for k, v in facts["editions"].items()}
        self.edition = int(facts["edition"])
        self._kept: dict[tuple[str, int], pd.DataFrame] = {}

    @property
    def last_day(self) -> str:
        """The edition's day as batch ids begin with it; one later for editions that begin in another time zone's day."""
        return f"{self._editions[self.edition] + dt.timedelta(hours=12):%Y%m%d}"

    def table(self, name: str, columns: Sequence[str], where: str | None = None) -> pd.DataFrame:
        """Return a table that has no validity as it is, empty where the lake has none."""
        if name not in self._names:
            return pd.DataFrame({c: pd.Series(dtype=object) for c in columns})
        frame: pd.DataFrame = self._lake.table(name).to_arrow(columns=list(columns), where=where).to_pandas()
        return frame

    def rows(self, contract: str, edition: int | None = None) -> pd.DataFrame:
        """Return source_name, source_key, entity_id, division_code, lon, lat (centre of `bbox`) as valid in the edition."""
        number = edition or self.edition
        if (contract, number) not in self._kept:
            columns = ["source_name", "source_key", "entity_id", "division_code", "bbox"]
            if contract not in self._names:
                frame = pd.DataFrame({c: pd.Series(dtype=object) for c in columns})
            else:
                at = (self._editions[number] + dt.timedelta(hours=12)).isoformat()
                frame = self._lake.table(contract).to_arrow(columns=columns, at=at).to_pandas()
            boxes = frame.pop("bbox")
            has = [isinstance(b, dict) and b["xmin"] is not None for b in boxes]
            for name, low, high in (("lon", "xmin", "xmax"), ("lat", "ymin", "ymax")):
                frame[name] = np.array([(b[low] + b[high]) / 2 if ok else np.nan for b, ok in zip(boxes, has, strict=True)], dtype=float)
            self._kept[contract, number] = frame
        return self._kept[contract, number]

    def places(self, contract: str, told: pd.DataFrame, suffix: str = "", edition: int | None = None) -> Anys:
        """Return for each told thing the position of its row in `rows`, −1 where there is none: by key, else by place."""
        rows = self.rows(contract, edition)
        index = {pair: i for i, pair in enumerate(zip(rows["source_name"], rows["source_key"], strict=True))}
        keys = told[f"key{suffix}"]
        found = np.array(
            [index.get((s, k), -1) if isinstance(k, str) else -1 for s, k in zip(told["source"], keys, strict=True)], dtype=int
        )
        # A row that came under a new key and says what the lake knows stays there under its old key (`raw.ops__bridge` has the new).
        keyless = np.flatnonzero((found < 0) & told[f"lon{suffix}"].notna().to_numpy()) if f"lon{suffix}" in told else np.array([], int)
        if len(keyless) and len(rows):
            tree = shapely.STRtree(shapely.points(rows["lon"].fillna(999.0), rows["lat"].fillna(999.0)))
            wanted = shapely.points(told[f"lon{suffix}"].to_numpy()[keyless], told[f"lat{suffix}"].to_numpy()[keyless])
            which, near = tree.query_nearest(wanted, max_distance=SAME_PLACE_DEG, all_matches=False)
            found[keyless[which]] = near
        return found
