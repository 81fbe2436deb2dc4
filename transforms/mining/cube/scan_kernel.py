"""Kernels of the space-time scan: the best cylinder of each centre, and the best of all under many permutations.

Two facts keep it small, both for the Poisson and the permutation model. A window that begins or ends on a day without a case in the zone
is beaten by the shorter one (fewer expected, as many found). A zone that has grown by places without a case in the window is beaten by the
smaller zone. So a centre's places are added from near to far, and only windows between days with cases that hold a day of a case just added
are looked at. Under permutations a window is first held against the largest expectation with which its count could still win, and so is a
whole centre: of zones of nearly one size and windows of nearly one length none holds more than the largest zone in the best of the longest
windows, none expects less than the smallest zone in the emptiest of the shortest.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange

from transforms.mining.ground.permute import _fill, _split

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
_11 = np.uint64(11)


@njit(cache=True)
def ratio(found: float, expected: float, total: float) -> Any:
    """Return the log likelihood ratio of a cylinder with more found than expected, else 0 (Kulldorff 1997)."""
    if found <= expected or expected <= 0.0:
        return 0.0
    inside = found * math.log(found / expected)
    outside = (total - found) * math.log((total - found) / (total - expected)) if found < total else 0.0
    return inside + outside


@njit(cache=True)
def _limit(found: float, total: float, best: float) -> Any:
    """Return the expectation below which a count beats `best` (bisection; the ratio falls as the expectation grows)."""
    low, high = 0.0, found
    for _ in range(60):
        middle = 0.5 * (low + high)
        if ratio(found, middle, total) > best:
            low = middle
        else:
            high = middle
    return high


@njit(cache=True)
def _place(seen: Ints, used: int, day: int) -> Any:
    """Return the position of the first of `used` ascending days that is not before `day`."""
    low, high = 0, used
    while low < high:
        middle = (low + high) >> 1
        if seen[middle] < day:
            low = middle + 1
        else:
            high = middle
    return low


@njit(cache=True)
def _counted(seen: Ints, counts: Ints, used: int, day: int) -> int:
    """Count a case of `day` among the `used` ascending days, the day put in its place if it is new; return how many there are then."""
    at = _place(seen, used, day)
    if at < used and seen[at] == day:
        counts[at] += 1
        return used
    for m in range(used, at, -1):
        seen[m], counts[m] = seen[m - 1], counts[m - 1]
    seen[at], counts[at] = day, 1
    return used + 1


@njit(cache=True)
def _scan_centre(
    near: Any, groups: Any, starts: Ints, days: Any, weight: Floats, elapsed: Floats, rate: float, longest: int, last_only: bool,
    most: float,
    limits: Floats, versions: Ints, state: Floats, seen: Ints, counts: Ints, fresh: Ints, out: Floats,
) -> Any:  # fmt: skip
    """Look at all cylinders of one centre; `state` holds total, best so far and its version, `out` the best cylinder if it is better.

    `near` are the places from near to far, `groups` tells where a distance ends; the cases of place i are `days[starts[i]:starts[i+1]]`;
    `weight` is what a place adds to the expectation, `elapsed` what the days before add, `rate` their scale.
    """
    used, new, zone = 0, 0, 0.0
    final = len(elapsed) - 2
    total, best, version = state[0], state[1], int(state[2])
    for k in range(len(near)):
        place = near[k]
        if place < 0:
            break
        zone += weight[place]
        if zone > most:
            break
        for c in range(starts[place], starts[place + 1]):
            used = _counted(seen, counts, used, days[c])
            fresh[new] = days[c]
            new += 1
        if not groups[k] or new == 0:
            continue
        scale = zone * rate
        for f in range(new):
            here = _place(seen, used, fresh[f])
            before = 0
            for i in range(here, -1, -1):
                first = seen[i]
                if (final if last_only else seen[here]) - first >= longest:
                    break
                before += counts[i]
                found = before
                for j in range(here, used):
                    if j > here:
                        found += counts[j]
                    if last_only and j < used - 1:
                        continue
                    end = final if last_only else seen[j]
                    if end - first >= longest:
                        break
                    expected = scale * (elapsed[end + 1] - elapsed[first])
                    if versions[found] != version:
                        limits[found], versions[found] = _limit(float(found), total, best), version
                    if expected < limits[found]:
                        value = ratio(float(found), expected, total)
                        if value > best:
                            best, version = value, version + 1
                            out[0], out[1], out[2], out[3], out[4], out[5] = value, k, first, end, found, expected
        new = 0
    state[1], state[2] = best, version


@njit(cache=True, parallel=True)
def best_of_centres(
    near: Any, groups: Any, starts: Ints, days: Any, weight: Floats, elapsed: Floats, rate: float, longest: int, last_only: bool,
    most: float,
) -> Any:  # fmt: skip
    """Return for each centre its best cylinder: ratio, last place in `near`, first and last day, cases found and expected."""
    best = np.zeros((near.shape[0], 6))
    total = len(days)
    for centre in prange(near.shape[0]):
        limits, versions = np.zeros(total + 1), np.full(total + 1, -1)
        state = np.array([float(total), 0.0, 0.0])
        seen, counts, fresh = np.empty(len(elapsed), np.int64), np.empty(len(elapsed), np.int64), np.empty(total, np.int64)
        _scan_centre(
            near[centre], groups[centre], starts, days, weight, elapsed, rate, longest, last_only, most, limits, versions, state, seen,
            counts, fresh, best[centre],
        )  # fmt: skip
    return best


@njit(cache=True, parallel=True)
def best_of_permutations(
    near: Any, groups: Any, starts: Ints, days: Any, weight: Floats, elapsed: Floats, rate: float, longest: int, last_only: bool,
    most: float,
    seed: np.uint64, numbers: Ints, sides: Any,
) -> Any:  # fmt: skip
    """Return the greatest ratio of each permutation of the cases' days (space-time permutation model)."""
    best = np.zeros(len(numbers))
    total = len(days)
    for p in prange(len(numbers)):
        image, moved = np.empty(total, np.int64), np.empty(total, np.int64)
        _fill(seed, numbers[p], total, sides[0], sides[1], image)
        for c in range(total):
            moved[c] = days[image[c]]
        best[p] = _best(near, groups, starts, moved, weight, elapsed, rate, longest, last_only, most)
    return best


@njit(cache=True, parallel=True)
def best_of_draws(
    near: Any, groups: Any, cases: int, weight: Floats, elapsed: Floats, rate: float, longest: int, last_only: bool, most: float,
    seed: np.uint64, numbers: Ints,
) -> Any:  # fmt: skip
    """Return the greatest ratio of each draw of as many cases from the expectations (Poisson model, given the total)."""
    best = np.zeros(len(numbers))
    places = len(weight)
    until = np.cumsum(weight)
    for p in prange(len(numbers)):
        state = _split(_split(seed) ^ np.uint64(numbers[p]))
        where, when = np.empty(cases, np.int64), np.empty(cases, np.int64)
        starts = np.zeros(places + 1, np.int64)
        for c in range(cases):
            first, second = _split(state ^ _split(np.uint64(2 * c))), _split(state ^ _split(np.uint64(2 * c + 1)))
            u = float(first >> _11) * (1.0 / 9007199254740992.0) * until[-1]
            v = float(second >> _11) * (1.0 / 9007199254740992.0) * elapsed[-1]
            where[c] = min(np.searchsorted(until, u, side="right"), places - 1)
            when[c] = min(np.searchsorted(elapsed, v, side="right") - 1, len(elapsed) - 2)
            starts[where[c] + 1] += 1
        for i in range(places):
            starts[i + 1] += starts[i]
        at, days = starts.copy(), np.empty(cases, np.int64)
        for c in range(cases):
            days[at[where[c]]] = when[c]
            at[where[c]] += 1
        best[p] = _best(near, groups, starts, days, weight, elapsed, rate, longest, last_only, most)
    return best


@njit(cache=True)
def _classes(most: int) -> Any:
    """Return the ends of classes of 1 … `most`, each end at most half above the first of its class."""
    ends = [1]
    while ends[-1] < most:
        ends.append(min(most, (ends[-1] + 1) * 3 // 2))
    return np.array(ends)


@njit(cache=True)
def _least(elapsed: Floats, lengths: Ints) -> Any:
    """Return for each class of window lengths what its shortest windows elapse at the least."""
    least = np.full(lengths.size, np.inf)
    for c in range(lengths.size):
        shortest = lengths[c - 1] + 1 if c else 1
        for first in range(elapsed.size - shortest):
            least[c] = min(least[c], elapsed[first + shortest] - elapsed[first])
    return least


@njit(cache=True)
def _most_in(until: Any, length: int) -> int:
    """Return the most cases in any `length` days, from the running total (int32) of the cases by day."""
    length = min(length, until.size - 1)
    most = np.int32(0)
    for first in range(until.size - length):
        most = max(most, np.int32(until[first + length] - until[first]))
    return int(most)


@njit(cache=True)
def _may_win(
    near: Any, starts: Ints, days: Any, weight: Floats, rate: float, most: float, sizes: Ints, lengths: Ints, least: Floats,
    limits: Floats, versions: Ints, state: Floats, until: Any,
) -> bool:  # fmt: skip
    """Tell whether a cylinder of a centre could beat the best so far; False only if none can."""
    until[:] = 0
    zone, k = 0.0, 0
    on_day = np.zeros(until.size - 1, np.int32)
    for size in sizes:
        smallest, first = 0.0, k
        while k < size and k < near.size and near[k] >= 0 and zone + weight[near[k]] <= most:
            zone += weight[near[k]]
            if k == first:
                smallest = zone
            for c in range(starts[near[k]], starts[near[k] + 1]):
                on_day[days[c]] += 1
            k += 1
        if k == first:
            return False
        total = 0
        for day in range(on_day.size):
            total += on_day[day]
            until[day + 1] = total
        for c in range(lengths.size):
            found = _most_in(until, lengths[c])
            if versions[found] != int(state[2]):
                limits[found], versions[found] = _limit(float(found), state[0], state[1]), int(state[2])
            if smallest * rate * least[c] < limits[found]:
                return True
    return False


@njit(cache=True)
def _best(
    near: Any, groups: Any, starts: Ints, days: Any, weight: Floats, elapsed: Floats, rate: float, longest: int, last_only: bool,
    most: float,
) -> Any:  # fmt: skip
    total = len(days)
    limits, versions = np.zeros(total + 1), np.full(total + 1, -1)
    state, out = np.array([float(total), 0.0, 0.0]), np.zeros(6)
    seen, counts, fresh = np.empty(len(elapsed), np.int64), np.empty(len(elapsed), np.int64), np.empty(total, np.int64)
    sizes, lengths = _classes(near.shape[1]), _classes(longest)
    least, until = _least(elapsed, lengths), np.empty(len(elapsed), np.int32)
    # Holding a centre against its bounds costs by the day, scanning it by the case; windows that last to the end are few.
    is_dense = not last_only and 4 * total * near.shape[1] >= (len(elapsed) - 1) * near.shape[0]
    for centre in range(near.shape[0]):
        if is_dense and not _may_win(near[centre], starts, days, weight, rate, most, sizes, lengths, least, limits, versions, state, until):
            continue
        _scan_centre(
            near[centre], groups[centre], starts, days, weight, elapsed, rate, longest, last_only, most, limits, versions, state, seen,
            counts, fresh, out,
        )  # fmt: skip
    return state[1]
