"""What is true of a generated delivery: the tables that `demo.score` holds the lake against."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

from demo.city.edits import EDITION_AT
from demo.city.events import planted_events
from demo.city.formats import File
from demo.city.plan import METRIC_CRS, Anys, stream
from demo.city.publish import Delivery
from demo.city.world import World
from transforms.space import coords

SAMPLE = 2000  # rows per table whose division is told


@dataclass(frozen=True)
class Truth:
    """Where the data of an edition are, and the tables of its truth by name.

    `rejects` (source, contract, file, row_number, key, reason, codes), `duplicates` (source, contract, file, row_number, key, twin, kind,
    lon, lat), `files` (source, file, reason, codes), `counts` (source, contract, rows_in, rejected, duplicates, loaded), `identities`
    (contract, source, kind, edit, key_1, lon_1, lat_1, key_2, lon_2, lat_2), `divisions` (contract, source, key, lon, lat, division_code),
    `coordinates` (contract, source, key, lon, lat, EPSG:4490), `edges` (source, key_1, key_2), `hot_spots` (kind, x_m, y_m,
    radius_m; EPSG:4549). Keys are null where the source has none:
    then lon, lat (centre of the bounds) tell the row.
    """

    folder: Path
    data: Path
    edition: int
    tables: dict[str, pd.DataFrame]


def tell(world: World, edition: int, deliveries: list[Delivery], bad_files: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the truth tables of one edition but `identities`."""
    rows = pd.concat([_rows(d, file) for d in deliveries for file in d.files], ignore_index=True)
    bad, again = rows["reason"].notna(), rows["repeat"].notna()
    rejects = rows[bad][["source", "contract", "file", "row_number", "key", "reason", "codes"]]
    duplicates = rows[again & ~bad].rename(columns={"repeat": "kind"})[
        ["source", "contract", "file", "row_number", "key", "twin", "kind", "lon", "lat"]
    ]
    grouped = rows.assign(rejected=bad, duplicate=again & ~bad).groupby(["source", "contract"], sort=False)
    counts = grouped.agg(rows_in=("key", "size"), rejected=("rejected", "sum"), duplicates=("duplicate", "sum")).reset_index()
    counts["loaded"] = counts["rows_in"] - counts["rejected"] - counts["duplicates"]
    return {
        "rejects": rejects.reset_index(drop=True),
        "duplicates": duplicates.reset_index(drop=True),
        "files": bad_files,
        "counts": counts,
        "divisions": _divisions(world, deliveries, edition),
        "coordinates": _coordinates(world),
        "edges": _edges(world),
        "hot_spots": planted_events(world.plan.seed).truth,
    }


def _rows(delivery: Delivery, file: File) -> pd.DataFrame:
    frame = file.frame

    def optional(name: str) -> list[object]:
        return frame[name].tolist() if name in frame else [None] * len(frame)

    near = frame["_repeat"].eq("near").to_numpy() if "_repeat" in frame else np.zeros(len(frame), bool)
    lon, lat = np.full(len(frame), np.nan), np.full(len(frame), np.nan)
    bounds = shapely.bounds(frame["geom"].to_numpy()[near]) if near.any() else np.empty((0, 4))
    lon[near], lat[near] = (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2

    return pd.DataFrame(
        {
            "source": delivery.source,
            "contract": delivery.contract,
            "file": file.path,
            "row_number": np.arange(len(frame)) + file.first_row,
            "key": optional("_key"),
            "reason": optional("_reason"),
            "codes": optional("_codes"),
            "repeat": optional("_repeat"),
            "twin": optional("_twin"),
            "lon": lon,
            "lat": lat,
        }
    )


def _divisions(world: World, deliveries: list[Delivery], edition: int) -> pd.DataFrame:
    """Return the community of a sample of things that lie wholly in one, by the metric polygons themselves."""
    frame = world.divisions.frame
    communities = frame[frame["level"] == "community"]
    tree = shapely.STRtree(communities["geom"].to_numpy())
    codes = communities["code"].to_numpy()
    published = {d.contract: d.source for d in deliveries}
    keyless, twice = _special(deliveries)
    parts = []
    for contract, things in (("core.basemap__building", world.buildings), ("core.basemap__place", world.places)):
        rng = stream(world.plan.seed, f"sample.{contract}.{edition}")
        sample = things.iloc[np.sort(rng.choice(len(things), min(SAMPLE, len(things)), replace=False))]
        if contract.endswith("building"):
            sample = sample[~sample["uid"].isin(twice)]
        held, inside = tree.query(sample["geom"].to_numpy(), predicate="covered_by")
        lon, lat = centres(sample["geom"])
        told = pd.DataFrame({"contract": contract, "source": published[contract], "key": sample["key"].to_numpy(), "lon": lon, "lat": lat})
        if contract.endswith("building"):
            told.loc[sample["uid"].isin(keyless).to_numpy(), "key"] = None
        told = told.iloc[held].assign(division_code=codes[inside])
        parts.append(told[~told.index.duplicated(keep=False)])
    return pd.concat(parts, ignore_index=True)


def _special(deliveries: list[Delivery]) -> tuple[set[int], set[int]]:
    """Return the numbers of buildings that are delivered without key, and of those delivered twice under different keys."""
    files = next(d for d in deliveries if d.source == "demo_building").files
    keyless = {uid for f in files if "编号" not in f.frame for uid in f.frame["_uid"].dropna()}
    return keyless, {uid for f in files for uid in f.frame.loc[f.frame["_twin"].notna(), "_uid"].dropna()}


def _coordinates(world: World) -> pd.DataFrame:
    """Return where places (delivered in BD-09) and located firms (GCJ-02) truly are, EPSG:4490."""
    firms = world.firms[world.firms["located"]]
    parts = []
    for contract, source, things in (
        ("core.basemap__place", "demo_place", world.places),
        ("core.thematic__legal_person", "demo_firm", firms),
    ):
        lon, lat = centres(things["geom"])
        parts.append(pd.DataFrame({"contract": contract, "source": source, "key": things["key"].tolist(), "lon": lon, "lat": lat}))
    return pd.concat(parts, ignore_index=True)


def _edges(world: World) -> pd.DataFrame:
    """Return the pairs of segments that are one road on both sides of the sheet border."""
    cut = world.roads[world.roads["border"]]
    pairs = cut[cut["sheet"] == 1].merge(cut[cut["sheet"] == 2], on="twin", suffixes=("_1", "_2"))
    return pd.DataFrame({"source": "demo_road", "key_1": pairs["key_1"], "key_2": pairs["key_2"]})


def centres(geoms: pd.Series) -> tuple[Anys, Anys]:
    """Return the centres of the bounds in degrees, EPSG:4490, of metric geometries."""
    lonlat = coords.transform_geometries(geoms.to_numpy(), METRIC_CRS, "EPSG:4490")
    bounds = shapely.bounds(lonlat)
    return (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2


TABLES = {
    "building": ("core.basemap__building", "demo_building"),
    "road_segment": ("core.basemap__road_segment", "demo_road"),
    "place": ("core.basemap__place", "demo_place"),
    "legal_person": ("core.thematic__legal_person", "demo_firm"),
}


def identified(identities: pd.DataFrame, first: World, second: World, deliveries: list[Delivery]) -> pd.DataFrame:
    """Return the identities with keys and places of both editions in place of internal numbers.

    Things that were delivered twice under two keys are left out: either key may stand for them.
    """
    keyless, twice = _special(deliveries)
    parts = []
    worlds = {"building": "buildings", "road_segment": "roads", "place": "places", "legal_person": "firms"}
    repeated = (identities["table"] == "building") & (identities["uid_1"].isin(twice) | identities["uid_2"].isin(twice))
    for name, rows in identities[~repeated].groupby("table", sort=False):
        contract, source = TABLES[str(name)]
        told = pd.DataFrame({"contract": contract, "source": source, "kind": rows["kind"], "edit": rows["edit"]})
        for edition, world in ((1, first), (2, second)):
            things = getattr(world, worlds[str(name)]).set_index("uid")
            lon, lat = centres(things["geom"])
            known = pd.DataFrame({"key": things["key"], "lon": lon, "lat": lat}, index=things.index)
            if name == "building":
                known.loc[known.index.isin(keyless), "key"] = None
            found = known.reindex(rows[f"uid_{edition}"])
            for column in ("key", "lon", "lat"):
                told[f"{column}_{edition}"] = found[column].to_numpy()
        parts.append(told)
    return pd.concat(parts, ignore_index=True)


def save(truth: Truth) -> None:
    """Write the tables as Parquet and the edition as JSON."""
    truth.folder.mkdir(parents=True, exist_ok=True)
    for name, frame in truth.tables.items():
        pq.write_table(pa.Table.from_pandas(frame, preserve_index=False), truth.folder / f"{name}.parquet")
    facts = {"edition": truth.edition, "edition_at": EDITION_AT[truth.edition], "editions": {str(k): v for k, v in EDITION_AT.items()}}
    (truth.folder / "edition.json").write_text(json.dumps(facts, indent=1) + "\n", "utf-8")
