"""The same answer for any partitions and any order, byte for byte, by tiles as in one process; also where a tile's halo was too narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from transforms.mining import autocorrelation, local, tiles
from transforms.mining.local_statistics import Inference
from transforms.mining.local_tiles import distributed
from transforms.mining.weights import DistanceBand, Knn
from transforms.mining.weights_tools import knn, tiled_edges

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

COUNT = 900


@pytest.fixture(scope="module")
def table() -> pa.Table:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 3_000, COUNT), rng.uniform(0, 3_000, COUNT)
    x[:12] += 20_000  # so far out that the first halo does not reach their neighbours
    x[30:50], y[30:50] = x[30], y[30]  # on one point
    ids = [f"e{i:04d}" for i in rng.permutation(COUNT)]
    return pa.table({"entity_id": ids, "lon": 120 + x / 1e5, "lat": 30 + y / 1e5, "v": rng.gamma(2, size=COUNT)})


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "ROWS_PER_TILE", 300)


def spread(spark: SparkSession, table: pa.Table, parts: int) -> DataFrame:
    shuffled = table.take(pa.array(np.random.default_rng(parts).permutation(COUNT)))
    return spark.createDataFrame(shuffled).repartition(parts)


def bytes_of(frame: Any) -> bytes:
    found = frame.toArrow().sort_by("entity_id").combine_chunks()
    return b"|".join(str(found.column(name).to_pylist()).encode() for name in sorted(found.column_names))


@pytest.mark.parametrize(("statistic", "rule", "splits"), [("moran", Knn(8), (1, 7, 64)), ("g", DistanceBand(200.0), (7,))])
def test_local_statistics(spark: SparkSession, table: pa.Table, small_tiles: None, statistic: Any, rule: Any, splits: Any) -> None:
    transform, star = ("b", True) if statistic == "g" else ("r", False)
    request = local.Request(statistic, "v", transform, star, 0.05, Inference(99, 3), None)
    tool = local.local_g if statistic == "g" else local.local_moran
    here = bytes_of(tool(spread(spark, table, 2), "v", weights=rule, permutations=99, seed=3))
    for parts in splits:
        assert bytes_of(distributed(spread(spark, table, parts), request, rule)) == here


def test_edges(spark: SparkSession, table: pa.Table, small_tiles: None) -> None:
    def listed(edges: Any) -> list[Any]:
        return sorted(map(tuple, (row.values() for row in edges.toArrow().to_pylist())))

    here = listed(knn(spread(spark, table, 2), 8))
    assert len(here) == 8 * COUNT
    assert listed(tiled_edges(spread(spark, table, 7), Knn(8))) == here


@pytest.mark.parametrize("tool", [autocorrelation.moran, autocorrelation.geary, autocorrelation.general_g])
def test_global_statistics(spark: SparkSession, table: pa.Table, tool: Any) -> None:
    found = [tool(spread(spark, table, parts), "v", permutations=49).collect() for parts in (1, 7, 64)]
    assert found[0] == found[1] == found[2]
