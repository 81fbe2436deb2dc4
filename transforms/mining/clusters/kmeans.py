"""k-means (Lloyd 1982) with a seeding and a tie rule that know no order: the same clusters for any partitions and any shuffle."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from schemas.messages import SanyuError
from transforms.mining.ground import sums
from transforms.mining.ground.metres import points
from transforms.mining.ground.permute import uniform
from transforms.mining.ground.row_time import reach
from transforms.mining.shelf.frames import Way, attached, floats, note
from transforms.mining.shelf.tool import tool

Floats = npt.NDArray[np.float64]
BLOCK = 65_536


@tool("k-means", "K均值聚类", result="mart.mining__partition", columns=())
def kmeans(
    frame: Any,
    *,
    k: int,
    values: str | Sequence[str] = (),
    starts: int = 8,
    rounds: int = 300,
    seed: int = 0,
    id_column: str | None = None,
) -> Any:
    """Return the frame with `part` (0 … k−1, by the size of the part, largest first, then its first id) and `distance` to its centre.

    Parts are made in space (metres), or in the standardised columns of `values` (`a,b`). Seeds are drawn by k-means++ (Arthur and
    Vassilvitskii 2007) from keyed numbers, the best of `starts` runs counts, a row between two centres goes to the earlier; a centre that
    loses all its rows takes the row that is farthest from its own. SY-N030, SY-N032 for fewer different rows than `k`, SY-N034.
    """
    for name, value in (("k", k), ("starts", starts), ("rounds", rounds)):
        reach("kmeans", name, value, least=1)
    note(way=Way.IN_PROCESS)
    table = points(frame, named(values), id_column)
    data = features(table, named(values), "kmeans")
    different = len(np.unique(data, axis=0))
    if different < k:
        raise SanyuError("SY-N032", tool="kmeans", least=f"{k} different", count=different)
    runs = [lloyd(data, seeds(data, k, seed, start), rounds) for start in range(starts)]
    inertia, part, distance = min(runs, key=lambda run: run[0])
    note(inertia=inertia, row_count=len(data))
    return attached(
        frame, pa.table([table.column("id"), pa.array(ranked(part), pa.int32()), distance], names=["id", "part", "distance"]), id_column
    )


def named(values: str | Sequence[str]) -> list[str]:
    """Return column names from a list or a text such as `a,b`."""
    return [v.strip() for v in values.split(",") if v.strip()] if isinstance(values, str) else list(values)


def features(table: pa.Table, columns: Sequence[str], tool_name: str) -> Floats:
    """Return the columns standardised (z-scores over n), or the places in metres from their mean; SY-N034 for a constant column."""
    if not columns:
        return np.stack([floats(table, c) - sums.mean(floats(table, c)) for c in ("x_m", "y_m")], axis=1)
    found = []
    for column in columns:
        centre, variance, _ = sums.moments(floats(table, column))
        if not variance > 0:
            raise SanyuError("SY-N034", tool=tool_name, what=f"column {column}")
        found.append((floats(table, column) - centre) / math.sqrt(variance))
    return np.stack(found, axis=1)


def seeds(data: Floats, k: int, seed: int, start: int) -> Floats:
    """Return k rows as first centres: each is drawn with a chance by its squared distance from those before."""
    drawn = uniform(seed, np.arange(k), start)
    chosen = [int(drawn[0] * len(data))]
    nearest = np.full(len(data), np.inf)
    for number in drawn[1:]:
        nearest = np.minimum(nearest, ((data - data[chosen[-1]]) ** 2).sum(axis=1))
        total = np.cumsum(nearest)
        chosen.append(min(int(np.searchsorted(total, number * total[-1], side="right")), len(data) - 1))
    return data[chosen]


def lloyd(data: Floats, centres: Floats, rounds: int) -> tuple[float, npt.NDArray[np.int64], Floats]:
    """Return inertia, part and distance of each row once no row changes its part, or after `rounds`; sums in the rows' order."""
    k, dimensions = centres.shape
    part = np.full(len(data), -1, np.int64)
    for _ in range(rounds):
        found, square = assigned(data, centres)
        if np.array_equal(found, part):
            break
        part = found
        count = np.bincount(part, minlength=k)
        for empty in np.flatnonzero(count == 0):
            far = int(np.argmax(square))
            part[far], square[far] = empty, 0.0
            count = np.bincount(part, minlength=k)
        totals = np.stack([np.bincount(part, data[:, d], minlength=k) for d in range(dimensions)], axis=1)
        centres = totals / np.maximum(count, 1)[:, None]
    square = ((data - centres[part]) ** 2).sum(axis=1)
    return sums.exact(square), part, np.sqrt(square)


def assigned(data: Floats, centres: Floats) -> tuple[npt.NDArray[np.int64], Floats]:
    """Return the nearest centre of each row (ties: the earlier) and the squared distance to it."""
    part, square = np.empty(len(data), np.int64), np.empty(len(data))
    for at in range(0, len(data), BLOCK):
        block = data[at : at + BLOCK]
        far = ((block[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)
        part[at : at + BLOCK] = far.argmin(axis=1)
        square[at : at + BLOCK] = far.min(axis=1)
    return part, square


def ranked(part: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return parts renumbered by size, largest first, then by their first row."""
    labels, first, place, size = np.unique(part, return_index=True, return_inverse=True, return_counts=True)
    order = np.lexsort((first, -size))
    rank = np.empty(len(labels), np.int64)
    rank[order] = np.arange(len(labels))
    return rank[place]
