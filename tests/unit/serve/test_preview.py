"""Map layers and their page: what is drawn, how, and that it is complete in itself. A browser looks at it in the integration tests."""

from __future__ import annotations

import base64
import gzip
import json
import re
from pathlib import Path

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from sanyu.serve.layers import AREA_PALETTE, THEMES, MapLayer, class_colours, map_columns, map_layer, map_styles
from sanyu.serve.overview import preview_png
from sanyu.serve.preview import render, view_bounds
from schemas.basemap.building import CONTRACT as BUILDING
from schemas.basemap.road_segment import CONTRACT as ROAD
from schemas.messages import SanyuError


def _layer(table: str, shapes: list[object], **columns: object) -> MapLayer:
    return MapLayer(table, table, gpd.GeoDataFrame(columns, geometry=shapes, crs="EPSG:4490"))


@pytest.fixture
def english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANYU_LANG", "en")


def _data(page: str, key: str) -> dict[str, object]:
    packed = re.search(rf'id="data-{key}">([^<]*)<', page)
    assert packed
    return dict(json.loads(gzip.decompress(base64.b64decode(packed[1]))))


def _page(text: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="page">(.*?)</script>', text, re.S)
    assert found
    return dict(json.loads(found[1]))


def test_features_carry_only_what_is_shown_in_a_tenth_of_a_metre(tmp_path: Path, english: None) -> None:
    layer = _layer(
        "core.basemap__place", [shapely.Point(120.123456789, 30.1, 5)], name=["茶"], class_code=["01"], kind_name=[None], entity_id=["e"]
    )
    text = render([layer], tmp_path / "m.html", "City").read_text("utf-8")
    assert _data(text, "core-basemap-place") == {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "geometry": {"type": "Point", "coordinates": [120.123457, 30.1]},
                "properties": {"name": "茶", "class": "01", "class_code": "01"},
            }
        ],
    }


def test_the_same_layers_give_the_same_page(tmp_path: Path, english: None) -> None:
    layer = _layer("core.basemap__place", [shapely.Point(120, 30)], name=["a"])
    pages = [render([layer], tmp_path / f"{n}.html", "City").read_bytes() for n in "ab"]
    assert pages[0] == pages[1]


def test_layers_lie_in_the_order_of_their_themes_and_the_page_forbids_the_network(tmp_path: Path, english: None) -> None:
    place = _layer("core.basemap__place", [shapely.Point(120, 30)])
    water = _layer("core.basemap__water", [shapely.box(120, 30, 121, 31)])
    text = render([place, water], tmp_path / "m.html", "City", attribution=["© A", "© B", "© A"]).read_text("utf-8")
    assert [layer["key"] for layer in _page(text)["layers"]] == ["core-basemap-water", "core-basemap-place"]  # type: ignore[attr-defined, index]
    assert "default-src 'none'" in text and not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=", text)
    assert "© A · © B<" in text


def test_nothing_to_draw_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(SanyuError, match="SY-P020"):
        render([_layer("core.basemap__place", [])], tmp_path / "m.html", "City")


def test_height_is_measured_or_else_three_metres_a_floor(tmp_path: Path, english: None) -> None:
    shapes = [shapely.box(120, 30, 120.001, 30.001)] * 3
    heights = pd.array([12.0, None, None], dtype="Float64")
    layer = _layer("core.basemap__building", shapes, height_m=heights, floors_above=pd.array([9, 4, None], dtype="Int64"))
    features = _data(render([layer], tmp_path / "m.html", "City").read_text("utf-8"), "core-basemap-building")["features"]
    assert [f["properties"].get("solid_m") for f in features] == [12.0, 12.0, None]  # type: ignore[attr-defined]


def test_roads_are_as_wide_as_their_class(tmp_path: Path, english: None) -> None:
    lines = [shapely.LineString([(120, 30), (120.01, 30.01)])] * 3
    layer = _layer("core.basemap__road_segment", lines, class_code=["motorway", "residential", "footway"])
    features = _data(render([layer], tmp_path / "m.html", "City").read_text("utf-8"), "core-basemap-road_segment")["features"]
    assert [f["properties"]["rank"] for f in features] == [6, 2, 1]  # type: ignore[attr-defined]


def test_the_commonest_classes_get_colours_in_the_order_of_their_number() -> None:
    layer = _layer("core.basemap__place", [shapely.Point(120, 30)] * 4, class_code=["02", "01", "02", None])
    assert [(code, count) for code, _, _, count in class_colours(layer)] == [("02", 2), ("01", 1)]


def test_other_keeps_the_colour_of_its_layer_and_no_building_is_as_blue_as_water() -> None:
    shapes = [shapely.box(0, 0, 1, 1)] * 3
    layer = _layer("core.basemap__building", shapes, class_code=["other", "other", "office"])
    assert [(code, colour) for code, _, colour, _ in class_colours(layer)] == [("other", layer.theme.colour), ("office", AREA_PALETTE[0])]
    assert THEMES["core.basemap__water"].colour not in AREA_PALETTE


def test_areas_without_a_theme_do_not_hide_what_lies_below() -> None:
    fills = {
        name: map_styles(_layer(name, [shapely.box(0, 0, 1, 1)]))[0]["paint"]["fill-opacity"]
        for name in ("core.basemap__water", "core.basemap__parcel")
    }
    assert fills == {"core.basemap__water": 1.0, "core.basemap__parcel": 0.3}


def test_thin_outskirts_do_not_zoom_the_map_out() -> None:
    town = [shapely.Point(120 + n / 1000, 30 + n / 1000) for n in range(100)] * 10
    county = [shapely.Point(118 + n / 20, 29) for n in range(20)] * 2
    (west, south), (east, north) = view_bounds([_layer("core.basemap__place", [*town, *county])])
    assert 119.95 < west < 120.0 and 120.09 < east < 120.11 and 29.95 < south < north < 30.11


def test_a_layer_of_mixed_kinds_draws_each_kind() -> None:
    layer = _layer("core.basemap__water", [shapely.box(0, 0, 1, 1), shapely.LineString([(0, 0), (1, 1)])])
    assert [style["type"] for style in map_styles(layer)] == ["fill", "line"]


def test_one_far_point_does_not_zoom_the_map_out() -> None:
    near = [shapely.Point(120 + n / 10_000, 30) for n in range(999)]
    (west, _), (east, north) = view_bounds([_layer("core.basemap__place", [*near, shapely.Point(0, 80)])])
    assert 119.9 < west < east < 120.2 and north < 31


def test_titles_come_from_the_contract_in_the_readers_language(monkeypatch: pytest.MonkeyPatch) -> None:
    frame = gpd.GeoDataFrame({"class_code": ["motorway", None]}, geometry=[shapely.LineString([(0, 0), (1, 1)]), None], crs="EPSG:4490")
    found = {}
    for lang in ("zh", "en"):
        monkeypatch.setenv("SANYU_LANG", lang)
        layer = map_layer(ROAD, frame)
        found[lang] = (layer.title, layer.classes["motorway"], layer.rows, len(layer.frame))
    assert found == {"zh": ("道路段", "高速公路", 2, 1), "en": ("Road segment", "Motorway", 2, 1)}


def test_a_layer_asks_for_columns_of_its_contract_only() -> None:
    assert map_columns(BUILDING) == ("class_code", "name", "height_m", "floors_above", "built_year", "address_text", "geom")


def test_the_still_picture_shows_the_layers(tmp_path: Path) -> None:
    import matplotlib.image

    water = _layer("core.basemap__water", [shapely.box(120, 30, 120.5, 31)])
    road = _layer("core.basemap__road_segment", [shapely.LineString([(120, 30), (121, 31)])], class_code=["motorway"])
    pixels = matplotlib.image.imread(preview_png([water, road], tmp_path / "m.png", "City", ["© A"], width_px=300))
    assert pixels.shape[1] == 300
    assert abs(pixels[pixels.shape[0] // 2, 60, :3] * 255 - [159, 203, 227]).max() < 3
