"""Pictures of results: places coloured by what was found, with the p-values behind it. Figures are returned, never shown or written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import shapely

from transforms.fonts import readable, with_text
from transforms.mining.ground.metres import LAKE_CRS
from transforms.mining.shelf.frames import column_names

COLOURS: Mapping[str, str] = {
    **{"High-High": "#b2182b", "High-Low": "#ef8a62", "Low-High": "#67a9cf", "Low-Low": "#2166ac"},
    **{"Hot": "#b2182b", "Cold": "#2166ac", "Similar": "#5e3c99", "Dissimilar": "#e66101"},
    **{"New Hot Spot": "#fee08b", "Consecutive Hot Spot": "#fdae61", "Intensifying Hot Spot": "#67001f"},
    **{"Persistent Hot Spot": "#d7301f", "Diminishing Hot Spot": "#b35806", "Sporadic Hot Spot": "#f768a1"},
    **{"Oscillating Hot Spot": "#ae017e", "Historical Hot Spot": "#6b6b6b"},
    **{"New Cold Spot": "#e0f3f8", "Consecutive Cold Spot": "#abd9e9", "Intensifying Cold Spot": "#08306b"},
    **{"Persistent Cold Spot": "#2166ac", "Diminishing Cold Spot": "#6baed6", "Sporadic Cold Spot": "#74add1"},
    **{"Oscillating Cold Spot": "#4575b4", "Historical Cold Spot": "#9ecae1"},
    **{"Not significant": "#d9d9d9", "No Pattern Detected": "#d9d9d9", "Island": "#ffffff"},
}
NAMED_BY = ("pattern", "category_name", "cluster_id", "part")
NOISE = "Noise"
FEW = 12


def places_of(frame: Any) -> Any:
    """Return a result as a GeoDataFrame: its own geometry, `geom` (WKB, EPSG:4490), `x_m, y_m`, or `lon, lat`."""
    import geopandas as gpd

    names = column_names(frame)
    if isinstance(frame, gpd.GeoDataFrame):
        return frame
    if "geom" in names:
        return gpd.GeoDataFrame(frame.drop(columns="geom"), geometry=gpd.GeoSeries.from_wkb(frame["geom"], crs=LAKE_CRS))
    where, crs = (("x_m", "y_m"), None) if "x_m" in names else (("lon", "lat"), LAKE_CRS)
    points = shapely.points(*(frame[name].to_numpy(dtype=float) for name in where))
    return gpd.GeoDataFrame(frame, geometry=points, crs=crs)


@with_text
def plot_map(frame: Any, column: str | None = None, *, title: str = "", size: float = 7.0, backdrop: Any = None) -> Any:
    """Return a matplotlib figure of a GeoDataFrame of places coloured by `column`, by default the one that names the patterns.

    `backdrop`, a GeoDataFrame in the same system, gives outlines to find one's way by.
    """
    figure, (axes,) = map_figure(frame, 1, size)
    _draw_map(axes, frame, column, backdrop)
    axes.set_title(title)
    return figure


@with_text
def plot_local(frame: Any, *, title: str = "", size: float = 7.0, backdrop: Any = None) -> Any:
    """Return a figure of a local statistic: the patterns and, beside them, the p-values that they rest on (q after FDR)."""
    figure, (left, right) = map_figure(frame, 2, size)
    _draw_map(left, frame, "pattern", backdrop)
    left.set_title(title or "Pattern")
    shown = frame.assign(q=np.asarray(frame["q_value"], dtype=float)).dropna(subset=["q"]).sort_values("q", ascending=False)
    if len(shown):
        key = {"label": "q-value", "orientation": "horizontal", "shrink": 0.6, "pad": 0.02}
        shown.plot(ax=right, column="q", cmap="viridis_r", vmin=0.0, vmax=0.2, markersize=4, legend=True, legend_kwds=key)
    right.set_title("q-value (Benjamini-Hochberg)")
    framed(right, frame, backdrop)
    return figure


def map_figure(frame: Any, maps: int, size: float) -> tuple[Any, Any]:
    """Return a figure of maps side by side, as high as the frame's extent asks for, and their axes."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    west, south, east, north = frame.total_bounds if len(frame) else (0.0, 0.0, 1.0, 1.0)
    ratio = (north - south) * _stretch(frame) / max(east - west, 1e-12)
    figure = Figure(figsize=(maps * size, size * min(max(ratio, 0.4), 1.8) + 1.2), layout=ConstrainedLayoutEngine(h_pad=0.1))
    return figure, figure.subplots(1, maps, squeeze=False)[0]


def below(figure: Any, handles: Any, **options: Any) -> None:
    """Put the legend under the figure's maps, where the layout keeps room for it."""
    about = {"ncols": min(len(handles), 3), "fontsize": 8, "title_fontsize": 8, "frameon": False, **options}
    figure.legend(handles=handles, loc="outside lower center", **about)


def _stretch(frame: Any) -> float:
    """Return how long a unit of y is, measured in units of x: one over the cosine of the latitude for degrees."""
    if frame.crs is None or not frame.crs.is_geographic or not len(frame):
        return 1.0
    _, south, _, north = frame.total_bounds
    return float(1.0 / np.cos(np.radians((south + north) / 2)))


def _draw_map(axes: Any, frame: Any, column: str | None, backdrop: Any = None) -> None:
    from matplotlib.patches import Patch

    by = column or next((name for name in NAMED_BY if name in frame.columns), None)
    if by is None:
        frame.plot(ax=axes, color="#4d4d4d", markersize=3)
    else:
        names = frame[by].astype(object).where(frame[by].notna(), NOISE).astype(str)
        lead = "part " if by == "part" else ""
        order = sorted(set(names), key=lambda name: (-int((names == name).sum()), name))
        known = {name: COLOURS.get(name, f"C{i % 10}") for i, name in enumerate(order)} | {NOISE: "#d9d9d9"}
        for name in order:  # the most frequent first, so that what is rare lies on top
            frame[names == name].plot(ax=axes, color=known[name], markersize=4, linewidth=0)
        handles = [
            Patch(
                facecolor=known[name],
                edgecolor="#888888",
                label=f"{lead}{readable(name, f'{by} {n}')} ({int((names == name).sum()):,})",
            )
            for n, name in enumerate(order[:FEW], start=1)
        ]
        below(axes.figure, handles)
    framed(axes, frame, backdrop)


def framed(axes: Any, frame: Any, backdrop: Any) -> None:
    """Draw the backdrop and keep the map to the frame's extent, without axes and true to shape."""
    if backdrop is not None and len(backdrop):
        backdrop.boundary.plot(ax=axes, color="#555555", linewidth=0.5, alpha=0.6)
    if len(frame):
        west, south, east, north = frame.total_bounds
        margin = 0.01 * max(east - west, north - south, 1e-9)
        axes.set_xlim(west - margin, east + margin)
        axes.set_ylim(south - margin, north + margin)
        _scale(axes, west, south - 2 * margin, east - west, frame)
        axes.set_ylim(south - 4 * margin, north + margin)
    axes.set_axis_off()
    axes.set_aspect(_stretch(frame))


def _scale(axes: Any, west: float, south: float, width: float, frame: Any) -> None:
    """Draw a bar of a round length, about a fifth of the map's width."""
    unit = 1.0
    if frame.crs is not None and frame.crs.is_geographic:
        unit = 111_320.0 / _stretch(frame)
    wanted = max(width * unit, 1e-9) / 5
    power = 10.0 ** np.floor(np.log10(wanted))
    length = float(max(step * power for step in (1, 2, 5) if step * power <= wanted))
    text = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    axes.plot([west, west + length / unit], [south, south], color="black", linewidth=2, solid_capstyle="butt", clip_on=False)
    axes.annotate(text, (west + length / unit, south), xytext=(4, 0), textcoords="offset points", ha="left", va="center", fontsize=7)
