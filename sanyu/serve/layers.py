"""Map layers: which tables a map shows, in which order and in which colours, drawn from bottom to top."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import geopandas as gpd
import shapely

from schemas.codes import code_list
from schemas.fields import fields_of
from schemas.messages import language
from schemas.model import Contract

# Ten point colours that colour-blind readers can tell apart (Paul Tol, "muted", 2021).
PALETTE = ("#88ccee", "#cc6677", "#ddcc77", "#117733", "#332288", "#aa4499", "#44aa99", "#999933", "#882255", "#e08214")
# Areas are large and lie below everything else, so they are softer, and neither the blue of water nor the green of parks.
AREA_PALETTE = ("#dcc4a4", "#df9a94", "#e5bf6c", "#a9a3c9", "#c58fb4", "#8f9dbd", "#c98763", "#aaa386", "#b9807f", "#d7a5c0")
OTHER = "other"
# Width class of a road by its code in the code list `road_class`: 1 is a path, 6 a motorway.
ROAD_RANKS = {
    **dict.fromkeys(("motorway", "expressway"), 6),
    **dict.fromkeys(("trunk", "primary"), 5),
    "secondary": 4,
    **dict.fromkeys(("tertiary", "link"), 3),
    **dict.fromkeys(("pedestrian", "footway", "steps", "cycleway", "path", "track", "construction"), 1),
}
STREET_RANK = 2


@dataclass(frozen=True)
class Theme:
    """How a kind of layer is drawn: `mark` is `area`, `line`, `dash` or `point`; layers with a higher `order` lie on top.

    `by_class` gives the commonest classes different colours; `fields` are shown in the popup.
    """

    order: int
    mark: str
    colour: str
    by_class: bool = False
    visible: bool = True
    labelled: bool = False
    fields: tuple[str, ...] = ()


THEMES: Mapping[str, Theme] = {
    "core.basemap__division": Theme(80, "dash", "#7a4f9a", labelled=True, fields=("division_code",)),
    "core.basemap__boundary": Theme(81, "dash", "#a8703c", labelled=True),
    "core.basemap__green_land": Theme(10, "area", "#c3deae"),
    "core.basemap__water": Theme(20, "area", "#9fcbe3"),
    "core.basemap__building": Theme(
        30, "area", "#cdb79e", by_class=True, fields=("height_m", "floors_above", "built_year", "address_text")
    ),
    "core.basemap__road_segment": Theme(40, "line", "#e8a33d", fields=("route_number", "maxspeed_kmh", "lane_count")),
    "core.basemap__transit_stop": Theme(70, "point", "#d6336c", fields=("stop_number",)),
    "core.basemap__place": Theme(60, "point", "#2f6fb3", by_class=True, fields=("kind_name", "address_text")),
    "core.basemap__address": Theme(55, "point", "#7d8ca3", visible=False, fields=("address_text", "door_number")),
    "core.thematic__permit": Theme(65, "point", "#c2571a", fields=("holder_name", "permit_status_code")),
    "core.thematic__event": Theme(63, "point", "#b3452f", by_class=True, visible=False, fields=("kind_name", "event_text")),
    "core.thematic__legal_person": Theme(64, "point", "#5a4a8a", visible=False, fields=("address_text",)),
}
FALLBACK = Theme(50, "point", "#5c6b73")


@dataclass(frozen=True)
class MapLayer:
    """One table on a map: rows in EPSG:4490 or 4326 with what the popup needs. `classes` names class codes, `titles` names fields.

    `count` is the number of rows of the table if the frame holds only those with a geometry.
    """

    table: str
    title: str
    frame: gpd.GeoDataFrame
    classes: Mapping[str, str] = field(default_factory=dict)
    titles: Mapping[str, str] = field(default_factory=dict)
    count: int | None = None

    @property
    def key(self) -> str:
        return self.table.replace(".", "-").replace("__", "-")

    @property
    def theme(self) -> Theme:
        return THEMES.get(self.table, FALLBACK)

    @property
    def rows(self) -> int:
        return len(self.frame) if self.count is None else self.count


def class_colours(layer: MapLayer, most: int = 8) -> list[tuple[str, str, str, int]]:
    """Return `(code, title, colour, rows)` of the commonest classes, most frequent first; empty if one colour is enough.

    Rows of the class `other` keep the layer's own colour.
    """
    if not layer.theme.by_class or "class_code" not in layer.frame:
        return []
    counts = layer.frame["class_code"].dropna().value_counts()
    if len(counts) < 2:
        return []
    commonest = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    palette = iter(AREA_PALETTE if layer.theme.mark == "area" else PALETTE)
    colours = [layer.theme.colour if code == OTHER else next(palette) for code, _ in commonest]
    return [
        (str(code), layer.classes.get(str(code), str(code)), colour, int(n)) for (code, n), colour in zip(commonest, colours, strict=True)
    ]


def colour_rule(layer: MapLayer) -> Any:
    """Return the colour of a layer as a MapLibre expression over `class_code`."""
    colours = class_colours(layer)
    if not colours:
        return layer.theme.colour
    return ["match", ["get", "class_code"], *(part for code, _, colour, _ in colours for part in (code, colour)), layer.theme.colour]


def map_styles(layer: MapLayer) -> list[dict[str, Any]]:
    """Return the MapLibre style layers of a map layer, bottom first; none for geometry kinds that the frame does not contain."""
    kinds = {str(kind).removeprefix("Multi") for kind in layer.frame.geom_type.unique()}
    styles: list[dict[str, Any]] = []
    if "Polygon" in kinds:
        styles += _area_styles(layer)
    if "LineString" in kinds:
        styles += _line_styles(layer)
    if "Point" in kinds:
        styles.append(_point_style(layer))
    return styles


def _named(layer: MapLayer, kind: str, shape: str, paint: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": f"{layer.key}-{kind}",
        "type": kind,
        "filter": ["==", ["geometry-type"], shape],
        "paint": paint,
        **more,
    }


def _area_styles(layer: MapLayer) -> list[dict[str, Any]]:
    colour = colour_rule(layer)
    if layer.theme.mark == "dash":
        width = ["interpolate", ["linear"], ["zoom"], 9, 0.7, 12, 1.0, 16, 2.0]
        outline = {"line-color": layer.theme.colour, "line-width": width, "line-dasharray": [4, 2], "line-opacity": 0.75}
        # Only used to find the division when the ground is clicked: levels overlap, and tinting each would colour the whole city.
        clear = {"fill-color": layer.theme.colour, "fill-opacity": 0.005}
        return [_named(layer, "fill", "Polygon", clear), {**_named(layer, "line", "Polygon", outline), "id": f"{layer.key}-outline"}]
    if "height_m" in layer.frame or "floors_above" in layer.frame:
        solid = {"fill-extrusion-color": colour, "fill-extrusion-height": 0, "fill-extrusion-opacity": 0.92}
        edge = {"line-color": "#8d7a63", "line-width": ["interpolate", ["linear"], ["zoom"], 14, 0, 16, 0.6]}
        return [
            _named(layer, "fill-extrusion", "Polygon", solid),
            {**_named(layer, "line", "Polygon", edge, minzoom=14), "id": f"{layer.key}-edge"},
        ]
    # Areas of a table without a theme lie above streets and houses, which must remain visible.
    opacity = 1.0 if layer.theme.mark == "area" else 0.3
    return [_named(layer, "fill", "Polygon", {"fill-color": colour, "fill-outline-color": "rgba(0,0,0,0.12)", "fill-opacity": opacity})]


def _line_styles(layer: MapLayer) -> list[dict[str, Any]]:
    colour = colour_rule(layer)
    if layer.theme.mark != "line":
        return [_named(layer, "line", "LineString", {"line-color": colour, "line-width": 1.6})]
    rank = ["coalesce", ["get", "rank"], STREET_RANK]
    base = ["interpolate", ["exponential", 1.5], ["zoom"], 10, ["max", 0.4, ["*", 0.25, rank]], 14, ["*", 0.8, rank], 18, ["*", 4, rank]]
    casing = [*base[:3], 13, 0, 14, ["+", 1, ["*", 0.8, rank]], 18, ["+", 2, ["*", 4, rank]]]
    # A hairline has no room for a casing: from afar streets are darker than the ground, close up they are white with dark edges.
    afar = ["interpolate", ["linear"], rank, 1, "#d5cdbf", 2, "#b3a894", 4, "#e2bb62", 6, "#e08a35"]
    near = ["interpolate", ["linear"], rank, 1, "#e6dfd2", 2, "#ffffff", 4, "#fbe3a2", 6, "#eb9a4b"]
    shade = ["interpolate", ["linear"], ["zoom"], 12.5, afar, 14.5, near]
    rounded = {"line-cap": "round", "line-join": "round", "line-sort-key": rank}
    under = {**_named(layer, "line", "LineString", {"line-color": "#a99f8d", "line-width": casing}), "id": f"{layer.key}-casing"}
    return [
        {**under, "layout": rounded, "minzoom": 13},
        _named(layer, "line", "LineString", {"line-color": shade, "line-width": base}, layout=rounded),
    ]


def _point_style(layer: MapLayer) -> dict[str, Any]:
    radius = ["interpolate", ["linear"], ["zoom"], 8, 1.5, 12, 2.0, 14, 3.2, 17, 6]
    edge = ["interpolate", ["linear"], ["zoom"], 12.5, 0, 15, 0.9]
    paint = {"circle-radius": radius, "circle-color": colour_rule(layer), "circle-stroke-color": "#ffffff", "circle-stroke-width": edge}
    return _named(layer, "circle", "Point", paint)


def map_layer(contract: Contract, frame: gpd.GeoDataFrame) -> MapLayer:
    """Return the layer of a table in the reader's language; rows without a geometry are counted, but can't be drawn."""
    chinese = language() == "zh"
    shapes = frame.geometry.to_numpy()
    drawn = frame[~(shapely.is_missing(shapes) | shapely.is_empty(shapes))]
    named = contract.attribute.class_list
    classes = {c.code: c.name_zh if chinese else c.name for c in code_list(named)} if named else {}
    titles = {f.name: f.title_zh if chinese else f.name.replace("_", " ") for f in fields_of(contract)}
    title = contract.title_zh if chinese else contract.entity.replace("_", " ").capitalize()
    return MapLayer(contract.name, title, drawn, classes, titles, len(frame))


def map_columns(contract: Contract) -> tuple[str, ...]:
    """Return the columns of a table that its layer needs."""
    theme = THEMES.get(contract.name, FALLBACK)
    wanted = {"name", "class_code", *theme.fields}
    return (*(f.name for f in fields_of(contract) if f.name in wanted), "geom")
