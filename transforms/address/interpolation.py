"""A door between two known doors: numbers of one parity lie on one side of a road, and a missing door is placed by its number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

from transforms.address.crossings import metres_per_degree

MAX_GAP_M = 400.0
MAX_STEPS = 40  # maximum steps of one side between the two known doors
MAX_SETBACK_M = 120.0


@dataclass(frozen=True, slots=True)
class Interpolated:
    """The location of a door derived from its neighbours `low` and `high` on the same side, `gap_m` apart; lon, lat in degrees."""

    lon: float
    lat: float
    low: int
    high: int
    gap_m: float


def interpolate_door(
    number: int,
    numbers: npt.NDArray[Any],
    lon: npt.NDArray[np.float64],
    lat: npt.NDArray[np.float64],
    line: shapely.Geometry | None = None,
    *,
    is_by_side: bool = True,
) -> Interpolated | None:
    """Return where a door of this number lies on a road whose doors have these numbers and places; None if that can't be determined.

    `line` is the road in degrees; the door then follows it, at the same offset as its neighbours. `is_by_side` uses doors of one parity
    only. Returns None beyond the known numbers, and if the neighbours are more than MAX_GAP_M or MAX_STEPS apart.
    """
    same = (numbers - number) % (2 if is_by_side else 1) == 0
    below, above = np.flatnonzero(same & (numbers < number)), np.flatnonzero(same & (numbers > number))
    if not len(below) or not len(above):
        return None
    i, j = below[numbers[below].argmax()], above[numbers[above].argmin()]
    low, high = int(numbers[i]), int(numbers[j])
    scale = metres_per_degree(float(lat[i]))
    a, b = np.array([lon[i], lat[i]]) * scale, np.array([lon[j], lat[j]]) * scale
    gap = float(np.hypot(*(b - a)))
    if gap > MAX_GAP_M or high - low > MAX_STEPS * (2 if is_by_side else 1):
        return None
    share = (number - low) / (high - low)
    spot = a + share * (b - a)
    if line is not None:
        spot = _along(shapely.transform(line, lambda xy: xy * scale), a, b, share, spot)
    return Interpolated(float(spot[0] / scale[0]), float(spot[1] / scale[1]), low, high, gap)


def _along(line: Any, a: Any, b: Any, share: float, straight: Any) -> Any:
    """Return the place along the line, or on the straight connection if the neighbours do not lie along one part of it."""
    parts = shapely.get_parts(line)
    ends = shapely.points([a, b])
    part = parts[np.argmin(shapely.distance(parts, ends[0]) + shapely.distance(parts, ends[1]))]
    if shapely.distance(part, ends).max() > MAX_SETBACK_M:
        return straight
    at = shapely.line_locate_point(part, ends)
    feet = shapely.get_coordinates(shapely.line_interpolate_point(part, at))
    goal = at[0] + share * (at[1] - at[0])
    if abs(at[1] - at[0]) < 1.0:
        return straight
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(part, [goal, max(goal - 1, 0), min(goal + 1, shapely.length(part))]))
    heading = ahead[2] - ahead[1]
    normal = np.array([-heading[1], heading[0]]) / max(float(np.hypot(*heading)), 1e-9)
    setback = [_signed(part, at[k], feet[k], end) for k, end in enumerate((a, b))]
    if setback[0] * setback[1] < 0:
        return straight
    return ahead[0] + normal * (setback[0] + share * (setback[1] - setback[0]))


def _signed(part: Any, at: float, foot: Any, spot: Any) -> float:
    """Return the distance of a place from the line, positive on its left."""
    near = shapely.get_coordinates(shapely.line_interpolate_point(part, [max(at - 1, 0), min(at + 1, shapely.length(part))]))
    heading, off = near[1] - near[0], spot - foot
    return float(np.sign(heading[0] * off[1] - heading[1] * off[0]) * np.hypot(*off))
