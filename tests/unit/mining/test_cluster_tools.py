"""Every tool of clusters, distribution and interaction gives what its contract describes, and says what it cannot take."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

from schemas.messages import SanyuError
from schemas.model import DType
from schemas.registry import find_contract
from transforms.mining.clusters.dbscan import dbscan
from transforms.mining.clusters.st_dbscan import st_dbscan
from transforms.mining.shelf.frames import noted
from transforms.mining.shelf.tool import find_tool

ROOT = Path(__file__).parents[3]
ASKED: dict[str, dict[str, Any]] = {
    "dbscan": {"eps_m": "20", "min_points": "3"},
    "st_dbscan": {"time": "day", "eps_m": "40", "eps_time": "20"},
    "hdbscan": {"min_cluster_size": "4"},
    "kmeans": {"k": "3", "values": "value"},
    "regionalise": {"value": "value", "k": "3", "neighbours": "6"},
    "centres": {},
    "quadrat": {"column_count": "4"},
    "nearest_neighbour": {},
    "ripley": {"distances_m": "20,50", "simulations": "9"},
    "kde": {"cell_m": "20"},
    "grain": {"cells_m": "20,50"},
    "knox": {"time": "day", "distance_m": "30", "lag": "5", "permutations": "9"},
    "space_time_k": {"time": "day", "distances_m": "20,50", "lags": "2,8", "permutations": "9"},
    "mantel": {"time": "day", "permutations": "9"},
    "jacquez": {"time": "day", "permutations": "9"},
}
FACTS = {"tool_name", "input_table"}
KINDS = {DType.STRING: "O", DType.DOUBLE: "f", DType.LONG: "if", DType.INTEGER: "if", DType.BOOLEAN: "b"}


@pytest.fixture
def frame() -> pd.DataFrame:
    rng = np.random.default_rng(5)
    xy = np.concatenate([rng.normal(c, 8, (40, 2)) for c in (0, 100, 200)])
    return pd.DataFrame(
        {
            "entity_id": [f"r{i:03}" for i in range(120)],
            "x_m": xy[:, 0],
            "y_m": xy[:, 1],
            "day": rng.integers(0, 60, 120),
            "value": xy.sum(axis=1),
        }
    )


@pytest.mark.parametrize("name", list(ASKED))
def test_the_result_has_the_columns_of_its_contract_and_a_page(frame: pd.DataFrame, name: str) -> None:
    tool = find_tool(name)
    contract = find_contract(tool.result)
    with noted() as notes:
        result = tool.function(frame, **tool.parsed(ASKED[name]))
    assert "way" in notes
    given = set(result.columns) - (set(frame.columns) if tool.grain == "rows" else set())
    assert given == {c.name for c in contract.columns} - FACTS
    assert len(result)
    for column in contract.columns:
        if column.name in given:
            assert result[column.name].dtype.kind in KINDS[column.dtype] or result[column.name].isna().all()
            assert not (column.required and result[column.name].isna().any()), column.name
    assert (ROOT / tool.docs).read_text("utf-8").startswith("# ")


@pytest.mark.parametrize("name", list(ASKED))
def test_none_and_one_row_are_a_documented_answer_or_a_named_error(frame: pd.DataFrame, name: str) -> None:
    tool = find_tool(name)
    for few in (frame.iloc[:0], frame.iloc[:1]):
        try:
            result = tool.function(few, **tool.parsed(ASKED[name]))
        except SanyuError as error:
            assert error.code in ("SY-N013", "SY-N032", "SY-N034", "SY-N039")
        else:
            assert name in ("dbscan", "st_dbscan", "hdbscan", "centres")
            assert len(result) == (1 if name == "centres" else len(few))


def test_a_geo_frame_in_degrees_is_clustered_in_metres(frame: pd.DataFrame) -> None:
    there = gpd.GeoDataFrame(
        frame[["entity_id"]], geometry=gpd.points_from_xy(116.4 + frame["x_m"] / 85_000, 39.9 + frame["y_m"] / 111_000), crs="EPSG:4490"
    )
    found = dbscan(there, eps_m=20.0, min_points=3)
    assert isinstance(found, gpd.GeoDataFrame)
    assert found["cluster_id"].dropna().tolist() == dbscan(frame, eps_m=20.0, min_points=3)["cluster_id"].dropna().tolist()


def test_what_dbscan_cannot_take_is_named(frame: pd.DataFrame) -> None:
    lost = frame.assign(x_m=frame["x_m"].where(frame.index != 7))
    bare = gpd.GeoDataFrame(frame[["entity_id"]], geometry=gpd.points_from_xy(frame["x_m"], frame["y_m"]))
    cases: list[tuple[str, Any, dict[str, Any]]] = [
        ("SY-N030", frame, {"eps_m": 0.0}),
        ("SY-N030", frame, {"eps_m": float("nan")}),
        ("SY-N030", frame, {"eps_m": 1.0, "min_points": 0}),
        ("SY-N012", lost, {"eps_m": 1.0}),
        ("SY-N011", bare, {"eps_m": 1.0}),
        ("SY-N007", pd.concat([frame, frame.iloc[:1]]), {"eps_m": 1.0}),
        ("SY-N010", frame[["entity_id"]], {"eps_m": 1.0}),
    ]
    for code, given, more in cases:
        with pytest.raises(SanyuError, match=code):
            dbscan(given, **more)
    with pytest.raises(SanyuError, match="SY-N005"):
        st_dbscan(frame, "hour", eps_m=1.0, eps_time=1.0)
