"""Which polygons touch: by corners they share (queen) or edges they share (rook), as the map draws them.

Two polygons share what has the same coordinates to the last bit, or with `snap_m` what rounds to the same point of a grid of that width.
An edge that one side draws with a corner more than the other is two edges there and one here: such borders share corners, not edges.
Polygons that only overlap do not touch.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import shapely

Ints = npt.NDArray[np.int64]


def touching(shapes: Any, *, rook: bool, snap_m: float = 0.0) -> tuple[Ints, Ints, npt.NDArray[np.float64]]:
    """Return starts and positions of the polygons that each touches, and the distance (m) between their centroids."""
    count = len(shapes)
    corners, owner, previous = _corners(shapes, snap_m)
    if rook:
        joined = np.stack([np.minimum(corners, previous), np.maximum(corners, previous)], axis=1)[previous >= 0]
        owner = owner[previous >= 0]
        _, feature = np.unique(joined, axis=0, return_inverse=True)
    else:
        feature = corners
    first, second = _pairs(feature.ravel(), owner)
    keys = np.unique(np.concatenate([first * count + second, second * count + first])) if count else np.zeros(0, dtype=np.int64)
    focal, other = keys // max(count, 1), keys % max(count, 1)
    starts = np.concatenate([[0], np.cumsum(np.bincount(focal, minlength=count))]).astype(np.int64)
    centres = shapely.centroid(shapes) if count else np.zeros(0, dtype=object)
    x, y = shapely.get_x(centres), shapely.get_y(centres)
    return starts, other, np.sqrt((x[focal] - x[other]) ** 2 + (y[focal] - y[other]) ** 2)


def _corners(shapes: Any, snap_m: float) -> tuple[Ints, Ints, Ints]:
    """Return the number of each vertex's place, its polygon, and the place before it in its ring (-1 at the ring's start)."""
    rings, of_ring = shapely.get_rings(shapes, return_index=True)
    coordinates, ring = shapely.get_coordinates(rings, return_index=True)
    if snap_m > 0:
        coordinates = np.round(coordinates / snap_m)
    _, place = np.unique(coordinates + 0.0, axis=0, return_inverse=True)
    place = place.ravel().astype(np.int64)
    previous = np.concatenate([[-1], place[:-1]]) if len(place) else place
    starts = np.concatenate([[True], np.diff(ring) != 0]) if len(ring) else np.zeros(0, dtype=bool)
    return place, of_ring[ring].astype(np.int64), np.where(starts | (previous == place), -1, previous)


def _pairs(feature: Ints, owner: Ints) -> tuple[Ints, Ints]:
    """Return pairs of owners that bear a feature in common, the smaller first; some more than once."""
    both = np.unique(np.stack([feature, owner], axis=1), axis=0)
    first, second = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    reach = 1
    while reach < len(both):
        same = both[reach:, 0] == both[:-reach, 0]
        if not same.any():
            break
        first.append(both[:-reach][same, 1])
        second.append(both[reach:][same, 1])
        reach += 1
    return np.concatenate(first), np.concatenate(second)
