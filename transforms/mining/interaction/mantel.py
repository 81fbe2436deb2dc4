"""Mantel's and Jacquez's tests of space-time interaction: a correlation of distances, and neighbours that are nearest in both."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from schemas.messages import SanyuError
from transforms.mining.ground import sums
from transforms.mining.ground.row_time import reach
from transforms.mining.interaction.interaction import batches, events, images
from transforms.mining.interaction.interaction_kernel import cross, in_both, time_neighbours
from transforms.mining.interaction.knox import summary
from transforms.mining.shelf.frames import Way, note
from transforms.mining.shelf.tool import tool
from transforms.mining.weights.weights_tree import Tree

MOST_ROWS = 50_000
BLOCK = 512
DAY_S = 86_400.0


@tool("Mantel test", "曼特尔时空交互检验", result="mart.mining__interaction", grain="summary", columns=("time",))
def mantel(
    frame: Any,
    time: str,
    *,
    space_constant: float = 1.0,
    space_power: float = -1.0,
    time_constant: float = 1.0,
    time_power: float = -1.0,
    time_unit_s: float = DAY_S,
    permutations: int = 99,
    seed: int = 0,
    id_column: str | None = None,
) -> Any:
    """Return one row: the correlation over all pairs of (d + c)^p in space (m) with (|Δt| + c)^p in time, and its upper-tail p-value.

    Instants and dates are taken in units of `time_unit_s` seconds, numbers as they are. Every pair counts, so the cost is the square of the
    rows; a Spark frame is collected. SY-N037 above 50,000 rows, SY-N034 where all distances or all lags are equal.
    """
    reach("mantel", "time_unit_s", time_unit_s, above=True)
    reach("mantel", "space_constant", space_constant, above=space_power < 0)
    reach("mantel", "time_constant", time_constant, above=time_power < 0)
    note(way=Way.IN_PROCESS)
    x, y, t, factor = events(frame, time, id_column, "mantel", 3)
    if len(x) > MOST_ROWS:
        raise SanyuError("SY-N037", tool="mantel", count=len(x), limit=MOST_ROWS)
    if factor != 1.0:
        t = t / (factor * time_unit_s)
    space, lag = np.array([space_constant, space_power]), np.array([time_constant, time_power])
    first, products = [0.0], []
    for number, lanes in enumerate(batches(t, np.arange(len(x)), permutations, seed, given=True)):
        found = _sums(x, y, lanes, space, lag, number == 0)
        first = first if number else found
        products.extend(found[4:])
    pairs = len(x) * (len(x) - 1) // 2
    spread_s, spread_t = (first[1] - first[0] ** 2 / pairs), (first[3] - first[2] ** 2 / pairs)
    for what, spread, level in (("distance", spread_s, first[1]), ("lag", spread_t, first[3])):
        if spread <= 1e-12 * level:
            raise SanyuError("SY-N034", tool="mantel", what=what)
    values = [(p - first[0] * first[2] / pairs) / math.sqrt(spread_s * spread_t) for p in products]
    return summary(frame, "mantel", values[0], 0.0, np.array(values[1:]), len(x), seed)


def _sums(x: Any, y: Any, times: Any, space: Any, lag: Any, whole: bool) -> list[float]:
    """Return the sums of `cross` over all pairs, exact over the rows' own sums."""
    rows = np.concatenate([cross(x, y, times, at, min(at + BLOCK, len(x)), space, lag, whole) for at in range(0, len(x), BLOCK)])
    return [sums.exact(column) for column in rows.T]


@tool("Jacquez test", "雅凯时空最近邻检验", result="mart.mining__interaction", grain="summary", columns=("time",))
def jacquez(frame: Any, time: str, *, k: int = 3, permutations: int = 999, seed: int = 0, id_column: str | None = None) -> Any:
    """Return one row: how many of the `k` nearest in space are among the `k` nearest in time (`statistic`), and its p-value (Jacquez 1996).

    Ties go to the smaller id, in space and in time; a permutation deals the slots in time to the rows, so its ties are those of the data.
    `expected` is n k² / (n − 1). A Spark frame is collected. SY-N030, SY-N031, SY-N032 for no more than `k` rows.
    """
    reach("jacquez", "k", k, least=1)
    note(way=Way.IN_PROCESS)
    x, y, t, _ = events(frame, time, id_column, "jacquez", k + 1)
    near, _ = Tree(x, y).nearest(k)
    soon, n = time_neighbours(t, k), len(x)
    near = np.ascontiguousarray(near).reshape(n, k)
    statistic = int(in_both(near, soon, np.arange(n)))
    drawn = np.array([in_both(near, soon, row) for image in images(n, permutations, seed) for row in image], np.int64)
    return summary(frame, "jacquez", statistic, n * k * k / (n - 1), drawn, n, seed)
