"""Covers the rest of an address with names and numbers: the best chain of lexicon hits, found by dynamic programming."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from transforms.address.numbers import Number

PER_PIECE = 0.45  # cost of each piece: one long name explains more than two short ones
PER_COST = 1.75  # an additional faulty character costs more than it explains (0.6): 便利店谢 is 便利店 and noise
SPREAD = 0.25


class Named(NamedTuple):
    """A name at `[start, end)`: `names` are (name number, cost), cheapest first."""

    start: int
    end: int
    names: tuple[tuple[int, float], ...]


class Cover(NamedTuple):
    """The chosen pieces in order and the unexplained spans."""

    named: tuple[Named, ...]
    numbers: tuple[Number, ...]
    rest: tuple[tuple[int, int], ...]


def cover(size: int, start: int, names: list[Named], numbers: list[Number]) -> Cover:
    """Return the non-overlapping pieces of greatest total weight in `[start, size)`."""
    ending: list[list[tuple[int, float, Named | Number]]] = [[] for _ in range(size + 1)]
    for piece in names:
        weight = (piece.end - piece.start) - PER_COST * piece.names[0][1] - PER_PIECE
        if weight > 0:
            ending[piece.end].append((piece.start, weight, piece))
    for number in numbers:
        weight = (number.end - number.start) * (0.6 if number.level == "bare" else 1.0) - 0.2
        ending[number.end].append((number.start, weight, number))
    best = [0.0] * (size + 1)
    back: list[tuple[int, Named | Number | None]] = [(0, None)] * (size + 1)
    for at in range(start + 1, size + 1):
        best[at], back[at] = best[at - 1], (at - 1, None)
        for begin, weight, item in ending[at]:
            if begin >= start and best[begin] + weight > best[at] + 1e-9:
                best[at], back[at] = best[begin] + weight, (begin, item)
    named: list[Named] = []
    chosen: list[Number] = []
    rest: list[tuple[int, int]] = []
    at = size
    while at > start:
        begin, taken = back[at]
        if taken is None:
            rest = [(begin, rest[0][1]), *rest[1:]] if rest and rest[0][0] == at else [(begin, at), *rest]
        elif isinstance(taken, Named):
            named.append(taken)
        else:
            chosen.append(taken)
        at = begin
    return Cover(tuple(reversed(named)), tuple(reversed(chosen)), tuple(rest))


def grouped(hits: NDArray[np.int32], costs: NDArray[np.float32], names_of: list[tuple[tuple[int, float], ...]]) -> list[Named]:
    """Join the faulty hits of one span: each name once, at its lowest cost."""
    spans: dict[tuple[int, int], dict[int, float]] = {}
    for (start, end, entry), cost in zip(hits.tolist(), costs.tolist(), strict=True):
        names = spans.setdefault((start, end), {})
        for name, extra in names_of[entry]:
            total = cost + extra
            if total < names.get(name, 99.0):
                names[name] = total
    return [Named(start, end, ranked(found)) for (start, end), found in spans.items() if found]


def ranked(costs: dict[int, float]) -> tuple[tuple[int, float], ...]:
    """Return (name, cost), cheapest first; more expensive ones only within SPREAD of the cheapest."""
    if len(costs) == 1:
        return tuple(costs.items())
    pairs = sorted(costs.items(), key=lambda pair: (pair[1], pair[0]))
    return tuple(pair for pair in pairs if pair[1] <= pairs[0][1] + SPREAD)
