"""The canonical form of a geometry: bytes that are equal exactly where two geometries say the same.

Only for comparing and hashing; what is stored stays as it was delivered. Equal are

* a geometry and a multi-geometry whose only part it is;
* polygons whose rings start at another vertex, run the other way round, or are listed in another order;
* multipoints and multipolygons whose parts are listed in another order;
* coordinates that differ by less than the grid of 1e-9 degrees (about 0.1 mm; heights: 0.1 mm), so also 0.0 and -0.0;
* lines and rings with repeated vertices, and geometries with heights of which one is NaN and those without heights.

A line that runs the other way is another line, because direction has a meaning (one-way streets, rivers); for the same reason the order
of the parts of a multi-line counts.

The form is computed on integers with NumPy, so it depends neither on the version of GEOS nor on the machine.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

Array = npt.NDArray[Any]
Integers = npt.NDArray[np.int64]

STEPS_PER_DEGREE: Final = 1e9
STEPS_PER_METRE: Final = 1e4
_NOT_FINITE: Final = np.iinfo(np.int64).min
_LARGEST: Final = 9e18
_POINTS, _LINES, _AREAS, _COLLECTIONS = b"PLAC"
# By GEOS type: point, line, ring, polygon, their multi-geometries, collection.
_KINDS: Final = np.frombuffer(bytes((_POINTS, _LINES, _LINES, _AREAS, _POINTS, _LINES, _AREAS, _COLLECTIONS)), np.uint8)


def geometry_bytes(geoms: Array) -> pa.LargeBinaryArray:
    """Return the canonical form of shapely geometries in degrees, null for None."""
    geoms = np.asarray(geoms, dtype=object)
    there = np.flatnonzero(~shapely.is_missing(geoms))
    kinds = _KINDS[shapely.get_type_id(geoms[there])]
    high = _has_heights(geoms[there])
    found: list[pa.Array] = [pa.nulls(1, pa.large_binary())]
    rows: list[Array] = []
    for kind in np.unique(kinds):
        for z in (False, True):
            chosen = there[(kinds == kind) & (high == z)]
            if len(chosen):
                found.append(_collections(geoms[chosen]) if kind == _COLLECTIONS else _simple(int(kind), geoms[chosen], z=z))
                rows.append(chosen)
    at = np.zeros(len(geoms), np.int64)
    if rows:
        at[np.concatenate(rows)] = np.arange(1, 1 + sum(map(len, rows)))
    return pa.concat_arrays(found).take(pa.array(at))


def point_bytes(lon: Array, lat: Array) -> pa.LargeBinaryArray:
    """Return the canonical form of points in two dimensions, given by their coordinates in degrees; an empty point has NaN."""
    empty = np.isnan(lon) & np.isnan(lat)
    steps = _steps(np.column_stack([lon, lat]))
    parts = (~empty).astype(np.int64)
    return _packed(_POINTS, False, parts, [(steps[~empty] if empty.any() else steps, parts)])


def binaries(data: Array, lengths: Array) -> pa.LargeBinaryArray:
    """Return byte strings of the given lengths that stand in `data` one after the other."""
    ends = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    return pa.Array.from_buffers(pa.large_binary(), len(lengths), [None, pa.py_buffer(ends), pa.py_buffer(np.ascontiguousarray(data))])


def joined(*parts: pa.Array) -> pa.LargeBinaryArray:
    """Return the parts of each row one after the other; a null part is left out."""
    # `skip` would leave out rows of nulls alone, and so return fewer rows than it was given (Arrow 26).
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.large_binary()), null_handling="replace", null_replacement="")


def _has_heights(geoms: Array) -> Array:
    """Tell which geometries have a height at every vertex."""
    high = np.asarray(shapely.has_z(geoms)).copy()
    if high.any():
        index = np.flatnonzero(high)
        xyz, owner = shapely.get_coordinates(geoms[index], include_z=True, return_index=True)
        high[index[np.unique(owner[np.isnan(xyz[:, 2])])]] = False
    return high


def _steps(coordinates: Array) -> Integers:
    """Return coordinates as whole steps of the grid."""
    scaled = coordinates * np.array([STEPS_PER_DEGREE, STEPS_PER_DEGREE, STEPS_PER_METRE])[: coordinates.shape[1]]
    if not scaled.size or (scaled.min() > -_LARGEST and scaled.max() < _LARGEST):  # not so where one is NaN
        return np.asarray(np.rint(scaled, out=scaled).astype(np.int64))
    good = np.abs(scaled) < _LARGEST
    whole = np.full(scaled.shape, _NOT_FINITE, np.int64)
    whole[good] = np.rint(scaled[good]).astype(np.int64)
    return whole


def _packed(kind: int, high: bool, parts: Array, content: list[tuple[Array, Array]]) -> pa.LargeBinaryArray:
    """Return kind, dimensions and number of parts of each row, then its share of each array of `content`: (values, values a row)."""
    head = np.zeros(len(parts), [("kind", "u1"), ("high", "u1"), ("parts", "<i8")])
    head["kind"], head["high"], head["parts"] = kind, high, parts
    columns = [binaries(head.view(np.uint8), np.full(len(parts), head.dtype.itemsize))]
    for values, counts in content:
        width = values.dtype.itemsize * (values.shape[1] if values.ndim > 1 else 1)
        columns.append(binaries(values, counts * width))
    return joined(*columns)


def _simple(kind: int, geoms: Array, *, z: bool) -> pa.LargeBinaryArray:
    if kind == _POINTS:
        xyz, owner = shapely.get_coordinates(geoms, include_z=z, return_index=True)
        steps = _steps(xyz)
        order = np.lexsort((*steps.T[::-1], owner))
        counts = np.bincount(owner, minlength=len(geoms))
        return _packed(kind, z, counts, [(steps[order], counts)])
    if (shapely.get_type_id(geoms) >= shapely.GeometryType.MULTIPOINT).any():
        parts, row = shapely.get_parts(geoms, return_index=True)
    else:
        parts, row = geoms, np.arange(len(geoms))
    is_empty = shapely.is_empty(parts)
    if is_empty.any():
        parts, row = parts[~is_empty], row[~is_empty]
    count = np.bincount(row, minlength=len(geoms))
    if not len(parts):
        return _packed(kind, z, count, [])
    return _lines(parts, row, count, z=z) if kind == _LINES else _areas(parts, row, count, z=z)


def _lines(parts: Array, row: Array, count: Array, *, z: bool) -> pa.LargeBinaryArray:
    xyz, owner = shapely.get_coordinates(parts, include_z=z, return_index=True)
    steps, owner = _without_repeats(_steps(xyz), owner)
    sizes = np.bincount(owner, minlength=len(parts))
    return _packed(_LINES, z, count, [(sizes, count), (steps, _sums(sizes, row, len(count)))])


def _areas(parts: Array, row: Array, count: Array, *, z: bool) -> pa.LargeBinaryArray:
    rings, part = shapely.get_rings(parts, return_index=True)
    xyz, owner = shapely.get_coordinates(rings, include_z=z, return_index=True)
    steps, owner = _open_rings(*_without_repeats(_steps(xyz), owner))
    sizes = np.bincount(owner, minlength=len(rings))
    steps = _turned(steps, owner, sizes)
    holes = np.bincount(part, minlength=len(parts))
    if (holes > 1).any() or (count > 1).any():
        order, row = _ordered(steps, sizes, part, row)
        starts = np.cumsum(sizes) - sizes
        moved = sizes[order]
        steps = steps[np.repeat(starts[order] - (np.cumsum(moved) - moved), moved) + np.arange(len(steps))]
        sizes = moved
        rank = part[order]
        holes = np.diff(np.append(np.flatnonzero(np.diff(rank, prepend=-1)), len(rank)))
        ring_row = np.repeat(row, holes)
    else:
        ring_row = row[part]
    rings_a_row = np.bincount(ring_row, minlength=len(count))
    return _packed(_AREAS, z, count, [(holes, count), (sizes, rings_a_row), (steps, _sums(sizes, ring_row, len(count)))])


def _sums(sizes: Array, row: Array, rows: int) -> Integers:
    return np.bincount(row, weights=sizes, minlength=rows).astype(np.int64)


def _without_repeats(steps: Integers, owner: Array) -> tuple[Integers, Array]:
    """Leave out vertices that repeat the one before in the same line or ring."""
    repeats = (owner[1:] == owner[:-1]) & (steps[1:, 0] == steps[:-1, 0]) & (steps[1:, 1] == steps[:-1, 1])
    if not repeats.any():
        return steps, owner
    kept = np.append(True, ~repeats)
    return steps[kept], owner[kept]


def _open_rings(steps: Integers, owner: Array) -> tuple[Integers, Array]:
    """Leave out the last vertex of each ring where it is the first one again."""
    last = np.flatnonzero(np.append(owner[1:] != owner[:-1], True))
    first = np.append(0, last[:-1] + 1)
    closing = last[(steps[last, :2] == steps[first, :2]).all(axis=1) & (last > first)]
    kept = np.ones(len(steps), bool)
    kept[closing] = False
    return steps[kept], owner[kept]


def _turned(steps: Integers, owner: Array, sizes: Array) -> Integers:
    """Return each ring from its smallest vertex on, first to the smaller of that vertex's neighbours."""
    x, y = np.ascontiguousarray(steps[:, 0]), np.ascontiguousarray(steps[:, 1])
    starts = np.cumsum(sizes) - sizes
    leftmost = np.flatnonzero(x == np.repeat(np.minimum.reduceat(x, starts), sizes))
    leftmost = leftmost[np.lexsort((y[leftmost], owner[leftmost]))]
    first = leftmost[np.append(True, owner[leftmost][1:] != owner[leftmost][:-1])] - starts
    after, before = starts + (first + 1) % sizes, starts + (first - 1) % sizes
    forward = (x[after] < x[before]) | (x[after] == x[before]) & (y[after] <= y[before])
    start = np.repeat(starts, sizes)
    step = (np.arange(len(steps)) - start) * np.repeat(np.where(forward, 1, -1), sizes) + np.repeat(first, sizes)
    size = np.repeat(sizes, sizes)
    step -= size * (step >= size)
    step += size * (step < 0)
    return np.asarray(np.take(steps, step + start, axis=0))


def _ordered(steps: Integers, sizes: Array, part: Array, row: Array) -> tuple[Array, Array]:
    """Return the order of the rings, by row, part and shell before holes, and the row of each part in that order.

    Rings of a valid geometry touch in points only, so two vertices tell them apart; those of others are told apart by all their vertices.
    """
    starts = np.cumsum(sizes) - sizes
    one, two = steps[starts], steps[starts + (sizes > 1)]
    mixed = _mixed(steps, starts, sizes)
    by_place = (mixed, sizes, two[:, 1], two[:, 0], one[:, 1], one[:, 0])
    is_shell = np.append(True, part[1:] != part[:-1])
    whole = np.add.reduceat(mixed, np.flatnonzero(is_shell))
    parts = np.lexsort((whole, *(key[is_shell] for key in by_place), row))
    rank = np.empty(len(parts), np.int64)
    rank[parts] = np.arange(len(parts))
    return np.lexsort((*by_place, ~is_shell, rank[part])), row[parts]


def _mixed(steps: Integers, starts: Array, sizes: Array) -> npt.NDArray[np.uint64]:
    """Return a number for each ring that depends on all its vertices and their order."""
    place = (np.arange(len(steps)) - np.repeat(starts, sizes)).astype(np.uint64)
    x, y = steps[:, 0].astype(np.uint64), steps[:, 1].astype(np.uint64)
    found = (x * np.uint64(0x9E3779B97F4A7C15)) ^ (y * np.uint64(0xC2B2AE3D27D4EB4F)) ^ (place * np.uint64(0x165667B19E3779F9))
    found ^= found >> np.uint64(29)
    found *= np.uint64(0xBF58476D1CE4E5B9)
    return np.add.reduceat(found ^ (found >> np.uint64(32)), starts)


def _collections(geoms: Array) -> pa.LargeBinaryArray:
    """Return the forms of collections: that of the only part, else those of all parts in their order."""
    return pa.array([_collection(geometry_bytes(shapely.get_parts(geom)).to_pylist()) for geom in geoms], pa.large_binary())


def _collection(parts: list[bytes]) -> bytes:
    if len(parts) == 1:
        return parts[0]
    return bytes((_COLLECTIONS,)) + b"".join(len(part).to_bytes(8, "little") + part for part in parts)
