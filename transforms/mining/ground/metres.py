"""Where rows are, in metres: `x_m`, `y_m` in the city's belt, from whatever a frame has. Distances are never taken in degrees.

In this order: the columns `x_m`, `y_m`; the geometry of a GeoDataFrame in its CRS; `geom` (ISO WKB, EPSG:4490), as the tables of the lake
have it; `lon`, `lat` (EPSG:4490). Lines and polygons stand for their centroid, taken in metres. A projected system in metres whose scale at
the data is true within 0.2 % is kept; anything else is brought to the CGCS2000 3° belt (outside China the UTM zone) of the middle of the
data's extent (`metric_crs`), or to the one given.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from schemas.messages import SanyuError
from transforms.mining.shelf.frames import POSITION, canonical, collect, column_names, frame_kind, id_column_of
from transforms.space.coords import transform, transform_geometries
from transforms.space.crs import crs_of, geographic_of, metric_crs
from transforms.space.wkb import point_coordinates

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Floats = npt.NDArray[np.float64]
LAKE_CRS = "EPSG:4490"
TRUE_SCALE = 0.002
XY = ("x_m", "y_m")


def points(
    frame: Any, columns: Sequence[str] = (), id_column: str | None = None, *, crs: str | None = None, position: bool = False
) -> pa.Table:
    """Return `id`, `x_m`, `y_m` and the columns in the canonical order; a Spark frame is collected.

    `position` is as in `collect`, `crs` is the metric system, by default that of the frame's place. SY-N010 no place, SY-N011 CRS missing
    or mixed, SY-N012 a row without a place, SY-N005 a missing column.
    """
    named = [c for c in columns if c not in XY]
    if frame_kind(frame) == "geopandas" and not _has(frame, XY):
        x, y = _geo_xy(frame, crs, id_column)
        table = collect(frame.assign(x_m=x, y_m=y), [*XY, *named], id_column, position=position)
    elif _has(frame, XY):
        table = collect(frame, [*XY, *named], id_column, position=position)
    else:
        where = place_columns(frame)
        table = collect(frame, [*where, *(c for c in named if c not in where)], id_column, position=position)
        table = _in_metres(table, where, crs, [*named, *(n for n in table.column_names if n == POSITION)])
    return _placed(table)


def with_metres(df: DataFrame, crs: str | None = None, id_column: str | None = None) -> DataFrame:
    """Return a Spark frame with `x_m`, `y_m` added, computed by its workers; errors as in `points`."""
    if _has(df, XY):
        return _checked(df, id_column)
    where = place_columns(df)
    target = crs or _belt_of(df, where)
    added = ", ".join([*(f"`{f.name}` {f.dataType.simpleString()}" for f in df.schema.fields), "x_m double", "y_m double"])

    def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            x, y = _projected(*_lonlat(pa.Table.from_batches([batch]), where), target)
            yield batch.append_column(XY[0], pa.array(x)).append_column(XY[1], pa.array(y))

    return _checked(df.mapInArrow(run, added), id_column)


def shapes(frame: Any, id_column: str | None = None, *, crs: str | None = None) -> tuple[pa.Array, npt.NDArray[np.object_]]:
    """Return ids in the canonical order and their geometries in metres, for contiguity; errors as in `points`."""
    if frame_kind(frame) == "geopandas":
        source = crs_name(frame)
        name = frame.geometry.name
        table = collect(frame, [name], id_column)
    elif "geom" in column_names(frame):
        source, name, table = LAKE_CRS, "geom", collect(frame, ["geom"], id_column)
    else:
        raise SanyuError("SY-N010", known=", ".join(column_names(frame)))
    found = shapely.from_wkb(table.column(name).to_numpy(zero_copy_only=False))
    bad = shapely.is_missing(found) | shapely.is_empty(found)
    if bad.any():
        raise SanyuError("SY-N012", id=table.column("id")[int(np.argmax(bad))].as_py(), count=int(bad.sum()))
    return table.column("id").combine_chunks(), _metric(found, source, crs)


def metric_crs_of(frame: Any, crs: str | None = None) -> str | None:
    """Return the metric system in which `points` takes a frame's places, as `EPSG:n`: `crs` where given, else the frame's own or its belt.

    None for a frame that gives `x_m`, `y_m` without one. SY-N010 without a place, SY-N011 for a CRS that is missing or mixed.
    """
    if crs is not None or _has(frame, XY):
        return crs
    if frame_kind(frame) == "geopandas":
        source = crs_name(frame)
        if not len(frame):
            return source
        bounds = frame.total_bounds
        if _is_metric(source, (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2):
            return source
        return belt(*transform(bounds[[0, 2]], bounds[[1, 3]], source, LAKE_CRS))
    where = place_columns(frame)
    if frame_kind(frame) == "spark":
        return _belt_of(frame, where)
    lon, lat = lonlat(pa.Table.from_pandas(frame[list(where)], preserve_index=False), where)
    known = np.isfinite(lon) & np.isfinite(lat)
    return belt(lon[known], lat[known])


def belt(lon: Any, lat: Any) -> str:
    """Return the metric system of the middle of an extent of degrees, as `EPSG:n`."""
    if np.size(lon) == 0:
        return metric_crs(114.0, 30.0)
    return metric_crs(float((np.min(lon) + np.max(lon)) / 2), float((np.min(lat) + np.max(lat)) / 2))


def _has(frame: Any, names: Sequence[str]) -> bool:
    return set(names) <= set(column_names(frame))


def place_columns(frame: Any) -> tuple[str, ...]:
    """Return the columns that hold places in degrees: `geom` or `lon`, `lat`; SY-N010 where there are none."""
    for names in (("geom",), ("lon", "lat")):
        if _has(frame, names):
            return names
    raise SanyuError("SY-N010", known=", ".join(column_names(frame)))


def crs_name(frame: Any) -> str:
    """Return the CRS of a GeoDataFrame as `EPSG:n`; SY-N011 where it has none, an unknown one, or several."""
    if frame.crs is None:
        raise SanyuError("SY-N011", detail="the GeoDataFrame has no CRS")
    code = frame.crs.to_epsg()
    if code is None:
        raise SanyuError("SY-N011", detail=f"its CRS {frame.crs.name!r} has no EPSG code")
    others = [c for c in frame.columns if c != frame.geometry.name and type(frame[c]).__name__ == "GeoSeries" and frame[c].crs != frame.crs]
    if others:
        raise SanyuError("SY-N011", detail=f"its geometry columns {frame.geometry.name!r} and {others[0]!r} are in different systems")
    return f"EPSG:{code}"


def _geo_xy(frame: Any, crs: str | None, id_column: str | None) -> tuple[Floats, Floats]:
    found = np.asarray(frame.geometry.array)
    srids = np.unique(shapely.get_srid(found[~shapely.is_missing(found)])) if len(found) else np.zeros(0)
    if len(srids[srids > 0]) > 1:
        raise SanyuError("SY-N011", detail=f"its geometries carry the systems {', '.join(f'EPSG:{s}' for s in srids if s > 0)}")
    bad = shapely.is_missing(found) | shapely.is_empty(found)
    if bad.any():
        key = id_column_of(frame, id_column)
        row = int(np.argmax(bad))
        raise SanyuError("SY-N012", id=frame.index[row] if key is None else frame[key].iloc[row], count=int(bad.sum()))
    return _centres(_metric(found, crs_name(frame), crs))


def _centres(found: Any) -> tuple[Floats, Floats]:
    if not (shapely.get_type_id(found) == 0).all():
        found = shapely.centroid(found)
    return shapely.get_x(found), shapely.get_y(found)


def _metric(found: Any, source: str, crs: str | None) -> npt.NDArray[np.object_]:
    """Return geometries in the metric system; in the source's own where that is true to scale."""
    if len(found) == 0:
        return np.asarray(found, dtype=object)
    bounds = shapely.total_bounds(found)
    if crs is None and _is_metric(source, (bounds[0] + bounds[2]) / 2, (bounds[1] + bounds[3]) / 2):
        return np.asarray(found, dtype=object)
    if crs is None:
        lon, lat = transform(bounds[[0, 2]], bounds[[1, 3]], source, LAKE_CRS, errors="raise")
        crs = belt(lon, lat)
    return transform_geometries(found, source, crs, errors="raise")


def _is_metric(name: str, x: float, y: float) -> bool:
    """Tell a projected system in metres whose scale at a place is true within `TRUE_SCALE`."""
    import pyproj

    crs = crs_of(name)
    if not crs.is_projected or any(axis.unit_conversion_factor != 1.0 for axis in crs.axis_info):
        return False
    to_degrees = pyproj.Transformer.from_crs(crs, geographic_of(name), always_xy=True)
    lon, lat = to_degrees.transform(x, y)
    factors = pyproj.Proj(crs).get_factors(lon, lat)
    return all(abs(scale - 1.0) <= TRUE_SCALE for scale in (factors.meridional_scale, factors.parallel_scale))


def lonlat(table: pa.Table, where: tuple[str, ...]) -> tuple[Floats, Floats]:
    """Return the degrees of all rows (centres of bounds), NaN where there is no place."""
    lon, lat, _ = _lonlat(table, where)
    return lon, lat


def _lonlat(table: pa.Table, where: tuple[str, ...]) -> tuple[Floats, Floats, Any]:
    """Return degrees of all rows (NaN where there is no place), and the geometries where the rows have others than points."""
    if where == ("geom",):
        plain = point_coordinates(table.column("geom"))
        if plain is not None:
            return *plain, None
        found = shapely.from_wkb(table.column("geom").to_numpy(zero_copy_only=False))
        bounds = shapely.bounds(found).reshape(-1, 4)
        return (bounds[:, 0] + bounds[:, 2]) / 2, (bounds[:, 1] + bounds[:, 3]) / 2, found
    lon, lat = (table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False) for name in where)
    return np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64), None


def _projected(lon: Floats, lat: Floats, found: Any, target: str) -> tuple[Floats, Floats]:
    if found is None or (shapely.get_type_id(found) == 0).all():
        x, y = transform(lon, lat, LAKE_CRS, target)
        return x, y
    return _centres(transform_geometries(found, LAKE_CRS, target))


def _in_metres(table: pa.Table, where: tuple[str, ...], crs: str | None, columns: Sequence[str]) -> pa.Table:
    lon, lat, found = _lonlat(table, where)
    known = np.isfinite(lon) & np.isfinite(lat)
    x, y = _projected(lon, lat, found, crs or belt(lon[known], lat[known]))
    return pa.table([table.column("id"), pa.array(x), pa.array(y), *(table.column(c) for c in columns)], names=["id", *XY, *columns])


def _belt_of(df: DataFrame, where: tuple[str, ...]) -> str:
    """Return the metric system of a Spark frame by its extent; minima and maxima know no order."""
    from pyspark.sql import functions as F

    def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            lon, lat, _ = _lonlat(pa.Table.from_batches([batch]), where)
            known = np.isfinite(lon) & np.isfinite(lat)
            if known.any():
                ends = (lon[known].min(), lon[known].max(), lat[known].min(), lat[known].max())
                yield pa.RecordBatch.from_arrays([pa.array([v]) for v in ends], names=["a", "b", "c", "d"])

    ends = df.select(*(f"`{c}`" for c in where)).mapInArrow(run, "a double, b double, c double, d double")
    found = ends.agg(F.min("a"), F.max("b"), F.min("c"), F.max("d")).head()
    return belt([], []) if found is None or found[0] is None else belt([found[0], found[1]], [found[2], found[3]])


def _checked(df: DataFrame, id_column: str | None) -> DataFrame:
    """Return the frame whose every row has a place; SY-N012 for the first that has none."""
    from pyspark.sql import functions as F

    key = id_column_of(df, id_column)
    lost = F.isnan("x_m") | F.isnan("y_m") | F.col("x_m").isNull() | F.col("y_m").isNull()
    first = df.where(lost).select(F.min(F.col(f"`{key}`").cast("string")), F.count("*")).head()
    if first is not None and first[1]:
        raise SanyuError("SY-N012", id=first[0], count=int(first[1]))
    return df


def _placed(table: pa.Table) -> pa.Table:
    """Return the table in the canonical order with finite places; SY-N012."""
    x, y = (table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False) for name in XY)
    bad = ~(np.isfinite(x) & np.isfinite(y))
    if bad.any():
        raise SanyuError("SY-N012", id=table.column("id")[int(np.argmax(bad))].as_py(), count=int(bad.sum()))
    for name, values in zip(XY, (x, y), strict=True):
        table = table.set_column(table.column_names.index(name), name, pa.array(values))
    return canonical(table)
