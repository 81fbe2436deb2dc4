"""The same answer for any partitions and any order, byte for byte, by tiles as in one process; also where a tile's halo was too narrow."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from transforms.mining import autocorrelation, local, tiles
from transforms.mining.cell_count import cell_count
from transforms.mining.local_statistics import Inference
from transforms.mining.local_tiles import distributed
from transforms.mining.weights import DistanceBand, Knn
from transforms.mining.weights_tools import knn, tiled_edges

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

COUNT = 400
Spreads = Callable[[int], "DataFrame"]


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 3_000, COUNT), rng.uniform(0, 3_000, COUNT)
    x[:3] = 5_000  # so far out that the first halo does not reach their neighbours
    x[30:50], y[30:50] = x[30], y[30]  # on one point
    ids = [f"e{i:04d}" for i in rng.permutation(COUNT)]
    return pd.DataFrame({"entity_id": ids, "x_m": x, "y_m": y, "v": rng.gamma(2, size=COUNT), "kind": rng.integers(0, 2, COUNT)})


@pytest.fixture(scope="module")
def spreads(spark: SparkSession, table: pd.DataFrame) -> Spreads:
    """Return the rows in Spark, shuffled, in so many partitions; each split is made once."""
    made: dict[int, DataFrame] = {}

    def spread(parts: int) -> DataFrame:
        if parts not in made:
            made[parts] = spark.createDataFrame(table.sample(frac=1.0, random_state=parts)).repartition(parts).cache()
        return made[parts]

    return spread


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "ROWS_PER_TILE", 150)


def bytes_of(frame: Any) -> bytes:
    """Return the rows by their first column, columns by name; pandas does not tell NaN from a missing value, so here neither is told."""
    found = (pa.Table.from_pandas(frame, preserve_index=False) if isinstance(frame, pd.DataFrame) else frame.toArrow()).combine_chunks()
    ordered = found.sort_by(found.column_names[0])
    columns = [ordered.column(name).to_pylist() for name in sorted(found.column_names)]
    return b"|".join(str([None if isinstance(v, float) and math.isnan(v) else v for v in column]).encode() for column in columns)


@pytest.mark.parametrize(
    ("statistic", "rule", "splits"),
    [("moran", Knn(8), (64,)), ("g", DistanceBand(250.0), (1,)), ("geary", Knn(5), (7,))],
)
def test_local_statistics(spreads: Spreads, table: pd.DataFrame, small_tiles: None, statistic: Any, rule: Any, splits: Any) -> None:
    transform, star = ("b", True) if statistic == "g" else ("r", False)
    request = local.Request(statistic, "v", transform, star, 0.05, Inference(49, 3), None)
    tool: Any = {"g": local.local_g, "moran": local.local_moran, "geary": local.local_geary}[statistic]
    here = bytes_of(tool(table, "v", weights=rule, permutations=49, seed=3))
    for parts in splits:
        assert bytes_of(distributed(spreads(parts), request, rule)) == here


def test_edges(spreads: Spreads, table: pd.DataFrame, small_tiles: None) -> None:
    def listed(edges: pa.Table) -> list[Any]:
        return sorted(map(tuple, (row.values() for row in edges.to_pylist())))

    here = listed(pa.Table.from_pandas(knn(table, 8, id_column="entity_id"), preserve_index=False))
    assert len(here) == 8 * COUNT
    assert listed(tiled_edges(spreads(7), Knn(8)).toArrow()) == here


GLOBAL: dict[str, tuple[Callable[..., Any], tuple[str, ...], dict[str, Any]]] = {
    "moran": (autocorrelation.moran, ("v",), {"permutations": 49}),
    "geary": (autocorrelation.geary, ("v",), {"permutations": 49}),
    "general_g": (autocorrelation.general_g, ("v",), {"permutations": 49}),
    "join_counts": (autocorrelation.join_counts, ("kind",), {"permutations": 49}),
}


@pytest.mark.parametrize("name", list(GLOBAL))
def test_global_statistics(spreads: Spreads, table: pd.DataFrame, name: str) -> None:
    tool, given, more = GLOBAL[name]
    here = bytes_of(tool(table, *given, **more))
    assert [bytes_of(tool(spreads(parts), *given, **more)) == here for parts in (1, 64)] == [True, True]


def test_counts_by_cell(spark: SparkSession, table: pd.DataFrame) -> None:
    placed = table.assign(lon=120 + table["x_m"] / 1e5, lat=30 + table["y_m"] / 1e5).drop(columns=["x_m", "y_m"])
    here = cell_count(placed, size_m=500, weight="v").to_dict("list")
    df = spark.createDataFrame(placed.sample(frac=1.0, random_state=4)).repartition(7)
    assert cell_count(df, size_m=500, weight="v").toPandas().to_dict("list") == here
