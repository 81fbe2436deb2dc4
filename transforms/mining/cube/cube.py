"""The space-time cube: cells × time steps, one value for each bin, and a stated rule for the bins without events.

Bins are aggregated from events by `count`, `sum`, `mean`, `median`, `min` or `max`. Sums are correctly rounded (the exact sum, rounded
once to a double, after Shewchuk 1997), so that no order of the rows and no partitioning can change a bit; a mean is that sum over the
count.

Rules for empty bins (`empty`):

* `zero` (default of count and sum): nothing happened there.
* `previous`: the last value of the same cell; bins before its first value stay out.
* `neighbours`: the mean of the values that touching cells have in the same step (observed ones only); without any the bin stays out.
* `skip` (default of the others): the bin stays out (NaN): no statistic counts it.

Which cells are in the cube (`keep`): `with_data` those with at least one event in the period; `all` every lattice cell of the rectangle of
columns and rows around them (squares, hexagons, BeiDou).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import h3
import numpy as np
import numpy.typing as npt
from numba import njit

from schemas.messages import SanyuError
from transforms.mining.cube.cells import CellRule, Cells, coded_cells, lattice_cells, locate, neighbours
from transforms.mining.cube.cube_time import Instants, StepRule, step_edges, steps_of

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Aggregate = Literal["count", "sum", "mean", "median", "min", "max"]
Empty = Literal["zero", "previous", "neighbours", "skip"]
AGGREGATES: Final = ("count", "sum", "mean", "median", "min", "max")
EMPTIES: Final = ("zero", "previous", "neighbours", "skip")
KEEPS: Final = ("with_data", "all")
MOST_BINS: Final = 200_000_000  # 1.6 GB of doubles
_MOST_PARTS: Final = 64  # parts of 53 bits that do not overlap, over the 2,098 bits that doubles span: at most 40


@dataclass(frozen=True)
class CubeRule:
    """All that turns events into a cube; with the same rule the same events make the same cube, whatever their order."""

    cells: CellRule
    steps: StepRule
    aggregate: Aggregate = "count"
    empty: Empty | None = None
    keep: Literal["with_data", "all"] = "with_data"

    def __post_init__(self) -> None:
        for argument, value, known in (
            ("aggregate", self.aggregate, AGGREGATES),
            ("empty", self.empty or "zero", EMPTIES),
            ("keep", self.keep, KEEPS),
        ):
            if value not in known:
                raise SanyuError("SY-N062", argument=argument, value=value, known=", ".join(known))
        if self.keep == "all" and self.cells.kind in ("division", "h3"):
            raise SanyuError("SY-N062", argument="keep", value=self.keep, known=f"with_data for cells of kind {self.cells.kind}")

    @property
    def filling(self) -> str:
        """Return the rule for empty bins, its default resolved."""
        return self.empty or ("zero" if self.aggregate in ("count", "sum") else "skip")


@dataclass(frozen=True)
class Bins:
    """Aggregated bins with events, in any order: cell (lattice `columns` and `rows`, or `codes`), step, value, number of events."""

    steps: Ints
    values: Floats
    counts: Ints
    columns: Ints | None = None
    rows: Ints | None = None
    codes: npt.NDArray[np.object_] | None = None


@dataclass(frozen=True, repr=False)
class Cube:
    """A cube: `values` (cells × steps, NaN where a bin is left out), `counts` of events, and the n + 1 `edges` of the steps (UTC)."""

    rule: CubeRule
    cells: Cells
    edges: Instants
    values: Floats
    counts: Ints

    def __repr__(self) -> str:
        cells, steps = self.shape
        where, when = self.rule.cells, self.rule.steps
        size = f"{where.size_m:g} m" if where.size_m else f"level {where.level}" if where.level else ""
        every = f"{when.every} × {when.unit}" if when.every > 1 else when.unit
        first, last = (str(edge)[:19] for edge in (self.edges[0], self.edges[-1]))
        return (
            f"<Cube {cells:,} {where.kind} cells {size} × {steps} steps of one {every}, {first}Z to {last}Z, "
            f"{self.rule.aggregate} of {int(self.counts.sum()):,} events>"
        )

    @property
    def shape(self) -> tuple[int, int]:
        """Return the numbers of cells and of steps."""
        return self.values.shape[0], self.values.shape[1]

    def take(self, chosen: npt.NDArray[Any]) -> Cube:
        """Return the cube of some cells, by mask or ascending positions."""
        return replace(self, cells=self.cells.take(chosen), values=self.values[chosen], counts=self.counts[chosen])

    def filled(self, chosen: npt.NDArray[Any] | None = None) -> Cube:
        """Return the cube with its empty bins filled anew after the rule, in all cells or in the chosen ones."""
        observed = np.where(self.counts > 0, self.values, np.nan)
        rows = np.arange(len(self.cells)) if chosen is None else np.asarray(chosen)
        values = self.values.copy()
        values[rows] = _fill(observed, self.rule.filling, self.cells, rows)
        return replace(self, values=values)


def cube_of_events(
    rule: CubeRule,
    at: Instants,
    *,
    x: Floats | None = None,
    y: Floats | None = None,
    codes: npt.NDArray[Any] | None = None,
    values: Floats | None = None,
    borders: npt.NDArray[Any] | None = None,
) -> Cube:
    """Return the cube of events at UTC instants `at`.

    Places are `x`, `y` in metres of the rule's CRS (squares, hexagons) or degrees (BeiDou, H3), or `codes` (divisions, with the pairs of
    codes that touch as `borders`). Events outside the rule's period are left out. SY-N064 without any event, SY-N066 for a place, time or
    value that is missing or not finite, SY-N067 for a cube too large for memory, SY-N069 where the kind of cell lacks something.
    """
    edges, bins = bins_of_events(rule, at, x=x, y=y, codes=codes, values=values)
    return cube_of_bins(rule, edges, bins, borders)


def bins_of_events(
    rule: CubeRule,
    at: Instants,
    *,
    x: Floats | None = None,
    y: Floats | None = None,
    codes: npt.NDArray[Any] | None = None,
    values: Floats | None = None,
    edges: Instants | None = None,
) -> tuple[Instants, Bins]:
    """Return the borders of the steps and the aggregated bins of events; arguments and errors as `cube_of_events`."""
    at = np.asarray(at).astype("datetime64[us]")
    place = _require(rule, at, x, y, codes, values)
    if edges is None:
        if not at.size:
            raise SanyuError("SY-N064", rows=0, usable=0)
        edges = step_edges(rule.steps, at.min(), at.max())
    step = steps_of(edges, at, rule.steps.closed)
    inside = step >= 0
    if not inside.any():
        raise SanyuError("SY-N064", rows=at.size, usable=0)
    step = step[inside]
    amount = np.ones(step.size) if values is None or rule.aggregate == "count" else np.asarray(values, np.float64)[inside]
    if len(place) == 1:
        known, cell = np.unique(place[0][inside].astype(str), return_inverse=True)
        keys: tuple[Any, ...] = (known.astype(object),)
    else:
        column, row = place[0][inside], place[1][inside]
        low, stride = int(row.min()), int(row.max() - row.min()) + 1
        packed, cell = np.unique(column * stride + (row - low), return_inverse=True)
        keys = (packed // stride, packed % stride + low)
    bins, found, counts = aggregated(cell.astype(np.int64) * (len(edges) - 1) + step, amount, rule.aggregate)
    owner, steps = bins // (len(edges) - 1), bins % (len(edges) - 1)
    if len(keys) == 1:
        return edges, Bins(steps, found, counts, codes=keys[0][owner])
    return edges, Bins(steps, found, counts, columns=keys[0][owner], rows=keys[1][owner])


def aggregated(keys: Ints, amounts: Floats, how: Aggregate) -> tuple[Ints, Floats, Ints]:
    """Return the distinct keys ascending, the aggregate of their amounts, and how many there are; the order of the input does not count."""
    order = np.argsort(keys, kind="stable") if how not in ("median",) else np.lexsort((amounts, keys))
    ordered, amounts = keys[order], amounts[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if keys.size else np.empty(0, np.int64)
    counts = np.diff(np.append(starts, keys.size))
    if how == "count":
        found = counts.astype(np.float64)
    elif how in ("sum", "mean"):
        found = exact_sums(amounts, np.append(starts, keys.size))
        found = found / counts if how == "mean" else found
    elif how == "median":
        found = 0.5 * amounts[starts + (counts - 1) // 2] + 0.5 * amounts[starts + counts // 2]
    else:
        found = (np.minimum if how == "min" else np.maximum).reduceat(amounts, starts) if keys.size else np.empty(0)
    return ordered[starts], found + 0.0, counts  # + 0.0 makes -0.0 and 0.0 one value


def cube_of_bins(rule: CubeRule, edges: Instants, bins: Bins, borders: npt.NDArray[Any] | None = None) -> Cube:
    """Return the cube of bins that were aggregated here or by Spark, in any order; errors as `cube_of_events`."""
    if not bins.steps.size:
        raise SanyuError("SY-N064", rows=0, usable=0)
    steps = len(edges) - 1
    if bins.codes is not None:
        found, position = np.unique(bins.codes.astype(str), return_inverse=True)
        _require_room(len(found), steps)
        cells = coded_cells(rule.cells, found, borders)
    else:
        assert bins.columns is not None and bins.rows is not None
        low, stride = int(bins.rows.min()), int(bins.rows.max() - bins.rows.min()) + 1
        packed = bins.columns * stride + (bins.rows - low)
        if rule.keep == "all":
            first, last = int(bins.columns.min()), int(bins.columns.max())
            _require_room((last - first + 1) * stride, steps)
            keys, position = np.arange(first * stride, (last + 1) * stride), packed - first * stride
        else:
            keys, position = np.unique(packed, return_inverse=True)
            _require_room(len(keys), steps)
        cells = lattice_cells(rule.cells, keys // stride, keys % stride + low)
    values = np.full((len(cells), steps), np.nan)
    counts = np.zeros((len(cells), steps), np.int64)
    values[position, bins.steps], counts[position, bins.steps] = bins.values, bins.counts
    return Cube(rule, cells, edges, values, counts).filled()


@njit(cache=True)
def exact_sums(amounts: Floats, borders: Ints) -> Any:
    """Return the correctly rounded sums of the slices between `borders` (Shewchuk 1997, adaptive precision arithmetic; as `math.fsum`)."""
    sums = np.empty(len(borders) - 1)
    parts = np.empty(_MOST_PARTS)
    for bin_ in range(len(borders) - 1):
        used = _expansion(amounts, borders[bin_], borders[bin_ + 1], parts)
        sums[bin_] = _rounded(parts, used)
    return sums


@njit(cache=True)
def exact_parts(amounts: Floats, borders: Ints) -> Any:
    """Return, for each slice, the few doubles whose exact sum is that of the slice, and the borders of these parts."""
    kept, ends = np.empty(len(amounts)), np.zeros(len(borders), np.int64)
    parts = np.empty(_MOST_PARTS)
    at = 0
    for bin_ in range(len(borders) - 1):
        used = _expansion(amounts, borders[bin_], borders[bin_ + 1], parts)
        kept[at : at + used] = parts[:used]
        at += used
        ends[bin_ + 1] = at
    return kept[:at].copy(), ends


@njit(cache=True)
def _expansion(amounts: Floats, first: int, end: int, parts: Floats) -> Any:
    """Write the non-overlapping parts of a slice's exact sum, smallest first, and return their number (never more than the slice has)."""
    used = 0
    for n in range(first, end):
        x = amounts[n]
        kept = 0
        for k in range(used):
            y = parts[k]
            if abs(x) < abs(y):
                x, y = y, x
            high = x + y
            low = y - (high - x)
            if low != 0.0:
                parts[kept] = low
                kept += 1
            x = high
        parts[kept] = x
        used = kept + 1
    return used


@njit(cache=True)
def _rounded(parts: Floats, used: int) -> Any:
    """Return the sum of non-overlapping parts, rounded once, halves to even."""
    if used == 0:
        return 0.0
    k = used - 1
    total, low = parts[k], 0.0
    while k > 0:
        k -= 1
        x = total
        total = x + parts[k]
        low = parts[k] - (total - x)
        if low != 0.0:
            break
    if k > 0 and ((low < 0.0 and parts[k - 1] < 0.0) or (low > 0.0 and parts[k - 1] > 0.0)):
        doubled = low * 2.0
        x = total + doubled
        if doubled == x - total:
            total = x
    return total


def _require(rule: CubeRule, at: Instants, x: Any, y: Any, codes: Any, values: Any) -> tuple[npt.NDArray[Any], ...]:
    """Return the place of each event as lattice column and row, or as code; SY-N066 names the first row that has none."""
    if np.isnat(at).any():
        raise SanyuError("SY-N066", row=int(np.argmax(np.isnat(at))), column="time", value="missing")
    if rule.aggregate != "count":
        if values is None:
            raise SanyuError("SY-N063", argument="value", value=None, expected=f"a column, for the aggregation {rule.aggregate}")
        _require_finite("value", np.asarray(values, np.float64))
    if rule.cells.kind == "division":
        if codes is None:
            raise SanyuError("SY-N069", kind="division", needed="the column of division codes")
        missing = np.array([not isinstance(c, str) or not c for c in np.asarray(codes, dtype=object).tolist()], dtype=bool)
        if missing.any():
            raise SanyuError("SY-N066", row=int(np.argmax(missing)), column="division code", value="missing")
        return (np.asarray(codes, dtype=object),)
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    _require_finite("x", x)
    _require_finite("y", y)
    if rule.cells.kind == "h3":
        return (np.array([h3.latlng_to_cell(b, a, rule.cells.level) for a, b in zip(x.tolist(), y.tolist(), strict=True)], dtype=object),)
    return locate(rule.cells, x, y)


def _require_finite(column: str, values: Floats) -> None:
    bad = ~np.isfinite(values)
    if bad.any():
        row = int(np.argmax(bad))
        raise SanyuError("SY-N066", row=row, column=column, value=float(values[row]))


def _require_room(cells: int, steps: int) -> None:
    if cells * steps > MOST_BINS:
        raise SanyuError("SY-N067", bins=cells * steps, cells=cells, steps=steps, limit=MOST_BINS)


def _fill(observed: Floats, rule: str, cells: Cells, rows: Ints) -> Floats:
    """Return the chosen rows with their empty (NaN) bins filled after the rule."""
    values = observed[rows]
    empty = np.isnan(values)
    if rule == "zero":
        values[empty] = 0.0
    elif rule == "previous":
        last = np.maximum.accumulate(np.where(empty, -1, np.arange(values.shape[1])), axis=1)
        values = np.where(last >= 0, np.take_along_axis(values, np.maximum(last, 0), axis=1), np.nan)
    elif rule == "neighbours" and empty.any():
        starts, others = neighbours(cells)
        for n, row in enumerate(rows.tolist()):
            near = others[starts[row] : starts[row + 1]]
            around = observed[near]
            there = ~np.isnan(around)
            count = there.sum(axis=0)
            gaps = empty[n] & (count > 0)
            values[n, gaps] = np.where(there, around, 0.0).sum(axis=0)[gaps] / count[gaps]
    return values
