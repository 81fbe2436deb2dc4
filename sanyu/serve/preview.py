"""The map preview: one HTML file that opens from disk or from an e-mail without a network.

The page embeds MapLibre GL JS from the wheel `maplibre`, and the data as GeoJSON, gzip, base64. It has no
basemap and requests no fonts or tiles; its Content-Security-Policy forbids all requests. lonboard's `to_html`, tried first,
loads require.js, the widget manager and parquet-wasm from public servers, so its page is blank offline.
"""

from __future__ import annotations

import base64
import gzip
import importlib.util
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import shapely
from jinja2 import Environment

from sanyu.lake import Lake
from sanyu.serve.layers import ROAD_RANKS, STREET_RANK, MapLayer, class_colours, map_columns, map_layer, map_styles
from sanyu.serve.release import Release, read_table
from schemas.messages import SanyuError, language
from schemas.model import Contract, SecurityLabel

DECIMALS = 6  # 0.1 m
TOLERANCE_DEG = 4e-6  # 0.4 m: invisible at zoom 17
MOST_NAMES = 60
FLOOR_M = 3.0
WORDS = {
    "en": {"tilt": "Tilt / flat", "failed": "The map could not be drawn:", "class": "class", "rows": "rows", "other": "other"},
    "zh": {"tilt": "立体 / 平面", "failed": "无法绘制地图：", "class": "类别", "rows": "行", "other": "其他"},
}


def preview(
    lake: Lake,
    contracts: Iterable[Contract],
    out_html: Path,
    *,
    release: Release | None = None,
    title: str | None = None,
    attribution: Iterable[str] = (),
) -> Path:
    """Write the map of a release, or of the lake's current rows if none is given, with attribution lines at the bottom.

    From the lake, only tables with a geometry and a public label are drawn. Raises the same errors as `render`.
    """
    layers = release_layers(lake, release, contracts) if release else lake_layers(lake, contracts)
    subtitle = f"{release.release_id} · " if release else ""
    subtitle += f"{sum(layer.rows for layer in layers):,} {WORDS[language()]['rows']}"
    lines = [*attribution, *(release.attribution if release else ())]
    return render(layers, out_html, title or lake.settings.city, subtitle, lines)


def lake_layers(lake: Lake, contracts: Iterable[Contract]) -> list[MapLayer]:
    """Return the map layers of the current rows with a public label."""
    there = set(lake.names())
    drawn = [c for c in contracts if c.geometry and c.name in there]
    public = f"security_label = '{SecurityLabel.PUBLIC}'"
    return [map_layer(c, lake.table(c.name).to_geopandas(map_columns(c), where=public)) for c in drawn]


def release_layers(lake: Lake, release: Release, contracts: Iterable[Contract]) -> list[MapLayer]:
    """Return the map layers of the tables of a release."""
    by_name = {c.name: c for c in contracts}
    drawn = [(by_name[t.name], t) for t in release.tables if t.name in by_name and by_name[t.name].geometry]
    return [map_layer(c, read_table(lake.store, t, map_columns(c))) for c, t in drawn]


def render(layers: Sequence[MapLayer], out_html: Path, title: str, subtitle: str = "", attribution: Iterable[str] = ()) -> Path:
    """Write a self-contained map of the layers and return its path.

    Geometry is simplified by 0.4 m and written with a precision of 0.1 m; data are inserted as text, never as HTML. SY-P020 if no layer
    has a geometry, SY-P021 if MapLibre's files are missing from the environment.
    """
    drawn = [layer for layer in sorted(layers, key=lambda layer: layer.theme.order) if not layer.frame.empty]
    if not drawn:
        raise SanyuError("SY-P020", title=title)
    lang = language()
    words = WORDS[lang]
    page = {
        "lang": lang,
        "title": title,
        "words": words,
        "bounds": view_bounds(drawn),
        "layers": [_page_layer(layer, words) for layer in drawn],
    }
    css, script = _maplibre()
    template = Environment(autoescape=True).from_string((Path(__file__).parent / "preview.html").read_text("utf-8"))
    text = template.render(
        page={**page, "subtitle": subtitle, "attribution": " · ".join(dict.fromkeys(attribution))},
        layers=[{"key": layer.key, "data": _packed(layer)} for layer in drawn],
        page_json=json.dumps(page, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c"),
        maplibre_css=css,
        maplibre_js=script,
    )
    out_html.parent.mkdir(parents=True, exist_ok=True)
    out_html.write_text(text, "utf-8")
    return out_html


def view_bounds(layers: Sequence[MapLayer]) -> list[list[float]]:
    """Return `[[west, south], [east, north]]` around the city, ignoring distant outliers, sparse outskirts and wide boundaries.

    Covers nine tenths of the things plus a quarter more on each side, but no more than the full extent.
    """
    inner = [layer for layer in layers if layer.theme.mark != "dash"] or list(layers)
    boxes = np.vstack([np.asarray(layer.frame.bounds) for layer in inner])
    boxes = boxes[np.isfinite(boxes).all(axis=1)]
    if len(boxes) < 200:
        low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    else:
        dense = np.percentile(boxes[:, :2], 5, axis=0), np.percentile(boxes[:, 2:], 95, axis=0)
        margin = (dense[1] - dense[0]) / 4
        low = np.maximum(np.percentile(boxes[:, :2], 0.5, axis=0), dense[0] - margin)
        high = np.minimum(np.percentile(boxes[:, 2:], 99.5, axis=0), dense[1] + margin)
    return [[round(float(value), 5) for value in corner] for corner in (low, high)]


def _maplibre() -> tuple[str, str]:
    # Located, not imported, because the package's own Python code imports much of a web framework.
    spec = importlib.util.find_spec("maplibre")
    folders = [Path(place) / "srcjs" for place in (spec.submodule_search_locations or [])] if spec else []
    for folder in folders:
        css, script = folder / "maplibre-gl.css", folder / "maplibre-gl.js"
        if css.is_file() and script.is_file():
            return css.read_text("utf-8"), script.read_text("utf-8").replace("</script", "<\\/script")
    raise SanyuError("SY-P021", package="maplibre")


def _page_layer(layer: MapLayer, words: dict[str, str]) -> dict[str, Any]:
    styles = map_styles(layer)
    colours = class_colours(layer)
    other = layer.rows - sum(count for *_, count in colours)
    if colours and other:
        colours.append(("", words["other"], layer.theme.colour, other))
    mark = "line" if layer.theme.mark == "area" and not layer.frame.geom_type.str.contains("Polygon").any() else layer.theme.mark
    fields = {name: layer.titles.get(name, name) for name in layer.theme.fields if name in layer.frame}
    return {
        "key": layer.key,
        "title": layer.title,
        "count": layer.rows,
        "mark": mark,
        "colour": layer.theme.colour,
        "visible": layer.theme.visible,
        "classes": [{"title": title, "colour": colour, "count": count, "mark": mark} for _, title, colour, count in colours],
        "fields": {"class": layer.titles.get("class_code", words["class"]), **fields},
        "styles": styles,
        "solid": ["coalesce", ["get", "solid_m"], FLOOR_M] if any(s["type"] == "fill-extrusion" for s in styles) else None,
        "names": _names(layer),
    }


def _names(layer: MapLayer) -> list[dict[str, Any]]:
    """Return the labels of the largest visible areas of a labelled layer."""
    if not layer.theme.labelled or "name" not in layer.frame:
        return []
    named = layer.frame[layer.frame["name"].notna()]
    largest = named.assign(_size=shapely.area(named.geometry.to_numpy())).nlargest(MOST_NAMES, "_size")
    at = largest.geometry.representative_point()
    return [{"text": str(n), "at": [round(p.x, 5), round(p.y, 5)]} for n, p in zip(largest["name"], at, strict=True)]


def _packed(layer: MapLayer) -> str:
    collection = f'{{"type":"FeatureCollection","features":[{",".join(_features(layer))}]}}'
    return base64.b64encode(gzip.compress(collection.encode(), 6, mtime=0)).decode("ascii")


def _features(layer: MapLayer) -> list[str]:
    shapes = shapely.force_2d(layer.frame.geometry.to_numpy())
    rough = shapely.simplify(shapes, TOLERANCE_DEG, preserve_topology=True)
    rough = shapely.transform(rough, lambda xy: np.round(xy, DECIMALS))
    shown = _properties(layer)
    properties = shown.to_dict("records") if len(shown.columns) else [{} for _ in rough]
    features = []
    for shape, row in zip(shapely.to_geojson(rough), properties, strict=True):
        told = {key: _plain(value) for key, value in row.items() if not _is_empty(value)}
        features.append(
            f'{{"type":"Feature","geometry":{shape},"properties":{json.dumps(told, ensure_ascii=False, separators=(",", ":"))}}}'
        )
    return features


def _properties(layer: MapLayer) -> pd.DataFrame:
    frame = layer.frame
    wanted = [name for name in dict.fromkeys(("name", *layer.theme.fields)) if name in frame]
    shown = pd.DataFrame(frame[wanted])
    if "class_code" in frame:
        codes = frame["class_code"].astype("string")
        shown["class"] = codes.map(lambda code: layer.classes.get(code, code), na_action="ignore")
        if layer.theme.by_class:
            shown["class_code"] = codes
        if layer.theme.mark == "line":
            shown["rank"] = codes.map(lambda code: ROAD_RANKS.get(code, STREET_RANK), na_action="ignore")
    if {"height_m", "floors_above"} & set(frame):
        nothing = pd.Series(np.nan, index=frame.index)
        height = pd.to_numeric(frame.get("height_m", nothing)).astype("float64")
        shown["solid_m"] = height.fillna(pd.to_numeric(frame.get("floors_above", nothing)).astype("float64") * FLOOR_M)
    return shown


def _is_empty(value: Any) -> bool:
    return value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and np.isnan(value))


def _plain(value: Any) -> str | int | float | bool:
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if isinstance(value, (int, np.integer)):
        return int(value)
    if isinstance(value, (float, np.floating)):
        return round(float(value), 2)
    return str(value)
