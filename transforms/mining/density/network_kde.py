"""Kernel density along streets: rows per kilometre, smoothed over network distance with the equal-split kernels of Okabe et al. (2009)."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from numba import njit

from schemas.messages import SanyuError
from transforms.mining.density.kde import KERNELS, Kernel
from transforms.mining.density.network import SAME_M, Lixels, lixels_of, network_of
from transforms.mining.ground.metres import LAKE_CRS, points
from transforms.mining.ground.row_time import reach
from transforms.mining.shelf.frames import Way, floats, like, note
from transforms.mining.shelf.tool import tool
from transforms.space.coords import transform_geometries

NAME = "network_kde"
SPLITS = ("discontinuous", "continuous")
ROADS = "core.basemap__road_segment"
GAUSSIAN_REACH = 4.0  # bandwidths; the kernel is scaled to hold its whole mass within
MOST_LIXELS = 50_000_000
MOST_CELLS = 1 << 25  # of a bin and a half of an edge, 16 bytes each
LEAST_BINS, MOST_BINS = 64, 512
WORST_GAP, WORST_DIP = 1e-4, 1e-3  # what the continuous kernel may miss of the mass, and go below 0, of the peak


@tool(
    "Kernel density along streets",
    "路网核密度",
    result="mart.mining__network_density",
    grain="own",
    columns=("weight",),
    tables={"network": ROADS},
)
def network_kde(
    frame: Any,
    *,
    network: Any,
    bandwidth_m: float,
    lixel_m: float = 25.0,
    kernel: Kernel = "quartic",
    split: Literal["discontinuous", "continuous"] = "discontinuous",
    snap_m: float = 50.0,
    weight: str | None = None,
    id_column: str | None = None,
) -> Any:
    """Return a row per lixel with a density: `segment_id`, `lixel_number`, length (m), rows (or weight) per km, bandwidth, `geom`.

    `network` is a frame of lines of any kind; lixels are at most `lixel_m` long and their density is the mean over their length. A row of
    the frame belongs to the nearest street within `snap_m` metres, rows further away are dropped and counted. The kernel reaches
    `bandwidth_m` along the streets (the gaussian four of them). `split` says what a crossing does to it, see the tool's page.
    The geometry is WKB in EPSG:4490, a GeoDataFrame for a GeoDataFrame. Rows given by `x_m`, `y_m` are in the network's metric system.
    SY-N030, SY-N032, SY-N035, SY-N040 to SY-N042.
    """
    for name, value, known in (("kernel", kernel, KERNELS), ("split", split, SPLITS)):
        if value not in known:
            raise SanyuError("SY-N035", tool=NAME, name=name, value=value, known=", ".join(known))
    for name, length in (("bandwidth_m", bandwidth_m), ("lixel_m", lixel_m), ("snap_m", snap_m)):
        reach(NAME, name, length, above=True)
    note(way=Way.IN_PROCESS)
    net = network_of(network, NAME)
    if float(net.length_m.sum()) / lixel_m > MOST_LIXELS:
        raise SanyuError("SY-N030", tool=NAME, name="lixel_m", value=lixel_m, least=f"large enough for {MOST_LIXELS:,} lixels")
    table = points(frame, [] if weight is None else [weight], id_column, crs=net.crs)
    if table.num_rows < 1:
        raise SanyuError("SY-N032", tool=NAME, least=1, count=0)
    w = np.ones(table.num_rows) if weight is None else floats(table, weight)
    event, edge, at = net.snapped(floats(table, "x_m"), floats(table, "y_m"), snap_m)
    if not len(event):
        raise SanyuError("SY-N041", tool=NAME, snap_m=snap_m, count=table.num_rows)
    lixels = lixels_of(net, lixel_m)
    values, lost = density(lixels, edge, at, w[event], bandwidth_m, kernel, is_continuous=split == "continuous")
    note(row_count=len(event), dropped_count=table.num_rows - len(event), lost_count=lost)
    note(edge_count=len(net.row), node_count=len(net.out_from) - 1, network_km=float(net.length_m.sum()) / 1000, lixel_count=len(values))
    return like(frame, _table(lixels, values, bandwidth_m), geometry="geom", crs=LAKE_CRS)


def density(
    lixels: Lixels, edge: Any, at: Any, weight: Any, bandwidth_m: float, kernel: Kernel = "quartic", *, is_continuous: bool = False
) -> tuple[Any, float]:
    """Return the mean density of every lixel per metre, for rows `at` metres along `edge`, and the weight lost over dead ends.

    Lixels' density times length, and what is lost, add up to the weights. Time and memory grow with the edges, not with rows or paths.
    SY-N042 where what the continuous kernel adds and takes away is too much to cancel.
    """
    net = lixels.network
    w = np.asarray(weight, np.float64)
    halves = 2 * len(net.row) * (2 if is_continuous or (w < 0).any() else 1)
    bins = min(max(MOST_CELLS // halves, LEAST_BINS), MOST_BINS)
    out, state = np.zeros(len(lixels.edge)), (np.zeros((bins, halves)), np.zeros((bins, halves)))
    streets = (net.length_m, lixels.first, lixels.count, net.ends.ravel(), net.out, net.out_from)
    rows = (np.asarray(edge, np.int64), np.asarray(at, np.float64), w)
    lost = spread(*rows, *streets, float(bandwidth_m), KERNELS.index(kernel), is_continuous, state, out)
    if is_continuous:
        gap = abs(float((out * lixels.length_m).sum()) - float(w.sum()))
        if not (gap <= WORST_GAP * np.abs(w).sum() and ((w < 0).any() or out.min() >= -WORST_DIP * out.max())):
            raise SanyuError("SY-N042", tool=NAME, bandwidth_m=bandwidth_m)
    return out, float(lost)


def _table(lixels: Lixels, values: Any, bandwidth_m: float) -> pa.Table:
    chosen = np.flatnonzero(np.abs(values) > 1e-12 * np.abs(values).max(initial=0.0))
    net = lixels.network
    ids = pc.cast(net.ids, pa.string()).take(pa.array(net.row[lixels.edge[chosen]]))
    lines = transform_geometries(lixels.lines(chosen), net.crs, LAKE_CRS)
    columns = {
        "segment_id": ids,
        "lixel_number": pa.array(lixels.number[chosen], pa.int32()),
        "length_m": lixels.length_m[chosen],
        "density_km": values[chosen] * 1000,
        "bandwidth_m": np.full(len(chosen), float(bandwidth_m)),
        "geom": pa.array(shapely.to_wkb(lines), pa.binary()),
    }
    return pa.table(columns)


@njit(cache=True)
def mass(distance: float, h: float, kernel: int) -> float:  # pragma: no cover
    """Return the kernel's integral from 0 to a distance, 0.5 at its reach; kernels in one dimension, in the order of `KERNELS`."""
    u = distance / h
    if kernel == 1:
        return 0.5 * math.erf(min(u, GAUSSIAN_REACH) / math.sqrt(2.0)) / math.erf(GAUSSIAN_REACH / math.sqrt(2.0))
    u = min(u, 1.0)
    if kernel == 0:
        return 15.0 / 16.0 * u * (1.0 - 2.0 / 3.0 * u * u + 0.2 * u * u * u * u)
    if kernel == 2:
        return 0.75 * u * (1.0 - u * u / 3.0)
    if kernel == 3:
        return u - 0.5 * u * u
    return 0.5 * u


@njit(cache=True)
def laid(  # pragma: no cover
    half: int, d: float, level: float, length: float, first: int, count: int, h: float, kernel: int, far: float, out: Any
) -> None:
    """Add the part of a path on one edge to the edge's lixels, in place; what lies before distance 0 or beyond `far` gets nothing."""
    size = length / count
    j = 0 if d >= 0.0 else int(-d / size)
    before = mass(max(d + j * size, 0.0), h, kernel)
    end = d
    while j < count and end < far:
        end = d + (length if j == count - 1 else (j + 1) * size)
        if end > 0.0:
            now = mass(end, h, kernel)
            out[first + (j if half & 1 == 0 else count - 1 - j)] += level * (now - before) / size
            before = now
        j += 1


@njit(cache=True)
def onward(  # pragma: no cover
    half: int, end: float, f: float, least: int, width: float, node: Any, out_half: Any, out_from: Any, is_continuous: bool, state: Any
) -> bool:
    """Send what comes to the end of a half on into the streets there; tell whether some is in the bin `least` again. See `spread`."""
    level, moment = state
    v, halves = node[half ^ 1], len(node)
    degree = out_from[v + 1] - out_from[v]
    share = 2.0 / degree if is_continuous else 1.0 / (degree - 1)
    again = False
    for k in range(out_from[v], out_from[v + 1]):
        given = f * share
        if out_half[k] == half ^ 1:
            given = f * (share - 1.0) if is_continuous else 0.0
        if given != 0.0:
            at = out_half[k] + (halves if given < 0.0 else 0)
            place = max(least, min(int(end / width), len(level) - 1))
            level[place, at] += given
            moment[place, at] += given * end
            again |= place == least
    return again


@njit(cache=True)
def spread(  # pragma: no cover
    edge: Any,
    at: Any,
    weight: Any,
    length: Any,
    first: Any,
    count: Any,
    node: Any,
    out_half: Any,
    out_from: Any,
    h: float,
    kernel: int,
    is_continuous: bool,
    state: Any,
    out: Any,
) -> float:
    """Add all rows' kernels to the lixels' mean densities, in place; return what is lost over dead ends.

    `state` is two arrays (bin of distance, half, then half again for what is negative): what begins a half at a distance in the bin, and
    that times the distance. All rows go on together, bin by bin; what is in one bin of a half goes on at its mean distance.
    """
    level, moment = state
    halves, width = len(node), h * (GAUSSIAN_REACH if kernel == 1 else 1.0) / len(level)
    far = width * len(level)
    lost = 0.0
    for p in range(len(edge)):
        e, t, w = edge[p], at[p], weight[p]
        if SAME_M < t < length[e] - SAME_M:
            for half, d in ((2 * e, -t), (2 * e + 1, t - length[e])):
                laid(half, d, w, length[e], first[e], count[e], h, kernel, far, out)
                end = d + length[e]
                if end < far and not is_continuous and is_end(half, node, out_from):
                    lost += w * (0.5 - mass(end, h, kernel))
                elif end < far:
                    onward(half, end, w, 0, width, node, out_half, out_from, is_continuous, state)
        else:
            v = node[2 * e] if t <= SAME_M else node[2 * e + 1]
            for k in range(out_from[v], out_from[v + 1]):
                level[0, out_half[k] + (halves if w < 0.0 else 0)] += w * 2.0 / (out_from[v + 1] - out_from[v])
    for b in range(len(level)):
        pending = True
        while pending:
            pending = False
            for i in np.flatnonzero(level[b]):
                f, d = level[b, i], moment[b, i] / level[b, i]
                level[b, i], moment[b, i] = 0.0, 0.0
                half = int(i) % halves
                e = half >> 1
                laid(half, d, f, length[e], first[e], count[e], h, kernel, far, out)
                end = d + length[e]
                if end < far and not is_continuous and is_end(half, node, out_from):
                    lost += f * (0.5 - mass(end, h, kernel))
                elif end < far:
                    pending |= onward(half, end, f, b, width, node, out_half, out_from, is_continuous, state)
    return lost


@njit(cache=True)
def is_end(half: int, node: Any, out_from: Any) -> bool:  # pragma: no cover
    """Tell whether a half leads to a dead end."""
    v = node[half ^ 1]
    return bool(out_from[v + 1] - out_from[v] == 1)
