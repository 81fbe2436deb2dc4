"""The cube on Spark: every bin has the bits of one process, for 1, 7 and 64 partitions and shuffled events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from schemas.messages import SanyuError
from transforms.mining.cube_frames import cube_of_frame
from transforms.mining.cube_tools import emerging_hot_spots, space_time_cube
from transforms.space.coords import transform

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PARAMETERS: dict[str, Any] = {
    "time": "observed_at", "value": "amount", "cell": "hexagon", "size_m": 400.0, "level": None, "division": "division_code", "step": "day",
    "every": 1, "length_s": None, "anchor": "end", "from_at": None, "to_at": None, "aggregate": "count", "empty": None, "keep": "with_data",
    "crs": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def events() -> pd.DataFrame:
    rng = np.random.default_rng(6)
    size = 2000
    at = pd.Timestamp("2025-03-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 12 * 86_400, size), unit="s")
    return pd.DataFrame(
        {
            "entity_id": [f"e{n}" for n in range(size)],
            "observed_at": at.as_unit("us"),
            "lon": 120.9 + rng.normal(0, 0.02, size),
            "lat": 30.2 + rng.normal(0, 0.02, size),
            "amount": rng.normal(size=size) * 10.0 ** rng.integers(-9, 9, size),
            "division_code": rng.choice(["390101", "390102", "390103"], size),
        }
    )


def split(spark: SparkSession, events: pd.DataFrame, partitions: int) -> Any:
    shuffled = events.sample(frac=1.0, random_state=partitions)
    return spark.createDataFrame(shuffled).repartition(partitions).cache()


@pytest.mark.parametrize("partitions", [1, 7, 64])
def test_every_bin_has_the_bits_of_one_process(spark: SparkSession, events: pd.DataFrame, partitions: int) -> None:
    crs = None
    if partitions != 7:  # in metres already: the other way into a cube, and fewer jobs
        x, y = transform(events["lon"].to_numpy(), events["lat"].to_numpy(), "EPSG:4490", "EPSG:4549")
        events, crs = events.drop(columns=["lon", "lat"]).assign(x_m=x, y_m=y), "EPSG:4549"
    df = split(spark, events, partitions)
    for how in {1: ("count", "mean"), 7: ("median", "min"), 64: ("sum",)}[partitions]:
        asked = {**PARAMETERS, "aggregate": how, "crs": crs}
        (here, one), (there, other) = cube_of_frame(events, asked), cube_of_frame(df, asked, limit=1)
        assert one == other == "EPSG:4549"
        assert here.cells.ids.tolist() == there.cells.ids.tolist()
        assert here.edges.tobytes() == there.edges.tobytes()
        assert here.values.tobytes() == there.values.tobytes(), how
        assert here.counts.tobytes() == there.counts.tobytes()


def test_divisions_beidou_and_naive_times_come_out_alike(spark: SparkSession, events: pd.DataFrame) -> None:
    naive = events.assign(observed_at=events["observed_at"].dt.tz_convert("Etc/GMT-8").dt.tz_localize(None))
    texts = naive.assign(observed_at=naive["observed_at"].astype(str))
    df = spark.createDataFrame(texts).repartition(5)
    borders = np.array([["390101", "390102"]])
    for change in ({"cell": "division", "size_m": None}, {"cell": "beidou", "size_m": None, "level": 5}):
        asked = {**PARAMETERS, **change, "aggregate": "mean"}
        here, there = (cube_of_frame(f, asked, borders, limit=1)[0] for f in (naive, df))
        assert here.cells.ids.tolist() == there.cells.ids.tolist()
        assert here.values.tobytes() == there.values.tobytes()
    whole = space_time_cube(events, cell="beidou", level=5)
    assert whole.edges.tobytes() == space_time_cube(naive, cell="beidou", level=5).edges.tobytes()


def test_the_tool_gives_a_spark_frame_of_the_same_cells(spark: SparkSession, events: pd.DataFrame) -> None:
    here = emerging_hot_spots(events, cell="hexagon", size_m=800.0)
    there = emerging_hot_spots(split(spark, events, 7), cell="hexagon", size_m=800.0).toPandas()
    ordered = [f.sort_values("cell_id", ignore_index=True).drop(columns=["from_at", "to_at"]) for f in (here, there)]
    pd.testing.assert_frame_equal(*ordered, check_exact=True, check_dtype=False)


def test_events_without_a_time_are_refused(spark: SparkSession, events: pd.DataFrame) -> None:
    schema = "entity_id string, observed_at timestamp, lon double, lat double, amount double, division_code string"
    df = spark.createDataFrame(events.head(5).assign(observed_at=pd.NaT), schema)
    with pytest.raises(SanyuError, match="SY-N066"):
        cube_of_frame(df, PARAMETERS, limit=1)
