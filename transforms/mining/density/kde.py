"""Kernel density in the plane, on a grid: how many rows per square kilometre, smoothed (Silverman 1986)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numba import njit

from schemas.messages import SanyuError
from transforms.mining.density.distribution import Floats, Window, window_of
from transforms.mining.ground import sums
from transforms.mining.ground.metres import metric_crs_of, points
from transforms.mining.ground.row_time import reach
from transforms.mining.shelf.frames import Way, floats, like, note
from transforms.mining.shelf.tool import tool

Kernel = Literal["quartic", "gaussian", "epanechnikov", "triangular", "uniform"]
Rule = Literal["silverman", "scott", "robust"]
KERNELS = ("quartic", "gaussian", "epanechnikov", "triangular", "uniform")
RULES = ("silverman", "scott", "robust")
GAUSSIAN_REACH = 6.0  # bandwidths; what is left out is below 2e-8 of the peak
MOST_CELLS = 100_000_000


@dataclass(frozen=True)
class Density:
    """A grid of densities per m²: `values[line, column]`, lines from the south; its west and south edge and cell side in metres."""

    values: Floats
    west_m: float
    south_m: float
    cell_m: float
    bandwidth_m: float

    def plot(self, ax: Any = None) -> Any:
        """Draw the density per km² and return the axes."""
        import matplotlib.pyplot as plt

        axes = plt.subplots()[1] if ax is None else ax
        lines, columns = self.values.shape
        extent = (self.west_m, self.west_m + columns * self.cell_m, self.south_m, self.south_m + lines * self.cell_m)
        image = axes.imshow(self.values * 1e6, origin="lower", extent=extent, cmap="magma")
        axes.figure.colorbar(image, ax=axes, label="per km²")
        return axes


def grid_of(table: pa.Table, cell_m: float) -> Density:
    """Return the grid of which `kde` made a table: the cells with a density above 0; SY-N032 for a table without rows."""
    if table.num_rows < 1:
        raise SanyuError("SY-N032", tool="kde", least=1, count=0)
    line, column = table["grid_line"].to_numpy(), table["grid_column"].to_numpy()
    values = np.zeros((int(line.max()) + 1, int(column.max()) + 1))
    values[line, column] = table["density_km2"].to_numpy() / 1e6
    west, south = (float(table[axis][0].as_py()) - (int(at[0]) + 0.5) * cell_m for axis, at in (("x_m", column), ("y_m", line)))
    return Density(values, west, south, cell_m, float(table["bandwidth_m"][0].as_py()))


@tool("Kernel density", "核密度", result="mart.mining__density", grain="own", columns=("weight",))
def kde(
    frame: Any,
    *,
    cell_m: float,
    bandwidth_m: float | None = None,
    kernel: Kernel = "quartic",
    rule: Rule = "silverman",
    weight: str | None = None,
    window: str | Sequence[float] | None = None,
    id_column: str | None = None,
) -> Any:
    """Return a row per cell with a density above 0: column, line, centre (m), rows (or weight) per km² and the bandwidth.

    The density is that at the cell's centre, not corrected at the window's edge. Without `bandwidth_m` it follows from the `rule`:
    silverman and scott σ n^(−1/6) with σ² the mean of the variances in x and y (in two dimensions the two agree), robust
    0.9 min(standard distance, median distance √(1/ln 2)) n^(−1/5). For kernels that end, it is the radius. SY-N030, SY-N032, SY-N034,
    SY-N035, SY-N038.
    """
    grid = density(
        frame, cell_m=cell_m, bandwidth_m=bandwidth_m, kernel=kernel, rule=rule, weight=weight, window=window, id_column=id_column
    )
    line, column = np.nonzero(grid.values)
    found = {
        "grid_column": pa.array(column, pa.int32()),
        "grid_line": pa.array(line, pa.int32()),
        "x_m": grid.west_m + (column + 0.5) * grid.cell_m,
        "y_m": grid.south_m + (line + 0.5) * grid.cell_m,
        "density_km2": grid.values[line, column] * 1e6,
        "bandwidth_m": np.full(len(line), grid.bandwidth_m),
    }
    return like(frame, pa.table(found))


def density(
    frame: Any,
    *,
    cell_m: float,
    bandwidth_m: float | None = None,
    kernel: Kernel = "quartic",
    rule: Rule = "silverman",
    weight: str | None = None,
    window: str | Sequence[float] | None = None,
    id_column: str | None = None,
) -> Density:
    """Return the grid of `kde` as an array; the window grows to whole cells, by default the rows' box and one bandwidth around it."""
    for name, value, known in (("kernel", kernel, KERNELS), ("rule", rule, RULES)):
        if value not in known:
            raise SanyuError("SY-N035", tool="kde", name=name, value=value, known=", ".join(known))
    reach("kde", "cell_m", cell_m, above=True)
    note(way=Way.IN_PROCESS)
    table = points(frame, [] if weight is None else [weight], id_column)
    if table.num_rows < 1:
        raise SanyuError("SY-N032", tool="kde", least=1, count=0)
    x, y = floats(table, "x_m"), floats(table, "y_m")
    w = np.ones(len(x)) if weight is None else floats(table, weight)
    h = bandwidth(x, y, rule) if bandwidth_m is None else reach("kde", "bandwidth_m", bandwidth_m, above=True)
    if window is None:
        box: Window = (float(x.min()) - h, float(y.min()) - h, float(x.max()) + h, float(y.max()) + h)
    else:
        box = window_of("kde", window, x, y, table.column("id"))
    columns, lines = (max(1, math.ceil((high - low) / cell_m)) for low, high in ((box[0], box[2]), (box[1], box[3])))
    if columns * lines > MOST_CELLS:
        raise SanyuError("SY-N030", tool="kde", name="cell_m", value=cell_m, least=f"large enough for {MOST_CELLS:,} cells")
    order = np.lexsort((x, np.floor((y - box[1]) / cell_m)))
    values = np.zeros((lines, columns))
    spread(x[order] - box[0], y[order] - box[1], w[order], cell_m, h, KERNELS.index(kernel), values)
    note(bandwidth_m=h, row_count=len(x), cell_m=cell_m, crs=metric_crs_of(frame))
    return Density(values, box[0], box[1], cell_m, h)


def bandwidth(x: Floats, y: Floats, rule: Rule) -> float:
    """Return the bandwidth (m) of a rule; SY-N032 below two rows, SY-N034 where all are at one place."""
    n = len(x)
    if n < 2:
        raise SanyuError("SY-N032", tool="kde without bandwidth_m", least=2, count=n)
    mean_x, mean_y = sums.mean(x), sums.mean(y)
    squares = (x - mean_x) ** 2 + (y - mean_y) ** 2
    if rule == "robust":
        middle = float(np.median(np.sqrt(squares)))
        found = 0.9 * min(math.sqrt(sums.mean(squares)), middle * math.sqrt(1 / math.log(2))) * n ** (-1 / 5)
    else:
        found = math.sqrt(sums.exact(squares) / (2 * (n - 1))) * n ** (-1 / 6)
    if found == 0.0:
        raise SanyuError("SY-N034", tool="kde without bandwidth_m", what="place")
    return float(found)


@njit(cache=True)
def spread(x: Any, y: Any, w: Any, cell: float, h: float, kernel: int, out: Any) -> None:  # pragma: no cover
    """Add each point's kernel to the cells' centres, in place; x and y from the grid's corner, in the given order."""
    lines, columns = out.shape
    far = h * (GAUSSIAN_REACH if kernel == 1 else 1.0)
    peak = (3.0 / np.pi, 0.5 / np.pi, 2.0 / np.pi, 3.0 / np.pi, 1.0 / np.pi)[kernel] / (h * h)
    along = np.empty(columns)
    for p in range(len(x)):
        left, right = max(0, int(np.ceil((x[p] - far) / cell - 0.5))), min(columns - 1, int(np.floor((x[p] + far) / cell - 0.5)))
        low, high = max(0, int(np.ceil((y[p] - far) / cell - 0.5))), min(lines - 1, int(np.floor((y[p] + far) / cell - 0.5)))
        for i in range(left, right + 1):
            u = ((i + 0.5) * cell - x[p]) / h
            along[i] = np.exp(-0.5 * u * u) if kernel == 1 else u * u
        for j in range(low, high + 1):
            v = ((j + 0.5) * cell - y[p]) / h
            row, square = out[j], v * v
            if kernel == 1:
                level = w[p] * peak * np.exp(-0.5 * square)
                for i in range(left, right + 1):
                    row[i] += level * along[i]
                continue
            for i in range(left, right + 1):
                rest = 1.0 - (along[i] + square)
                if rest >= 0.0:
                    shape = 1.0
                    if kernel == 0:
                        shape = rest * rest
                    elif kernel == 2:
                        shape = rest
                    elif kernel == 3:
                        shape = 1.0 - np.sqrt(1.0 - rest)
                    row[i] += w[p] * peak * shape
