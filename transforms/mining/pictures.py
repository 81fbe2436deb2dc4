"""Pictures of results: places coloured by what was found, with the p-values behind it. Figures are returned, never shown or written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

COLOURS: Mapping[str, str] = {
    **{"High-High": "#b2182b", "High-Low": "#ef8a62", "Low-High": "#67a9cf", "Low-Low": "#2166ac"},
    **{"Hot": "#b2182b", "Cold": "#2166ac", "Similar": "#5e3c99", "Dissimilar": "#e66101"},
    **{"New Hot Spot": "#fee08b", "Consecutive Hot Spot": "#fdae61", "Intensifying Hot Spot": "#b2182b"},
    **{"Persistent Hot Spot": "#d7301f", "Diminishing Hot Spot": "#fc8d59", "Sporadic Hot Spot": "#f768a1"},
    **{"Oscillating Hot Spot": "#ae017e", "Historical Hot Spot": "#a6761d"},
    **{"New Cold Spot": "#e0f3f8", "Consecutive Cold Spot": "#abd9e9", "Intensifying Cold Spot": "#08306b"},
    **{"Persistent Cold Spot": "#2166ac", "Diminishing Cold Spot": "#6baed6", "Sporadic Cold Spot": "#74add1"},
    **{"Oscillating Cold Spot": "#4575b4", "Historical Cold Spot": "#9ecae1"},
    **{"Not significant": "#d9d9d9", "No Pattern Detected": "#d9d9d9", "Island": "#ffffff"},
}
NAMED_BY = ("pattern", "category_name", "cluster_id")
NOISE = "Noise"
FEW = 12


def plot_map(frame: Any, column: str | None = None, *, title: str = "", size: float = 7.0) -> Any:
    """Return a matplotlib figure of a GeoDataFrame of places coloured by `column`, by default the one that names the patterns."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size, size), layout="constrained")
    axes = figure.subplots()
    _draw_map(axes, frame, column)
    axes.set_title(title)
    return figure


def plot_local(frame: Any, *, title: str = "", size: float = 7.0) -> Any:
    """Return a figure of a local statistic: the patterns and, beside them, the p-values that they rest on (q after FDR)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(2 * size, size), layout="constrained")
    left, right = figure.subplots(1, 2)
    _draw_map(left, frame, "pattern")
    left.set_title(title or "Pattern")
    shown = frame.assign(q=np.asarray(frame["q_value"], dtype=float)).dropna(subset=["q"]).sort_values("q", ascending=False)
    if len(shown):
        shown.plot(
            ax=right,
            column="q",
            cmap="viridis_r",
            vmin=0.0,
            vmax=0.2,
            markersize=4,
            legend=True,
            legend_kwds={"label": "q-value", "shrink": 0.7},
        )
    right.set_title("q-value (Benjamini-Hochberg)")
    right.set_axis_off()
    right.set_aspect("equal")
    return figure


def _draw_map(axes: Any, frame: Any, column: str | None) -> None:
    from matplotlib.patches import Patch

    by = column or next((name for name in NAMED_BY if name in frame.columns), None)
    if by is None:
        frame.plot(ax=axes, color="#4d4d4d", markersize=3)
    else:
        names = frame[by].astype(object).where(frame[by].notna(), NOISE).astype(str)
        order = sorted(set(names), key=lambda name: (-int((names == name).sum()), name))
        known = {name: COLOURS.get(name, f"C{i % 10}") for i, name in enumerate(order)} | {NOISE: "#d9d9d9"}
        for name in order:  # the most frequent first, so that what is rare lies on top
            frame[names == name].plot(ax=axes, color=known[name], markersize=4, linewidth=0)
        handles = [
            Patch(facecolor=known[name], edgecolor="#888888", label=f"{name} ({int((names == name).sum()):,})") for name in order[:FEW]
        ]
        axes.legend(handles=handles, loc="lower left", fontsize=8, framealpha=0.9)
    axes.set_axis_off()
    axes.set_aspect("equal")
