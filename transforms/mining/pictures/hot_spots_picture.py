"""Pictures of emerging hot spots: the categories on the map, and for single cells the strip of their steps. Figures are returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from transforms.fonts import with_text

if TYPE_CHECKING:
    from transforms.mining.cube.hot_spots import HotSpots

_SIGNS = ("#2166ac", "#e8e8e8", "#b2182b")


@with_text
def plot_categories(found: HotSpots, *, title: str = "Emerging hot spots", size: float = 7.0) -> Any:
    """Return a figure of the map of categories."""
    from transforms.mining.pictures.pictures import plot_map

    return plot_map(found.to_geopandas(), "category_name", title=title, size=size)


@with_text
def plot_strips(found: HotSpots, cells: Sequence[str] | None = None, *, most: int = 20) -> Any:
    """Return a figure with one strip per cell: its steps from old to new, red where hot, blue where cold, the value written in each.

    `cells` are ids; by default the `most` cells with a category whose z-scores are greatest. An id that is not in the cube is a KeyError.
    """
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    place = {cell: n for n, cell in enumerate(found.cube.cells.ids.tolist())}
    if cells is None:
        strength = np.where(found.codes != 0, np.nan_to_num(np.abs(found.z)).max(axis=1), -1.0)
        rows = np.argsort(-strength, kind="stable")[:most]
        rows = rows[strength[rows] >= 0]
    else:
        rows = np.array([place[cell] for cell in cells], dtype=np.int64)
    steps = found.cube.shape[1]
    figure = Figure(figsize=(2.5 + 0.32 * steps, 1.0 + 0.3 * max(len(rows), 1)), layout="constrained")
    axes = figure.subplots()
    axes.imshow(found.signs[rows].reshape(-1, steps), cmap=ListedColormap(_SIGNS), vmin=-1, vmax=1, aspect="auto")
    values = found.cube.values[rows]
    for (y, x), value in np.ndenumerate(values):
        if not np.isnan(value):
            axes.text(x, y, f"{value:.3g}", ha="center", va="center", fontsize=6)
    names = found.categories[rows]
    axes.set_yticks(range(len(rows)), [f"{name}\n{cell}" for name, cell in zip(names, found.cube.cells.ids[rows], strict=True)], fontsize=6)
    days = (found.cube.edges[:-1] + np.timedelta64(8, "h")).astype("datetime64[D]").astype(str)
    shown = range(0, steps, max(1, steps // 12))
    axes.set_xticks(list(shown), [days[n] for n in shown], rotation=45, ha="right", fontsize=7)
    axes.set_xlabel("begin of the step (Beijing time)")
    return figure
