"""Frames: canonical order, ids, kinds, metres; and sums that know no order."""

from __future__ import annotations

import geopandas as gpd
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import shapely

from schemas.messages import SanyuError
from transforms.mining.ground import metres, sums
from transforms.mining.shelf import frames
from transforms.mining.shelf.tool import find_tool, tools


def places(crs: int = 4490) -> gpd.GeoDataFrame:
    points = gpd.points_from_xy([120.02, 120.0, 120.01], [30.0, 30.01, 30.02])
    return gpd.GeoDataFrame({"entity_id": ["c", "a", "b"], "v": [3.0, 1.0, 2.0]}, geometry=points, crs=4490).to_crs(crs)


def test_rows_come_sorted_by_id() -> None:
    found = frames.collect(places(), ["v"])
    assert found.column("id").to_pylist() == ["a", "b", "c"]
    assert found.column("v").to_pylist() == [1.0, 2.0, 3.0]


@pytest.mark.parametrize(("ids", "named"), [(["a", "a", "b"], "a"), (["a", None, "b"], "null")])
def test_an_id_that_is_no_id_is_named(ids: list[str | None], named: str) -> None:
    with pytest.raises(SanyuError) as error:
        frames.collect(places().assign(entity_id=ids), ["v"])
    assert (error.value.code, error.value.params["id"]) == ("SY-N007", named)


def test_added_columns_stand_beside_their_rows() -> None:
    added = frames.attached(places(), pa.table({"id": ["a", "b", "c"], "n": [1, 2, 3]}))
    assert isinstance(added, gpd.GeoDataFrame)
    assert dict(zip(added["entity_id"], added["n"], strict=True)) == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("crs", [4490, 4326, 3857, 4549, 32651])
def test_metres_are_those_of_the_city_s_belt_or_of_a_true_projection(crs: int) -> None:
    found = metres.points(places(crs))
    x, y = found.column("x_m").to_numpy(), found.column("y_m").to_numpy()
    distance = np.hypot(x[0] - x[1], y[0] - y[1])
    assert distance == pytest.approx(np.hypot(0.01 * 96_486, 0.01 * 110_861), rel=2e-3)


def test_a_lake_s_geometry_and_lon_lat_give_the_same_metres() -> None:
    plain = pd.DataFrame({"entity_id": ["a", "b"], "lon": [120.0, 120.01], "lat": [30.0, 30.01]})
    blobs = plain.assign(geom=shapely.to_wkb(shapely.points(plain["lon"], plain["lat"]))).drop(columns=["lon", "lat"])
    assert metres.points(plain).equals(metres.points(blobs))


def test_polygons_stand_for_their_centroid() -> None:
    squares = gpd.GeoDataFrame(geometry=[shapely.box(500_000, 3_300_000, 500_100, 3_300_200)], crs=4549)
    assert metres.points(squares).select(["x_m", "y_m"]).to_pylist() == [{"x_m": 500_050.0, "y_m": 3_300_100.0}]


def test_a_frame_without_crs_is_refused() -> None:
    with pytest.raises(SanyuError, match="SY-N011"):
        metres.points(places().set_crs(None, allow_override=True))


def test_geometry_columns_in_two_systems_are_refused() -> None:
    mixed = places()
    mixed["other"] = mixed.geometry.to_crs(3857)
    with pytest.raises(SanyuError, match="SY-N011"):
        metres.points(mixed)


def test_a_row_without_a_place_is_named() -> None:
    lost = places()
    lost.loc[1, "geometry"] = shapely.Point()
    with pytest.raises(SanyuError) as error:
        metres.points(lost)
    assert (error.value.code, error.value.params["id"]) == ("SY-N012", "a")


def test_a_frame_of_no_known_kind_is_refused() -> None:
    with pytest.raises(SanyuError, match="SY-N004"):
        frames.frame_kind([1, 2])


def test_sums_do_not_depend_on_order_or_parts() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=10_001) * 10.0 ** rng.integers(-12, 12, 10_001)
    whole = sums.exact(values)
    shuffled = rng.permutation(values)
    assert sums.exact(shuffled) == whole
    assert sums.merged([sums.parts(part) for part in np.array_split(shuffled, 64)]) == whole
    assert sums.chunked(values) == pytest.approx(whole, rel=1e-9)


def test_notes_reach_who_listens_only() -> None:
    frames.note(lost=1)
    with frames.noted() as facts:
        frames.in_process(places())
    assert facts == {"way": frames.Way.IN_PROCESS}


def test_tools_are_found_with_their_parameters() -> None:
    found = find_tool("local-moran")
    assert found.result == "mart.mining__local_statistic"
    assert found.parsed({"value": "v", "k": "6", "use_fdr": "no"}) == {"value": "v", "k": 6, "use_fdr": False}
    assert {"local_moran", "local_geary", "local_g", "moran", "geary", "general_g", "join_counts"} <= set(tools())


@pytest.mark.parametrize(
    ("given", "code"), [({"value": "v", "kk": "6"}, "SY-N002"), ({"value": "v", "k": "six"}, "SY-N003"), ({}, "SY-N003")]
)
def test_parameters_that_a_tool_cannot_take_are_refused(given: dict[str, str], code: str) -> None:
    with pytest.raises(SanyuError, match=code):
        find_tool("local_moran").parsed(given)


def test_an_unknown_tool_names_the_nearest() -> None:
    with pytest.raises(SanyuError) as error:
        find_tool("local_maron")
    assert error.value.params["nearest"] == "local_moran"
