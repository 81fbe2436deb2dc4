"""Emerging hot spots: Gi* over a space-time cube, false discovery rate over all its bins, the trend of z per cell, and the category.

For bin i of n, with the neighbourhood N(i) of W bins (the cell and its spatial neighbours, in the same step and in the `steps_back` steps
before it; fewer at the edges of the cube), mean X̄ and population standard deviation S of all bins:

    Gi*(i) = (Σ_{j∈N(i)} x_j - W X̄) / (S √((n W - W²)/(n - 1)))

p = 2Φ(-|Gi*|). A bin is hot (cold) where z > 0 (< 0) and p is significant at `alpha` after Benjamini and Hochberg's procedure over all
bins.
Sources: Ord and Getis 1995; Benjamini and Hochberg 1995; Esri, "How Emerging Hot Spot Analysis works".

Bins that are left out of the cube (NaN) are in no neighbourhood and have no z; a neighbourhood that is the whole cube has none either, as
its variance is nought. Both count as not significant. Neighbouring z-scores are dependent by construction, so that the procedure's rate
holds under positive dependence only.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange
from scipy.special import ndtr

from schemas.messages import SanyuError
from transforms.mining.cube.categories import category_codes, labels
from transforms.mining.cube.cells import Ints, neighbours, offsets
from transforms.mining.cube.cube import Cube
from transforms.mining.cube.trend import Trends, trends
from transforms.mining.ground.sums import mean as exact_mean

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class HotSpotRule:
    """The parameters: neighbourhood in space (`rings` or `distance_m`, `contiguity`) and time (`steps_back`), level, corrections."""

    rings: int = 1
    contiguity: str = "queen"
    distance_m: float | None = None
    steps_back: int = 1
    alpha: float = 0.05
    trend_alpha: float = 0.05
    fdr: bool = True

    def __post_init__(self) -> None:
        for argument, level in (("alpha", self.alpha), ("trend_alpha", self.trend_alpha)):
            if not 0.0 < level < 1.0:
                raise SanyuError("SY-N063", argument=argument, value=level, expected="a level between 0 and 1")
        if self.steps_back != int(self.steps_back) or self.steps_back < 0:
            raise SanyuError("SY-N063", argument="steps_back", value=self.steps_back, expected="a whole number from 0")

    def around(self, cube: Cube) -> tuple[Ints, Ints]:
        """Return the spatial neighbours of the cube's cells, themselves included, as CSR."""
        if not cube.cells.columns.size:
            return neighbours(cube.cells)
        return neighbours(cube.cells, offsets(cube.rule.cells, self.rings, self.contiguity, self.distance_m))


@dataclass(frozen=True)
class LocalSums:
    """What Gi* needs of each bin: the sum of the values in its neighbourhood and their number."""

    totals: Floats
    sizes: npt.NDArray[np.int32]


@dataclass(frozen=True, repr=False)
class HotSpots:
    """The result: per bin `z`, `p` and `signs` (1 hot, -1 cold, 0), per cell the trend of z and the category code (`categories.LABELS`)."""

    cube: Cube
    rule: HotSpotRule
    local: LocalSums
    z: Floats
    p: Floats
    signs: npt.NDArray[np.int8]
    trend: Trends
    codes: npt.NDArray[np.int8]
    mean: float
    sd: float
    p_limit: float

    def __repr__(self) -> str:
        names, times = np.unique(self.categories.astype(str), return_counts=True)
        found = ", ".join(f"{name} {count:,}" for name, count in zip(names, times, strict=True))
        return f"<HotSpots of {self.cube!r}: {found}>"

    @property
    def categories(self) -> npt.NDArray[np.object_]:
        """Return the published label of each cell."""
        return labels(self.codes)

    def to_geopandas(self) -> Any:
        """Return the cells as a GeoDataFrame: see `cell_tables.cells_frame`."""
        from transforms.mining.cube.cell_tables import cells_frame

        return cells_frame(self)

    def plot(self, **options: Any) -> Any:
        """Return a figure of the map of categories: see `hot_spots_picture.plot_categories`."""
        from transforms.mining.pictures.hot_spots_picture import plot_categories

        return plot_categories(self, **options)

    def plot_strips(self, cells: Any = None, **options: Any) -> Any:
        """Return a figure of the steps of single cells: see `hot_spots_picture.plot_strips`."""
        from transforms.mining.pictures.hot_spots_picture import plot_strips

        return plot_strips(self, cells, **options)


def hot_spots(cube: Cube, rule: HotSpotRule | None = None) -> HotSpots:
    """Return Gi*, significance, trends and categories of a cube.

    SY-N065 for a cube of one step, SY-N068 where all values are equal, SY-N070 where a step has no value at all, SY-N063 for parameters.
    """
    rule = rule or HotSpotRule()
    require_usable(cube)
    local = local_sums(cube.values, *rule.around(cube), rule.steps_back)
    return judged(cube, rule, local)


def judged(cube: Cube, rule: HotSpotRule, local: LocalSums) -> HotSpots:
    """Return the hot spots for local sums that are known; all that depends on the whole cube is computed here."""
    centre, sd, count = moments(cube.values)
    z = scores(local, centre, sd, count)
    z[np.isnan(cube.values)] = np.nan
    p = 2.0 * ndtr(-np.abs(z))
    limit = benjamini_hochberg(p, rule.alpha) if rule.fdr else rule.alpha
    signs = np.where(p <= limit, np.sign(z), 0.0).astype(np.int8)
    trend = trends(z, slopes=False)
    codes = category_codes(signs, trend.signs(rule.trend_alpha))
    return HotSpots(cube, rule, local, z, p, signs, trend, codes, centre, sd, limit)


def gi_star(values: Floats, starts: Ints, others: Ints, steps_back: int = 1) -> Floats:
    """Return the z-scores of cells × steps for spatial neighbours as CSR (each cell among its own); NaN bins are left out."""
    z = scores(local_sums(values, starts, others, steps_back), *moments(values))
    z[np.isnan(values)] = np.nan
    return z


def moments(values: Floats) -> tuple[float, float, int]:
    """Return mean, population standard deviation and number of the values that are there; exact sums, SY-N068 where they are all equal."""
    there = np.ravel(values)
    there = there[~np.isnan(there)]
    if not there.size or there.min() == there.max():
        raise SanyuError("SY-N068", value=float(there[0]) if there.size else None)
    centre = exact_mean(there)
    return centre, math.sqrt(exact_mean((there - centre) ** 2)), there.size


def scores(local: LocalSums, centre: float, sd: float, count: int) -> Floats:
    """Return Gi* for local sums, mean, standard deviation and number of bins."""
    sizes = local.sizes.astype(np.float64)
    spread = sizes * (count - sizes) / (count - 1.0)
    z: Floats = np.full(sizes.shape, np.nan)
    np.divide(local.totals - sizes * centre, sd * np.sqrt(spread), out=z, where=spread > 0)
    return z


def benjamini_hochberg(p: Floats, alpha: float) -> float:
    """Return the largest p-value that is significant at the false discovery rate `alpha` (-1 if none is); NaN are no tests."""
    ordered = np.sort(p[~np.isnan(p)], axis=None)
    passed = np.flatnonzero(ordered <= np.arange(1, ordered.size + 1) / ordered.size * alpha)
    return float(ordered[passed[-1]]) if passed.size else -1.0


def local_sums(values: Floats, starts: Ints, others: Ints, steps_back: int, rows: Ints | None = None) -> LocalSums:
    """Return sum and number of the values in the neighbourhood of each bin, of all cells or of the chosen rows.

    A bin's terms are always added in the same order (neighbours ascending within a step, then steps from old to new), so that a tile with
    its halo, a recomputed cell and a whole run agree to the last bit.
    """
    chosen = np.arange(len(starts) - 1, dtype=np.int64) if rows is None else rows
    return LocalSums(*_local_sums(np.ascontiguousarray(values), starts, others, steps_back, chosen))


@njit(cache=True, parallel=True)
def _local_sums(values: Floats, starts: Ints, others: Ints, steps_back: int, rows: Ints) -> Any:
    steps = values.shape[1]
    totals, sizes = np.zeros((len(rows), steps)), np.zeros((len(rows), steps), np.int32)
    for n in prange(len(rows)):
        cell = rows[n]
        total, size = np.zeros(steps), np.zeros(steps, np.int32)
        for k in range(starts[cell], starts[cell + 1]):
            other = others[k]
            for step in range(steps):
                value = values[other, step]
                if not math.isnan(value):
                    total[step] += value
                    size[step] += 1
        for step in range(steps):
            for back in range(max(0, step - steps_back), step + 1):
                totals[n, step] += total[back]
                sizes[n, step] += size[back]
    return totals, sizes


def require_usable(cube: Cube) -> None:
    """Raise SY-N065 for a cube of one step, SY-N070 for a step that has no value at all."""
    steps = cube.shape[1]
    if steps < 2:
        raise SanyuError("SY-N065", steps=steps, tool="emerging_hot_spots", needed=2)
    lost = np.isnan(cube.values).all(axis=0)
    if lost.any():
        raise SanyuError("SY-N070", step=int(np.argmax(lost)))
