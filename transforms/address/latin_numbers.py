"""House numbers along the streets of a grid city: known doors, numbers at crossings (see `blocks`), and positions in between."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

Floats = npt.NDArray[np.float64]
BEYOND_M = 250.0  # how far numbering is extrapolated beyond the last known number
CURVE_DOORS = 20  # number of doors for each ten of a hundred needed to learn the curve
TENS = np.arange(0.0, 101.0, 10.0)
STRAIGHT = TENS / 100


@dataclass
class NumberedStreet:
    """A street in metres with its long axis: `at` and `numbers` are the known positions and numbers along it.

    `curve` gives the positions of the numbers 0, 10 … 100 within a block, as shares of the block.
    """

    line: Any
    origin: Floats
    axis: Floats
    at: Floats
    numbers: Floats
    curve: Floats = field(default_factory=lambda: STRAIGHT)

    @classmethod
    def of(cls, line: Any, doors_xy: Floats, numbers: Floats) -> NumberedStreet:
        """Create a street from its line (metres) and the doors known on it, shape (n, 2); doors over 150 m off it are left out."""
        xy = shapely.get_coordinates(shapely.segmentize(line, 20.0))
        origin = xy.mean(axis=0)
        axis = np.linalg.svd(xy - origin, full_matrices=False)[2][0]
        near = shapely.distance(line, shapely.points(doors_xy)) < 150.0 if len(numbers) else np.zeros(0, bool)
        street = cls(line, origin, axis, np.empty(0), np.empty(0))
        street.learn((doors_xy[near] - origin) @ axis if near.any() else np.empty(0), numbers[near].astype(float))
        return street

    def learn(self, at: Floats, numbers: Floats) -> None:
        """Add more known numbers, and keep those that rise or fall with the axis: the longest such chain."""
        at, numbers = np.concatenate([self.at, at]), np.concatenate([self.numbers, numbers])
        order = np.argsort(at, kind="stable")
        at, numbers = at[order], numbers[order]
        if len(at) > 2:
            kept = max((_rising(numbers), _rising(-numbers)), key=len)
            at, numbers = at[kept], numbers[kept]
        self.at, self.numbers = at, numbers

    def relearn(self, at: Floats, numbers: Floats) -> None:
        """Replace all known numbers by these."""
        self.at, self.numbers = np.empty(0), np.empty(0)
        self.learn(at, numbers)

    def number_at(self, at: float) -> float | None:
        """Return the number at a place on the axis, None outside the known numbers."""
        if len(self.at) < 2 or not self.at[0] - 60 <= at <= self.at[-1] + 60:
            return None
        return float(np.interp(at, self.at, self.numbers))

    def place_of(self, number: int) -> Floats | None:
        """Return the place (metres) of a number on the street's line; None if it is too far from the known numbers."""
        if len(self.at) < 2 or self.numbers[0] == self.numbers[-1]:
            return None
        order = np.argsort(self.numbers, kind="stable")
        numbers, at = self.numbers[order], self.at[order]
        if numbers[0] <= number <= numbers[-1]:
            goal = self._between(number, numbers, at)
        else:
            slope = (at[-1] - at[0]) / (numbers[-1] - numbers[0])
            end = 0 if number < numbers[0] else -1
            beyond = (number - numbers[end]) * slope
            if abs(beyond) > BEYOND_M:
                return None
            goal = float(at[end] + beyond)
        return self.point_at(goal)

    def _between(self, number: int, numbers: Floats, at: Floats) -> float:
        """Return the place between the two known numbers around it, using the curve if they are the ends of a block."""
        high = int(np.clip(np.searchsorted(numbers, number, side="right"), 1, len(numbers) - 1))
        if numbers[high] - numbers[high - 1] == 100 and numbers[high] % 100 == 0:
            return float(at[high - 1] + self.share(number % 100) * (at[high] - at[high - 1]))
        return float(np.interp(number, numbers, at))

    def share(self, rest: float) -> float:
        """Return the position within its block of a number that is this much above its hundred."""
        return float(np.interp(rest, TENS, self.curve))

    def sense(self) -> float:
        """Return +1 if numbers rise along the axis, −1 if they fall."""
        return 1.0 if self.numbers[-1] >= self.numbers[0] else -1.0

    def sides(self, xy: Floats) -> Floats:
        """Return +1 for places left of the axis, −1 right of it, 0 within 4 m of the line."""
        feet = shapely.line_locate_point(self.line, shapely.points(xy)) if shapely.get_type_id(self.line) == 1 else None
        middle = self.origin + np.outer((xy - self.origin) @ self.axis, self.axis)
        if feet is not None:
            middle = shapely.get_coordinates(shapely.line_interpolate_point(self.line, feet))
        off = (xy - middle) @ np.array([-self.axis[1], self.axis[0]])
        return np.asarray(np.where(np.abs(off) < 4.0, 0.0, np.sign(off)))

    def point_at(self, at: float) -> Floats | None:
        """Return the middle of the line at a place on the axis; None beyond its ends."""
        normal = np.array([-self.axis[1], self.axis[0]])
        centre = self.origin + at * self.axis
        across = shapely.intersection(self.line, shapely.LineString([centre - normal * 5000, centre + normal * 5000]))
        if shapely.is_empty(across):
            near = shapely.get_coordinates(
                shapely.line_interpolate_point(self.line, shapely.line_locate_point(self.line, shapely.Point(centre)))
            )
            return near[0] if len(near) and np.hypot(*(near[0] - centre)) < 200.0 else None
        return np.asarray(shapely.get_coordinates(across).mean(axis=0))


def _rising(values: Floats) -> npt.NDArray[np.int64]:
    """Return the positions of the longest chain that never falls."""
    best = np.ones(len(values), np.int64)
    before = np.full(len(values), -1, np.int64)
    for i in range(1, len(values)):
        below = np.flatnonzero(values[:i] <= values[i])
        if len(below):
            k = below[best[below].argmax()]
            best[i], before[i] = best[k] + 1, k
    chain = [int(best.argmax())]
    while before[chain[-1]] >= 0:
        chain.append(int(before[chain[-1]]))
    return np.array(chain[::-1])


def learn_curve(streets: dict[str, NumberedStreet], doors: dict[str, tuple[Floats, Floats]]) -> None:
    """Give all streets the curve learnt from blocks with known ends and doors: corner houses are set back from the cross street."""
    rests, shares = [], []
    for key, (xy, numbers) in doors.items():
        street = streets.get(key)
        if street is None:
            continue
        ends = {float(n): float(a) for n, a in zip(street.numbers, street.at, strict=True) if n % 100 == 0}
        for place, number in zip((xy - street.origin) @ street.axis, numbers, strict=True):
            low, high = ends.get(number // 100 * 100), ends.get(number // 100 * 100 + 100)
            if low is not None and high is not None and abs(high - low) > 50:
                rests.append(number % 100)
                shares.append((place - low) / (high - low))
    rest, share = np.array(rests), np.array(shares)
    near = [np.abs(rest - ten) <= 7 for ten in TENS]
    if not all(part.sum() >= CURVE_DOORS for part in near):
        return
    curve = np.clip(np.maximum.accumulate([np.median(share[part]) for part in near]), 0, 1)
    for street in streets.values():
        street.curve = curve


def odd_side(streets: dict[str, NumberedStreet], doors: dict[str, tuple[Floats, Floats]]) -> float:
    """Return +1 if odd numbers lie mostly on the left as numbers rise, −1 if on the right; `doors`: places (metres) and numbers."""
    votes = 0.0
    for key, (xy, numbers) in doors.items():
        street = streets.get(key)
        if street is not None and len(street.at) > 2:
            votes += float(np.sum(street.sides(xy) * street.sense() * np.where(numbers % 2 == 1, 1.0, -1.0)))
    return 1.0 if votes >= 0 else -1.0
