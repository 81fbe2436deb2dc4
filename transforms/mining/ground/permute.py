"""Keyed permutations: where an index goes is a function of (seed, permutation, index), so every worker computes it and nothing is shuffled.

Above `TABLE_LIMIT` elements the bijection is a Feistel network over Z_a × Z_b with a·b ≥ n, four rounds, and cycle walking for the images
beyond n (Black and Rogaway, Ciphers with arbitrary finite domains, CT-RSA 2002). A network on so few elements would not reach every order
equally often, so below the limit the table of the permutation is drawn by Fisher and Yates from the same keyed stream; it fits every
worker. Both give the same numbers on any machine. `esda_draws` is the other source: the table that esda draws at a seed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit, prange

Ints = npt.NDArray[np.int64]
TABLE_LIMIT = 4096
ROUNDS = 4
LARGEST = 1 << 31  # positions are 32-bit numbers
_RAW = 1 << 20  # numbers of a generator that are drawn at once

_LOW = np.uint64(0xFFFFFFFF)
_GOLDEN, _MIX_A, _MIX_B = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_ROUND_A, _ROUND_B = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
_27, _30, _31, _32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_15, _16 = np.uint32(15), np.uint32(16)


def permutation(seed: int, number: int, size: int) -> Ints:
    """Return permutation `number` (0, 1, …) of `size` elements: the image of 0 … size-1."""
    return np.asarray(permutations(seed, np.array([number]), size)[0])


def permutations(seed: int, numbers: Ints, size: int) -> Ints:
    """Return the images of 0 … size-1 under the permutations of these numbers, one row each; ValueError beyond 2³¹ elements."""
    _require(size)
    return np.asarray(_tables(_seed(seed), np.asarray(numbers, dtype=np.int64), size, *_sides(size)))


def draws(seed: int, numbers: Ints, count: int, size: int) -> Ints:
    """Return the images of 0 … count-1 only: `count` elements drawn without replacement, one row per permutation.

    Row p of it begins row p of every longer draw, and costs O(count) for more than `TABLE_LIMIT` elements.
    """
    _require(size)
    if not 0 <= count <= size:
        raise ValueError(f"{count} of {size} elements cannot be drawn without replacement")
    return np.asarray(_draws(_seed(seed), np.asarray(numbers, dtype=np.int64), count, size, *_sides(size)))


def esda_draws(seed: int, permutations: int, count: int, size: int) -> Ints:
    """Return the table of draws that esda 2.9 uses at a seed (`esda.crand.vec_permutations` for size + 1 observations), number for number.

    It comes from one sequential generator, so its cost is permutations × size, and it must be drawn in one place. The swaps of a shuffle
    are drawn as they are there, but not made: only where the first `count` elements come from is followed back through them.
    """
    out, swaps = np.empty((permutations, count), np.int64), np.zeros(max(size, 1), np.int32)
    owner = np.full(max(size, 1), -1, np.int32)
    for p, raw in enumerate(_swaps(np.random.RandomState(seed & 0xFFFFFFFF), permutations, size, swaps)):
        _trace(raw, owner, count, out[p])
    return out


def _swaps(random: np.random.RandomState, permutations: int, size: int, swaps: Any) -> Iterator[Any]:
    """Yield for each permutation the partners with which a shuffle swaps the places 1 … size-1; the next raw numbers come meanwhile."""

    def raw() -> Any:
        return random.randint(0, 1 << 32, size=_RAW, dtype=np.uint32)

    with ThreadPoolExecutor(1) as pool:
        ahead, numbers, at = pool.submit(raw), np.empty(0, np.uint32), 0
        for _ in range(permutations):
            place = size - 1
            while place > 0:
                if at == len(numbers):
                    numbers, at, ahead = ahead.result(), 0, pool.submit(raw)
                at, place = _accept(numbers, at, place, swaps)
            yield swaps


def uniform(seed: int, numbers: Ints, stream: int = 0) -> npt.NDArray[np.float64]:
    """Return a number in [0, 1) for each given number, keyed by (seed, stream, number): 53 bits."""
    return np.asarray(_uniform(_seed(seed), np.uint64(stream), np.asarray(numbers, dtype=np.int64)))


def shifted(drawn: Any, own: Any) -> Any:
    """Return draws from the n-1 others as positions among all n, the position `own` left out: `j += j >= i`."""
    return drawn + (drawn >= own)


def _seed(seed: int) -> np.uint64:
    return np.uint64(seed & 0xFFFFFFFFFFFFFFFF)


def _require(size: int) -> None:
    if not 0 <= size < LARGEST:
        raise ValueError(f"a permutation has 0 to 2³¹-1 elements, not {size}")


def _sides(size: int) -> tuple[int, int]:
    wide = max(1, math.isqrt(size))
    return wide, max(1, -(-size // wide))


@njit(cache=True, inline="always")
def _split(x: np.uint64) -> np.uint64:
    """SplitMix64's step and finaliser (Steele, Lea and Flood 2014)."""
    x = x + _GOLDEN
    x = (x ^ (x >> _30)) * _MIX_A
    x = (x ^ (x >> _27)) * _MIX_B
    return x ^ (x >> _31)


@njit(cache=True, inline="always")
def _round(value: np.uint32, key: np.uint32, side: np.uint32) -> np.uint32:
    """Return a keyed number in [0, side): lowbias32 (Wellons 2018), then the high half of a product."""
    x = np.uint32(value ^ key)
    x = np.uint32(np.uint32(x ^ np.uint32(x >> _16)) * _ROUND_A)
    x = np.uint32(np.uint32(x ^ np.uint32(x >> _15)) * _ROUND_B)
    x = np.uint32(x ^ np.uint32(x >> _16))
    return np.uint32((np.uint64(x) * np.uint64(side)) >> _32)


@njit(cache=True, inline="always")
def _network(left: np.uint32, right: np.uint32, a: np.uint32, b: np.uint32, keys: Any) -> np.uint32:
    for r in range(0, ROUNDS, 2):
        left = np.uint32(left + _round(right, keys[r], a))
        left = np.uint32(left - (a if left >= a else np.uint32(0)))
        right = np.uint32(right + _round(left, keys[r + 1], b))
        right = np.uint32(right - (b if right >= b else np.uint32(0)))
    return np.uint32(right * a + left)


@njit(cache=True)
def _keys(seed: np.uint64, number: int) -> Any:
    keys = np.empty(ROUNDS, np.uint32)
    state = _split(_split(seed) ^ np.uint64(number))
    for r in range(ROUNDS):
        state = _split(state + np.uint64(r))
        keys[r] = np.uint32(state & _LOW)
    return keys


@njit(cache=True)
def _walk(image: np.uint32, size: int, a: np.uint32, b: np.uint32, keys: Any) -> np.uint32:
    while image >= size:
        image = _network(np.uint32(image % a), np.uint32(image // a), a, b, keys)
    return image


@njit(cache=True)
def _fill(seed: np.uint64, number: int, size: int, a: int, b: int, out: Any) -> None:
    """Write permutation `number` into `out` (int32 or int64), of `size` elements."""
    if size <= TABLE_LIMIT:
        state = _split(_split(seed) ^ np.uint64(number))
        for i in range(size):
            out[i] = i
        for i in range(size - 1, 0, -1):
            draw = _split(state + np.uint64(i)) >> _32
            j = int((draw * np.uint64(i + 1)) >> _32)
            out[i], out[j] = out[j], out[i]
        return
    keys = _keys(seed, number)
    wide, high = np.uint32(a), np.uint32(b)
    for right in range(b):
        start = right * a
        for left in range(min(a, size - start)):
            out[start + left] = _network(np.uint32(left), np.uint32(right), wide, high, keys)
    for i in range(size):
        if out[i] >= size:
            out[i] = _walk(np.uint32(out[i]), size, wide, high, keys)


@njit(cache=True, parallel=True)
def _tables(seed: np.uint64, numbers: Any, size: int, a: int, b: int) -> Any:
    out = np.empty((numbers.size, size), np.int64)
    for p in prange(numbers.size):
        _fill(seed, numbers[p], size, a, b, out[p])
    return out


@njit(cache=True)
def _draws(seed: np.uint64, numbers: Any, count: int, size: int, a: int, b: int) -> Any:
    out = np.empty((numbers.size, count), np.int64)
    table = np.empty(size if size <= TABLE_LIMIT else 0, np.int64)
    for p in range(numbers.size):
        if size <= TABLE_LIMIT:
            _fill(seed, numbers[p], size, a, b, table)
            out[p] = table[:count]
            continue
        keys = _keys(seed, numbers[p])
        for i in range(count):
            image = _network(np.uint32(i % a), np.uint32(i // a), np.uint32(a), np.uint32(b), keys)
            out[p, i] = _walk(image, size, np.uint32(a), np.uint32(b), keys)
    return out


@njit(cache=True)
def _uniform(seed: np.uint64, stream: np.uint64, numbers: Any) -> Any:
    out = np.empty(numbers.size, np.float64)
    state = _split(_split(seed) ^ stream)
    for i in range(numbers.size):
        out[i] = (_split(state ^ _split(np.uint64(numbers[i]))) >> np.uint64(11)) * (1.0 / 9007199254740992.0)
    return out


@njit(cache=True, nogil=True)
def _accept(numbers: Any, at: int, place: int, swaps: Any) -> tuple[int, int]:
    """Take numbers for the places from `place` down: as many low bits as the place has, drawn again where they are above it."""
    mask = 1
    while mask < place:
        mask = 2 * mask + 1
    while place > 0 and at < numbers.size:
        least = (mask >> 1) + 1
        while place >= least and at < numbers.size:
            partner = np.int64(numbers[at]) & mask
            swaps[place] = partner
            place -= int(partner <= place)
            at += 1
        if place < least:
            mask >>= 1
    return at, place


@njit(cache=True, nogil=True)
def _trace(swaps: Any, owner: Any, count: int, out: Any) -> None:
    """Write what the swaps bring to the places 0 … count-1, undoing them; `owner` is -1 everywhere, before and after."""
    for p in range(count):
        owner[p] = p
    for place in range(1, owner.size):
        partner = swaps[place]
        if owner[partner] >= 0 or owner[place] >= 0:
            owner[partner], owner[place] = owner[place], owner[partner]
    for place in range(owner.size):
        if owner[place] >= 0:
            out[owner[place]] = place
            owner[place] = -1
