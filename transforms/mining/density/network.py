"""A street network from lines: nodes where lines share a vertex, edges between nodes, and edges cut into lixels (linear pixels).

Lines are joined at the vertices that they share, to a millimetre, at their ends or on the way. Lines that cross without a common vertex are
not joined: a bridge is no junction, and a file whose junctions have no vertices has to be noded first.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from schemas.messages import SanyuError
from transforms.mining.ground.metres import XY, metric_crs_of, shapes
from transforms.mining.shelf.frames import frame_kind

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
SAME_M = 1e-3  # vertices nearer than about this are one
LINE, MULTI_LINE = 1, 5


@dataclass(frozen=True)
class Network:
    """Edges between nodes, in metres of `crs`, in the order of their rows' ids and along each row.

    Vertices lie one edge after the other in `x`, `y`; edge e has those from `first[e]` to `first[e + 1]`, `along` says how far along their
    edge they are. `row` is the row of `ids` that an edge is of, `ends` its two nodes. An edge has two halves, 2e leaving its first node and
    2e + 1 its last; those leaving node v are `out[out_from[v] : out_from[v + 1]]`.
    """

    crs: str
    ids: pa.Array
    x: Floats
    y: Floats
    along: Floats
    first: Ints
    row: Ints
    ends: Ints
    out: Ints
    out_from: Ints

    @property
    def length_m(self) -> Floats:
        """Return the edges' lengths."""
        return np.asarray(self.along[self.first[1:] - 1])

    def lines(self) -> Any:
        """Return the edges as an array of LineStrings."""
        edge = np.repeat(np.arange(len(self.row)), np.diff(self.first))
        return shapely.linestrings(np.column_stack([self.x, self.y]), indices=edge)

    def snapped(self, x: Floats, y: Floats, within_m: float) -> tuple[Ints, Ints, Floats]:
        """Return points near the network (indices), the edge nearest to each, the first of equals, and how far along it the point falls."""
        lines = self.lines()
        given = shapely.points(x, y)
        point, edge = shapely.STRtree(lines).query_nearest(given, max_distance=within_m, all_matches=True)
        order = np.lexsort((edge, point))
        point, edge = point[order], edge[order]
        is_first = np.r_[True, point[1:] != point[:-1]] if len(point) else np.zeros(0, bool)
        point, edge = point[is_first].astype(np.int64), edge[is_first].astype(np.int64)
        return point, edge, np.asarray(shapely.line_locate_point(lines[edge], given[point]), np.float64)


@dataclass(frozen=True)
class Lixels:
    """The pieces of a network's edges: edge e has `count[e]` of equal length from number `first[e]`; `number` counts along its row."""

    network: Network
    count: Ints
    first: Ints
    edge: Ints
    number: Ints
    length_m: Floats

    def lines(self, chosen: Ints) -> Any:
        """Return lixels as LineStrings in metres, with the vertices of their edge; `chosen` are ascending numbers."""
        net = self.network
        edge = self.edge[chosen]
        rank = chosen - self.first[edge]
        length = self.length_m[chosen]
        low, high = rank * length, np.where(rank + 1 == self.count[edge], net.length_m[edge], (rank + 1) * length)
        # One axis for all edges, a metre of nothing between two of them, so that a single interpolation serves.
        before = np.r_[0.0, np.cumsum(net.length_m + 1.0)][:-1]
        vertex_edge = np.repeat(np.arange(len(net.row)), np.diff(net.first))
        axis = net.along + before[vertex_edge]
        place = np.full(len(self.edge), -1, np.int64)
        place[chosen] = np.arange(len(chosen))
        lixel = np.minimum((net.along / self.length_m[self.first[vertex_edge]]).astype(np.int64), self.count[vertex_edge] - 1)
        lixel = place[lixel + self.first[vertex_edge]]
        known = lixel >= 0
        known[known] = (net.along[known] > low[lixel[known]] + SAME_M) & (net.along[known] < high[lixel[known]] - SAME_M)
        at = [np.interp(end + before[edge], axis, values) for end in (low, high) for values in (net.x, net.y)]
        of = np.concatenate([np.arange(len(chosen)), np.arange(len(chosen)), lixel[known]])
        order = np.lexsort((np.concatenate([low, high, net.along[known]]), of))
        x, y = np.concatenate([at[0], at[2], net.x[known]]), np.concatenate([at[1], at[3], net.y[known]])
        return shapely.linestrings(np.column_stack([x, y])[order], indices=of[order])


def network_of(frame: Any, tool: str) -> Network:
    """Return the network of a frame of lines (of any kind); SY-N040 for a row that is no line, SY-N032 without any, SY-N010 to SY-N012."""
    bare = frame.drop(*XY) if frame_kind(frame) == "spark" else frame.drop(columns=list(XY), errors="ignore")
    crs = metric_crs_of(bare)
    ids, found = shapes(bare, crs=crs)
    kind = shapely.get_type_id(found)
    wrong = (kind != LINE) & (kind != MULTI_LINE)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise SanyuError("SY-N040", tool=tool, id=ids[row].as_py(), kind=found[row].geom_type, count=int(wrong.sum()))
    parts, row_of_part = shapely.get_parts(found, return_index=True)
    xy, part = shapely.get_coordinates(parts, return_index=True)
    step = np.diff(np.round(xy / SAME_M), axis=0).any(axis=1)
    moved = np.r_[True, (part[1:] != part[:-1]) | step] if len(xy) else np.zeros(0, bool)
    xy, part = xy[moved], part[moved]
    is_line = np.bincount(part, minlength=len(parts))[part] > 1
    xy, part = xy[is_line], part[is_line]
    if not len(xy):
        raise SanyuError("SY-N032", tool=f"{tool}: network", least=1, count=0)
    return _noded(str(crs), ids, xy, part, np.asarray(row_of_part, np.int64))


def _noded(crs: str, ids: pa.Array, xy: Floats, part: Ints, row_of_part: Ints) -> Network:
    """Cut lines at the vertices that they share."""
    vertex = np.unique(np.round(xy / SAME_M).astype(np.int64), axis=0, return_inverse=True)[1].reshape(-1)
    starts = np.r_[True, part[1:] != part[:-1]]
    stops = np.r_[starts[1:], True]
    is_node = starts | stops | (np.bincount(vertex)[vertex] > 1)
    # A node on the way ends one edge and begins the next, so it is there twice.
    inner = is_node & ~starts & ~stops
    take = np.repeat(np.arange(len(xy)), np.where(inner, 2, 1))
    second = np.r_[False, take[1:] == take[:-1]]
    begins = starts[take] | second
    first = np.r_[np.flatnonzero(begins), len(take)]
    x, y = xy[take].T
    step = np.where(begins, 0.0, np.hypot(np.diff(x, prepend=x[0]), np.diff(y, prepend=y[0])))
    along = np.concatenate([np.cumsum(step[a:b]) for a, b in itertools.pairwise(first)])
    node = np.unique(vertex[take[np.r_[first[:-1], first[1:] - 1]]], return_inverse=True)[1].reshape(2, -1).T
    halves = node.reshape(-1)
    out = np.argsort(halves, kind="stable")
    out_from = np.r_[0, np.cumsum(np.bincount(halves))]
    row = row_of_part[part[take[first[:-1]]]]
    return Network(crs, ids, x.copy(), y.copy(), along, first, row, node, out, out_from)


def lixels_of(network: Network, lixel_m: float) -> Lixels:
    """Cut each edge into the fewest pieces of equal length of at most `lixel_m` metres."""
    length = network.length_m
    count = np.maximum(np.ceil(length / lixel_m - 1e-9), 1).astype(np.int64)
    first = np.r_[0, np.cumsum(count)]
    edge = np.repeat(np.arange(len(count)), count)
    row_begins = np.r_[True, network.row[1:] != network.row[:-1]]
    number = np.arange(first[-1]) - first[:-1][np.flatnonzero(row_begins)[np.cumsum(row_begins) - 1]][edge]
    return Lixels(network, count, first[:-1], edge, number, (length / count)[edge])
