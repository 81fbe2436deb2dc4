"""Conform geometries: hostile or careless WKB in, valid EPSG:4490 geometries or a reason out.

Everything works on whole arrays (shapely 2, numpy); no Spark, no I/O. A batch of rows goes through the same steps:

guard (nesting, types) → parse → empty, NaN → coordinates to EPSG:4490 → swapped axes, area → kind → validity → orientation

Rows never raise: a row that cannot be used gets one message code of `schemas/messages/geometry.toml` and what was found. Only a coordinate
reference system that cannot be used raises (`transforms.space.coords`), because then no row of the batch can be placed.

Topology is judged as validity in OGC simple features (ISO 19125); what fails is topological consistency in the terms of ISO 19157. A
repair is accepted where it changes the area (of lines: the length) by at most `max_change` of the larger of the two measures: touching
rings and spikes are then free, a bow tie or a large hole outside its shell is a matter for the surveyor.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from schemas.model import GeometryKind
from transforms.conform.wkb import MALFORMED, NOT_LINEAR, TOO_DEEP, first_position, guard
from transforms.space import coords

type_ids = shapely.GeometryType
Array = npt.NDArray[Any]
Extent = tuple[float, float, float, float]

TARGET_CRS: Final = "EPSG:4490"
GEOM_FIELD: Final = "geom"

MISSING: Final = "SY-C101"
EMPTY: Final = "SY-C105"
NOT_FINITE: Final = "SY-C106"
SWAPPED: Final = "SY-C107"
OUT_OF_RANGE: Final = "SY-C108"
OUT_OF_AREA: Final = "SY-C109"
WRONG_KIND: Final = "SY-C110"
COLLAPSED: Final = "SY-C111"
INVALID: Final = "SY-C112"

_KIND_TYPES: Final = {
    GeometryKind.POINT: (type_ids.POINT, type_ids.MULTIPOINT),
    GeometryKind.LINE: (type_ids.LINESTRING, type_ids.MULTILINESTRING),
    GeometryKind.POLYGON: (type_ids.POLYGON, type_ids.MULTIPOLYGON),
}
_REASON_NOTES: Final = {
    "Self-intersection": "self_intersection",
    "Ring Self-intersection": "ring_self_touch",
    "Hole lies outside shell": "hole_outside_shell",
    "Nested holes": "nested_holes",
    "Holes are nested": "nested_holes",
    "Nested shells": "nested_shells",
    "Duplicate Rings": "duplicate_rings",
    "Interior is disconnected": "disconnected_interior",
    "Too few points in geometry component": "collapsed_part",
}


@dataclass(frozen=True)
class Conformed:
    """The rows of one batch after conforming; all arrays have the length of the input.

    `geoms`: shapely geometries in EPSG:4490, None where rejected (or where nothing was given and nothing is required). `bounds`: (n, 4)
    degrees, NaN without geometry. `error_code`, `error_field`, `error_value`: str or None; exactly the rejected rows have a code. `notes`:
    a tuple of repairs per row, in the order in which they were made, e.g. `("duplicate_points", "ring_self_touch")`.
    """

    geoms: Array
    bounds: Array
    error_code: Array
    error_field: Array
    error_value: Array
    notes: Array

    def wkb(self) -> Array:
        """Return ISO WKB, little endian, None without geometry."""
        return np.asarray(shapely.to_wkb(self.geoms, flavor="iso", byte_order=1), dtype=object)


class _Rows:
    """Rows on their way: geometry, verdict and notes, changed by one step after the other."""

    def __init__(self, count: int) -> None:
        self.geoms: Array = np.full(count, None, dtype=object)
        self.code: Array = np.full(count, None, dtype=object)
        self.value: Array = np.full(count, None, dtype=object)
        self.notes: Array = np.full(count, None, dtype=object)
        self.notes.fill(())

    def alive(self) -> Array:
        """Return the indices of the rows that still have a geometry."""
        return np.flatnonzero(~shapely.is_missing(self.geoms))

    def reject(self, index: Array | int, code: str, values: str | Sequence[str | None] | Array | None) -> None:
        self.geoms[index] = None
        self.code[index] = code
        self.value[index] = values

    def note(self, index: Array, text: str) -> None:
        for i in index:
            self.notes[i] = (*self.notes[i], text)


def conform_geometries(
    wkb: Array | pa.Array,
    kind: GeometryKind,
    *,
    source_crs: str,
    operation: coords.Operation = None,
    extent: Extent | None = None,
    required: bool = True,
    multi: bool = True,
    fix_swapped: bool = False,
    force_2d: bool = False,
    max_depth: int = 16,
    max_change: float = 0.01,
) -> Conformed:
    """Conform WKB geometries of one coordinate reference system to `kind` in EPSG:4490.

    `wkb`: (n,) object array of bytes or None, or an Arrow binary array; ISO WKB or EWKB, coordinates x before y in `source_crs` (a CRS of
    `transforms.space.coords`; `operation` names the datum shift where there is more than one).
    `extent`: (xmin, ymin, xmax, ymax) in degrees EPSG:4490, with its margin; a geometry must touch it.
    `required`: a missing geometry is an error. `multi`: geometries of several parts are allowed.
    `fix_swapped`: exchange axes that are plainly swapped instead of rejecting. `force_2d`: drop heights.
    `max_depth`: levels of nested collections. `max_change`: share of area or length that a repair may change.
    M values are dropped; polygon exteriors run counter-clockwise (RFC 7946 §3.1.6).

    Raises SanyuError of `transforms.space.coords` if the source CRS is unknown or its datum shift ambiguous.
    """
    binary = wkb.combine_chunks() if isinstance(wkb, pa.ChunkedArray) else wkb
    if not isinstance(binary, pa.Array):
        binary = pa.array(binary, type=pa.large_binary())
    rows = _Rows(len(binary))
    with np.errstate(invalid="ignore", over="ignore"):
        _parse(rows, binary, required=required, max_depth=max_depth)
        _drop_dimensions(rows, force_2d=force_2d)
        _reject_unusable(rows)
        _place(rows, source_crs, operation, extent, fix_swapped=fix_swapped)
        _coerce(rows, kind, multi=multi)
        _drop_duplicate_points(rows)
        _make_valid(rows, kind, multi=multi, max_change=max_change)
        rows.geoms = np.asarray(shapely.orient_polygons(rows.geoms, exterior_cw=False), dtype=object)
        bounds = shapely.bounds(rows.geoms)
    fields = np.full(len(binary), None, dtype=object)
    fields[rows.code.astype(bool)] = GEOM_FIELD
    return Conformed(rows.geoms, bounds, rows.code, fields, rows.value, rows.notes)


def _parse(rows: _Rows, binary: pa.Array, *, required: bool, max_depth: int) -> None:
    """Parse WKB that the guard lets through; GEOS recurses once per nesting level, so depth is bounded before it sees the bytes."""
    given = binary.is_valid().to_numpy(zero_copy_only=False)
    if required:
        rows.reject(np.flatnonzero(~given), MISSING, None)
    blobs = binary.to_numpy(zero_copy_only=False)
    verdict = guard(binary, blobs, max_depth)
    for code, value in ((TOO_DEEP, f"> {max_depth}"), (NOT_LINEAR, None), (MALFORMED, None)):
        index = np.flatnonzero(verdict == code)
        rows.reject(index, code, value if value else [_head(blobs[i]) for i in index])
    clean = np.flatnonzero(given & (verdict == ""))
    rows.geoms[clean] = shapely.from_wkb(blobs[clean], on_invalid="ignore")
    failed = clean[shapely.is_missing(rows.geoms[clean])]
    if len(failed):
        rows.geoms[failed] = shapely.from_wkb(blobs[failed], on_invalid="fix")
        lost = shapely.is_missing(rows.geoms[failed])
        rows.note(failed[~lost], "ring_closed")
        for i in failed[lost]:
            first = first_position(blobs[i])
            if first is None or np.isfinite(first).all():
                rows.reject(i, MALFORMED, _head(blobs[i]))
            else:
                rows.reject(i, NOT_FINITE, _position(*first))


def _head(blob: bytes) -> str:
    """Return the first bytes as hex, for a message."""
    return blob[:9].hex() + ("…" if len(blob) > 9 else "")


def _drop_dimensions(rows: _Rows, *, force_2d: bool) -> None:
    """Drop M values, heights that are NaN, and all heights if asked."""
    flat = np.flatnonzero(shapely.has_z(rows.geoms)) if force_2d else np.empty(0, dtype=np.int64)
    rows.geoms[flat] = shapely.force_2d(rows.geoms[flat])
    measured = np.flatnonzero(shapely.has_m(rows.geoms))
    if len(measured):
        rows.geoms[measured] = _without_m(rows.geoms[measured])
    high = np.flatnonzero(shapely.has_z(rows.geoms))
    if len(high):
        xyz, owner = shapely.get_coordinates(rows.geoms[high], include_z=True, return_index=True)
        gaps = high[np.unique(owner[np.isnan(xyz[:, 2])])]
        rows.geoms[gaps] = shapely.force_2d(rows.geoms[gaps])
        rows.note(gaps, "height_dropped")


def _without_m(geoms: Array) -> Array:
    """Return the geometries in XY or XYZ; `shapely.force_3d` alone would set the heights of XYZM to 0."""
    plain: Array = np.asarray(shapely.force_2d(geoms), dtype=object)
    high = shapely.has_z(geoms)
    xyz = shapely.get_coordinates(geoms[high], include_z=True)
    plain[high] = shapely.set_coordinates(shapely.force_3d(plain[high]), xyz)
    return plain


def _reject_unusable(rows: _Rows) -> None:
    """Reject empty geometries and coordinates that are not finite."""
    empty = np.flatnonzero(shapely.is_empty(rows.geoms))
    rows.reject(empty, EMPTY, [shapely.to_wkt(g) for g in rows.geoms[empty]])
    xyz, owner = shapely.get_coordinates(rows.geoms, include_z=True, return_index=True)
    bad = ~np.isfinite(xyz[:, :2]).all(axis=1) | np.isinf(xyz[:, 2])
    if bad.any():
        index, first = np.unique(owner[bad], return_index=True)
        rows.reject(index, NOT_FINITE, [_position(*xy) for xy in xyz[bad][first, :2]])


def _position(x: float, y: float) -> str:
    return ", ".join(f"{v:.7g}" if abs(v) < 1000 else f"{v:.2f}" for v in (x, y))


def _place(
    rows: _Rows,
    source_crs: str,
    operation: coords.Operation,
    extent: Extent | None,
    *,
    fix_swapped: bool,
) -> None:
    """Bring the coordinates to EPSG:4490; find swapped axes, coordinates that no place has, and places outside the extent.

    Axes count as swapped only if the geometry is out of place as delivered and in place when exchanged: a place that is possible both
    ways is left alone. Without an extent, "in place" is any longitude and latitude.
    """
    index = rows.alive()
    if not len(index):
        return
    source = rows.geoms[index]
    xy = shapely.get_coordinates(source)
    owner = np.repeat(np.arange(len(index)), shapely.get_num_coordinates(source))
    lonlat, state = _located(xy, owner, len(index), source_crs=source_crs, operation=operation, extent=extent)
    placed = source if np.array_equal(lonlat, xy) else _with_xy(source, np.nan_to_num(lonlat))
    bad = np.flatnonzero(state != "")
    if len(bad):
        among = np.isin(owner, bad)
        renumbered = np.searchsorted(bad, owner[among])
        turned_xy, turned_state = _located(
            xy[among][:, ::-1], renumbered, len(bad), source_crs=source_crs, operation=operation, extent=extent
        )
        swapped = turned_state == ""
        turned = _with_xy(source[bad], np.nan_to_num(turned_xy))
        first = xy[np.searchsorted(owner, bad)]
        texts = np.array([_position(*p) for p in first], dtype=object)
        for code in (OUT_OF_RANGE, OUT_OF_AREA):
            chosen = ~swapped & (state[bad] == code)
            rows.reject(index[bad[chosen]], code, texts[chosen])
        placed[bad] = None
        if fix_swapped:
            placed[bad[swapped]] = turned[swapped]
            rows.note(index[bad[swapped]], "axes_swapped")
        else:
            rows.reject(index[bad[swapped]], SWAPPED, texts[swapped])
    rows.geoms[index] = placed


def _located(
    xy: Array,
    owner: Array,
    count: int,
    *,
    source_crs: str,
    operation: coords.Operation,
    extent: Extent | None,
) -> tuple[Array, Array]:
    """Return EPSG:4490 coordinates and, per geometry, the code of what is wrong with its place (`""` if nothing)."""
    lon, lat = coords.transform(xy[:, 0], xy[:, 1], source_crs, TARGET_CRS, operation=operation)
    lonlat = np.column_stack([lon, lat])
    state = np.full(count, "", dtype=object)
    impossible = ~(np.isfinite(lonlat).all(axis=1) & (np.abs(lonlat[:, 0]) <= 180) & (np.abs(lonlat[:, 1]) <= 90))
    if extent is not None:
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        low, high = np.minimum.reduceat(lonlat, starts), np.maximum.reduceat(lonlat, starts)
        touches = (low[:, 0] <= extent[2]) & (high[:, 0] >= extent[0]) & (low[:, 1] <= extent[3]) & (high[:, 1] >= extent[1])
        state[~touches] = OUT_OF_AREA
    state[np.unique(owner[impossible])] = OUT_OF_RANGE
    return lonlat, state


def _with_xy(geoms: Array, xy: Array) -> Array:
    """Return copies with other x, y; heights stay."""
    out: Array = geoms.copy()
    high = shapely.has_z(geoms)
    per_coordinate = np.repeat(high, shapely.get_num_coordinates(geoms))
    if high.any():
        z = shapely.get_coordinates(geoms[high], include_z=True)[:, 2]
        out[high] = shapely.set_coordinates(geoms[high], np.column_stack([xy[per_coordinate], z]))
    out[~high] = shapely.set_coordinates(geoms[~high], xy[~per_coordinate])
    return out


def _coerce(rows: _Rows, kind: GeometryKind, *, multi: bool) -> None:
    """Bring geometries to the kind where nothing is lost; a closed line never becomes a polygon."""
    index = rows.alive()
    kinds = shapely.get_type_id(rows.geoms[index])
    if kind is not GeometryKind.ANY:
        for i in index[kinds == type_ids.GEOMETRYCOLLECTION]:
            extracted = _extracted(rows.geoms[i], kind)
            if extracted is not None:
                rows.geoms[i] = extracted
                rows.note(np.array([i]), "collection_extracted")
        kinds = shapely.get_type_id(rows.geoms[index])
        wrong = index[~np.isin(kinds, _KIND_TYPES[kind])]
        rows.reject(wrong, WRONG_KIND, [f"{g.geom_type}, not {kind}" for g in rows.geoms[wrong]])
    if not multi:
        _single(rows, kind)


def _single(rows: _Rows, kind: GeometryKind) -> None:
    """Unwrap multi-geometries of one part; reject those of several."""
    index = rows.alive()
    many = index[np.isin(shapely.get_type_id(rows.geoms[index]), (4, 5, 6))]
    parts = shapely.get_num_geometries(rows.geoms[many])
    rows.geoms[many[parts == 1]] = shapely.get_geometry(rows.geoms[many[parts == 1]], 0)
    wrong = many[parts != 1]
    rows.reject(wrong, WRONG_KIND, [f"{g.geom_type} of {len(g.geoms)} parts, not {kind}" for g in rows.geoms[wrong]])


def _extracted(collection: shapely.Geometry, kind: GeometryKind) -> shapely.Geometry | None:
    """Return the parts of the kind, or None if there is none or the rest has a length or area of its own."""
    parts = np.array([collection], dtype=object)
    while (shapely.get_type_id(parts) >= type_ids.MULTIPOINT).any():
        parts = shapely.get_parts(parts)
    parts = parts[~shapely.is_empty(parts)]
    simple, several = _KIND_TYPES[kind]
    chosen = shapely.get_type_id(parts) == simple
    if not chosen.any():
        return None
    wanted = parts[chosen][0] if chosen.sum() == 1 else _collect(parts[chosen], several)
    rest = parts[~chosen]
    if ((shapely.length(rest) > 0) & ~shapely.covers(wanted, rest)).any():
        return None
    return wanted


def _collect(parts: Array, several: shapely.GeometryType) -> shapely.Geometry:
    makers = {type_ids.MULTIPOINT: shapely.multipoints, type_ids.MULTILINESTRING: shapely.multilinestrings}
    return makers.get(several, shapely.multipolygons)(parts)


def _drop_duplicate_points(rows: _Rows) -> None:
    """Drop vertices that repeat the one before; points are left as they are."""
    index = rows.alive()
    index = index[~np.isin(shapely.get_type_id(rows.geoms[index]), (type_ids.POINT, type_ids.MULTIPOINT))]
    xy, owner = shapely.get_coordinates(rows.geoms[index], return_index=True)
    repeated = (np.diff(owner) == 0) & (np.diff(xy, axis=0) == 0).all(axis=1)
    candidates = index[np.unique(owner[1:][repeated])]
    if len(candidates):
        cleaned = shapely.remove_repeated_points(rows.geoms[candidates], 0)
        fewer = shapely.get_num_coordinates(cleaned) < shapely.get_num_coordinates(rows.geoms[candidates])
        rows.geoms[candidates[fewer]] = cleaned[fewer]
        rows.note(candidates[fewer], "duplicate_points")


def _make_valid(rows: _Rows, kind: GeometryKind, *, multi: bool, max_change: float) -> None:
    """Repair invalid geometries where little changes; reject what collapses and what a repair would alter."""
    index = rows.alive()
    broken = index[~shapely.is_valid(rows.geoms[index])]
    if not len(broken):
        return
    before = rows.geoms[broken]
    reasons = np.asarray(shapely.is_valid_reason(before), dtype=object)
    after = np.asarray(shapely.make_valid(before, method="structure", keep_collapsed=False), dtype=object)
    lineal = np.isin(shapely.get_type_id(before), _KIND_TYPES[GeometryKind.LINE])
    old, new = (np.where(lineal, shapely.length(g), shapely.area(g)) for g in (before, after))
    gone = shapely.is_empty(after) | (new == 0)
    changed = ~gone & (np.abs(new - old) > max_change * np.maximum(old, new))
    if kind is not GeometryKind.ANY:
        changed |= ~gone & ~np.isin(shapely.get_type_id(after), _KIND_TYPES[kind])
    if not multi:
        changed |= ~gone & (shapely.get_num_geometries(after) > 1)
    rows.reject(broken[gone], COLLAPSED, reasons[gone])
    rows.reject(broken[changed], INVALID, reasons[changed])
    kept = ~gone & ~changed
    rows.geoms[broken[kept]] = after[kept]
    for i, reason in zip(broken[kept], reasons[kept], strict=True):
        text = reason.partition("[")[0]
        rows.notes[i] = (*rows.notes[i], _REASON_NOTES.get(text, text.lower().replace(" ", "_")))
