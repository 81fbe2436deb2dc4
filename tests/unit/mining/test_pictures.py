"""Maps of results are true to shape, keep to the result's extent, and name what they show."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from schemas.messages import SanyuError
from transforms.mining.clusters.dbscan import dbscan
from transforms.mining.density.kde import kde
from transforms.mining.interaction.ripley import ripley
from transforms.mining.pictures.pictures import plot_local, plot_map
from transforms.mining.pictures.plot import plot


@pytest.fixture
def cells() -> Any:
    squares = [shapely.box(120 + n / 100, 60, 120.01 + n / 100, 60.01) for n in range(4)]
    columns = {"pattern": ["Hot", "Hot", "Not significant", "Cold"], "q_value": [0.01, 0.02, 0.4, 0.03]}
    return gpd.GeoDataFrame(columns, geometry=squares, crs="EPSG:4490")


def test_degrees_are_drawn_true_to_shape_and_metres_as_they_are(cells: Any) -> None:
    degrees, metres = plot_map(cells).axes[0], plot_map(cells.to_crs("EPSG:4549")).axes[0]
    assert degrees.get_aspect() == pytest.approx(2.0, rel=1e-3)  # at 60 degrees north
    assert metres.get_aspect() == 1.0


def test_outlines_do_not_widen_the_map(cells: Any) -> None:
    country = gpd.GeoDataFrame(geometry=[shapely.box(100, 40, 140, 70)], crs="EPSG:4490")
    assert plot_map(cells, backdrop=country).axes[0].get_xlim() == plot_map(cells).axes[0].get_xlim()


def test_the_legend_names_each_pattern_with_its_count(cells: Any) -> None:
    figure = plot_local(cells, title="T")
    left, right = figure.axes[:2]
    assert [t.get_text() for t in figure.legends[0].get_texts()] == ["Hot (2)", "Cold (1)", "Not significant (1)"]
    assert (left.get_title(), right.get_title()) == ("T", "q-value (Benjamini-Hochberg)")


@pytest.fixture
def points() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    return pd.DataFrame(np.concatenate([rng.normal(0, 5, (60, 2)), rng.uniform(-100, 100, (40, 2))]), columns=["x_m", "y_m"])


def test_clusters_are_drawn_by_role(points: pd.DataFrame) -> None:
    found = dbscan(points, eps_m=4.0, min_points=5)
    axes = plot(found).axes[0]
    drawn = {c.get_label().split(" ")[0]: len(c.get_offsets()) for c in axes.collections}
    assert drawn == found["cluster_role"].value_counts().to_dict()


def test_the_envelope_is_drawn_around_zero(points: pd.DataFrame) -> None:
    found = ripley(points, distances_m="5,10,20", simulations=19)
    axes = plot(found).axes[0]
    assert axes.lines[0].get_ydata() == pytest.approx((found["l_m"] - found["distance_m"]).to_numpy())
    assert len(axes.collections) == 1
    assert not plot(ripley(points, distances_m="5,10", simulations=0)).axes[0].collections


def test_the_grid_of_a_density_lies_where_its_table_says(points: pd.DataFrame) -> None:
    found = kde(points, cell_m=20.0, bandwidth_m=30.0)
    shown = plot(found).axes[0].images[0]
    grid = shown.get_array()
    assert grid.sum() == pytest.approx(found["density_km2"].sum())
    top = found.loc[found["density_km2"].idxmax()]
    assert np.unravel_index(grid.argmax(), grid.shape) == (top["grid_line"], top["grid_column"])
    assert shown.get_extent()[1] == pytest.approx(grid.shape[1] * 0.02)


def test_trends_scans_parts_and_counts_have_pictures_and_figures_alone_do_not(cells: Any) -> None:
    bare = cells.drop(columns=["pattern", "q_value"])
    assert "1 rise, 1 fall, 2 neither" in plot(bare.assign(trend_sign=[1, 0, -1, 0], sen_slope=[0.5, 0.0, -0.2, 0.0])).axes[0].get_title()
    day = pd.Timestamp("2025-03-01", tz="UTC")
    scan = bare.iloc[:2].assign(cluster_number=[1, 2], from_at=day, to_at=day, found_count=[9, 7], expected_count=2.5)
    figure = plot(scan.assign(p_value=0.01, log_likelihood_ratio=4.0))
    assert figure.legends[0].get_texts()[1].get_text() == "2: 2025-03-01 to 2025-03-01, 7 found, 2.5 expected, p = 0.01"
    assert plot(bare.assign(row_count=[3, 0, 1, 0])).axes[0].get_title() == "4 rows in 2 of 4 cells"
    assert [t.get_text() for t in plot(bare.assign(part=[0, 0, 1, 0])).legends[0].get_texts()] == ["part 0 (3)", "part 1 (1)"]
    with pytest.raises(SanyuError, match="SY-N028"):
        plot(pd.DataFrame({"statistic": [0.3]}))


def test_a_result_in_wkb_is_drawn_as_one_of_geopandas(cells: Any) -> None:
    plain = pd.DataFrame(cells.drop(columns="geometry")).assign(geom=shapely.to_wkb(cells.geometry.to_numpy()))
    assert plot(plain).axes[0].get_xlim() == plot(cells).axes[0].get_xlim()
