"""Ripley's K, Besag's L and the pair correlation g from whole numbers of pairs, with an envelope of random patterns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from schemas.messages import SanyuError
from transforms.mining.density.distribution import Floats, Window, area_of, placed, window_of
from transforms.mining.ground.permute import uniform
from transforms.mining.ground.row_time import reach
from transforms.mining.ground.steps import steps
from transforms.mining.interaction.interaction import Ints, is_here, tile_counts
from transforms.mining.interaction.interaction_kernel import border_counts, counts
from transforms.mining.shelf.frames import like, note
from transforms.mining.shelf.tool import tool

Edge = Literal["none", "border"]
NO_LAGS = np.empty(0)


@tool("Ripley's K, L and g", "里普利K函数", result="mart.mining__ripley", grain="own", columns=())
def ripley(
    frame: Any,
    *,
    distances_m: str | Sequence[float],
    window: str | Sequence[float] | None = None,
    edge: Edge = "none",
    simulations: int = 99,
    alpha: float = 0.05,
    seed: int = 0,
    id_column: str | None = None,
    tile_m: float | None = None,
) -> Any:
    """Return a row per distance: pairs within it, K (m²), L (m), g, and what random patterns of as many points in the window give.

    K = A · 2 pairs / n² (as pointpats), L = √(K/π), g from the pairs between a distance and the one before. `edge="border"` counts the
    neighbours of points at least the distance from the window's edge only (Ripley 1988), `counted_points` of them; K is null where there
    are none. `l_low`, `l_high` are the pointwise envelope that leaves out `alpha` of the simulations, half on each side; `p_value` is
    two-sided for the row, `p_overall` the test of the greatest |L − r| over all distances (maximum absolute deviation). SY-N030 to SY-N038.
    """
    r = steps("ripley", "distances_m", distances_m)
    if edge not in ("none", "border"):
        raise SanyuError("SY-N035", tool="ripley", name="edge", value=edge, known="none, border")
    reach("ripley", "simulations", simulations)
    here = is_here(frame, tile_m) or edge == "border"
    x, y, ids = placed(frame, id_column, "ripley", 2)
    box = window_of("ripley", window, x, y, ids)
    if here:
        pairs, bases = _pairs(x, y, r, box, edge)
    else:
        pairs, bases = tile_counts(frame, None, id_column, r, NO_LAGS, tile_m)[:, 0] * 2, np.full(len(r), len(x))
    k, big_l, g = functions(pairs, bases, len(x), r, area_of(box))
    drawn = np.array([_simulated(len(x), box, r, edge, seed, s) for s in range(simulations)]).reshape(simulations, len(r))
    columns: dict[str, Any] = {
        "distance_m": r,
        "pair_count": pairs // (2 if edge == "none" else 1),
        "counted_points": bases,
        "k_m2": k,
        "l_m": big_l,
        "g": g,
        **_envelope(big_l, drawn, r, alpha),
    }
    return like(frame, pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()}))


def _pairs(x: Floats, y: Floats, r: Floats, box: Window, edge: Edge) -> tuple[Ints, Ints]:
    """Return directed pairs within each distance, and how many points' neighbours were counted."""
    owned = np.ones(len(x), bool)
    if edge == "none":
        return counts(x, y, np.zeros(len(x)), owned, r, NO_LAGS)[:, 0], np.full(len(r), len(x))
    inward = np.minimum(np.minimum(x - box[0], box[2] - x), np.minimum(y - box[1], box[3] - y))
    last = np.searchsorted(r, inward, side="right")
    return border_counts(x, y, owned, last, r), (last[:, None] > np.arange(len(r))).sum(axis=0)


def functions(pairs: Ints, bases: Ints, n: int, r: Floats, area_m2: float) -> tuple[Floats, Floats, Floats]:
    """Return K, L and g from directed pairs and the number of points whose neighbours were counted; NaN where that is 0."""
    per_point = np.divide(pairs, bases, out=np.full(len(r), np.nan), where=bases > 0)
    k = per_point * area_m2 / n
    inner, below = np.concatenate([[0.0], r[:-1]]), np.concatenate([[0.0], k[:-1]])
    return k, np.sqrt(k / np.pi), (k - below) / (np.pi * (r**2 - inner**2))


def _simulated(n: int, box: Window, r: Floats, edge: Edge, seed: int, number: int) -> Floats:
    """Return L of a random pattern: coordinates keyed by seed, simulation and point."""
    x = box[0] + uniform(seed, np.arange(n), 2 * number) * (box[2] - box[0])
    y = box[1] + uniform(seed, np.arange(n), 2 * number + 1) * (box[3] - box[1])
    pairs, bases = _pairs(x, y, r, box, edge)
    return functions(pairs, bases, n, r, area_of(box))[1]


def _envelope(observed: Floats, drawn: Floats, r: Floats, alpha: float) -> dict[str, Any]:
    if not len(drawn):
        nothing = np.full(len(r), np.nan)
        return {"l_low": nothing, "l_high": nothing, "p_value": nothing, "p_overall": nothing}
    ordered = np.sort(drawn, axis=0)
    cut = min(int(alpha / 2 * (len(drawn) + 1)), (len(drawn) - 1) // 2)
    cut = max(cut - 1, 0)
    tail = np.minimum((drawn >= observed).sum(axis=0), (drawn <= observed).sum(axis=0))
    valid = np.isfinite(observed) & np.isfinite(drawn).all(axis=0)
    greatest = np.abs(drawn - r)[:, valid].max(axis=1, initial=0.0)
    overall = (1 + int((greatest >= np.abs(observed - r)[valid].max(initial=0.0)).sum())) / (1 + len(drawn))
    note(p_overall=overall)
    p = np.minimum(1.0, 2 * (1 + tail) / (1 + len(drawn)))
    return {
        "l_low": ordered[cut],
        "l_high": ordered[-1 - cut],
        "p_value": np.where(valid, p, np.nan),
        "p_overall": np.full(len(r), overall),
    }
