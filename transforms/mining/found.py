"""What of a result is worth knowing, in one form for all tools: places that bear a pattern or a category, clusters, cylinders of a scan.

A cluster is one row, whatever the number of its members: those are in the tool's own table.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from transforms.mining.ground import metres, sums
from transforms.space.coords import transform, transform_geometries
from transforms.space.crs import metric_crs
from transforms.space.wkb import point_coordinates

NAMED_BY = ("pattern", "category_name", "cluster_id")
NOTHING = ("Not significant", "Island", "No Pattern Detected")
STRENGTH = ("z_score", "last_gi_z", "trend_z", "statistic", "log_likelihood_ratio")
KNOWN_BY = ("entity_id", "cell_id", "lattice_id", "cluster_number")
TIME = pa.timestamp("us", tz="UTC")
CLUSTERS = pa.schema(
    [
        *(("pattern_id", pa.string()), ("pattern_name", pa.string()), ("member_count", pa.int64()), ("area_m2", pa.float64())),
        *(("density_km2", pa.float64()), ("centre_lon", pa.float64()), ("centre_lat", pa.float64()), ("from_at", TIME), ("to_at", TIME)),
        *(("strength", pa.float64()), ("q_value", pa.float64()), ("geom", pa.binary())),
    ]
)
_DDL = (
    "pattern_id string, pattern_name string, member_count long, area_m2 double, density_km2 double, centre_lon double, centre_lat double, "
    "from_at timestamp, to_at timestamp, strength double, q_value double, geom binary"
)


def found_rows(rows: Any, time: str | None = None) -> Any:
    """Return what a result (Arrow or Spark) found as rows of `mart.mining__pattern`, with their stamp; None where nothing is named.

    `time` names the column of instants that gives a cluster its period.
    """
    names = list(rows.column_names if isinstance(rows, pa.Table) else rows.columns)
    if "cluster_id" in names:
        return _clusters(rows, time if time in names else None)
    if "cluster_number" in names:
        return _cylinders(rows)
    by = next((name for name in NAMED_BY if name in names), None)
    if by is None:
        return None
    score = next((name for name in STRENGTH if name in names), None)
    known = next(name for name in KNOWN_BY if name in names)
    kept = [n for n in names if n not in (*NAMED_BY, *CLUSTERS.names) or n in ("geom", "from_at", "to_at")]
    if isinstance(rows, pa.Table):
        column = rows.column(by).cast(pa.string())
        is_found = pc.and_(column.is_valid(), pc.invert(pc.is_in(column, value_set=pa.array(NOTHING))))
        out = rows.select(kept).append_column("pattern_name", column).append_column("pattern_id", rows.column(known).cast(pa.string()))
        out = out.append_column("strength", rows.column(score).cast(pa.float64()) if score else pa.nulls(len(rows), pa.float64()))
        out = out.append_column("q_value", rows.column("q_value") if "q_value" in names else pa.nulls(len(rows), pa.float64()))
        return _centred(out.filter(is_found))
    from pyspark.sql import functions as F

    middle = {f"centre_{name}": F.expr(f"(bbox.{a}min + bbox.{a}max) / 2") for name, a in (("lon", "x"), ("lat", "y")) if "bbox" in names}
    return rows.where(F.col(by).isNotNull() & ~F.col(by).isin(*NOTHING)).select(
        *(f"`{n}`" for n in kept),
        F.col(by).alias("pattern_name"),
        F.col(known).cast("string").alias("pattern_id"),
        (F.col(score) if score else F.lit(None)).cast("double").alias("strength"),
        (F.col("q_value") if "q_value" in names else F.lit(None)).cast("double").alias("q_value"),
        *(column.alias(name) for name, column in middle.items()),
    )


def _centred(rows: pa.Table) -> pa.Table:
    """Add the middle of each row's bounds, and its events as members where it counts any."""
    if "geom" in rows.column_names:
        bounds = shapely.bounds(shapely.from_wkb(rows.column("geom").to_numpy(zero_copy_only=False))).reshape(-1, 4)
        for name, axis in (("centre_lon", 0), ("centre_lat", 1)):
            rows = rows.append_column(name, pa.array((bounds[:, axis] + bounds[:, axis + 2]) / 2, from_pandas=True))
    return rows.append_column("member_count", rows.column("event_count")) if "event_count" in rows.column_names else rows


def _clusters(rows: Any, time: str | None) -> Any:
    """Return one row per cluster of the members' rows."""
    columns = ["cluster_id", *(c for c in ("geom", "lon", "lat") if c in _names(rows)), *([time] if time else [])]
    if isinstance(rows, pa.Table):
        members = rows.select(columns)
        return cluster_rows(members.filter(members.column("cluster_id").is_valid()), time)

    def run(table: pa.Table) -> pa.Table:
        return cluster_rows(table, time)

    return rows.select(*(f"`{c}`" for c in columns)).where("cluster_id is not null").groupBy("cluster_id").applyInArrow(run, _DDL)


def cluster_rows(members: pa.Table, time: str | None = None) -> pa.Table:
    """Return size, hull, area, density, centre and period of each cluster from its members, ascending by id; their order does not show.

    The centre is the mean of the members' centroids, the hull is convex and in EPSG:4490, area and density are those of the hull in the
    metric system of the cluster's place; a cluster on a line has no density.
    """
    if not members.num_rows:
        return CLUSTERS.empty_table()
    order = pc.sort_indices(members.column("cluster_id"))
    members = members.take(order).combine_chunks()
    ids = np.asarray(members.column("cluster_id").to_pylist(), dtype=object)
    starts = np.flatnonzero(np.append(True, ids[1:] != ids[:-1]))
    if "geom" in members.column_names:
        points = point_coordinates(members.column("geom"))
        shapes = points or shapely.from_wkb(members.column("geom").to_numpy(zero_copy_only=False))
    else:
        shapes = tuple(members.column(name).to_numpy() for name in ("lon", "lat"))
    found = {"pattern_id": pa.array(ids[starts].tolist(), pa.string()), "pattern_name": pa.repeat("Cluster", len(starts))}
    found |= _extents(shapes, starts) | _periods(_instants(members, time), starts)
    missing = {field.name: pa.nulls(len(starts), field.type) for field in CLUSTERS if field.name not in found}
    return pa.table({**found, **missing}).select(CLUSTERS.names).cast(CLUSTERS)


def _periods(times: Any, starts: Any) -> dict[str, pa.Array]:
    """Return the first and the last instant of each run of members."""
    if times is None:
        return {}
    known = np.asarray(times.is_valid())
    ends = {"from_at": (np.minimum, np.iinfo(np.int64).max), "to_at": (np.maximum, np.iinfo(np.int64).min)}
    whole = pc.fill_null(times.cast(pa.int64()), 0).to_numpy(zero_copy_only=False)
    nothing = ~np.logical_or.reduceat(known, starts)
    return {
        name: pa.array(end.reduceat(np.where(known, whole, filler), starts), mask=nothing).cast(TIME)
        for name, (end, filler) in ends.items()
    }


def _instants(members: pa.Table, time: str | None) -> Any:
    """Return the members' instants; None where there is no column of them."""
    if time is None or not pa.types.is_timestamp(members.schema.field(time).type):
        return None
    column = members.column(time).combine_chunks()
    return (column if column.type.tz else pc.assume_timezone(column, "UTC")).cast(TIME)


def _extents(shapes: Any, starts: Any) -> dict[str, pa.Array]:
    """Return size, hull, area, density and centre of each run of shapes (EPSG:4490), each in the metric system of its own middle.

    `shapes` are geometries, or longitudes and latitudes of points.
    """
    points = shapes if isinstance(shapes, tuple) else None
    total = len(shapes if points is None else points[0])
    count, sizes = len(starts), np.diff(np.append(starts, total))
    bounds = shapely.bounds(shapes).reshape(-1, 4) if points is None else np.column_stack([*points, *points])
    low, high = (reduce.reduceat(bounds, starts, axis=0) for reduce in (np.fmin, np.fmax))
    middles = zip(((low[:, 0] + high[:, 2]) / 2).tolist(), ((low[:, 1] + high[:, 3]) / 2).tolist(), strict=True)
    systems = np.array([metric_crs(*middle) for middle in middles])
    run_of = np.repeat(np.arange(count), sizes)
    outlines = np.empty(count, dtype=object)
    lon, lat, area = np.empty(count), np.empty(count), np.empty(count)
    for system in np.unique(systems):
        own = systems == system
        members = own[run_of]
        if points is None:
            placed = transform_geometries(shapes[members], metres.LAKE_CRS, system)
            middle = shapely.centroid(placed)
            centres = np.stack((shapely.get_x(middle), shapely.get_y(middle)))
        else:
            centres = np.stack(transform(points[0][members], points[1][members], metres.LAKE_CRS, system))
        cuts = np.cumsum(sizes[own])[:-1]
        x, y = (np.array([sums.mean(part) for part in np.split(axis, cuts)]) for axis in centres)
        lon[own], lat[own] = transform(x, y, system, metres.LAKE_CRS)
        number = np.repeat(np.arange(own.sum()), sizes[own])
        gathered = shapely.geometrycollections(placed, indices=number) if points is None else _lines(centres, number)
        hulls = shapely.normalize(shapely.convex_hull(gathered))
        area[own] = shapely.area(hulls)
        outlines[own] = transform_geometries(hulls, system, metres.LAKE_CRS)
    is_flat = ~(area > 0)
    return {
        "member_count": pa.array(sizes, pa.int64()),
        "area_m2": pa.array(area),
        "density_km2": pa.array(np.divide(sizes, area, where=~is_flat, out=np.zeros(count)) * 1e6, mask=is_flat),
        "centre_lon": pa.array(lon),
        "centre_lat": pa.array(lat),
        "geom": pa.array(shapely.to_wkb(outlines, flavor="iso"), pa.binary()),
    }


def _lines(at: Any, number: Any) -> Any:
    """Return for each run of points one line through them, whose hull is theirs: all are made in one go. A point alone is in it twice."""
    alone = np.bincount(number)[number] == 1
    times = np.where(alone, 2, 1)
    return shapely.linestrings(np.repeat(at.T, times, axis=0), indices=np.repeat(number, times))


def _extent(shape: Any) -> dict[str, Any]:
    """Return the same of one shape, as plain values."""
    return {name: column[0].as_py() for name, column in _extents(np.array([shape], dtype=object), np.zeros(1, dtype=np.int64)).items()}


def _cylinders(rows: Any) -> pa.Table:
    """Return the clusters of a scan, which are few, each with its events and days."""
    table = rows if isinstance(rows, pa.Table) else rows.toArrow()
    found = []
    for row in table.to_pylist():
        place = _extent(shapely.from_wkb(row["geom"])) if row["geom"] else {}
        area = place.get("area_m2") or 0.0
        own = {
            "member_count": row["found_count"],
            "density_km2": row["found_count"] / area * 1e6 if area > 0 else None,
            "geom": row["geom"],
        }
        name = {"pattern_id": str(row["cluster_number"]), "pattern_name": "Space-time Cluster", "strength": row["log_likelihood_ratio"]}
        found.append({**name, **place, **own, "from_at": row["from_at"], "to_at": row["to_at"]})
    return pa.Table.from_pylist(found, CLUSTERS)


def _names(rows: Any) -> list[str]:
    return list(rows.column_names if isinstance(rows, pa.Table) else rows.columns)
