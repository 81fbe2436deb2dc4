"""The result of an interpretation of a text: rows, their costs, and the verdict over all of them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from transforms.address.asking import Asked
from transforms.address.index import Shard
from transforms.address.lattice import Named
from transforms.address.numbers import NUMBER_LEVELS

_FINER = {
    None: ("road", "place", *NUMBER_LEVELS),
    "community": ("road", "place", *NUMBER_LEVELS),
    "road": ("lane", "door", "place", "building", "unit", "floor", "room"),
    "lane": ("door", "place", "building", "unit", "floor", "room"),
    "door": ("place", "building", "unit", "floor", "room"),
    "place": ("building", "unit", "floor", "room"),
    "building": ("unit", "floor", "room"),
    "unit": ("floor", "room"),
    "floor": ("room",),
    "room": (),
}


@dataclass
class Outcome:
    """Rows that an interpretation leads to. `cost` sums faults and contradictions; `missing` is the number that no row has."""

    cost: float
    shard: int = -1
    rows: NDArray[np.int32] = field(default_factory=lambda: np.zeros(0, dtype=np.int32))
    level: str | None = None
    names: tuple[tuple[Named, int, float], ...] = ()
    missing: tuple[str, str] | None = None
    conflict: tuple[str, str] | None = None
    coarser: tuple[str, ...] = ()
    extra: int = 0


@dataclass
class Found:
    """The verdict: equally good `outcomes` (one: matched), or a message code with its parameters."""

    asked: Asked
    outcomes: list[Outcome]
    code: str | None = None
    params: dict[str, object] = field(default_factory=dict)
    division: int | None = None
    failed: Outcome | None = None


def as_written(outcome: Outcome) -> int:
    """Count the names that occur in the text exactly, so that 云源里 does not tie with 云源弄."""
    return sum(cost == 0.0 for _, _, cost in outcome.names)


def plainest(shard: Shard, rows: NDArray[np.int32], level: str | None) -> tuple[NDArray[np.int32], int]:
    """Keep the rows with the fewest elements finer than the query."""
    extra = np.zeros(len(rows), dtype=np.int32)
    for finer in _FINER.get(level, _FINER[None]):
        extra += (shard.ids[finer][rows] >= 0) if finer in ("road", "place") else (shard.numbers[finer][rows] != 0)
    least = int(extra.min())
    return rows[extra == least], least


def areas_of(shards: tuple[Shard, ...]) -> dict[str, tuple[int, int]]:
    """Return (shard, row) of the rows that represent a whole division, by its code."""
    areas: dict[str, tuple[int, int]] = {}
    for number, shard in enumerate(shards):
        plain = (shard.ids["road"] < 0) & (shard.ids["place"] < 0)
        for level in NUMBER_LEVELS:
            plain &= shard.numbers[level] == 0
        for row in np.flatnonzero(plain).tolist():
            code = shard.rows["division_code"][row].as_py()
            if code:
                areas.setdefault(code, (number, row))
    return areas
