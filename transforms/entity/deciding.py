"""The decision over the evidence of `transforms.entity.matching`: splits and merges first, then the best assignment of one to one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Array = npt.NDArray[Any]

LINK_SCHEMA: Final = pa.schema(
    [
        ("old_entity_id", pa.string()),
        ("new_key", pa.string()),
        ("kind", pa.string()),
        ("score", pa.float64()),
        ("evidence", pa.string()),
    ]
)
INSIDE: Final = 0.8
MIN_PART: Final = 0.1
FILLED: Final = (0.8, 1.2)
_DENSE_CELLS: Final = 4_000_000
_DTYPES: Final = {
    "old_entity_id": pa.string(),
    "new_key": pa.string(),
    "is_alike": pa.bool_(),
    "is_areal": pa.bool_(),
}


@dataclass(frozen=True)
class Evidence:
    """Pairs of a vanished entity and an arrived row; arrays of one length.

    `is_alike`: may be the same thing; `score`: 0–1; `old_share`, `new_share`: of the old (new) thing's area or length, what the other
    covers; `distance_m`; `is_areal`: may be split or merged (lines and polygons).
    """

    old_entity_id: Array
    new_key: Array
    is_alike: Array
    score: Array
    old_share: Array
    new_share: Array
    distance_m: Array
    is_areal: Array

    @classmethod
    def joined(cls, parts: Sequence[Evidence]) -> Self:
        dtypes = {"old_entity_id": object, "new_key": object, "is_alike": bool, "is_areal": bool}
        return cls(*(np.concatenate([np.empty(0, dtypes.get(f.name, float)), *(getattr(p, f.name) for p in parts)]) for f in fields(cls)))

    @classmethod
    def from_arrow(cls, table: pa.Table) -> Self:
        return cls(*(table[f.name].to_numpy() for f in fields(cls)))

    def to_arrow(self) -> pa.Table:
        return pa.table({f.name: pa.array(getattr(self, f.name), _DTYPES.get(f.name, pa.float64())) for f in fields(self)})

    def take(self, chosen: Array) -> Evidence:
        return Evidence(*(getattr(self, f.name)[chosen] for f in fields(self)))

    def named(self, old: Array, new: Array) -> Evidence:
        return Evidence(old, new, *(getattr(self, f.name) for f in fields(self)[2:]))


def decide(evidence: Evidence) -> pa.Table:
    """Return the links (`LINK_SCHEMA`), ordered by old entity and new key; the order of the evidence does not matter."""
    evidence = evidence.take(np.lexsort([evidence.new_key.astype(str), evidence.old_entity_id.astype(str)]))
    old_ids, old = np.unique(evidence.old_entity_id.astype(str), return_inverse=True)
    new_ids, new = np.unique(evidence.new_key.astype(str), return_inverse=True)
    parts_of_old = evidence.is_areal & (evidence.new_share >= INSIDE) & (evidence.old_share >= MIN_PART)
    parts_of_new = evidence.is_areal & (evidence.old_share >= INSIDE) & (evidence.new_share >= MIN_PART)
    split = parts_of_old & _is_filled(old, parts_of_old, evidence.old_share, len(old_ids))
    merge = parts_of_new & _is_filled(new, parts_of_new, evidence.new_share, len(new_ids))
    # Two for two is neither: the assignment below decides.
    both = np.isin(old, old[split & merge]) | np.isin(new, new[split & merge])
    split, merge = split & ~both, merge & ~both
    taken = np.isin(old, old[split | merge]) | np.isin(new, new[split | merge])
    same = _assigned(old, new, evidence.score, evidence.is_alike & ~taken)
    kind = np.where(split, "split", np.where(merge, "merge", "same"))
    chosen = np.flatnonzero(split | merge | same)
    words = [
        f"old_share={a:.3f} new_share={b:.3f} distance_m={d:.2f}"
        for a, b, d in zip(evidence.old_share[chosen], evidence.new_share[chosen], evidence.distance_m[chosen], strict=True)
    ]
    return pa.table(
        [
            pa.array(evidence.old_entity_id[chosen], pa.string()),
            pa.array(evidence.new_key[chosen], pa.string()),
            pa.array(kind[chosen].tolist(), pa.string()),
            pa.array(evidence.score[chosen], pa.float64()),
            pa.array(words, pa.string()),
        ],
        schema=LINK_SCHEMA,
    )


def _is_filled(whole: Array, is_part: Array, share: Array, count: int) -> Array:
    """Tell for each pair whether the pair's whole is filled by two or more parts."""
    parts = np.bincount(whole[is_part], minlength=count)
    filled = np.bincount(whole[is_part], weights=share[is_part], minlength=count)
    result: Array = ((parts >= 2) & (filled >= FILLED[0]) & (filled <= FILLED[1]))[whole]
    return result


def _assigned(old: Array, new: Array, score: Array, may: Array) -> Array:
    """Return which pairs the one-to-one assignment chooses: the largest sum of scores within each connected group of pairs.

    Within a group ties go by the order of ids. A group too large for a dense matrix (a mistaken delivery) is assigned greedily by score.
    """
    chosen = np.zeros(len(score), dtype=bool)
    index = np.flatnonzero(may)
    if not len(index):
        return chosen
    size = int(old.max()) + 1
    graph = coo_array((np.ones(len(index)), (old[index], size + new[index])), shape=(size + int(new.max()) + 1,) * 2)
    _, group = connected_components(graph, directed=False)
    order = index[np.argsort(group[old[index]], kind="stable")]
    for pairs in np.split(order, np.flatnonzero(np.diff(group[old[order]])) + 1):
        if len(pairs) == 1:
            chosen[pairs] = True
            continue
        rows, row = np.unique(old[pairs], return_inverse=True)
        columns, column = np.unique(new[pairs], return_inverse=True)
        if len(rows) * len(columns) > _DENSE_CELLS:
            chosen[_greedy(pairs, old, new, score)] = True
            continue
        matrix = np.zeros((len(rows), len(columns)))
        matrix[row, column] = score[pairs]
        best = np.zeros(matrix.shape, dtype=bool)
        best[linear_sum_assignment(matrix, maximize=True)] = True
        chosen[pairs[best[row, column]]] = True
    return chosen


def _greedy(pairs: Array, old: Array, new: Array, score: Array) -> list[int]:
    """Return the pairs that a greedy choice by score takes, ties by the order of ids."""
    used_old: set[int] = set()
    used_new: set[int] = set()
    taken = []
    for i in pairs[np.lexsort([new[pairs], old[pairs], -score[pairs]])]:
        if old[i] not in used_old and new[i] not in used_new:
            used_old.add(old[i])
            used_new.add(new[i])
            taken.append(int(i))
    return taken
