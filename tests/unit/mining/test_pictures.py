"""Maps of results are true to shape, keep to the result's extent, and name what they show."""

from __future__ import annotations

from typing import Any

import geopandas as gpd
import pytest
import shapely

from transforms.mining.pictures import plot_local, plot_map


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
    left, right = plot_local(cells, title="T").axes[:2]
    assert [t.get_text() for t in left.get_legend().get_texts()] == ["Hot (2)", "Cold (1)", "Not significant (1)"]
    assert (left.get_title(), right.get_title()) == ("T", "q-value (Benjamini-Hochberg)")
