"""Frames in and frames of the same kind out: pandas, GeoPandas or Spark, small ones in this process, large ones by tiles.

Every tool works on columns in the canonical order: sorted by the id. The id is the column `id_column`, by default `entity_id` where the
frame has it; a pandas frame without it is known by its index. Ids are unique and not null. So the answer does not depend on the order of
the rows or on how Spark has split them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from schemas.messages import SanyuError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

Kind = Literal["spark", "geopandas", "pandas"]
Kernel = Callable[[pa.Table], pa.Table]
IN_PROCESS_ROWS = 1_000_000
DEFAULT_ID = "entity_id"
INDEX = "index"
TILE = ("tile_x", "tile_y")
OWNED = "is_owned"
POSITION = "__position"


class Way(StrEnum):
    """How a result was computed; the result is the same."""

    IN_PROCESS = "in_process"
    DISTRIBUTED = "distributed"


_notes: ContextVar[dict[str, Any] | None] = ContextVar("sanyu_mining_notes", default=None)


@contextlib.contextmanager
def noted() -> Iterator[dict[str, Any]]:
    """Collect what the tools called inside say about their run: `way` and their metrics, by name."""
    notes: dict[str, Any] = {}
    token = _notes.set(notes)
    try:
        yield notes
    finally:
        _notes.reset(token)


def note(**facts: Any) -> None:
    """Tell whoever listens (`noted`) a fact about this run: `way=Way.IN_PROCESS`, `significant_count=12`."""
    notes = _notes.get()
    if notes is not None:
        notes.update(facts)


def frame_kind(frame: Any) -> Kind:
    """Return what kind of frame it is, without importing an engine; SY-N004 for anything else."""
    lineage = {f"{c.__module__.split('.')[0]}.{c.__name__}" for c in type(frame).__mro__}
    if "pyspark.DataFrame" in lineage:
        return "spark"
    if "geopandas.GeoDataFrame" in lineage:
        return "geopandas"
    if "pandas.DataFrame" in lineage:
        return "pandas"
    raise SanyuError("SY-N004", kind=type(frame).__name__)


def in_process(frame: Any, limit: int = IN_PROCESS_ROWS) -> bool:
    """Tell whether the frame is to be computed here: not Spark's, or of fewer than `limit` rows."""
    here = frame_kind(frame) != "spark" or frame.limit(limit).count() < limit
    note(way=Way.IN_PROCESS if here else Way.DISTRIBUTED)
    return here


def column_names(frame: Any) -> list[str]:
    """Return the frame's columns as text."""
    return [str(name) for name in frame.columns]


def require_columns(frame: Any, names: Sequence[str]) -> None:
    """Raise SY-N005 for the first name that is no column of the frame."""
    known = column_names(frame)
    for name in names:
        if name not in known:
            raise SanyuError("SY-N005", column=name, known=", ".join(known))


def id_column_of(frame: Any, id_column: str | None = None) -> str | None:
    """Return the column that identifies rows, None for the index of a pandas frame; SY-N005, SY-N006 where Spark has none."""
    if id_column is not None:
        require_columns(frame, [id_column])
        return id_column
    if DEFAULT_ID in column_names(frame):
        return DEFAULT_ID
    if frame_kind(frame) == "spark":
        raise SanyuError("SY-N006", known=", ".join(column_names(frame)))
    return None


def collect(frame: Any, columns: Sequence[str], id_column: str | None = None, *, position: bool = False) -> pa.Table:
    """Return `id` and the columns as Arrow in the canonical order; SY-N005, SY-N007 (an id that is null or twice there).

    `position` adds the place of each row in a pandas frame, which saves `attached` looking for it.
    """
    require_columns(frame, columns)
    key = id_column_of(frame, id_column)
    if frame_kind(frame) == "spark":
        from pyspark.sql import functions as F

        table = frame.select(F.col(f"`{key}`").alias("id"), *(F.col(f"`{c}`") for c in columns)).toArrow()
    else:
        ids = frame.index if key is None else frame[key]
        table = pa.table([pa.array(np.asarray(ids)), *(_arrow(frame[c]) for c in columns)], names=["id", *columns])
        if position:
            table = table.append_column(POSITION, pa.array(np.arange(len(table), dtype=np.int32)))
    return canonical(table)


def canonical(table: pa.Table, key: str = "id") -> pa.Table:
    """Return the rows sorted by `key`; SY-N007 where an id is null or there twice."""
    ids = table.column(key).combine_chunks()
    if ids.null_count:
        raise SanyuError("SY-N007", id="null", count=ids.null_count)
    order = pc.sort_indices(ids)
    if not _is_sorted(order):
        table = table.take(order)
        ids = table.column(key).combine_chunks()
    if len(ids) > 1:
        same = pc.equal(ids.slice(1), ids.slice(0, len(ids) - 1))
        if pc.any(same).as_py():
            first = pc.index(same, True).as_py()
            raise SanyuError("SY-N007", id=ids[first].as_py(), count=int(pc.sum(same).as_py()) + 1)
    return table.combine_chunks()


def attached(frame: Any, table: pa.Table, id_column: str | None = None) -> Any:
    """Return the frame with the columns of `table` (all but `id`) added row by row; a column of the same name is replaced.

    A pandas frame keeps its index and order. `table` has the ids of the frame, in any order, or the rows' places in it (`POSITION`).
    """
    key = id_column_of(frame, id_column)
    added = [name for name in table.column_names if name not in ("id", POSITION)]
    if frame_kind(frame) == "spark":
        kept = frame.select(*(f"`{c}`" for c in frame.columns if c not in added))
        right = frame.sparkSession.createDataFrame(table.select(["id", *added]).rename_columns(["__id", *added]))
        return kept.join(right, kept[f"`{key}`"].eqNullSafe(right["__id"]), "left").drop("__id")
    if POSITION in table.column_names:
        place = pa.array(np.argsort(table.column(POSITION).to_numpy()))
    else:
        ids = pa.array(np.asarray(frame.index if key is None else frame[key]))
        place = pc.index_in(ids, value_set=table.column("id").combine_chunks())
    rows = table.select(added).take(place)
    out = frame.copy()
    for name in added:
        out[name] = _pandas(rows.column(name), frame.index)
    return out


def like(frame: Any, table: pa.Table, *, geometry: str | None = None, crs: Any = None) -> Any:
    """Return a table as a frame of the kind of `frame`; with `geometry` (a column of WKB) a GeoDataFrame for a GeoDataFrame."""
    kind = frame_kind(frame)
    if kind == "spark":
        return frame.sparkSession.createDataFrame(table)
    plain = table.to_pandas()
    if kind == "geopandas" and geometry is not None:
        import geopandas as gpd

        shapes = gpd.GeoSeries.from_wkb(plain[geometry], crs=crs if crs is not None else frame.crs)
        return gpd.GeoDataFrame(plain.drop(columns=geometry), geometry=shapes)
    return plain


def tiled(df: DataFrame, size_m: float, halo_m: float) -> DataFrame:
    """Return the points (`x_m`, `y_m`) in square tiles of `size_m`: once as owned, and as a copy in each tile within `halo_m` of them.

    Adds `tile_x`, `tile_y` (long) and `is_owned`. A point on the line between two tiles is owned by the one above.
    """
    from pyspark.sql import functions as F

    def span(axis: str, reach: float) -> Any:
        return F.floor((F.col(axis) + F.lit(reach)) / F.lit(size_m)).cast("long")

    def along(axis: str, tile: str) -> Any:
        return F.explode(F.sequence(span(axis, -halo_m), span(axis, halo_m))).alias(tile)

    rows = df.select("*", along("x_m", TILE[0])).select("*", along("y_m", TILE[1]))
    return rows.withColumn(OWNED, (F.col(TILE[0]) == span("x_m", 0.0)) & (F.col(TILE[1]) == span("y_m", 0.0)))


def per_tile(df: DataFrame, kernel: Kernel, schema: StructType | str, order: str = INDEX) -> DataFrame:
    """Run `kernel` on the rows of each tile, sorted by `order`, and return its rows in `schema`; the kernel is pickled by cloudpickle."""

    def run(table: pa.Table) -> pa.Table:
        return kernel(table.sort_by(order).combine_chunks())

    return df.groupBy(*TILE).applyInArrow(run, schema)


def dense_index(df: DataFrame, id_column: str) -> DataFrame:
    """Return the rows with `index` (long): the place of the id in the canonical order, 0 … n-1, whatever the partitions.

    The sorted rows are kept on the executors (local checkpoint), because a second evaluation could split them elsewhere.
    SY-N007 where an id is null or twice there.
    """
    from pyspark.sql import functions as F

    lost = df.where(F.col(f"`{id_column}`").isNull()).limit(1).count()
    if lost:
        raise SanyuError("SY-N007", id="null", count=lost)
    marked = df.repartitionByRange(F.col(f"`{id_column}`")).sortWithinPartitions(f"`{id_column}`")
    marked = marked.withColumn("__mark", F.monotonically_increasing_id()).localCheckpoint(eager=True)
    part, place = F.shiftright("__mark", 33), F.col("__mark").bitwiseAND((1 << 33) - 1)
    counted = marked.groupBy(part.alias("part")).agg(F.count("*").alias("n"), F.countDistinct(f"`{id_column}`").alias("ids")).collect()
    twice = sum(row["n"] - row["ids"] for row in counted)
    if twice:
        found = marked.groupBy(f"`{id_column}`").count().where("count > 1").head()
        raise SanyuError("SY-N007", id=found[0] if found else "?", count=twice + 1)
    starts, start = {}, 0
    for row in sorted(counted, key=lambda r: r["part"]):
        starts[row["part"]] = start
        start += row["n"]
    before = F.create_map(*(F.lit(v).cast("long") for item in starts.items() for v in item)) if starts else F.create_map()
    return marked.withColumn(INDEX, (F.element_at(before, part) if starts else F.lit(0)) + place).drop("__mark")


def floats(table: pa.Table, column: str) -> Any:
    """Return a column as float64; SY-N008 where it holds no numbers, SY-N009 naming the id of the first that is missing or not finite."""
    values = table.column(column)
    if not (
        pa.types.is_integer(values.type)
        or pa.types.is_floating(values.type)
        or pa.types.is_boolean(values.type)
        or pa.types.is_decimal(values.type)
    ):
        raise SanyuError("SY-N008", column=column, kind=str(values.type))
    out = np.require(values.cast(pa.float64()).to_numpy(), requirements=["C", "W"])  # kernels are compiled anew for what is read-only
    bad = ~np.isfinite(out)
    if bad.any():
        row = int(np.argmax(bad))
        raise SanyuError("SY-N009", column=column, id=table.column("id")[row].as_py(), count=int(bad.sum()))
    return out


def _is_sorted(order: pa.Array) -> bool:
    places = order.to_numpy(zero_copy_only=False)
    return bool((places == np.arange(len(places), dtype=places.dtype)).all())


def _arrow(series: Any) -> pa.Array:
    if type(series).__name__ == "GeoSeries":
        import shapely

        return pa.array(shapely.to_wkb(np.asarray(series)), type=pa.binary())
    return pa.Array.from_pandas(series)


def _pandas(column: pa.ChunkedArray, index: Any) -> Any:
    import pandas as pd

    plain = column.to_pandas()
    return pd.Series(np.asarray(plain, dtype=plain.dtype) if plain.dtype != object else plain.to_numpy(), index=index)
