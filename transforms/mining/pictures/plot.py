"""The picture of a result: one call that knows by the columns what a person would look at. Figures are returned, never shown or written."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely

from schemas.messages import SanyuError
from transforms.fonts import with_text
from transforms.mining.pictures.pictures import below, framed, map_figure, places_of, plot_local, plot_map
from transforms.mining.shelf.frames import column_names, frame_kind

_PICTURES = {
    "category_name": "categories",
    "pattern": "local",
    "cluster_role": "clusters",
    "part": "parts",
    "trend_sign": "trends",
    "density_km2": "density",
    "density_km": "streets",
    "log_likelihood_ratio": "cylinders",
    "l_m": "envelope",
    "row_count": "counts",
}


@with_text
def plot(result: Any, *, title: str = "", size: float = 7.0, backdrop: Any = None) -> Any:
    """Return a figure of a tool's result (a frame of any kind, or an object with `plot`); SY-N028 where there is nothing to draw.

    Local statistics: patterns and q-values. Hot spots: categories. Clusters and parts: their rows. Trends: the slope of cells that rise
    or fall. Densities: the grid, or the streets. Scan: the cylinders with period and p-value. Ripley: L(r) − r in its envelope. Counts:
    the cells.
    `backdrop`, a GeoDataFrame, gives outlines to maps.
    """
    if not hasattr(result, "columns"):
        return result.plot(title=title, size=size) if title else result.plot(size=size)
    plain = result.toPandas() if frame_kind(result) == "spark" else result
    names = column_names(plain)
    kind = next((picture for column, picture in _PICTURES.items() if column in names), None)
    if kind is None or (kind == "local" and "q_value" not in names):
        raise SanyuError("SY-N028", known=", ".join(names))
    if kind == "envelope":
        return plot_envelope(plain, title=title, size=size)
    if kind == "density":
        return plot_density(plain, title=title, size=size)
    places = places_of(plain)
    about: dict[str, Any] = {"title": title, "size": size, "backdrop": backdrop}
    if kind == "local":
        return plot_local(places, **about)
    return _MAPS.get(kind, plot_map)(places, **about)


@with_text
def plot_clusters(frame: Any, *, title: str = "", size: float = 7.0, backdrop: Any = None) -> Any:
    """Return a figure of rows by `cluster_id`: noise small and grey, border rows hollow; the largest clusters are in the legend."""
    import matplotlib as mpl

    figure, (axes,) = map_figure(frame, 1, size)
    centres = shapely.centroid(np.asarray(frame.geometry.array))
    x, y = shapely.get_x(centres), shapely.get_y(centres)
    role = frame["cluster_role"].to_numpy().astype(str)
    named = frame["cluster_id"].astype(object).where(frame["cluster_id"].notna(), "").to_numpy().astype(str)
    known, place, counts = np.unique(named, return_inverse=True, return_counts=True)
    rank = np.empty(len(known), np.int64)
    rank[np.argsort(np.where(known == "", 0, -counts), kind="stable")] = np.arange(len(known))
    colour = mpl.colormaps["tab20"](rank[place] % 20)
    for name, dot in (("noise", 2), ("border", 8), ("core", 8)):
        here = role == name
        look = (
            {"facecolors": "none", "edgecolors": colour[here]}
            if name == "border"
            else {"color": "#cfcfcf" if name == "noise" else colour[here]}
        )
        axes.scatter(x[here], y[here], s=dot, linewidths=0.6, label=f"{name} ({int(here.sum()):,})", **look)
    sizes = np.sort(counts[known != ""])[::-1]
    axes.set_title(title or f"{len(sizes):,} clusters")
    told = f"; {sizes[0]:,} rows in the largest, {int(np.median(sizes)):,} in the middle one" if len(sizes) else ""
    below(figure, axes.get_legend_handles_labels()[0], title=f"rows by role{told}", markerscale=2.0)
    framed(axes, frame, backdrop)
    return figure


@with_text
def plot_trends(frame: Any, *, title: str = "", size: float = 7.0, backdrop: Any = None) -> Any:
    """Return a figure of cells by Sen's slope where the trend is significant, grey elsewhere."""
    figure, (axes,) = map_figure(frame, 1, size)
    signs = frame["trend_sign"].to_numpy()
    frame[signs == 0].plot(ax=axes, color="#d9d9d9", linewidth=0)
    moving = frame[signs != 0]
    if len(moving):
        most = float(np.nanmax(np.abs(moving["sen_slope"].to_numpy()))) or 1.0
        key = {"label": "Sen's slope, value per step", "orientation": "horizontal", "shrink": 0.6, "pad": 0.03}
        moving.plot(ax=axes, column="sen_slope", cmap="RdBu_r", vmin=-most, vmax=most, linewidth=0, legend=True, legend_kwds=key)
    rising, falling = int((signs > 0).sum()), int((signs < 0).sum())
    axes.set_title(f"{title or 'Trend of each cell'}\n{rising:,} rise, {falling:,} fall, {len(frame) - rising - falling:,} neither")
    framed(axes, frame, backdrop)
    return figure


@with_text
def plot_counts(frame: Any, *, title: str = "", size: float = 7.0, backdrop: Any = None) -> Any:
    """Return a figure of cells by their number of rows; the colours reach to the 99th percentile."""
    figure, (axes,) = map_figure(frame, 1, size)
    counts = frame["row_count"].to_numpy().astype(float)
    top = max(1.0, float(np.quantile(counts, 0.99))) if len(counts) else 1.0
    key = {
        "label": "rows",
        "orientation": "horizontal",
        "shrink": 0.6,
        "pad": 0.03,
        "extend": "max" if len(counts) and counts.max() > top else "neither",
    }
    frame.plot(ax=axes, column="row_count", cmap="YlOrRd", vmin=0, vmax=top, linewidth=0, legend=True, legend_kwds=key)
    axes.set_title(title or f"{int(counts.sum()):,} rows in {int((counts > 0).sum()):,} of {len(frame):,} cells")
    framed(axes, frame, backdrop)
    return figure


@with_text
def plot_cylinders(frame: Any, *, title: str = "", size: float = 7.0, backdrop: Any = None) -> Any:
    """Return a figure of the clusters of a scan, numbered from the strongest, with days, counts and p-value of each."""
    from matplotlib.patches import Patch

    figure, (axes,) = map_figure(frame, 1, size)
    handles = []
    for n, row in enumerate(frame.sort_values("cluster_number").itertuples()):
        tone = f"C{n % 10}"
        frame[frame["cluster_number"] == row.cluster_number].plot(ax=axes, color=tone, alpha=0.55, edgecolor=tone, linewidth=0.8)
        spot = frame.geometry[frame["cluster_number"] == row.cluster_number].iloc[0].representative_point()
        axes.annotate(str(row.cluster_number), (spot.x, spot.y), ha="center", va="center", fontsize=8, weight="bold")
        days = f"{row.from_at:%Y-%m-%d} to {row.to_at:%Y-%m-%d}"
        told = f"{row.cluster_number}: {days}, {row.found_count:,} found, {row.expected_count:,.1f} expected, p = {row.p_value:.3g}"
        handles.append(Patch(facecolor=tone, alpha=0.55, label=told))
    if handles:
        below(figure, handles[:12], ncols=1, fontsize=7)
    axes.set_title(title or f"{len(frame):,} space-time clusters")
    framed(axes, frame, backdrop)
    return figure


@with_text
def plot_density(frame: Any, *, title: str = "", size: float = 7.0) -> Any:
    """Return a figure of a grid of densities, in kilometres from its corner."""
    from matplotlib.figure import Figure

    column, line = frame["grid_column"].to_numpy().astype(int), frame["grid_line"].to_numpy().astype(int)
    grid = np.zeros((line.max() + 1, column.max() + 1))
    grid[line, column] = frame["density_km2"].to_numpy()
    x = frame["x_m"].to_numpy()
    wide = column != column[0]
    cell = float((x[wide][0] - x[0]) / (column[wide][0] - column[0])) if wide.any() else 1.0
    extent = (0.0, grid.shape[1] * cell / 1000, 0.0, grid.shape[0] * cell / 1000)
    figure = Figure(figsize=(size * 1.15, size * min(max(grid.shape[0] / grid.shape[1], 0.4), 1.8) + 0.6), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(grid, origin="lower", extent=extent, cmap="magma")
    figure.colorbar(image, ax=axes, label="rows per km²", shrink=0.8)
    axes.set(xlabel="km east", ylabel="km north", title=title or f"Kernel density, bandwidth {frame['bandwidth_m'].iloc[0]:,.0f} m")
    return figure


@with_text
def plot_streets(frame: Any, *, title: str = "", size: float = 7.0, backdrop: Any = None) -> Any:
    """Return a figure of lixels by their density along the street, the densest on top; the colours reach to the 99th percentile."""
    figure, (axes,) = map_figure(frame, 1, size)
    ordered = frame.sort_values("density_km", kind="stable")
    values = ordered["density_km"].to_numpy(dtype=float)
    top = float(np.quantile(values, 0.99)) if len(values) else 1.0
    key: dict[str, Any] = {"label": "rows per km of street", "orientation": "horizontal", "shrink": 0.6, "pad": 0.03}
    key["extend"] = "max" if len(values) and values[-1] > top else "neither"
    if len(values):
        ordered.plot(ax=axes, column="density_km", cmap="inferno_r", vmin=0, vmax=top, linewidth=1.5, legend=True, legend_kwds=key)
    bandwidth = f", bandwidth {frame['bandwidth_m'].iloc[0]:,.0f} m" if len(frame) else ""
    axes.set_title(title or f"Density along streets{bandwidth}")
    framed(axes, frame, backdrop)
    return figure


@with_text
def plot_envelope(result: Any, *, title: str = "", size: float = 7.0) -> Any:
    """Return a figure of L(r) − r with the envelope of random patterns and the p-value of the test over all distances."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(size, size * 0.6), layout="constrained")
    axes = figure.subplots()
    r = result["distance_m"].to_numpy(dtype=float)
    low, high, observed = (result[name].to_numpy(dtype=float) for name in ("l_low", "l_high", "l_m"))
    if np.isfinite(low).any():
        axes.fill_between(r, low - r, high - r, color="lightgrey", label="random patterns")
    p = float(result["p_overall"].iloc[0]) if len(result) and result["p_overall"].notna().iloc[0] else None
    axes.plot(r, observed - r, color="firebrick", marker=".", label="observed" if p is None else f"observed, p = {p:.3f}")
    axes.axhline(0.0, color="black", linewidth=0.5)
    axes.set(xlabel="distance r (m)", ylabel="L(r) − r (m)", title=title or "Ripley's L: above the band clustered, below it even")
    axes.legend(frameon=False)
    return figure


_MAPS = {"clusters": plot_clusters, "trends": plot_trends, "cylinders": plot_cylinders, "counts": plot_counts, "streets": plot_streets}
