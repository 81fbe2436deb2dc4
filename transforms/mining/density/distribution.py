"""Where a pattern lies and how far it spreads: centres, standard distance, ellipse; and the window that tests of a pattern need."""

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
from transforms.mining.shelf.frames import Way, floats, like, note
from transforms.mining.shelf.tool import tool

Floats = npt.NDArray[np.float64]
Window = tuple[float, float, float, float]
ROUNDS = 1000


@tool("Centres, standard distance, ellipse", "中心与标准差椭圆", result="mart.mining__centre", grain="summary", columns=("weight",))
def centres(frame: Any, *, weight: str | None = None, id_column: str | None = None) -> Any:
    """Return one row: mean and median centre (m), standard distance (m), deviational ellipse (semi-axes in m, azimuth of the major one).

    The median centre is the point of least summed distance (Weiszfeld 1937, Vardi and Zhang 2000). The ellipse is CrimeStat's: semi-axes
    times √2 and √(n/(n−2)); `azimuth_deg` is clockwise from north, 0 ≤ a < 180. The standard distance is over n. `weight` is a column of
    numbers ≥ 0. SY-N032 for an empty frame, SY-N034 where all weights are 0; the ellipse is empty below three rows.
    """
    note(way=Way.IN_PROCESS)
    table = points(frame, [] if weight is None else [weight], id_column)
    n = table.num_rows
    if n < 1:
        raise SanyuError("SY-N032", tool="centres", least=1, count=n)
    x, y = floats(table, "x_m"), floats(table, "y_m")
    w = np.ones(n) if weight is None else floats(table, weight)
    if (w < 0).any():
        raise SanyuError("SY-N030", tool="centres", name=f"weight column {weight}", value=float(w.min()), least="≥ 0")
    total = sums.exact(w)
    if total == 0:
        raise SanyuError("SY-N034", tool="centres", what="weight 0")
    mean_x, mean_y = sums.exact(w * x) / total, sums.exact(w * y) / total
    dx, dy = x - mean_x, y - mean_y
    xx, yy, xy = sums.exact(w * dx * dx) / total, sums.exact(w * dy * dy) / total, sums.exact(w * dx * dy) / total
    median_x, median_y = geometric_median(x, y, w)
    major, minor, azimuth = ellipse(xx, yy, xy, n)
    figures = {
        "mean_x_m": mean_x,
        "mean_y_m": mean_y,
        "median_x_m": median_x,
        "median_y_m": median_y,
        "standard_distance_m": math.sqrt(xx + yy),
        "major_m": major,
        "minor_m": minor,
        "azimuth_deg": azimuth,
        "row_count": n,
        "weight_sum": total,
    }
    return like(frame, one_row(figures))


def one_row(figures: dict[str, Any]) -> pa.Table:
    """Return one row of figures; whole numbers are long, all other double, None and NaN null."""
    kinds = {k: pa.int64() if isinstance(v, int) else pa.string() if isinstance(v, str) else pa.float64() for k, v in figures.items()}
    return pa.table({k: pa.array([v], kinds[k], from_pandas=True) for k, v in figures.items()})


def ellipse(xx: float, yy: float, xy: float, n: int) -> tuple[float, float, float]:
    """Return semi-axes (m) and the azimuth (°) of the major one from central moments over n; NaN below three rows.

    The axes are the eigenvectors of the moments (Yuill 1971); where they are equal the azimuth is 0.
    """
    if n < 3:
        return math.nan, math.nan, math.nan
    middle, spread = (xx + yy) / 2, math.hypot((xx - yy) / 2, xy)
    scale = 2.0 * n / (n - 2)
    azimuth = math.degrees(0.5 * math.atan2(2 * xy, yy - xx)) % 180.0 if spread > 0 else 0.0
    return math.sqrt(scale * (middle + spread)), math.sqrt(scale * max(middle - spread, 0.0)), azimuth


def geometric_median(x: Floats, y: Floats, w: Floats, tolerance_m: float = 1e-9) -> tuple[float, float]:
    """Return the point of least weighted summed distance, by Weiszfeld's iteration with Vardi and Zhang's step off a data point."""
    x0, y0 = float(x[0]), float(y[0])
    px, py = x - x0, y - y0
    total = float(w.sum())
    cx, cy = float((w * px).sum()) / total, float((w * py).sum()) / total
    for _ in range(ROUNDS):
        distance = np.hypot(px - cx, py - cy)
        at = distance == 0.0
        inverse = np.divide(w, distance, out=np.zeros_like(w), where=~at)
        weight = float(inverse.sum())
        if weight == 0.0:
            break
        tx, ty = float((inverse * px).sum()) / weight, float((inverse * py).sum()) / weight
        if at.any():
            pull = math.hypot(tx - cx, ty - cy) * weight
            keep = min(1.0, float(w[at].sum()) / pull) if pull > 0 else 1.0
            tx, ty = (1 - keep) * tx + keep * cx, (1 - keep) * ty + keep * cy
        moved = math.hypot(tx - cx, ty - cy)
        cx, cy = tx, ty
        if moved <= tolerance_m:
            break
    return cx + x0, cy + y0


def window_of(tool_name: str, given: str | Sequence[float] | None, x: Floats, y: Floats, ids: pa.ChunkedArray) -> Window:
    """Return the window (xmin, ymin, xmax, ymax) in metres: the given one, or the box around the rows; SY-N038."""
    if given is None:
        window = (float(x.min()), float(y.min()), float(x.max()), float(y.max()))
    else:
        try:
            values = [float(v) for v in (given.split(",") if isinstance(given, str) else given)]
        except ValueError:
            values = []
        window = (values[0], values[1], values[2], values[3]) if len(values) == 4 else (0.0, 0.0, 0.0, 0.0)
    outside = (x < window[0]) | (x > window[2]) | (y < window[1]) | (y > window[3])
    flat = not (window[2] > window[0] and window[3] > window[1] and all(map(math.isfinite, window)))
    if flat or outside.any():
        raise SanyuError("SY-N038", tool=tool_name, window=given or window, id=ids[int(np.argmax(outside))].as_py())
    return window


def area_of(window: Window) -> float:
    """Return the area of a window in m²."""
    return (window[2] - window[0]) * (window[3] - window[1])


def placed(frame: Any, id_column: str | None, tool_name: str, least: int) -> tuple[Floats, Floats, pa.ChunkedArray]:
    """Return x, y (m) and the ids of the rows, sorted by id; SY-N032 for fewer rows than `least`."""
    table = points(frame, [], id_column)
    if table.num_rows < least:
        raise SanyuError("SY-N032", tool=tool_name, least=least, count=table.num_rows)
    return floats(table, "x_m"), floats(table, "y_m"), table.column("id")
