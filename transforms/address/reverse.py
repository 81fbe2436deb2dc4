"""Reverse geocoding: from a coordinate to the chain of divisions on a day, the nearest road and the nearest standard address.

The search runs in a transverse Mercator grid around the middle of the data. The grid is conformal, so the nearest thing in it is the
nearest on the ground, and distances are converted to the ellipsoid (GRS 80) by the grid's scale at the place: 1 + x²/2R² + x⁴/24R⁴ (Snyder
1987, 8-7 for small x). Compared with the geodesic, this is accurate to 10⁻⁶ within a city and to 10⁻⁵ within 300 km of the middle. Between
two vertices, a road is straight in the grid.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyproj
import shapely

from transforms.address.reverse_divisions import DivisionIndex
from transforms.address.reverse_grid import SegmentGrid, segment_grid
from transforms.space import coords

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
OUTSIDE, NOWHERE = "SY-A050", "SY-A051"
ADDRESS_KINDS = ("door", "building", "unit", "room")
LEVEL_NAMES = ("province", "city", "district", "township", "community")
EARTH_R_M = 6_371_000.0


@dataclass(frozen=True, slots=True)
class Reverse:
    """What is at a coordinate: chain of (code, name) from the province down, nearest road and address with distances in metres.

    `code` is SY-A050 outside the area and SY-A051 for positions not on Earth; the rest is then empty. Anything beyond the index's reach
    is None.
    """

    division_code: str | None
    chain: tuple[tuple[str, str], ...]
    road_id: str | None
    road_name: str | None
    road_distance_m: float | None
    entity_id: str | None
    address_text: str | None
    address_distance_m: float | None
    code: str | None


@dataclass(frozen=True)
class _Nearest:
    """Things by their segments: `owner` is the row in `labels` for each segment."""

    grid: SegmentGrid
    owner: Ints
    labels: pa.Table


@dataclass(frozen=True)
class ReverseIndex:
    """Index over addresses, roads and divisions of an area, in one metric grid."""

    to_grid: pyproj.Transformer
    points: _Nearest | None
    roads: _Nearest | None
    divisions: DivisionIndex | None
    reach_m: float

    @classmethod
    def build(
        cls, points: pa.Table, roads: pa.Table | None = None, divisions: pa.Table | None = None, *, reach_m: float = 3000.0
    ) -> ReverseIndex:
        """Build from tables in EPSG:4490.

        `points`: entity_id, address_text, lon, lat, and `kind` if only ADDRESS_KINDS should count; `roads`: entity_id, name, geom (WKB
        lines); `divisions`: see `DivisionIndex.build`. Nothing farther away than `reach_m` is returned.
        """
        if "kind" in points.column_names:
            points = points.filter(pc.is_in(points.column("kind"), pa.array(ADDRESS_KINDS)))
        points = points.filter(pc.and_(pc.is_valid(points.column("lon")), pc.is_valid(points.column("lat"))))
        lon, lat = points.column("lon").to_numpy(), points.column("lat").to_numpy()
        lines = None if roads is None else np.asarray(shapely.from_wkb(roads.column("geom").to_numpy(zero_copy_only=False)))
        to_grid = _grid_around(lon, lat, lines, divisions)
        spots = _projected(to_grid, lon, lat)
        near_points = None
        if len(spots):
            labels = points.select(["entity_id", "address_text"])
            near_points = _Nearest(segment_grid(np.hstack([spots, spots])), np.arange(len(spots)), labels)
        near_roads = None
        if roads is not None and lines is not None and len(lines):
            segments, owner = _segments(lines, to_grid)
            near_roads = _Nearest(segment_grid(segments, per_cell=1.0), owner, roads.select(["entity_id", "name"]))
        return cls(to_grid, near_points, near_roads, None if divisions is None else DivisionIndex.build(divisions), reach_m)

    def query(self, lon: Any, lat: Any, crs: str = "EPSG:4490", at: Any = None, threads: int = 1) -> Any:
        """Return a `Reverse` for scalars, an Arrow table (see `table`) for arrays of shape (n,).

        `crs` is the datum of the input (EPSG code, GCJ-02, BD-09); `at` the day of the divisions (date, or array of dates), None for the
        latest known. SY-G001: the system is unknown.
        """
        scalar = np.ndim(lon) == 0
        table = self.table(np.atleast_1d(np.asarray(lon, float)), np.atleast_1d(np.asarray(lat, float)), crs, at, threads)
        if not scalar:
            return table
        row = table.to_pylist()[0]
        return Reverse(
            **{name: row.get(name) for name in ("division_code", "road_id", "road_name", "road_distance_m")},
            **{name: row[name] for name in ("entity_id", "address_text", "address_distance_m", "code")},
            chain=_chain(row),
        )

    def table(self, lon: Floats, lat: Floats, crs: str = "EPSG:4490", at: Any = None, threads: int = 1) -> pa.Table:
        """Return one row per point, in order.

        Columns: division_code, code and name per level (province_code, province_name … community_name; with divisions only), road_id,
        road_name, road_distance_m, entity_id, address_text, address_distance_m, code.
        """
        if crs not in ("EPSG:4490", "EPSG:4326"):
            lon, lat = coords.transform(lon, lat, crs, "EPSG:4490")
        on_earth = np.isfinite(lon) & np.isfinite(lat) & (np.abs(lon) <= 180) & (np.abs(lat) <= 90)
        lon, lat = np.where(on_earth, lon, np.nan), np.where(on_earth, lat, np.nan)
        columns: dict[str, Any] = {}
        inside = on_earth
        if self.divisions is not None:
            found, chains = self.divisions.find(lon, lat, _days(at, len(lon)))
            inside = found >= 0
            columns |= self._division_columns(self.divisions, found, chains)
        xy = _projected(self.to_grid, lon, lat)
        xy[~inside] = np.nan
        roads, roads_m = self._near(self.roads, xy, threads)
        doors, doors_m = self._near(self.points, xy, threads)
        if self.divisions is None:
            inside = on_earth & ((roads >= 0) | (doors >= 0))
        columns |= _named(self.roads, roads, {"entity_id": "road_id", "name": "road_name"}) | {"road_distance_m": _metres(roads_m)}
        columns |= _named(self.points, doors, {"entity_id": "entity_id", "address_text": "address_text"}) | {
            "address_distance_m": _metres(doors_m)
        }
        reasons = pa.array([OUTSIDE, NOWHERE])
        columns["code"] = reasons.take(pa.array(np.where(on_earth, 0, 1), mask=inside))
        return pa.table(columns)

    def _near(self, near: _Nearest | None, xy: Floats, threads: int) -> tuple[Ints, Floats]:
        if near is None:
            return np.full(len(xy), -1, np.int64), np.full(len(xy), np.nan)
        x, y = np.ascontiguousarray(xy[:, 0]), np.ascontiguousarray(xy[:, 1])
        found, away = near.grid.nearest(x, y, self.reach_m, threads)
        scale = 1 + x**2 / (2 * EARTH_R_M**2) + x**4 / (24 * EARTH_R_M**4)
        return np.where(found >= 0, near.owner[found], -1), away / scale

    def _division_columns(self, index: DivisionIndex, found: Ints, chains: Ints) -> dict[str, Any]:
        codes, names = pa.array(index.codes, pa.string()), pa.array(index.names, pa.string())
        columns = {"division_code": codes.take(_rows(found))}
        for depth, level in enumerate(LEVEL_NAMES):
            rows = _rows(chains[:, depth])
            columns |= {f"{level}_code": codes.take(rows), f"{level}_name": names.take(rows)}
        return columns


def _chain(row: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return code and name of each level of a row of the table."""
    pairs = ((row.get(f"{level}_code"), row.get(f"{level}_name")) for level in LEVEL_NAMES)
    return tuple((str(code), str(name)) for code, name in pairs if code is not None)


def _rows(found: Ints) -> pa.Array:
    return pa.array(found, mask=found < 0)


def _metres(values: Floats) -> pa.Array:
    return pa.array(np.round(values, 3), mask=np.isnan(values))


def _named(near: _Nearest | None, found: Ints, names: dict[str, str]) -> dict[str, pa.ChunkedArray | pa.Array]:
    if near is None:
        return {new: pa.nulls(len(found), pa.string()) for new in names.values()}
    rows = _rows(found)
    return {new: near.labels.column(old).combine_chunks().take(rows) for old, new in names.items()}


def _days(at: Any, size: int) -> npt.NDArray[np.datetime64] | None:
    if at is None:
        return None
    if isinstance(at, dt.datetime):
        at = at.date()
    return np.broadcast_to(np.asarray(at, dtype="datetime64[D]"), (size,))


def _grid_around(lon: Floats, lat: Floats, lines: npt.NDArray[Any] | None, divisions: pa.Table | None) -> pyproj.Transformer:
    """Return the projection from degrees to a transverse Mercator grid around the middle of the data."""
    boxes = [(lon.min(), lat.min(), lon.max(), lat.max())] if len(lon) else []
    if lines is not None and len(lines):
        boxes.append(tuple(shapely.total_bounds(lines)))
    if not boxes and divisions is not None:
        boxes.append(tuple(shapely.total_bounds(shapely.from_wkb(divisions.column("geom").to_numpy(zero_copy_only=False)))))
    box = np.array(boxes or [(0.0, 0.0, 0.0, 0.0)])
    lon_0, lat_0 = (box[:, 0].min() + box[:, 2].max()) / 2, (box[:, 1].min() + box[:, 3].max()) / 2
    grid = pyproj.CRS.from_proj4(f"+proj=tmerc +lat_0={lat_0:.6f} +lon_0={lon_0:.6f} +k=1 +ellps=GRS80 +units=m +type=crs")
    base = pyproj.CRS.from_proj4("+proj=longlat +ellps=GRS80 +type=crs")
    return pyproj.Transformer.from_crs(base, grid, always_xy=True)


def _projected(to_grid: pyproj.Transformer, lon: Floats, lat: Floats) -> Floats:
    x, y = to_grid.transform(lon, lat)
    xy = np.column_stack([np.asarray(x, float), np.asarray(y, float)])
    xy[~np.isfinite(xy)] = np.nan
    return xy


def _segments(lines: npt.NDArray[Any], to_grid: pyproj.Transformer) -> tuple[Floats, Ints]:
    """Return the segments of lines in metres and the row of the line that each belongs to."""
    parts, owner = shapely.get_parts(lines, return_index=True)
    degrees, part = shapely.get_coordinates(parts, return_index=True)
    xy = _projected(to_grid, degrees[:, 0], degrees[:, 1])
    same = part[1:] == part[:-1]
    return np.hstack([xy[:-1][same], xy[1:][same]]), owner[part[:-1][same]].astype(np.int64)
