"""Chinese is drawn where a font has it; without one words that can be drawn stand there, and Matplotlib has nothing to warn of."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from sanyu.serve.layers import map_layer
from sanyu.serve.overview import preview_png
from schemas.registry import find_contract
from transforms import fonts
from transforms.mining.pictures.pictures import plot_map
from transforms.mining.pictures.plot import plot

NO_CHINESE = len(fonts.families()) == 1


@pytest.fixture
def latin_only(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(fonts, "families", lambda: (fonts.LATIN,))
    fonts.is_drawn.cache_clear()
    yield
    fonts.is_drawn.cache_clear()


@pytest.fixture
def cells() -> Any:
    squares = [shapely.box(120 + n / 100, 30, 120.01 + n / 100, 30.01) for n in range(3)]
    columns = {"row_count": [3, 1, 0], "kind": ["餐饮", "购物", "Park"]}
    return gpd.GeoDataFrame(columns, geometry=squares, crs="EPSG:4490")


def rendered(figure: Any) -> None:
    """Draw a figure; a missing glyph is a warning, and that an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(io.BytesIO(), format="png")


@pytest.mark.usefixtures("latin_only")
def test_without_a_chinese_font_the_words_that_can_be_drawn_stand_there() -> None:
    assert fonts.readable("热点：places", "Hot spots: places") == "Hot spots: places"
    assert fonts.readable("Hangzhou 杭州") == "Hangzhou"
    assert fonts.readable("Hot spots · 热点") == "Hot spots"
    assert fonts.readable("热点") == fonts.readable("") == ""
    assert fonts.readable("L(r) − r, café") == "L(r) − r, café"


@pytest.mark.usefixtures("latin_only")
def test_pictures_without_a_chinese_font_have_english_titles_and_no_boxes(cells: Any, tmp_path: Path) -> None:
    counts = plot(cells, title="单元计数")
    assert counts.axes[0].get_title() == "4 rows in 2 of 3 cells"
    kinds = plot_map(cells, "kind", title="类别 kinds")
    assert kinds.axes[0].get_title() == "kinds"
    assert [t.get_text() for t in kinds.legends[0].get_texts()] == ["Park (1)", "kind 2 (1)", "kind 3 (1)"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        preview_png([layer()], tmp_path / "m.png", "Hangzhou 杭州", ["数据", "© A"], width_px=300)
    for figure in (counts, kinds):
        rendered(figure)


def layer() -> Any:
    frame = gpd.GeoDataFrame({"class_code": [None]}, geometry=[shapely.box(120, 30, 120.5, 31)], crs="EPSG:4490")
    return map_layer(find_contract("core.basemap__water"), frame)


@pytest.mark.skipif(NO_CHINESE, reason="no Chinese font is installed")
def test_pictures_with_a_chinese_font_are_in_chinese(cells: Any, tmp_path: Path) -> None:
    counts, kinds = plot(cells, title="单元计数：兴趣点"), plot_map(cells, "kind", title="类别")
    assert counts.axes[0].get_title() == "单元计数：兴趣点"
    assert "餐饮 (1)" in [t.get_text() for t in kinds.legends[0].get_texts()]
    assert plot(pd.DataFrame({"distance_m": [1.0], "l_m": [1.0], "l_low": [0.5], "l_high": [2.0], "p_overall": [0.1]}), title="里普利").axes
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        preview_png([layer()], tmp_path / "m.png", "杭州", ["数据"], width_px=300)
    for figure in (counts, kinds):
        rendered(figure)


@pytest.mark.skipif(NO_CHINESE, reason="no Chinese font is installed")
def test_a_font_that_matplotlib_has_not_seen_yet_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from matplotlib import font_manager

    known = [f for f in font_manager.fontManager.ttflist if f.name not in fonts.CHINESE]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", known)
    fonts.families.cache_clear()
    try:
        assert len(fonts.families()) == 2
    finally:
        fonts.families.cache_clear()
