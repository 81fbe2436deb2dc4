"""Near-duplicates of a generated city of 200,000 buildings, against a plain geopandas self join with an overlay by intersection.

Run `python bench/entity.py [COUNT]`. Both sides get the same polygons, 1 in 50 of which is delivered twice, and must find the same pairs.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import geopandas
import numpy as np
import shapely

from transforms.entity.duplicates import near_duplicate_pairs

IOU = 0.5


def city(count: int, seed: int = 1) -> tuple[Any, Any]:
    """Return L-shaped houses in terraces of four that share walls, and jittered copies of 1 in 50, shuffled; with their ids."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(count)))
    number = np.arange(count)
    x = 120.0 + 1.5e-4 * (number % side) + 1e-4 * (number % side // 4)
    y = 30.0 + 4e-4 * (number // side)
    depth, notch = rng.uniform(1e-4, 2e-4, count), rng.uniform(2e-5, 8e-5, (2, count))
    right, top = x + 1.5e-4, y + depth
    corners = [(x, y), (right, y), (right, top - notch[0]), (right - notch[1], top - notch[0]), (right - notch[1], top), (x, top)]
    rings = np.stack([np.column_stack(c) for c in (*corners, corners[0])], axis=1)
    houses = shapely.polygons(rings)
    copies = shapely.polygons(rings[::50] + rng.uniform(-2e-6, 2e-6, (len(rings[::50]), 1, 2)))
    geoms = np.concatenate([houses, copies])[rng.permutation(count + len(copies))]
    return geoms, np.array([f"b{i:07}" for i in range(len(geoms))], dtype=object)


def ours(geoms: Any, ids: Any) -> set[frozenset[str]]:
    found = near_duplicate_pairs(geoms, ids, IOU)
    return {frozenset(pair) for pair in zip(ids[found.winner], ids[found.loser], strict=True)}


def peer(geoms: Any, ids: Any) -> set[frozenset[str]]:
    frame = geopandas.GeoDataFrame({"id": ids}, geometry=geoms)
    pairs = frame.sjoin(frame, predicate="intersects", lsuffix="1", rsuffix="2")
    pairs = pairs[pairs["id_1"] < pairs["id_2"]]
    first, second = frame.geometry.loc[pairs.index].values, frame.geometry.loc[pairs["index_2"]].values
    common = first.intersection(second).area
    ratio = common / (first.area + second.area - common)
    near = pairs[ratio >= IOU]
    return {frozenset(pair) for pair in zip(near["id_1"], near["id_2"], strict=True)}


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 200_000
    geoms, ids = city(count)
    print(f"{'near-duplicates':<34}{'polygons':>10}{'pairs':>8}{'seconds':>9}{'polygons/s':>12}")
    results = []
    for name, find in (("sanyu near_duplicate_pairs", ours), ("geopandas sjoin + intersection", peer)):
        started = time.perf_counter()
        results.append(find(geoms, ids))
        seconds = time.perf_counter() - started
        print(f"{name:<34}{len(geoms):>10,}{len(results[-1]):>8,}{seconds:>9.2f}{len(geoms) / seconds:>12,.0f}")
    if results[0] != results[1]:
        raise SystemExit("the two do not find the same pairs")


if __name__ == "__main__":
    main()
