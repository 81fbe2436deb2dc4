"""The hundreds of a grid city: the number at which each block begins, on every street, from known doors, crossings and parallel streets.

Where blocks are numbered in hundreds, a street begins with 1 and steps to the next hundred at its cross streets, except at alleys. The
blocks of a street are fitted together (`block_fit`): doors must lie in the hundred of their block, blocks have their usual length, a step
is as likely as the cross street makes other streets step, especially the nearest parallel ones, and an alley begins with 1. Streets with
doors are solved first and provide evidence for the others.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import shapely

from transforms.address.block_fit import MOST_RISE, fitted
from transforms.address.latin_numbers import NumberedStreet

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Doors = Mapping[str, tuple[Floats, Floats]]
MEET_M = 15.0
SAME_KNOT_M = 25.0
NEAR_M = 900.0  # how far along a cross street a parallel street is evidence for a step
ALLEY_M = 250.0
MAIN_M = 500.0
SURE_M = 100.0  # how close a door must be to make the number of a crossing certain
DOOR_M = 150.0
MOST_HUNDRED = 90
CROSSING, PARALLEL = np.cos(np.radians(35.0)), np.cos(np.radians(20.0))
WEIGHTS = (0.8, 0.5, 0.4)  # of the three nearest parallel streets
SKIPPED, UNSURE = 0.5, 0.25


@dataclass
class Blocks:
    """A street's crossings in order along its axis, and its doors: places (metres along), middle points, cross streets by number.

    `hundreds` is the hundred that begins or, in the other direction, ends at each crossing (−1: an alley, where none does).
    """

    at: Floats
    spots: Floats
    crosses: list[tuple[int, ...]]
    ends: tuple[float, float]
    doors_at: Floats = field(default_factory=lambda: np.empty(0))
    doors: Floats = field(default_factory=lambda: np.empty(0))
    is_cut: tuple[bool, bool] = (False, False)
    is_sure: npt.NDArray[np.bool_] = field(default_factory=lambda: np.empty(0, bool))
    block_m: float = 120.0
    sense: int = 0  # 0: not known yet
    begins: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    rises: Ints = field(default_factory=lambda: np.empty(0, np.int64))

    @property
    def levels(self) -> Ints:
        """Return the hundred at each crossing; inside a block, that of the block."""
        found = np.maximum.accumulate(np.where(self.begins >= 0, self.begins, -1))[1:]
        return found[:: self.sense]

    @property
    def steps(self) -> npt.NDArray[np.bool_]:
        return (self.begins[1:] >= 0)[:: self.sense]


def number_blocks(streets: dict[str, NumberedStreet], doors: Doors) -> None:
    """Give the streets of a grid city the numbers of their crossings; nothing is changed if blocks are not numbered in hundreds."""
    grid = _Grid(streets, doors)
    with_doors = [i for i, street in enumerate(grid.blocks) if len(np.unique(street.doors)) > 1 and len(street.at)]
    for rounds in range(3):
        for i in with_doors:
            grid.solve(i, has_parallels=rounds > 0)
        grid.learn_steps(with_doors)
    if not grid.is_gridded(with_doors):
        return
    others = [i for i, street in enumerate(grid.blocks) if i not in set(with_doors) and len(street.at)]
    for _ in range(2):
        for i in others:
            if len(grid.blocks[i].doors) or grid.told(i):
                grid.solve(i, has_parallels=True)
    for key, street in zip(grid.keys, grid.blocks, strict=True):
        if street.sense:
            streets[key].relearn(*known_numbers(street))


class _Grid:
    def __init__(self, streets: dict[str, NumberedStreet], doors: Doors) -> None:
        self.keys = [key for key, street in streets.items() if not shapely.is_empty(street.line)]
        own = [streets[key] for key in self.keys]
        self.axes = np.array([street.axis for street in own])
        lines = np.array([street.line for street in own], dtype=object)
        lengths = shapely.length(lines)
        self.share = np.where(lengths < ALLEY_M, 0.15, np.where(lengths < MAIN_M, 0.5, 0.8))
        met: dict[int, list[tuple[float, int, Floats]]] = {}
        for i, j in shapely.STRtree(lines).query(lines, predicate="dwithin", distance=MEET_M).T.tolist():
            if i != j and abs(float(self.axes[i] @ self.axes[j])) < CROSSING:
                shared = shapely.intersection(lines[i], lines[j])
                shared = shapely.shortest_line(lines[i], lines[j]) if shapely.is_empty(shared) else shared
                spot = shapely.get_coordinates(shared).mean(axis=0)
                met.setdefault(i, []).append((float((spot - own[i].origin) @ self.axes[i]), j, spot))
        self.blocks = [_crossings(street, met.get(i, [])) for i, street in enumerate(own)]
        spots = np.concatenate([street.spots for street in self.blocks]) if self.blocks else np.empty((0, 2))
        low, high = np.quantile(spots, [0.01, 0.99], axis=0) if len(spots) else (np.zeros(2), np.zeros(2))
        self.meets: dict[int, list[tuple[int, int]]] = {}
        self._along: dict[int, list[tuple[int, int, float, int]]] = {}
        for i, (key, street) in enumerate(zip(self.keys, self.blocks, strict=True)):
            for k, crosses in enumerate(street.crosses):
                for j in crosses:
                    self.meets.setdefault(j, []).append((i, k))
            ends = np.array([own[i].origin + end * self.axes[i] for end in street.ends])
            inside = np.all((ends > low + 100) & (ends < high - 100), axis=1).tolist()
            street.is_cut = not inside[0], not inside[1]
            xy, numbers = doors.get(key, (np.empty((0, 2)), np.empty(0)))
            near = shapely.distance(lines[i], shapely.points(xy)) < DOOR_M if len(numbers) else np.zeros(0, bool)
            places = (xy[near] - own[i].origin) @ self.axes[i] if near.any() else np.empty(0)
            order = np.argsort(places)
            street.doors_at, street.doors = places[order], numbers[near][order].astype(float)
            street.is_sure = np.array([bool((np.abs(street.doors_at - at) < SURE_M).any()) for at in street.at], dtype=bool)
            main = [at for at, crosses in zip(street.at, street.crosses, strict=True) if max(lengths[j] for j in crosses) > MAIN_M]
            if len(main) > 2:
                street.block_m = float(np.clip(np.median(np.diff(main)), 60.0, 300.0))

    def told(self, i: int) -> bool:
        return bool(self._parallels(i))

    def solve(self, i: int, *, has_parallels: bool) -> None:
        """Fit the blocks of a street, in the direction along its axis with the lower cost."""
        street = self.blocks[i]
        count = len(street.at)
        told, levels = self._expected(i) if has_parallels else ([[] for _ in range(count)], np.full(count, np.nan))
        main = np.array([max(self.share[j] for j in crosses) for crosses in street.crosses])
        best = np.inf
        for sense in (1, -1):
            start, end = street.ends if sense > 0 else (-street.ends[1], -street.ends[0])
            order = np.arange(count)[::sense]
            at = np.concatenate([[min(start, sense * street.at[order[0]])], sense * street.at[order]])
            ordered = [[], *(_rises(told, int(k), sense) for k in order)]
            flat = np.array([pair for part in ordered for pair in part], dtype=float).reshape(-1, 2)
            told_of = np.concatenate([[0], np.cumsum([len(part) for part in ordered])])
            is_cut = street.is_cut[0 if sense > 0 else 1]
            begins_with_one = not is_cut and self.share[i] < 0.5
            level = np.full(count + 1, np.nan)
            if not begins_with_one and not len(street.doors):
                level[1:] = levels[order]
            doors_at = (sense * street.doors_at)[::sense]
            top = max([float(count), *street.doors / 100, *levels[~np.isnan(levels)]])
            cost, begins, rises = fitted(
                at, max(end, at[-1]), np.concatenate([[0.0], main[order]]), told_of, flat, level, doors_at, street.doors[::sense],
                begins_with_one, street.block_m, int(min(MOST_HUNDRED, top + MOST_RISE + 1)),
            )  # fmt: skip
            if cost < best - 1e-9:
                best = cost
                street.sense, street.begins, street.rises = sense, begins, rises

    def learn_steps(self, solved: list[int]) -> None:
        """Learn, from crossings between doors, how often a street makes others step to the next hundred."""
        count, steps = 2.0 * np.ones(len(self.share)), 2.0 * self.share
        for i in solved:
            street = self.blocks[i]
            for k, (is_step, is_sure) in enumerate(zip(street.steps, street.is_sure, strict=True)):
                for j in street.crosses[k] if is_sure else ():
                    count[j] += 1
                    steps[j] += is_step
        self.share = steps / count

    def _parallels(self, i: int) -> dict[int, dict[int, tuple[float, int]]]:
        """Return solved parallel streets, each with the shared crossings: own crossing → (metres between, the other's crossing)."""
        found: dict[int, dict[int, tuple[float, int]]] = {}
        for o, k, metres, m in self._alongside(i):
            if self.blocks[o].sense:
                found.setdefault(o, {})[k] = metres, m
        return found

    def _alongside(self, i: int) -> list[tuple[int, int, float, int]]:
        """Return (street, own crossing, metres between, its crossing) of the parallel streets, solved or not."""
        known = self._along.get(i)
        if known is None:
            street = self.blocks[i]
            known = self._along[i] = []
            is_along = (np.abs(self.axes @ self.axes[i]) >= PARALLEL).tolist()
            is_along[i] = False
            for k, (crosses, (x, y)) in enumerate(zip(street.crosses, street.spots.tolist(), strict=True)):
                for j in crosses:
                    for o, m in self.meets.get(j, ()):
                        if is_along[o]:
                            there = self.blocks[o].spots[m]
                            metres = math.hypot(float(there[0]) - x, float(there[1]) - y)
                            if SAME_KNOT_M < metres < NEAR_M:
                                known.append((o, k, metres, m))
        return known

    def _expected(self, i: int) -> tuple[list[list[tuple[float, float]]], Floats]:
        """Return for each crossing the rises suggested by parallel streets since the previous one, with weights, and their hundred."""
        count = len(self.blocks[i].at)
        rises: list[list[tuple[float, float, float]]] = [[] for _ in range(count)]
        levels: list[list[tuple[float, float]]] = [[] for _ in range(count)]
        for o, shared in self._parallels(i).items():
            other = self.blocks[o]
            known = other.levels
            order = sorted(shared)
            for k in order if self.share[o] > 0.5 else ():
                levels[k].append((shared[k][0], float(known[shared[k][1]])))
            for a, b in itertools.pairwise(order):
                first, second = shared[a][1], shared[b][1]
                weight = 1.0 if other.is_sure[first] and other.is_sure[second] else UNSURE
                metres = (shared[a][0] + shared[b][0]) / 2
                rises[b].append((metres, float(known[second] - known[first]), weight))
                for k in range(a + 1, b):
                    rises[k].append((metres, 0.0, weight * SKIPPED))
        told = [[(value, w * weight) for w, (_, value, weight) in zip(WEIGHTS, sorted(part), strict=False)] for part in rises]
        level = np.array([_mode([v for _, v in sorted(part)[:5]]) if part else np.nan for part in levels])
        return told, level

    def is_gridded(self, solved: list[int]) -> bool:
        """Return whether doors are numbered in hundreds by block: few contradict their block, and blocks of a street differ."""
        count = wrong = steps = 0
        for i in solved:
            street = self.blocks[i]
            fits = fitting(street)
            count += len(fits)
            wrong += int((~fits).sum())
            steps += len(np.unique(street.doors[fits] // 100)) - 1
        return steps > 0 and wrong < 0.35 * count


def _rises(told: list[list[tuple[float, float]]], k: int, sense: int) -> list[tuple[float, float]]:
    """Return the suggested rise at a crossing; against the axis it is stored with the previous crossing, and vice versa."""
    if sense > 0:
        return told[k]
    return [(-value, weight) for value, weight in told[k + 1]] if k + 1 < len(told) else []


def _mode(values: list[float]) -> float:
    """Return the most frequent value, the first one in case of ties."""
    return max(values, key=lambda v: (values.count(v), -values.index(v)))


def _crossings(street: NumberedStreet, met: list[tuple[float, int, Floats]]) -> Blocks:
    """Merge crossings at the same place."""
    along = (shapely.get_coordinates(street.line) - street.origin) @ street.axis
    groups: list[list[tuple[float, int, Floats]]] = []
    for one in sorted(met, key=lambda m: m[0]):
        if groups and one[0] - groups[-1][0][0] < SAME_KNOT_M:
            groups[-1].append(one)
        else:
            groups.append([one])
    at = np.array([np.mean([m[0] for m in group]) for group in groups])
    spots = np.array([np.mean([m[2] for m in group], axis=0) for group in groups]).reshape(-1, 2)
    return Blocks(at, spots, [tuple(m[1] for m in group) for group in groups], (float(along.min()), float(along.max())))


def _stretches(street: Blocks) -> tuple[Floats, Floats]:
    """Return places (along the axis times the direction) and numbers of the ends of the blocks, in order."""
    start, end = street.ends[:: street.sense]
    order = np.arange(len(street.at))[:: street.sense]
    at = street.sense * np.concatenate([[start], street.at[order]])
    at[0] = min(at[0], at[1])
    begins = street.begins >= 0
    begins[0] &= street.rises[0] > 0
    places, numbers = at[begins], street.begins[begins] * 100.0
    left = street.sense * end - places[-1]
    if left > 1.0:
        places = np.append(places, street.sense * end)
        numbers = np.append(numbers, numbers[-1] + 100.0 * min(1.0, left / street.block_m))
    if street.rises[0] > 0 and street.is_cut[0 if street.sense > 0 else 1] and len(places) > 1:
        reach = min(1.0, (places[1] - places[0]) / street.block_m / street.rises[0])
        numbers[0] = numbers[1] - (numbers[1] - numbers[0]) * reach
    return np.asarray(places, float), np.asarray(numbers, float)


def fitting(street: Blocks) -> npt.NDArray[np.bool_]:
    """Return for each door whether it lies in the hundred of its block; at the corner it may be that of either block."""
    places, numbers = _stretches(street)
    at = street.sense * street.doors_at
    if len(places) < 2:
        return np.zeros(len(at), bool)
    low = np.interp(at - SAME_KNOT_M, places, numbers) // 100 * 100
    high = np.ceil((np.interp(at + SAME_KNOT_M, places, numbers) + 1) / 100) * 100
    return np.asarray((street.doors >= low) & (street.doors < high))


def known_numbers(street: Blocks) -> tuple[Floats, Floats]:
    """Return places along the axis and numbers of the ends of the blocks and of the doors that fit them."""
    places, numbers = _stretches(street)
    fits = fitting(street)
    return np.concatenate([street.sense * places, street.doors_at[fits]]), np.concatenate([numbers, street.doors[fits]])
