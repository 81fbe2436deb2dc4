"""The cube on Spark: kinds of cells and times that the tests of the whole shelf leave out, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from schemas.messages import SanyuError
from transforms.mining.cube.cube_frames import cube_of_frame
from transforms.mining.cube.cube_tools import space_time_cube

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


def test_events_without_a_time_are_refused(spark: SparkSession, events: pd.DataFrame) -> None:
    schema = "entity_id string, observed_at timestamp, lon double, lat double, amount double, division_code string"
    df = spark.createDataFrame(events.head(5).assign(observed_at=pd.NaT), schema)
    with pytest.raises(SanyuError, match="SY-N066"):
        cube_of_frame(df, PARAMETERS, limit=1)
