"""Every tool of the shelf: the same answer for 1, 7 and 64 partitions and shuffled rows, byte for byte, and that of one process.

Tools that can go over the workers are made to (`Way.DISTRIBUTED`), by tiles of a few rows. A tool that is not listed fails the module.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import shapely

from transforms.mining.shelf import frames
from transforms.mining.shelf.frames import Way, noted
from transforms.mining.shelf.tool import tools
from transforms.mining.weights import tiles
from transforms.mining.weights.weights import Knn
from transforms.mining.weights.weights_tools import knn, tiled_edges
from transforms.space.coords import transform

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SPLITS = (1, 7, 64)
CRS = "EPSG:4549"
METRES, DEGREES = ("x_m", "y_m"), ("lon", "lat")
CUBE: dict[str, Any] = {"size_m": 600.0, "crs": CRS}
LOCAL: dict[str, Any] = {"value": "v", "permutations": 19, "seed": 3}
LAGS: dict[str, Any] = {"time": "day", "permutations": 9}


@dataclass(frozen=True)
class Case:
    """How a tool is run: its parameters, whether the workers compute it, and whether it is given degrees."""

    parameters: dict[str, Any] = field(default_factory=dict)
    way: Way = Way.IN_PROCESS
    degrees: bool = False


def workers(**parameters: Any) -> Case:
    return Case(parameters, Way.DISTRIBUTED)


def grid_of_streets() -> pd.DataFrame:
    """Return streets 500 m apart under the events, cut at some of their crossings only, as the lake has them."""
    marks = np.arange(0, 3_001, 500)
    ways = [[(x, y) for y in marks] for x in marks] + [[(x, y) for x in marks[::2]] for y in marks[::3]]
    xy = [np.add(way, (500_000.0, 3_350_000.0)).T for way in ways]
    lines = [shapely.linestrings(np.column_stack(transform(x, y, CRS, "EPSG:4490"))) for x, y in xy]
    return pd.DataFrame({"entity_id": [f"s{n}" for n in range(len(lines))], "geom": shapely.to_wkb(lines)})


STREETS: dict[str, Any] = {"network": grid_of_streets(), "bandwidth_m": 700.0, "lixel_m": 60.0, "snap_m": 120.0}
CASES: dict[str, Case] = {
    "cell_count": Case({"size_m": 500.0, "weight": "amount"}, degrees=True),
    "centres": Case({"weight": "v"}),
    "change_points": workers(**CUBE, value="amount", aggregate="median", empty="zero"),
    "dbscan": workers(eps_m=90.0, min_points=4, tile_m=700.0),
    "emerging_hot_spots": workers(**CUBE, cell="hexagon", value="amount", aggregate="mean", empty="zero"),
    "geary": workers(**LOCAL),
    "general_g": workers(**LOCAL),
    "grain": Case({"cells_m": "200,500,900"}),
    "hdbscan": Case({"min_cluster_size": 8}),
    "jacquez": Case(LAGS),
    "join_counts": workers(value="kind", permutations=19),
    "kde": Case({"cell_m": 200.0, "weight": "v"}),
    "kmeans": Case({"k": 5, "starts": 2, "values": "v"}),
    "knox": workers(**LAGS, distance_m=150.0, lag=4.0, tile_m=900.0),
    "local_g": workers(**LOCAL, radius_m=250.0),
    "local_geary": workers(**LOCAL, k=5),
    "local_moran": workers(**LOCAL, k=8),
    "mann_kendall": workers(**CUBE, value="amount", aggregate="sum"),
    "mantel": Case(LAGS),
    "moran": workers(**LOCAL),
    "nearest_neighbour": Case(),
    "network_kde": Case({**STREETS, "weight": "v"}),
    "quadrat": Case(),
    "regionalise": Case({"value": "v", "k": 4, "neighbours": 6, "least_rows": 5}),
    "ripley": workers(distances_m="100,300", simulations=9, tile_m=900.0),
    "scan_statistic": workers(**CUBE, radius_m=1200.0, max_days=5, permutations=19, max_p=1.0),
    "space_time_k": workers(**LAGS, distances_m="100,300", lags="2,9", tile_m=900.0),
    "st_dbscan": workers(time="day", eps_m=150.0, eps_time=6.0, min_points=4, tile_m=700.0),
}


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    """Return 400 events: knots, a chain over several tiles, duplicates, three far away, amounts over eighteen orders of magnitude."""
    rng = np.random.default_rng(12)
    knots = np.repeat(rng.uniform(0, 3_000, (5, 2)), 40, axis=0) + rng.normal(0, 60, (200, 2))
    chain = np.column_stack([np.arange(60) * 50.0, np.full(60, 1_510.0)])
    xy = np.concatenate([knots, chain, np.full((20, 2), 1_200.0), rng.uniform(0, 3_000, (117, 2)), np.full((3, 2), 5_000.0)])
    xy = np.round(xy * 2) / 2 + [500_000.0, 3_350_000.0]
    lon, lat = transform(xy[:, 0], xy[:, 1], CRS, "EPSG:4490")
    size = len(xy)
    at = pd.Timestamp("2025-03-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 10 * 86_400, size), unit="s")
    return pd.DataFrame(
        {
            "entity_id": [f"e{i:04}" for i in rng.permutation(size)],
            **dict(zip((*METRES, *DEGREES), (*xy.T, lon, lat), strict=True)),
            "observed_at": at.as_unit("us"),
            "day": rng.integers(0, 60, size),
            "v": rng.gamma(2, size=size),
            "kind": rng.integers(0, 2, size),
            "amount": rng.normal(size=size) * 10.0 ** rng.integers(-9, 9, size),
        }
    )


@pytest.fixture(scope="module")
def spread(spark: SparkSession, events: pd.DataFrame) -> Callable[[int], DataFrame]:
    """Return the events in Spark, shuffled, in so many partitions; each split is made once."""
    made: dict[int, DataFrame] = {}

    def split(partitions: int) -> DataFrame:
        if partitions not in made:
            rows = events.sample(frac=1.0, random_state=partitions)
            made[partitions] = spark.createDataFrame(rows).repartition(partitions).cache()
        return made[partitions]

    return split


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "ROWS_PER_TILE", 150)
    monkeypatch.setattr(frames.in_process, "__defaults__", (1,))


def bytes_of(frame: Any) -> bytes:
    """Return columns by name, rows in their one order; pandas does not tell NaN from a missing value, so neither is told here."""
    table = pa.Table.from_pandas(frame, preserve_index=False) if isinstance(frame, pd.DataFrame) else frame.toArrow()
    columns = {name: [_shown(v) for v in table.column(name).to_pylist()] for name in sorted(table.column_names)}
    rows = sorted(zip(*columns.values(), strict=True))
    return repr((list(columns), rows)).encode()


def _shown(value: Any) -> str:
    return "" if value is None or (isinstance(value, float) and math.isnan(value)) else str(value)


def test_every_tool_of_the_shelf_is_here() -> None:
    assert set(CASES) == set(tools())


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("name", sorted(CASES))
def test_partitions_and_order_do_not_show(spread: Callable[[int], DataFrame], events: pd.DataFrame, name: str) -> None:
    tool, case = tools()[name].function, CASES[name]
    unseen = METRES if case.degrees else DEGREES
    here = tool(events.drop(columns=list(unseen)), **case.parameters)
    assert len(here)
    wanted = bytes_of(here.drop(columns=[c for c in unseen if c in here]))
    for partitions in SPLITS:
        with noted() as notes:
            found = tool(spread(partitions).drop(*unseen), **case.parameters)
            got = bytes_of(found)
        assert notes.get("way", Way.IN_PROCESS) == case.way
        assert got == wanted, partitions


@pytest.mark.usefixtures("small_tiles")
def test_edges_of_weights_know_no_partitions(spread: Callable[[int], DataFrame], events: pd.DataFrame) -> None:
    here = bytes_of(knn(events, 8, id_column="entity_id"))
    assert {bytes_of(tiled_edges(spread(partitions), Knn(8))) == here for partitions in SPLITS} == {True}


def test_a_second_frame_knows_no_partitions_either(spread: Callable[[int], DataFrame], spark: SparkSession, events: pd.DataFrame) -> None:
    network_kde = tools()["network_kde"].function
    here = bytes_of(network_kde(events.drop(columns=list(DEGREES)), **STREETS))
    for partitions in SPLITS:
        streets = spark.createDataFrame(STREETS["network"].sample(frac=1.0, random_state=partitions)).repartition(partitions)
        assert bytes_of(network_kde(spread(partitions).drop(*DEGREES), **{**STREETS, "network": streets})) == here
