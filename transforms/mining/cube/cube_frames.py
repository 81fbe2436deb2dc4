"""From events in a frame to a space-time cube, and from its results back to frames: pandas, GeoPandas and Spark alike.

Small frames are binned in this process; Spark frames of any size are binned by Spark (`cube_spark`), and only the bins come here. The cube
is the same to the last bit. Events need no id: where the frame has `entity_id`, an error names it, else the row.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from schemas.messages import SanyuError
from transforms.mining.cube.cell_tables import LAKE_CRS
from transforms.mining.cube.cells import PLANAR, CellRule
from transforms.mining.cube.cube import Cube, CubeRule, cube_of_bins, cube_of_events
from transforms.mining.cube.cube_kept import Kept
from transforms.mining.cube.cube_time import StepRule, as_instants
from transforms.mining.ground import metres
from transforms.mining.shelf.frames import collect, floats, frame_kind, in_process, like, note, require_columns
from transforms.space.coords import transform_geometries

Floats = npt.NDArray[np.float64]


def cube_rule(parameters: Mapping[str, Any], crs: str | None = None) -> CubeRule:
    """Return the rule that the parameters of a tool mean; errors as `CellRule`, `StepRule`, `CubeRule`."""
    given = {name: parameters.get(name) for name in ("from_at", "to_at")}
    period = {name: None if value is None else as_instants(value).astype(object) for name, value in given.items()}
    cells = CellRule(parameters["cell"], parameters["size_m"], parameters["level"], crs)
    length = parameters["length_s"]
    unit = None if length is not None else parameters["step"]
    steps = StepRule(unit, parameters["every"], length, parameters["anchor"], **period)
    return CubeRule(cells, steps, parameters["aggregate"], parameters["empty"], parameters["keep"])


def cube_of_frame(
    frame: Any, parameters: Mapping[str, Any], borders: npt.NDArray[Any] | None = None, limit: int | None = None
) -> tuple[Cube, str | None]:
    """Return the cube of a frame's events and its metric CRS (None where the frame gives metres without one).

    `limit` is the number of rows from which Spark does the binning. SY-N005 for a missing column, SY-N010 to SY-N012 for places, and the
    errors of `cube_of_events`.
    """
    time, value, division = parameters["time"], parameters["value"], parameters["division"]
    by_code = parameters["cell"] == "division"
    require_columns(frame, [time, *([value] if value else []), *([division] if by_code else [])])
    crs = metres.metric_crs_of(frame, parameters["crs"]) if parameters["cell"] in PLANAR else None
    rule = cube_rule(parameters, crs)
    if frame_kind(frame) == "spark" and not (in_process(frame) if limit is None else in_process(frame, limit)):
        from transforms.mining.cube.cube_spark import bins_of_spark

        edges, bins = bins_of_spark(frame, rule, parameters, crs)
        cube = cube_of_bins(rule, edges, bins, borders)
        note(kept=Kept(cube))
        return cube, crs
    at, amounts, place = events_of_frame(frame, rule, parameters)
    cube = cube_of_events(rule, at, values=amounts, borders=borders, **place)
    note(kept=Kept(cube))
    return cube, crs


def events_of_frame(frame: Any, rule: CubeRule, parameters: Mapping[str, Any]) -> tuple[Any, Floats | None, dict[str, Any]]:
    """Return instant, amount (None for plain counts) and place of each event, as `cube.bins_of_events` takes them; Spark is collected."""
    time, value, division = parameters["time"], parameters["value"], parameters["division"]
    wanted = [time, *([value] if value else [])]
    plain = frame.reset_index(drop=True) if frame_kind(frame) != "spark" else numbered(frame)
    key = "__row" if frame_kind(frame) == "spark" else None
    if rule.cells.kind == "division":
        table = collect(plain, [division, *wanted], key)
        place: dict[str, Any] = {"codes": np.asarray(table.column(division).to_pylist(), dtype=object)}
    elif rule.cells.kind in PLANAR:
        table = metres.points(plain, wanted, key, crs=rule.cells.crs)
        place = {"x": table.column("x_m").to_numpy(), "y": table.column("y_m").to_numpy()}
    else:
        table, lon, lat = degrees(plain, wanted, key)
        place = {"x": lon, "y": lat}
    if not table.num_rows:
        raise SanyuError("SY-N064", rows=0, usable=0)
    amounts = floats(table, value) if value else None
    return as_instants(table.column(time).to_pandas()), amounts, place


def degrees(frame: Any, columns: list[str], id_column: str | None = None) -> tuple[pa.Table, Floats, Floats]:
    """Return the columns in canonical order with longitude and latitude (EPSG:4490) of each row, for BeiDou and H3 cells."""
    if frame_kind(frame) == "geopandas":
        shapes = np.asarray(frame.geometry.array)
        points = transform_geometries(shapely.centroid(shapes), metres.crs_name(frame), LAKE_CRS)
        frame = frame.drop(columns=frame.geometry.name).assign(lon=shapely.get_x(points), lat=shapely.get_y(points))
    where = metres.place_columns(frame)
    table = collect(frame, [*where, *(c for c in columns if c not in where)], id_column)
    lon, lat = metres.lonlat(table, where)
    return table, lon, lat


def numbered(df: Any) -> Any:
    """Return a Spark frame with a column `__row` that tells its rows apart; nothing that is computed depends on it."""
    from pyspark.sql import functions as F

    return df.withColumn("__row", F.monotonically_increasing_id())


def cells_like(frame: Any, table: pa.Table) -> Any:
    """Return a table of cells as a frame of the given kind; a GeoDataFrame (EPSG:4490) for GeoPandas."""
    return like(frame, table, geometry="geom", crs=LAKE_CRS)
