"""Clusters and pair counts over Spark: the same answer for any partitions and any order, and that of one process."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from transforms.mining.dbscan import dbscan
from transforms.mining.distribution import centres
from transforms.mining.hdbscan import hdbscan
from transforms.mining.kde import kde
from transforms.mining.kmeans import kmeans
from transforms.mining.knox import knox, space_time_k
from transforms.mining.mantel import jacquez, mantel
from transforms.mining.quadrat import grain, nearest_neighbour, quadrat
from transforms.mining.regionalise import regionalise
from transforms.mining.ripley import ripley
from transforms.mining.st_dbscan import st_dbscan

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DISTANCES, LAGS = "15,40", "2,9"
Spread = Callable[[int], Any]


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    """Return 500 events on a half-metre lattice: six knots, a chain that crosses several tiles, duplicates, scattered ones."""
    rng = np.random.default_rng(12)
    knots = np.repeat(rng.uniform(0, 400, (6, 2)), 50, axis=0) + rng.normal(0, 8, (300, 2))
    chain = np.column_stack([np.arange(80) * 4.0, np.full(80, 210.0)])
    xy = np.concatenate([knots, chain, np.full((20, 2), 150.0), rng.uniform(0, 400, (100, 2))])
    xy = np.round(xy * 2) / 2
    ids = [f"e{i:04}" for i in rng.permutation(500)]
    return pd.DataFrame({"entity_id": ids, "x_m": xy[:, 0], "y_m": xy[:, 1], "day": rng.integers(0, 60, 500)})


@pytest.fixture(scope="module")
def spread(spark: SparkSession, events: pd.DataFrame) -> Spread:
    """Return the events in Spark, shuffled, in so many partitions; each split is made once."""
    made: dict[int, Any] = {}

    def split(partitions: int) -> Any:
        if partitions not in made:
            made[partitions] = spark.createDataFrame(events.sample(frac=1, random_state=partitions)).repartition(partitions).cache()
        return made[partitions]

    return split


def rows(frame: Any, by: str) -> pd.DataFrame:
    plain = frame if isinstance(frame, pd.DataFrame) else frame.toPandas()
    return plain[sorted(plain.columns)].sort_values(by).reset_index(drop=True).fillna(np.nan)


def test_dbscan_by_tiles_is_that_of_one_process(spread: Spread, events: pd.DataFrame) -> None:
    here = rows(dbscan(events, eps_m=6.0, min_points=4), "entity_id")
    assert here["cluster_role"].nunique() == 3
    for partitions, tile_m in ((1, 140.0), (64, 110.0)):
        found = rows(dbscan(spread(partitions), eps_m=6.0, min_points=4, tile_m=tile_m), "entity_id")
        pd.testing.assert_frame_equal(found, here, check_exact=True)


def test_st_dbscan_by_tiles_is_that_of_one_process(spread: Spread, events: pd.DataFrame) -> None:
    asked: dict[str, Any] = {"eps_m": 10.0, "eps_time": 6.0, "min_points": 4}
    here = rows(st_dbscan(events, "day", **asked), "entity_id")
    assert here["cluster_role"].nunique() == 3
    found = rows(st_dbscan(spread(7), "day", **asked, tile_m=140.0), "entity_id")
    pd.testing.assert_frame_equal(found, here, check_exact=True)


COUNTED: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "knox": (knox, ("day",), {"distance_m": 15.0, "lag": 4.0, "permutations": 19}),
    "space_time_k": (space_time_k, ("day",), {"distances_m": DISTANCES, "lags": LAGS, "permutations": 9}),
    "ripley": (ripley, (), {"distances_m": DISTANCES, "simulations": 9}),
}


@pytest.mark.parametrize("name", list(COUNTED))
def test_pairs_by_tiles_are_those_of_one_process(spread: Spread, events: pd.DataFrame, name: str) -> None:
    tool, given, more = COUNTED[name]
    here = tool(events, *given, **more)
    for partitions in {"knox": (1, 64)}.get(name, (7,)):
        found = tool(spread(partitions), *given, **more, tile_m=140.0)
        pd.testing.assert_frame_equal(found.toPandas().fillna(np.nan), here, check_exact=True, check_dtype=False)


COLLECTED: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "mantel": (mantel, ("day",), {"permutations": 9}),
    "jacquez": (jacquez, ("day",), {"permutations": 9}),
    "centres": (centres, (), {}),
    "quadrat": (quadrat, (), {}),
    "nearest_neighbour": (nearest_neighbour, (), {}),
    "grain": (grain, (), {"cells_m": "20,50,100"}),
    "kde": (kde, (), {"cell_m": 20.0}),
}
LABELLED: dict[str, tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]] = {
    "hdbscan": (hdbscan, (), {"min_cluster_size": 8}),
    "kmeans": (kmeans, (), {"k": 6, "starts": 2}),
    "regionalise": (regionalise, ("day",), {"k": 4, "neighbours": 6, "least_rows": 5}),
}


@pytest.mark.parametrize("name", list(COLLECTED))
def test_what_is_collected_knows_no_partitions(spread: Spread, events: pd.DataFrame, name: str) -> None:
    tool, given, more = COLLECTED[name]
    here = tool(events, *given, **more)
    for partitions in (1, 64):
        found = tool(spread(partitions), *given, **more)
        pd.testing.assert_frame_equal(found.toPandas().fillna(np.nan), here.fillna(np.nan), check_exact=True, check_dtype=False)


@pytest.mark.parametrize("name", list(LABELLED))
def test_labels_know_no_partitions(spread: Spread, events: pd.DataFrame, name: str) -> None:
    tool, given, more = LABELLED[name]
    here = rows(tool(events, *given, **more), "entity_id")
    for partitions in (1, 64):
        found = rows(tool(spread(partitions), *given, **more), "entity_id")
        pd.testing.assert_frame_equal(found, here, check_exact=True, check_dtype=False)
