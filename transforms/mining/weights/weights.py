"""Spatial weights: who is whose neighbour, and how much it counts.

A rule (`Knn`, `DistanceBand`, `Kernel`, `Contiguity`) says what is wanted; `Weights` are the rows in this process, as compressed rows in
the canonical order; an edge table (`id`, `neighbour_id`, `weight`, `distance_m`) is the same as a frame, and what the tools `knn`,
`distance_band`, `kernel` and `contiguity` return. A row is never its own neighbour. A row without neighbours (an island: only with
bands, kernels and contiguity) stays in the weights with no edge: its lag is 0, its local statistic has no p-value, and the number of
islands is noted with the run.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.messages import SanyuError
from transforms.mining.ground import sums
from transforms.mining.ground.metres import points, shapes
from transforms.mining.shelf.frames import column_names, frame_kind, note
from transforms.mining.weights.weights_contiguity import touching
from transforms.mining.weights.weights_kernels import interaction, is_uniform, row_sums, transposed
from transforms.mining.weights.weights_tree import Tree

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
KernelName = Literal["triangular", "parabolic", "gaussian", "bisquare", "boxcar"]
EDGE_COLUMNS = ("id", "neighbour_id", "weight", "distance_m")
MOST_EDGES = 1 << 29


@dataclass(frozen=True)
class Knn:
    """The k nearest others, each with weight 1; ties go to the earlier id."""

    k: int = 8


@dataclass(frozen=True)
class DistanceBand:
    """All others within the radius, the border included; weight 1, or distance to the power of -`decay` (`decay` > 0)."""

    radius_m: float
    decay: float = 0.0


@dataclass(frozen=True)
class Kernel:
    """All others within the bandwidth, weighted by a kernel of distance over bandwidth, as libpysal's `kernels`.

    With `k` the bandwidth is each row's own: the distance of its k-th neighbour, which is in itself of weight 0 in kernels that end there.
    """

    bandwidth_m: float | None = None
    kernel: KernelName = "triangular"
    k: int | None = None


@dataclass(frozen=True)
class Contiguity:
    """Polygons that share a corner (`queen`) or an edge (`rook`), weight 1; corners that round to one point of `snap_m` are one."""

    kind: Literal["queen", "rook"] = "queen"
    snap_m: float = 0.0


Rule = Knn | DistanceBand | Kernel | Contiguity


@dataclass(frozen=True)
class Weights:
    """Compressed rows: the neighbours of row i are `indices[starts[i]:starts[i + 1]]`, ascending, each with its weight and distance (m)."""

    ids: pa.Array
    starts: Ints
    indices: Ints
    weights: Floats
    distance_m: Floats | None = None

    @property
    def count(self) -> int:
        return len(self.starts) - 1

    @cached_property
    def neighbour_counts(self) -> Ints:
        return np.diff(self.starts)

    @property
    def islands(self) -> Ints:
        """Return the positions of rows without neighbours."""
        return np.flatnonzero(self.neighbour_counts == 0)

    @cached_property
    def row_sums(self) -> Floats:
        return np.asarray(row_sums(self.starts, self.weights))

    @cached_property
    def is_uniform(self) -> bool:
        """Tell whether each row's weights are all the same number."""
        return bool(is_uniform(self.starts, self.weights))

    @cached_property
    def moments(self) -> tuple[float, float, float]:
        """Return S0 = Σw, S1 = ½Σ(w_ij+w_ji)², S2 = Σ_i(Σ_j w_ij + Σ_j w_ji)² (Cliff and Ord 1981)."""
        first, second = moment_terms((self.starts, self.indices, self.weights), transposed(self.starts, self.indices, self.weights))
        return sums.exact(self.row_sums), sums.exact(first) / 2, sums.exact(second)

    def row_standardised(self) -> Weights:
        """Return the weights with rows that sum to 1; islands stay islands."""
        scale = np.repeat(self.row_sums, self.neighbour_counts)
        return replace(self, weights=self.weights / scale)

    def binary(self) -> Weights:
        """Return the weights with 1 for every neighbour."""
        return replace(self, weights=np.ones(len(self.weights)))

    def transformed(self, transform: str) -> Weights:
        """Return the weights by the letter that PySAL uses: `r` row-standardised, `b` binary, `o` as they are; SY-N003 for another."""
        how: dict[str, Callable[[], Weights]] = {"r": self.row_standardised, "b": self.binary, "o": lambda: self}
        if transform.lower() not in how:
            raise SanyuError("SY-N003", tool="weights", name="transform", value=transform, kind="one of r, b, o")
        return how[transform.lower()]()

    def edges(self) -> pa.Table:
        """Return the edge table, ordered by id and neighbour's id."""
        focal = np.repeat(np.arange(self.count), self.neighbour_counts)
        distance = self.distance_m if self.distance_m is not None else np.full(len(self.indices), np.nan)
        columns = [self.ids.take(pa.array(focal)), self.ids.take(pa.array(self.indices)), pa.array(self.weights), pa.array(distance)]
        return pa.table(columns, names=list(EDGE_COLUMNS))

    def to_sparse(self) -> Any:
        """Return the weights as scipy's `csr_array`."""
        from scipy.sparse import csr_array

        return csr_array((self.weights, self.indices, self.starts), shape=(self.count, self.count))


def moment_terms(edges: tuple[Ints, Ints, Floats], back: tuple[Ints, Ints, Floats]) -> tuple[Floats, Floats]:
    """Return each row's part of 2·S1 and of S2, from the edges that leave rows and those that lead to them, both as compressed rows."""
    return interaction(*edges, *back), (row_sums(edges[0], edges[2]) + row_sums(back[0], back[2])) ** 2


def build(rule: Rule, frame: Any, id_column: str | None = None, *, table: pa.Table | None = None, crs: str | None = None) -> Weights:
    """Return the weights of a frame in this process; `table` are its `points` where they are there already.

    SY-N013 too few rows for k, SY-N014 a parameter out of its range, SY-N015 more neighbours than memory, and what `points` raises.
    """
    _check(rule)
    if isinstance(rule, Contiguity):
        ids, found = shapes(frame, id_column, crs=crs)
        starts, indices, distance = touching(found, rook=rule.kind == "rook", snap_m=rule.snap_m)
        return Weights(ids, starts, indices, np.ones(len(indices)), distance)
    at = points(frame, (), id_column, crs=crs) if table is None else table
    x, y = (at.column(name).to_numpy() for name in ("x_m", "y_m"))
    ids = at.column("id").combine_chunks()
    starts, indices, distance, weights = neighbours(rule, x, y)
    return Weights(ids, starts, indices, weights, distance)


def neighbours(rule: Rule, x: Floats, y: Floats, rows: Ints | None = None) -> tuple[Ints, Ints, Floats, Floats]:
    """Return starts, positions, distances and weights of the neighbours of `rows` (default all) among the points; metres."""
    assert not isinstance(rule, Contiguity)
    asked = len(x) if rows is None else len(rows)
    if len(x) == 0:
        return np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int64), np.zeros(0), np.zeros(0)
    tree = Tree(x, y)
    k = rule.k if isinstance(rule, Knn | Kernel) else None
    if k is not None:
        if k >= len(x):
            raise SanyuError("SY-N013", k=k, count=len(x))
        found, far = tree.nearest(k, rows)
        starts, indices, distance = np.arange(asked + 1, dtype=np.int64) * k, found.ravel(), far.ravel()
        if isinstance(rule, Knn):
            return starts, indices, distance, np.ones(len(indices))
        assert isinstance(rule, Kernel)
        return _tapered(starts, indices, distance, kernel_weights(rule.kernel, distance, np.repeat(far.max(axis=1, initial=0.0), k)))
    radius = reach(rule)
    assert radius is not None
    counts = tree.counts(radius, rows)
    if counts.sum() > MOST_EDGES:
        raise SanyuError("SY-N015", radius_m=radius, count=int(counts.sum()), rows=asked)
    starts, indices, distance = tree.within(radius, counts, rows)
    if isinstance(rule, Kernel):
        return _tapered(starts, indices, distance, kernel_weights(rule.kernel, distance, radius))
    assert isinstance(rule, DistanceBand)
    if rule.decay and (distance == 0).any():
        raise SanyuError("SY-N016", decay=rule.decay)
    return starts, indices, distance, distance**-rule.decay if rule.decay else np.ones(len(indices))


def reach(rule: Rule) -> float | None:
    """Return how far a rule looks in metres; None where that depends on the points."""
    if isinstance(rule, DistanceBand):
        return rule.radius_m
    return rule.bandwidth_m if isinstance(rule, Kernel) else None


def kernel_weights(kernel: str, distance: Floats, bandwidth: Any) -> Floats:
    """Return K(d/h) after libpysal 4.14 `kernels`; 0 beyond the bandwidth, and everywhere for a bandwidth of 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        z = np.where(np.asarray(bandwidth) > 0, distance / bandwidth, 1.0)
    by_name: dict[str, Callable[[], Floats]] = {
        "triangular": lambda: 1 - z,
        "parabolic": lambda: 0.75 * (1 - z**2),
        "gaussian": lambda: np.exp(-0.5 * z**2) / np.sqrt(2 * np.pi),
        "bisquare": lambda: 15 / 16 * (1 - z**2) ** 2,
        "boxcar": lambda: np.ones_like(z),
    }
    if kernel not in by_name:
        raise SanyuError("SY-N003", tool="kernel", name="kernel", value=kernel, kind=f"one of {', '.join(by_name)}")
    return np.where(z <= 1, by_name[kernel](), 0.0)


def from_edges(edges: pa.Table, ids: pa.Array) -> Weights:
    """Return the weights of an edge table (`id`, `neighbour_id`, optional `weight`, `distance_m`) over the ids in canonical order.

    SY-N017 where an edge names an id that is not there, repeats another or leads to itself; SY-N018 on a weight that is not positive.
    """
    place = [_places(edges, name, ids) for name in ("id", "neighbour_id")]
    order = np.lexsort((place[1], place[0]))
    focal, other = place[0][order], place[1][order]
    bad = np.flatnonzero((focal == other) | np.concatenate([[False], (np.diff(focal) == 0) & (np.diff(other) == 0)]))
    if len(bad):
        what = "leads from an id to itself" if focal[bad[0]] == other[bad[0]] else "is there twice"
        raise SanyuError("SY-N017", id=ids[int(focal[bad[0]])].as_py(), neighbour=ids[int(other[bad[0]])].as_py(), detail=what)
    named = edges.column_names
    weights = edges.column("weight").cast(pa.float64()).to_numpy()[order] if "weight" in named else np.ones(len(focal))
    wrong = ~(np.isfinite(weights) & (weights > 0))
    if wrong.any():
        first = int(np.argmax(wrong))
        raise SanyuError("SY-N018", id=ids[int(focal[first])].as_py(), weight=float(weights[first]))
    distance = edges.column("distance_m").cast(pa.float64()).to_numpy()[order] if "distance_m" in named else None
    starts = np.concatenate([[0], np.cumsum(np.bincount(focal, minlength=len(ids)))]).astype(np.int64)
    return Weights(ids, starts, other, weights, distance)


def resolve(weights: Any, frame: Any, table: pa.Table, id_column: str | None, default: Rule) -> Weights:
    """Return weights over the rows of `table` (canonical order) from whatever a caller gives.

    None (the default rule), a rule, `Weights`, an edge table (Arrow, pandas, Spark), or a libpysal `Graph` or `W` over the same ids.
    """
    ids = table.column("id").combine_chunks()
    if weights is None or isinstance(weights, Rule):
        rule = default if weights is None else weights
        found = build(rule, frame, id_column, table=table if "x_m" in table.column_names else None)
    elif isinstance(weights, Weights):
        if not weights.ids.equals(ids):
            raise SanyuError("SY-N019", given=len(weights.ids), rows=len(ids))
        found = weights
    else:
        found = from_edges(edge_table(weights), ids)
    note(island_count=len(found.islands), edge_count=len(found.indices))
    return found


def edge_table(edges: Any) -> pa.Table:
    """Return edges as Arrow, from Arrow, pandas, Spark or libpysal; SY-N004 and SY-N005 for anything else."""
    if isinstance(edges, pa.Table):
        table = edges
    elif hasattr(edges, "adjacency") or hasattr(edges, "to_adjlist"):
        listed = edges.adjacency.reset_index() if hasattr(edges, "adjacency") else edges.to_adjlist(drop_islands=True)
        listed = listed[(listed["weight"] != 0) | (listed["focal"] != listed["neighbor"])]  # libpysal writes an island as a self-loop of 0
        table = pa.table(
            {"id": np.asarray(listed["focal"]), "neighbour_id": np.asarray(listed["neighbor"]), "weight": np.asarray(listed["weight"])}
        )
    elif frame_kind(edges) == "spark":
        table = edges.select(*(c for c in edges.columns if c in EDGE_COLUMNS)).toArrow()
    else:
        table = pa.Table.from_pandas(edges[[c for c in column_names(edges) if c in EDGE_COLUMNS]], preserve_index=False)
    for name in ("id", "neighbour_id"):
        if name not in table.column_names:
            raise SanyuError("SY-N005", column=name, known=", ".join(table.column_names))
    return table.combine_chunks()


def _places(edges: pa.Table, name: str, ids: pa.Array) -> Ints:
    given = edges.column(name).combine_chunks()
    found = pc.index_in(given.cast(ids.type), value_set=ids)
    if found.null_count:
        row = pc.index(found.is_null(), True).as_py()
        raise SanyuError("SY-N017", id=given[row].as_py(), neighbour="", detail="names an id that is not in the frame")
    return np.asarray(found.to_numpy(), dtype=np.int64)


def _tapered(starts: Ints, indices: Ints, distance: Floats, weights: Floats) -> tuple[Ints, Ints, Floats, Floats]:
    """Drop neighbours of weight 0."""
    kept = weights > 0
    before = np.concatenate([[0], np.cumsum(kept)])
    return before[starts], indices[kept], distance[kept], weights[kept]


def _at_least_one(value: float) -> bool:
    return value >= 1


def _positive(value: float) -> bool:
    return 0 < value < np.inf


def _not_negative(value: float) -> bool:
    return 0 <= value < np.inf


def _check(rule: Rule) -> None:
    for name, value, good in (
        ("k", getattr(rule, "k", None), _at_least_one),
        ("radius_m", getattr(rule, "radius_m", None), _positive),
        ("bandwidth_m", getattr(rule, "bandwidth_m", None), _positive),
        ("decay", getattr(rule, "decay", None), _not_negative),
    ):
        if value is not None and not good(value):
            raise SanyuError("SY-N014", name=name, value=value)
    if isinstance(rule, Kernel) and rule.k is None and rule.bandwidth_m is None:
        raise SanyuError("SY-N014", name="bandwidth_m", value=None)
