"""What a result found: one row per cluster with size, hull, density, centre and period; one per place that bears a name."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
import shapely

from transforms.mining.found import CLUSTERS, cluster_rows, found_rows
from transforms.space.coords import transform

START = datetime(2025, 3, 1, tzinfo=UTC)


def _members() -> pa.Table:
    """A square of 1,000 m with a point in its middle, a line of two, one alone, and noise, around 30.3° N in EPSG:4549."""
    east, north = 500_000.0, 3_350_000.0
    square = [(0, 0), (1000, 0), (1000, 1000), (0, 1000), (500, 500)]
    x, y = (np.array(part) for part in zip(*square, (5000, 0), (5600, 800), (9000, 0), (7000, 7000), strict=True))
    lon, lat = transform(x + east, y + north, "EPSG:4549", "EPSG:4490")
    return pa.table(
        {
            "entity_id": [f"e{n}" for n in range(9)],
            "cluster_id": [*["e0"] * 5, "e5", "e5", "e7", None],
            "observed_at": pa.array([START + timedelta(days=n) for n in range(9)], pa.timestamp("us", tz="UTC")),
            "geom": shapely.to_wkb(shapely.points(lon, lat), flavor="iso"),
        }
    )


def test_a_cluster_is_one_row() -> None:
    square, line, single = found_rows(_members(), "observed_at").to_pylist()
    assert (square["pattern_id"], square["pattern_name"], square["member_count"]) == ("e0", "Cluster", 5)
    assert square["area_m2"] == pytest.approx(1e6, rel=1e-6)
    assert square["density_km2"] == pytest.approx(5.0, rel=1e-6)
    x, y = transform(np.array([square["centre_lon"]]), np.array([square["centre_lat"]]), "EPSG:4490", "EPSG:4549")
    assert (x[0], y[0]) == pytest.approx((500_500, 3_350_500), abs=1e-3)
    assert (square["from_at"], square["to_at"]) == (START, START + timedelta(days=4))
    hull = shapely.from_wkb(square["geom"])
    assert (hull.geom_type, len(hull.exterior.coords)) == ("Polygon", 5)
    assert (line["member_count"], line["area_m2"], line["density_km2"]) == (2, 0.0, None)
    assert shapely.from_wkb(line["geom"]).geom_type == "LineString"
    assert (single["member_count"], shapely.from_wkb(single["geom"]).geom_type) == (1, "Point")


def test_the_order_of_members_changes_no_bit() -> None:
    members = _members().filter(pa.array([True] * 8 + [False]))
    mixed = members.take(pa.array(np.random.default_rng(1).permutation(8)))
    assert cluster_rows(mixed, "observed_at").equals(cluster_rows(members, "observed_at"))


def test_without_instants_or_members_nothing_is_made_up() -> None:
    assert found_rows(_members().drop_columns(["observed_at"]), "observed_at").column("from_at").null_count == 3
    nobody = found_rows(_members().slice(8), "observed_at")
    assert nobody.schema == CLUSTERS
    assert nobody.num_rows == 0


def test_places_that_bear_a_name_are_rows_and_the_others_are_not() -> None:
    cells = {
        "cell_id": ["a", "b"],
        "category_name": ["New Hot Spot", "No Pattern Detected"],
        "event_count": [7, 3],
        "last_gi_z": [4.0, 0.1],
    }
    wkb = shapely.to_wkb(shapely.box([120.0, 121.0], 30.0, [120.2, 121.2], 30.2), flavor="iso")
    found = found_rows(pa.table({**cells, "geom": wkb}), "observed_at").to_pylist()
    assert len(found) == 1
    row = found[0]
    assert (row["pattern_id"], row["pattern_name"], row["strength"], row["member_count"]) == ("a", "New Hot Spot", 4.0, 7)
    assert (row["centre_lon"], row["centre_lat"]) == pytest.approx((120.1, 30.1))


def test_the_cylinders_of_a_scan_are_patterns_with_their_days() -> None:
    rows = pa.table(
        {
            "cluster_number": pa.array([1], pa.int32()),
            "found_count": [12],
            "log_likelihood_ratio": [9.5],
            "from_at": pa.array([START], pa.timestamp("us", tz="UTC")),
            "to_at": pa.array([START + timedelta(days=3)], pa.timestamp("us", tz="UTC")),
            "geom": shapely.to_wkb(np.array([shapely.box(120.0, 30.0, 120.01, 30.01)])),
        }
    )
    row = found_rows(rows, "observed_at").to_pylist()[0]
    assert (row["pattern_id"], row["member_count"], row["strength"], row["to_at"]) == ("1", 12, 9.5, START + timedelta(days=3))
    assert row["density_km2"] == pytest.approx(12 / row["area_m2"] * 1e6)


def test_a_result_without_names_has_no_patterns() -> None:
    assert found_rows(pa.table({"entity_id": ["a"], "part": [1]})) is None
