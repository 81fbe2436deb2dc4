"""Global statistics over the workers of Spark: the bits of one process, for any partitions and tiles, also where a halo was too narrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from transforms.mining.autocorrelation import autocorrelation, autocorrelation_tiles
from transforms.mining.shelf import frames
from transforms.mining.shelf.frames import Way, noted
from transforms.mining.weights import tiles
from transforms.mining.weights.weights import DistanceBand, Kernel, Knn

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

COUNT = 5_000  # more than a table of a permutation holds, so that the Feistel network is what is tested


@pytest.fixture(scope="module")
def table() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0, 10_000, (2, COUNT))
    x[:3] = 15_000  # so far out that the first halo does not reach their neighbours
    ids = [f"e{i:05d}" for i in rng.permutation(COUNT)]
    values = {"v": rng.gamma(2, size=COUNT) + x / 5_000, "kind": rng.integers(0, 2, COUNT)}
    return pd.DataFrame({"entity_id": ids, "x_m": x, "y_m": y, **values})


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiles, "ROWS_PER_TILE", 700)
    monkeypatch.setattr(autocorrelation_tiles, "BUCKET", 600)
    monkeypatch.setattr(frames.in_process, "__defaults__", (1,))


@pytest.mark.usefixtures("small_pieces")
@pytest.mark.parametrize(
    ("name", "rule", "column", "parts"),
    [
        ("moran", Knn(8), "v", 1),
        ("moran", Kernel(400.0), "v", 64),
        ("geary", DistanceBand(300.0), "v", 7),
        ("general_g", Knn(5), "v", 7),
        ("join_counts", Knn(6), "kind", 64),
    ],
)
def test_the_workers_sums_are_those_of_one_process(
    spark: SparkSession, table: pd.DataFrame, name: str, rule: Any, column: str, parts: int
) -> None:
    tool = getattr(autocorrelation, name)
    here = tool(table, column, weights=rule, permutations=19, seed=4)
    with noted() as notes:
        spread = spark.createDataFrame(table.sample(frac=1.0, random_state=parts)).repartition(parts)
        found = tool(spread, column, weights=rule, permutations=19, seed=4).toPandas()
    assert notes["way"] == Way.DISTRIBUTED
    assert here["row_count"].iloc[0] == COUNT
    assert found.fillna(-1.0).to_dict("list") == here.fillna(-1.0).to_dict("list")
