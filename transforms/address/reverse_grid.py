"""Nearest segment with a grid of cells: exact, and fast enough for every point of a city.

Coordinates are metres in a conformal grid, so the nearest on the plane is the nearest on the ground. A point is a segment of zero
length.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise

import numba
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
MAX_CELLS = 1 << 22
CHUNK = 1 << 15


@dataclass(frozen=True)
class SegmentGrid:
    """Segments (n, 4: x1, y1, x2, y2), and for each cell of the grid the segments that touch it (`starts`, `members`: compressed rows)."""

    segments: Floats
    west: float
    south: float
    cell_m: float
    nx: int
    ny: int
    starts: Ints
    members: Ints

    def nearest(self, x: Floats, y: Floats, reach_m: float, threads: int = 1) -> tuple[Ints, Floats]:
        """Return the nearest segment (−1 beyond `reach_m`) and its distance in metres (NaN); of equally near ones the first."""
        found, away = np.empty(len(x), np.int64), np.empty(len(x))

        def part(bounds: tuple[int, int]) -> None:
            low, high = bounds
            _nearest(self.segments, self.west, self.south, self.cell_m, self.nx, self.ny, self.starts, self.members,
                     x[low:high], y[low:high], reach_m, found[low:high], away[low:high])  # fmt: skip

        run(part, len(x), threads)
        return found, away


def run(part: Callable[[tuple[int, int]], None], size: int, threads: int) -> None:
    """Call `part` with the bounds of chunks, in threads if there is more than one chunk."""
    chunks = pairwise([*range(0, size, CHUNK), size])
    if threads == 1 or size <= CHUNK:
        for chunk in chunks:
            part(chunk)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(part, chunks))


def segment_grid(segments: Floats, per_cell: float = 2.0) -> SegmentGrid:
    """Build the grid over segments in metres, shape (n, 4), n ≥ 1; cells in use have about `per_cell` segments."""
    low = np.minimum(segments[:, :2], segments[:, 2:]).min(axis=0)
    high = np.maximum(segments[:, :2], segments[:, 2:]).max(axis=0)
    wide, tall = np.maximum(high - low, 1.0)
    cell = max(float(np.sqrt(wide * tall * per_cell / len(segments))), float(np.sqrt(wide * tall / MAX_CELLS)), 1.0)
    nx, ny = int(wide / cell) + 1, int(tall / cell) + 1
    counts = _touched(segments, low[0], low[1], cell, nx, ny, np.empty(0, np.int64), np.empty(0, np.int64))
    starts = np.concatenate([[0], np.cumsum(counts)])
    members = np.empty(int(starts[-1]), np.int64)
    _touched(segments, low[0], low[1], cell, nx, ny, starts, members)
    return SegmentGrid(segments, float(low[0]), float(low[1]), cell, nx, ny, starts, members)


@numba.njit(cache=True, nogil=True)
def _touched(segments: Floats, west: float, south: float, cell: float, nx: int, ny: int, starts: Ints, members: Ints) -> Ints:
    """Count the segments per cell or, given `starts`, write them to `members`; a cell is touched if its circumcircle is."""
    filled = np.zeros(nx * ny, np.int64)
    limit = (cell * 0.7072) ** 2
    for s in range(len(segments)):
        x1, y1, x2, y2 = segments[s]
        for i in range(max(0, int((min(x1, x2) - west) / cell)), min(nx - 1, int((max(x1, x2) - west) / cell)) + 1):
            for j in range(max(0, int((min(y1, y2) - south) / cell)), min(ny - 1, int((max(y1, y2) - south) / cell)) + 1):
                cx, cy = west + (i + 0.5) * cell, south + (j + 0.5) * cell
                if _squared(x1, y1, x2, y2, cx, cy) <= limit:
                    at = i * ny + j
                    if len(members) > 0:
                        members[starts[at] + filled[at]] = s
                    filled[at] += 1
    return filled


@numba.njit(cache=True, nogil=True, inline="always")
def _squared(x1: float, y1: float, x2: float, y2: float, x: float, y: float) -> float:
    dx, dy = x2 - x1, y2 - y1
    length = dx * dx + dy * dy
    t = 0.0
    if length > 0.0:
        t = min(1.0, max(0.0, ((x - x1) * dx + (y - y1) * dy) / length))
    ax, ay = x1 + t * dx - x, y1 + t * dy - y
    return ax * ax + ay * ay


@numba.njit(cache=True, nogil=True)
def _nearest(
    segments: Floats, west: float, south: float, cell: float, nx: int, ny: int, starts: Ints, members: Ints,
    xs: Floats, ys: Floats, reach: float, found: Ints, away: Floats,
) -> None:  # fmt: skip
    """Search rings of cells around each point until no nearer segment is possible.

    A point outside the grid is searched for from its projection onto it: no segment inside is nearer to the point than to the projection.
    """
    for k in range(len(xs)):
        found[k], away[k] = -1, np.nan
        x, y = xs[k], ys[k]
        if not (np.isfinite(x) and np.isfinite(y)):
            continue
        px, py = min(max(x, west), west + nx * cell), min(max(y, south), south + ny * cell)
        ci, cj = min(int((px - west) / cell), nx - 1), min(int((py - south) / cell), ny - 1)
        ox, oy = px - west - ci * cell, py - south - cj * cell
        margin = max(0.0, min(ox, cell - ox, oy, cell - oy))
        best, best_at = reach * reach, -1
        ring = 0
        while ring <= max(nx, ny):
            if ring > 0:
                least = margin + (ring - 1) * cell
                if least * least > best:
                    break
            for i in range(max(0, ci - ring), min(nx - 1, ci + ring) + 1):
                edge = i in (ci - ring, ci + ring)
                step = 1 if edge or ring == 0 else 2 * ring
                for j in range(cj - ring, cj + ring + 1, step):
                    if j < 0 or j >= ny:
                        continue
                    at = i * ny + j
                    for m in range(starts[at], starts[at + 1]):
                        s = members[m]
                        d = _squared(segments[s, 0], segments[s, 1], segments[s, 2], segments[s, 3], x, y)
                        if d < best or (d == best and (best_at < 0 or s < best_at)):
                            best, best_at = d, s
            ring += 1
        if best_at >= 0:
            found[k], away[k] = best_at, np.sqrt(best)
