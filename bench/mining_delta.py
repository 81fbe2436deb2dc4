"""Rows from Delta table to Delta table: the job as `sanyu mine` runs it, its result read back and held against the peer's.

The peer reads the same table with deltalake, computes as in its own row, and writes its columns with deltalake: no identities, stamps,
patterns or record of the run, which the job writes too. Spark's start is not counted; writing 2,000 rows before warms it up.
"""

from __future__ import annotations

import datetime as dt
import functools
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import shapely
from deltalake import DeltaTable, write_deltalake

from bench import mining_autocorrelation as auto
from bench import mining_clusters as clusters
from bench import mining_space_time as space_time
from bench.mining_common import Cost, line, once, require, timed
from jobs.context import Loading
from jobs.mining.analysis import Analysis, MineReport, run
from sanyu.lake import Lake
from sanyu.session import spark_session
from sanyu.settings import Settings
from schemas.registry import contracts
from transforms.space import beidou, hilbert
from transforms.space.coords import transform

VALUES, KNOTS, EVENTS = "core.basemap__place", "core.thematic__event", "core.iot__observation"
WARM = 2_000


class Bench:
    """A lake in a temporary folder, and the one Spark session."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.root = self._folder.name
        settings = Settings.load(lake=self.root, driver_memory="4g", shuffle_partitions=4)
        self.spark = spark_session(settings, "sanyu bench")
        self.lake = Lake(self.root, settings)
        self._runs = 0

    def put(self, name: str, x: Any, y: Any, more: Mapping[str, Any], at: Any = None) -> None:
        """Write points (EPSG:4549) as a table of the lake with its stamp and in its layout, where it is not there yet."""
        layer, _, rest = name.partition(".")
        path = f"{self.root}/{layer}/{rest.replace('__', '/')}"
        if Path(path).exists():
            return
        lon, lat = transform(np.asarray(x), np.asarray(y), "EPSG:4549", "EPSG:4490")
        count = len(lon)
        code = beidou.encode_arrow(lon, lat, np.full(count, 8))
        since = pa.array(np.full(count, np.datetime64("2025-01-01", "us")) if at is None else at, pa.timestamp("us", "UTC"))
        columns = {
            "entity_id": pa.array([f"P{i:08d}" for i in range(count)]),
            "valid_from_at": since,
            "observed_at": since,
            "cell": pa.array(hilbert.hilbert_key(lon, lat)),
            "bbox": pa.StructArray.from_arrays([pa.array(c) for c in (lon, lat, lon, lat)], names=["xmin", "ymin", "xmax", "ymax"]),
            "grid_code": pa.array(code),
            "grid_level": pa.array(np.full(count, 8, np.int32)),
            **{name: pa.array(values) for name, values in more.items()},
            "geom": pa.array(shapely.to_wkb(shapely.points(lon, lat), flavor="iso"), pa.binary()),
        }
        write_deltalake(path, pa.table(columns).sort_by("cell"), configuration={"delta.enableChangeDataFeed": "true"})

    def mine(self, tool: str, table: str, parameters: Mapping[str, Any]) -> MineReport:
        """Run the job."""
        self._runs += 1
        now = dt.datetime.now(dt.UTC).isoformat()
        loading = Loading(self.lake, contracts(), Path(), f"bench-{self._runs}", now, lambda: self.spark)
        return run(loading, Analysis(tool, table, parameters))

    def result(self, report: MineReport, columns: list[str]) -> pd.DataFrame:
        """Return what a run wrote, by entity where it is about entities."""
        found = self.lake.table(report.result_table).to_arrow(columns, where=f"source_name = '{report.source_name}'").to_pandas()
        return found.sort_values(columns[0], ignore_index=True)


@functools.cache
def lake() -> Bench:
    """Return the one lake of the run."""
    return Bench()


def values(rows: int) -> None:
    at = auto.city(rows)
    lake().put(VALUES, at.geometry.x, at.geometry.y, {"v": at["v"].to_numpy()})


def knots(rows: int) -> None:
    x, y, days = clusters.knots(rows)
    at = np.datetime64("2025-01-01", "us") + (days * 86_400).astype("timedelta64[s]")
    lake().put(KNOTS, x + 490_000.0, y + 3_300_000.0, {}, at)


@functools.cache
def warm() -> None:
    """Run one small job, so that Spark has loaded what it needs."""
    rng = np.random.default_rng(0)
    x, y = 500_000 + rng.uniform(0, 2_000, WARM), 3_300_000 + rng.uniform(0, 2_000, WARM)
    lake().put("core.basemap__road", x, y, {"v": rng.gamma(2, size=WARM)})
    lake().mine("local_moran", "core.basemap__road", {"value": "v", "permutations": 9})


def peer_around(name: str, compute: Cost, rows: int, written: Mapping[str, Any]) -> Cost:
    """Return the peer's cost from table to table: its reading and writing are measured here, its computing was in its own row."""
    layer, _, rest = name.partition(".")
    path = f"{lake().root}/{layer}/{rest.replace('__', '/')}"

    def read() -> Any:
        table = (
            DeltaTable(path).to_pyarrow_table(columns=["entity_id", "geom", *(["v"] if name == VALUES else ["observed_at"])]).to_pandas()
        )
        return gpd.GeoDataFrame(table.drop(columns="geom"), geometry=gpd.GeoSeries.from_wkb(table["geom"]), crs=4490).to_crs(4549)

    frame, reading = once(f"read {name} {rows}", read)
    result = pa.table({"entity_id": pa.array(frame["entity_id"]), **written})
    with tempfile.TemporaryDirectory() as folder:
        _, writing = timed(lambda: write_deltalake(folder, result))
    return reading + compute + writing


def delta_local(rows: int = 1_000_000) -> None:
    """The three local statistics; analytic, as their bar is, then LISA with 999 permutations."""
    warm()
    values(rows)
    for tool, name in (("local_g", "Gi*"), ("local_moran", "LISA"), ("local_geary", "Geary")):
        report, ours = timed(lambda tool=tool: lake().mine(tool, VALUES, {"value": "v", "permutations": 0}))  # type: ignore[misc]
        wanted, computing = auto.peer(name, rows)
        found = lake().result(report, ["entity_id", "z_score" if name == "Gi*" else "statistic"]).iloc[:, 1]
        apart = auto.gap(found, wanted)
        # Through degrees and back a place moves by some nanometres, which may turn a tie of the k-th neighbour: none here.
        require(apart <= 1e-9, f"{name} from table to table, {apart:.1e}")
        theirs = peer_around(VALUES, computing, rows, {"statistic": wanted})
        line(f"{name}, analytic, {rows:,}, Delta to Delta", ours, theirs, "≥ 3 ×:", _way(report, f"gap {apart:.0e}"), least=3.0)
    report, ours = timed(lambda: lake().mine("local_moran", VALUES, {"value": "v"}))
    line(f"LISA, 999, {rows:,}, Delta to Delta", ours, None, "≤ 90 s:", _way(report, ""), most=90.0)


def delta_global(rows: int = 1_000_000) -> None:
    warm()
    values(rows)
    report, ours = timed(lambda: lake().mine("moran", VALUES, {"value": "v"}))
    wanted, computing, _ = auto.global_peer(rows)
    found = lake().lake.table(report.result_table).to_arrow(["statistic"], where=f"source_name = '{report.source_name}'")
    apart = abs(found.column(0)[0].as_py() / wanted.I - 1)
    require(apart <= 1e-10, f"Moran's I from table to table, {apart:.1e}")
    theirs = peer_around(VALUES, computing, rows, {})
    line(f"Moran's I, 999, {rows:,}, Delta to Delta", ours, theirs, "≥ 4 ×:", _way(report, f"gap {apart:.0e}"), least=4.0)


def delta_dbscan(rows: int = 1_000_000) -> None:
    warm()
    knots(rows)
    asked = {"eps_m": clusters.EPS_M, "min_points": clusters.LEAST}
    report, ours = timed(lambda: lake().mine("dbscan", KNOTS, asked))
    fitted, computing = clusters.sklearn(rows)
    found = lake().result(report, ["entity_id", "cluster_role", "cluster_id"])
    label = pd.factorize(found["cluster_id"])[0]
    same = clusters.same_clusters((found["cluster_role"] == "core").to_numpy(), label, clusters.core_of(fitted), fitted.labels_)
    require(same, "DBSCAN from table to table")
    theirs = peer_around(KNOTS, computing, rows, {"label": fitted.labels_})
    line(f"DBSCAN, {rows:,}, Delta to Delta", ours, theirs, "≥ 2 ×:", _way(report, "core, noise, core partition equal"), least=2.0)
    asked = {"time": "observed_at", "eps_m": clusters.ST_EPS_M, "eps_time": clusters.ST_DAYS * 86_400, "min_points": clusters.ST_LEAST}
    report, ours = timed(lambda: lake().mine("st_dbscan", KNOTS, asked))
    fitted, computing = clusters.st_peer(rows)
    theirs = peer_around(KNOTS, computing, rows, {"label": fitted.labels_})
    line(f"ST-DBSCAN, {rows:,}, Delta to Delta", ours, theirs, "≥ 2 ×:", _way(report, ""), least=2.0)


def delta_update(rows: int = 1_000_000) -> None:
    """Clusters after 200 of the rows have gone, by what changed and, asked as another question, by a run over all rows."""
    warm()
    knots(rows)
    asked = {"eps_m": clusters.EPS_M, "min_points": clusters.LEAST}
    again = {**asked, "tile_m": 1000.0}  # the same question under another name; its tile has no effect in one process
    lake().mine("dbscan", KNOTS, asked)
    forgets = lake().mine("dbscan", KNOTS, again)
    store = lake().lake.store
    for key in store.keys(f"mining/{forgets.source_name}"):  # so that it has to read all rows
        store.delete(key)
    DeltaTable(lake().lake.table(KNOTS).path).delete(f"entity_id in ({', '.join(repr(f'P{i * rows // 200:08d}') for i in range(200))})")
    report, ours = timed(lambda: lake().mine("dbscan", KNOTS, asked))
    whole, all_of_it = timed(lambda: lake().mine("dbscan", KNOTS, again))
    columns = ["entity_id", "cluster_id", "cluster_role"]
    require(lake().result(report, columns).equals(lake().result(whole, columns)), "DBSCAN brought up to date")
    said = f"{report.state}: {report.scope}; {report.rows_written:,} written; equal. Peer: a run over all, {whole.rows_written:,} written"
    line(f"DBSCAN, {rows:,}, after 200 rows have gone", ours, all_of_it, "", said)


def delta_cube(cells: int = 100_000) -> None:
    warm()
    many = space_time.events(round(cells**0.5), space_time.WEEKS, 100 * cells)
    lake().put(EVENTS, many["x"] + 490_000.0, many["y"] + 3_300_000.0, {}, many["at"])
    asked = {"time": "observed_at", "cell": "square", "size_m": 100.0, "step": "week"}
    report, ours = timed(lambda: lake().mine("emerging_hot_spots", EVENTS, asked))
    name = f"cube and categories, {cells:,} × {space_time.WEEKS}, Delta to Delta"
    line(name, ours, None, "≤ 120 s:", _way(report, f"{report.rows_in:,} events"), most=120.0)


def delta_interaction(rows: int = 1_000_000) -> None:
    warm()
    knots(rows)
    asked = {"time": "observed_at", "distance_m": 20.0, "lag": 7 * 86_400, "permutations": 99}
    report, ours = timed(lambda: lake().mine("knox", KNOTS, asked))
    line(f"Knox, {rows:,}, 99, Delta to Delta", ours, None, "1 M points:", _way(report, ""))


def _way(report: MineReport, note: str) -> str:
    return "; ".join(part for part in (note, f"{report.way}, {report.seconds:.1f} s of it the tool with reading") if part)
