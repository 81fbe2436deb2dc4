"""Sheet edge matching (图幅接边): lines that were cut at the edge of a sheet or file are joined again at their ends.

An end is *loose* if no other end of its own sheet lies on it. Two loose ends of different sheets are joined if they are at most
`tolerance_m` apart and their attributes are equal (a missing value equals a missing value): pairs by distance, each end once. Both move to
the point midway between them, so that neither sheet is preferred and no vertex moves by more than half the tolerance. Lines are not merged:
each keeps its row and its identity; only the gap between them closes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from schemas.messages import SanyuError
from transforms.entity.cells import METRES_PER_DEGREE

Array = npt.NDArray[Any]

MAX_PAIRS: Final = 2_000_000
# GRS 80 (CGCS2000): semi-major axis and squared eccentricity.
_A: Final = 6_378_137.0
_E2: Final = 0.006_694_380_022_90
_END_DDL: Final = "sheet string, row_number bigint, vertex int, lon double, lat double, traits string"
_SEPARATOR: Final = "\x1f"
_MISSING: Final = "\x00"


@dataclass(frozen=True)
class Ends:
    """Ends of lines: `row` and `vertex` (position among the row's coordinates), `lon` and `lat`."""

    row: Array
    vertex: Array
    lon: Array
    lat: Array


@dataclass(frozen=True)
class EdgePairs:
    """Joined ends: rows and vertices of both, the gap that was between them, and the common point (n, 2)."""

    first_row: Array
    first_vertex: Array
    second_row: Array
    second_vertex: Array
    gap_m: Array
    point: Array


def line_ends(geoms: Array) -> Ends:
    """Return the two ends of every part of the lines; other geometries and None have none."""
    lines = np.flatnonzero(shapely.get_dimensions(geoms) == 1)
    parts, owner = shapely.get_parts(geoms[lines], return_index=True)
    counts = shapely.get_num_coordinates(parts)
    stops = np.cumsum(counts)
    starts = stops - counts
    xy = shapely.get_coordinates(parts)
    first_of_row = np.zeros(len(lines), dtype=np.int64)
    first_of_row[1:] = np.cumsum(np.bincount(owner, weights=counts, minlength=len(lines)).astype(np.int64))[:-1]
    at = np.column_stack([starts, stops - 1]).ravel()
    row = np.repeat(owner, 2)
    return Ends(lines[row], at - first_of_row[row], xy[at, 0], xy[at, 1])


def distance_m(lon1: Array, lat1: Array, lon2: Array, lat2: Array) -> Array:
    """Return metres between near points in degrees on the GRS 80 ellipsoid, by its radii of curvature midway (to 1 mm within 1 km)."""
    phi = np.radians((lat1 + lat2) / 2)
    w2 = 1 - _E2 * np.sin(phi) ** 2
    north = np.radians(lat2 - lat1) * _A * (1 - _E2) / w2**1.5
    east = np.radians(lon2 - lon1) * _A / np.sqrt(w2) * np.cos(phi)
    distance: Array = np.hypot(north, east)
    return distance


def match_edges(geoms: Array, sheets: Array, attributes: Array, tolerance_m: float) -> tuple[Array, EdgePairs]:
    """Return the lines with joined ends, and the pairs.

    `geoms`: (n,) lines in EPSG:4490; `sheets`: (n,) texts; `attributes`: (n, k) texts or None. Ties go by the order of the rows.
    """
    ends = line_ends(geoms)
    places = np.column_stack([ends.lon, ends.lat])
    sheet = np.unique(sheets.astype(str), return_inverse=True)[1][ends.row]
    _, spot, times = np.unique(np.column_stack([sheet, places]), axis=0, return_inverse=True, return_counts=True)
    loose = np.flatnonzero(times[spot] == 1)
    points = shapely.points(places[loose])
    reach = tolerance_m / METRES_PER_DEGREE / max(np.cos(np.radians(np.abs(places[:, 1]).max(initial=0))), 1e-3)
    left, right = shapely.STRtree(points).query(points, predicate="dwithin", distance=reach)
    left, right = loose[left], loose[right]
    traits = np.array([_SEPARATOR.join(_MISSING if v is None else str(v) for v in row) for row in attributes], dtype=object)[ends.row]
    keep = (left < right) & (sheet[left] != sheet[right]) & (traits[left] == traits[right])
    left, right = left[keep], right[keep]
    gap = distance_m(ends.lon[left], ends.lat[left], ends.lon[right], ends.lat[right])
    near = np.flatnonzero(gap <= tolerance_m)
    order = near[np.lexsort([ends.vertex[right[near]], ends.row[right[near]], ends.vertex[left[near]], ends.row[left[near]], gap[near]])]
    taken = order[_each_once(left[order].tolist(), right[order].tolist())]
    a, b = left[taken], right[taken]
    point = (places[a] + places[b]) / 2
    both = np.concatenate([a, b])
    moved = move_vertices(geoms, ends.row[both], ends.vertex[both], np.tile(point, (2, 1)))
    return moved, EdgePairs(ends.row[a], ends.vertex[a], ends.row[b], ends.vertex[b], gap[taken], point)


def _each_once(left: Sequence[Any], right: Sequence[Any]) -> list[int]:
    """Return the positions of the pairs that a greedy choice in the given order takes, each end at most once."""
    used: set[Any] = set()
    taken = []
    for i, (a, b) in enumerate(zip(left, right, strict=True)):
        if a not in used and b not in used:
            used |= {a, b}
            taken.append(i)
    return taken


def move_vertices(geoms: Array, row: Array, vertex: Array, point: Array) -> Array:
    """Return the geometries with the named vertices at other places, heights kept."""
    out: Array = geoms.copy()
    for high in (False, True):
        touched = np.unique(row[shapely.has_z(geoms[row]) == high])
        if not len(touched):
            continue
        xyz, owner = shapely.get_coordinates(geoms[touched], include_z=high, return_index=True)
        first = np.searchsorted(owner, np.arange(len(touched)))
        mine = np.isin(row, touched)
        xyz[first[np.searchsorted(touched, row[mine])] + vertex[mine], :2] = point[mine]
        out[touched] = shapely.set_coordinates(geoms[touched], xyz)
    return out


def edge_pairs(frame: DataFrame, tolerance_m: float, *, attributes: Sequence[str] = ("class_code", "name")) -> DataFrame:
    """Return the pairs of line ends to join: `sheet`, `row_number`, `vertex` of both (`_2` the second), `gap_m`, `lon`, `lat`.

    `frame` has `file_name` (the sheet), `row_number`, `geom`, and those of `attributes` that it has; rows with anything in `errors` take no
    part. The same rule as `match_edges`, ties by file, row and vertex; the result does not depend on partitioning. Raises SY-C122.
    """
    names = [name for name in attributes if name in frame.columns]
    rows = frame.where(F.size("errors") == 0) if "errors" in frame.columns else frame
    traits = F.concat_ws(_SEPARATOR, *(F.coalesce(F.col(name).cast("string"), F.lit(_MISSING)) for name in names))
    ends = rows.select(F.col("file_name").alias("sheet"), "row_number", "geom", traits.alias("traits")).mapInArrow(_end_batches, _END_DDL)
    at_one_place = Window.partitionBy("sheet", "lon", "lat")
    loose = ends.withColumn("times", F.count("*").over(at_one_place)).where("times = 1").drop("times").persist()
    farthest = loose.agg(F.max(F.abs("lat"))).first()
    reach_lat = farthest[0] if farthest is not None and farthest[0] is not None else 0.0
    step = 1.01 * tolerance_m / METRES_PER_DEGREE / max(float(np.cos(np.radians(reach_lat))), 1e-3)
    column, line = F.floor(F.col("lon") / step), F.floor(F.col("lat") / step)
    around = F.explode(F.array(*(F.struct((column + i).alias("x"), (line + j).alias("y")) for i in (-1, 0, 1) for j in (-1, 0, 1))))
    left = loose.withColumn("at", F.struct(column.alias("x"), line.alias("y")))
    right = loose.select(*(F.col(c).alias(f"{c}_2") for c in loose.columns if c != "traits"), "traits", around.alias("at"))
    near = left.join(right, ["traits", "at"]).where("sheet < sheet_2").drop("traits", "at")
    # Boxes around the circle; the exact distance is measured on the few that are left.
    close = (F.abs(F.col("lon") - F.col("lon_2")) <= step) & (F.abs(F.col("lat") - F.col("lat_2")) <= step)
    found = near.where(close).limit(MAX_PAIRS + 1).toArrow()
    loose.unpersist()
    if found.num_rows > MAX_PAIRS:
        raise SanyuError("SY-C122", limit=MAX_PAIRS, tolerance=tolerance_m)
    return frame.sparkSession.createDataFrame(_chosen(found, tolerance_m))


def _chosen(found: pa.Table, tolerance_m: float) -> pa.Table:
    """Return the pairs that the rule takes, with gap and common point."""
    lon, lat, lon_2, lat_2 = (found[name].to_numpy() for name in ("lon", "lat", "lon_2", "lat_2"))
    gap = pa.array(distance_m(lon, lat, lon_2, lat_2), pa.float64())
    kept = found.drop_columns(["lon", "lat", "lon_2", "lat_2"])
    for name, values in (("gap_m", gap), ("lon", (lon + lon_2) / 2), ("lat", (lat + lat_2) / 2)):
        kept = kept.append_column(name, pa.array(values, pa.float64()))
    order = ("gap_m", "sheet", "row_number", "vertex", "sheet_2", "row_number_2", "vertex_2")
    kept = kept.filter(pc.less_equal(kept["gap_m"], tolerance_m)).sort_by([(name, "ascending") for name in order])
    first, second = (
        list(zip(*(kept[f"{c}{end}"].to_pylist() for c in ("sheet", "row_number", "vertex")), strict=True)) for end in ("", "_2")
    )
    return kept.take(pa.array(_each_once(first, second), pa.int64()))


def moved_lines(frame: DataFrame, tolerance_m: float, *, attributes: Sequence[str] = ("class_code", "name")) -> DataFrame:
    """Return the lines of which an end is joined with that of another file: `file_name`, `row_number`, `moved_geom`.

    Columns and rules as in `edge_pairs`. Runs jobs on the frame (persist it). All that follows from the geometry is the caller's to renew
    (`transforms.stamp.stamp.restamped`).
    """
    pairs = edge_pairs(frame, tolerance_m, attributes=attributes)
    sides = [
        pairs.select(F.col(f"sheet{end}").alias("file_name"), F.col(f"row_number{end}").alias("row_number"), f"vertex{end}", "lon", "lat")
        for end in ("", "_2")
    ]
    moves = (
        sides[0]
        .union(sides[1])
        .groupBy("file_name", "row_number")
        .agg(F.sort_array(F.collect_list(F.struct("vertex", "lon", "lat"))).alias("moves"))
    )
    joined = frame.select("file_name", "row_number", "geom").join(F.broadcast(moves), ["file_name", "row_number"])
    return joined.mapInArrow(_moved_batches, "file_name string, row_number bigint, moved_geom binary")


def _end_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        ends = line_ends(shapely.from_wkb(batch["geom"].to_numpy(zero_copy_only=False)))
        picked = batch.select(["sheet", "row_number", "traits"]).take(pa.array(ends.row, pa.int64()))
        yield pa.RecordBatch.from_arrays(
            [
                picked["sheet"],
                picked["row_number"].cast(pa.int64()),
                pa.array(ends.vertex, pa.int32()),
                pa.array(ends.lon, pa.float64()),
                pa.array(ends.lat, pa.float64()),
                picked["traits"],
            ],
            names=["sheet", "row_number", "vertex", "lon", "lat", "traits"],
        )


def _moved_batches(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        geoms = shapely.from_wkb(batch["geom"].to_numpy(zero_copy_only=False))
        moves = batch["moves"]
        row = np.repeat(np.arange(len(moves)), moves.value_lengths().to_numpy())
        flat = moves.flatten()
        vertex, lon, lat = (flat.field(name).to_numpy(zero_copy_only=False) for name in ("vertex", "lon", "lat"))
        geoms = move_vertices(geoms, row, vertex, np.column_stack([lon, lat]))
        wkb = pa.array(shapely.to_wkb(geoms, flavor="iso", byte_order=1), pa.binary())
        names = ["file_name", "row_number", "moved_geom"]
        yield pa.RecordBatch.from_arrays([batch["file_name"], batch["row_number"].cast(pa.int64()), wkb], names=names)
