"""A static picture of a map's layers as PNG, for pages that can't contain the map itself."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sanyu.serve.layers import ROAD_RANKS, STREET_RANK, MapLayer, class_colours
from sanyu.serve.preview import view_bounds
from transforms.fonts import drawing, readable

GROUND = "#f3f0e8"
DPI = 150
COLOURS = 64  # a palette reduces the file to a third of the size


def preview_png(layers: Sequence[MapLayer], out_png: Path, title: str = "", attribution: Iterable[str] = (), width_px: int = 1200) -> Path:
    """Draw the layers in the colours and order of the map preview, `width_px` wide and as high as the city's extent requires. Returns the
    path.

    Characters that no installed font has are left out of the texts.
    """
    from matplotlib.figure import Figure
    from PIL import Image

    drawn = [layer for layer in sorted(layers, key=lambda layer: layer.theme.order) if layer.theme.visible and not layer.frame.empty]
    (west, south), (east, north) = view_bounds(drawn)
    stretch = 1 / np.cos(np.radians((south + north) / 2))
    height_px = int(np.clip(width_px * (north - south) * stretch / (east - west), width_px * 0.4, width_px * 1.4))
    figure = Figure(figsize=(width_px / DPI, height_px / DPI), dpi=DPI, facecolor=GROUND)
    axes = figure.add_axes((0, 0, 1, 1), facecolor=GROUND)
    for layer in drawn:
        _draw(axes, layer)
    axes.set(xlim=(west, east), ylim=(south, north), aspect=stretch)
    axes.set_axis_off()
    with drawing():
        _write(axes, readable(title), readable(" · ".join(dict.fromkeys(attribution))))
    out_png.parent.mkdir(parents=True, exist_ok=True)
    rendered = io.BytesIO()
    figure.savefig(rendered, format="rgba", facecolor=GROUND)
    width, height = (round(side * DPI) for side in figure.get_size_inches())
    picture = Image.frombytes("RGBA", (width, height), rendered.getvalue()).convert("RGB")
    picture.quantize(COLOURS).save(out_png, optimize=True)
    return out_png


def _write(axes: Any, title: str, foot: str) -> None:
    if title:
        axes.text(0.015, 0.985, title, transform=axes.transAxes, va="top", fontsize=14, weight="bold", color="#2b2b2b")
    if foot:
        box = {"facecolor": "white", "alpha": 0.8, "edgecolor": "none", "pad": 2}
        axes.text(0.995, 0.005, foot, transform=axes.transAxes, ha="right", va="bottom", fontsize=6, color="#2b2b2b", bbox=box)


def _draw(axes: Any, layer: MapLayer) -> None:
    frame, theme = layer.frame, layer.theme
    if theme.mark == "dash":
        frame.boundary.plot(ax=axes, color=theme.colour, linewidth=0.7, linestyle=(0, (4, 2)), aspect=None)
        return
    kinds = frame.geom_type.str.removeprefix("Multi")
    colours = _colours(layer)
    for kind, mark in (("Polygon", "area"), ("LineString", "line"), ("Point", "point")):
        chosen = (kinds == kind).to_numpy()
        if not chosen.any():
            continue
        style: dict[str, Any] = {"linewidth": _widths(layer)[chosen] if mark == "line" else 0}
        if mark == "point":
            style["markersize"] = 0.6
        frame[chosen].plot(ax=axes, color=colours[chosen], aspect=None, **style)


def _colours(layer: MapLayer) -> np.ndarray:
    classes = {code: colour for code, _, colour, _ in class_colours(layer)}
    if not classes:
        return np.full(len(layer.frame), layer.theme.colour)
    codes = layer.frame["class_code"].astype("object")
    return np.array([classes.get(str(code), layer.theme.colour) for code in codes])


def _widths(layer: MapLayer) -> np.ndarray:
    if "class_code" not in layer.frame:
        return np.full(len(layer.frame), 0.5)
    return np.array([ROAD_RANKS.get(str(code), STREET_RANK) * 0.16 for code in layer.frame["class_code"]])
