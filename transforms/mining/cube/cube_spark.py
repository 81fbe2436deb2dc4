"""The space-time cube on Spark: events of any size become bins on the executors; only the bins come to the driver.

Each partition aggregates its own events to bins, the parts of a bin are then brought together: counts, minima and maxima as they are,
sums as expansions (a few doubles whose exact sum is that of the part), medians as the values themselves. So every bin has the bits that
one process would give it, for any number and order of partitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import h3
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.messages import SanyuError
from transforms.mining.cube.cells import PLANAR, locate
from transforms.mining.cube.cube import Bins, CubeRule, aggregated, exact_parts, exact_sums
from transforms.mining.cube.cube_time import Instants, as_instants, step_edges, steps_of
from transforms.mining.ground import metres

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_PLACED = "cell_column bigint, cell_row bigint, cell_code string, at_us bigint, amount double"
_PARTS = "cell_column bigint, cell_row bigint, cell_code string, step bigint, events bigint, parts array<double>"
_MEMBERS = "events bigint, parts array<double>"
_KEYS = ("cell_column", "cell_row", "cell_code", "step")


def bins_of_spark(df: DataFrame, rule: CubeRule, parameters: Mapping[str, Any], crs: str | None) -> tuple[Instants, Bins]:
    """Return the borders of the steps and the bins of a Spark frame's events; errors as `cube.bins_of_events`.

    An event without place, time or value ends the run with SY-N066, where `row` is the number of such events.
    """
    placed = placed_events(df, rule, parameters, crs)
    edges = edges_of_spark(placed, rule)
    table = merged_bins(placed, rule, edges).toArrow()
    if not table.num_rows:
        raise SanyuError("SY-N064", rows=0, usable=0)
    counts, values = (table.column(name).to_numpy() for name in ("events", "bin_value"))
    steps = table.column("step").to_numpy()
    if rule.cells.kind in ("division", "h3"):
        return edges, Bins(steps, values, counts, codes=np.asarray(table.column("cell_code").to_pylist(), dtype=object))
    return edges, Bins(steps, values, counts, table.column("cell_column").to_numpy(), table.column("cell_row").to_numpy())


def placed_events(df: DataFrame, rule: CubeRule, parameters: Mapping[str, Any], crs: str | None) -> DataFrame:
    """Return the cell, the instant (microseconds UTC) and the amount of each event; null where one is missing."""
    from pyspark.sql import functions as F

    if rule.cells.kind == "division":
        where: tuple[str, ...] = (parameters["division"],)
    elif rule.cells.kind in PLANAR:
        df = metres.with_metres(df.withColumn("__row", F.monotonically_increasing_id()), crs, "__row")
        where = metres.XY
    else:
        where = metres.place_columns(df)
    value = parameters["value"]
    amount = F.col(f"`{value}`").cast("double") if value else F.lit(1.0)
    places = [F.col(f"`{name}`").alias(f"place_{n}" if rule.cells.kind == "division" else name) for n, name in enumerate(where)]
    chosen = df.select(*places, F.col(f"`{parameters['time']}`").alias("at"), amount.alias("amount"))

    def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            yield _located(pa.Table.from_batches([batch]), where, rule)

    return chosen.mapInArrow(run, _PLACED)


def edges_of_spark(placed: DataFrame, rule: CubeRule) -> Instants:
    """Return the borders of the steps from the first and last instant; SY-N064 without any event, SY-N066 for what is missing."""
    from pyspark.sql import functions as F

    lost = F.col("at_us").isNull() | (F.col("cell_column").isNull() & F.col("cell_code").isNull())
    wrong = F.col("amount").isNull() | F.isnan("amount") | (F.abs("amount") == float("inf"))
    row = placed.agg(F.min("at_us"), F.max("at_us"), F.count(F.when(lost, 1)), F.count(F.when(wrong, 1)), F.count("*")).head()
    assert row is not None
    if row[4] == 0:
        raise SanyuError("SY-N064", rows=0, usable=0)
    if row[2]:
        raise SanyuError("SY-N066", row=row[2], column="place or time", value="missing")
    if row[3] and rule.aggregate != "count":
        raise SanyuError("SY-N066", row=row[3], column="value", value="missing or not finite")
    first, last = (np.datetime64(int(v), "us") for v in row[:2])
    return step_edges(rule.steps, first, last)


def merged_bins(placed: DataFrame, rule: CubeRule, edges: Instants) -> DataFrame:
    """Return one row per bin: cell, step, number of events, and value."""
    from pyspark.sql import functions as F

    how, closed = rule.aggregate, rule.steps.closed

    def parted(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            yield _parts(pa.Table.from_batches([batch]), edges, closed, how)

    def merge(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            yield _merged(batch, how)

    parts = placed.mapInArrow(parted, _PARTS)
    grouped = parts.groupBy(*_KEYS).agg(F.sum("events").alias("events"), F.flatten(F.collect_list("parts")).alias("parts"))
    schema = "cell_column bigint, cell_row bigint, cell_code string, step bigint, events bigint, bin_value double"
    return grouped.select(*_KEYS, "events", "parts").mapInArrow(merge, schema)


def _located(table: pa.Table, where: tuple[str, ...], rule: CubeRule) -> pa.RecordBatch:
    """Return the cells and instants of a batch; a place or time that is missing is null."""
    rows = table.num_rows
    codes: pa.Array = pa.nulls(rows, pa.string())
    columns, cell_rows = np.zeros(rows, np.int64), np.zeros(rows, np.int64)
    known = np.zeros(rows, dtype=bool)
    if rule.cells.kind == "division":
        texts = table.column("place_0").cast(pa.string())
        codes = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts).combine_chunks()
    else:
        if rule.cells.kind in PLANAR:
            x, y = (table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False) for name in where)
        else:
            x, y = metres.lonlat(table, where)
        known = np.isfinite(x) & np.isfinite(y)
        if rule.cells.kind == "h3":
            found = [h3.latlng_to_cell(b, a, rule.cells.level) if k else None for a, b, k in zip(x, y, known, strict=True)]
            codes = pa.array(found, pa.string())
        elif known.any():
            columns[known], cell_rows[known] = locate(rule.cells, x[known], y[known])
    at = as_instants(table.column("at").to_pandas())
    arrays = [
        *(pa.array(part, pa.int64(), mask=~known) for part in (columns, cell_rows)),
        codes,
        pa.array(at.astype(np.int64), pa.int64(), mask=np.isnat(at)),
        table.column("amount").combine_chunks(),
    ]
    return pa.RecordBatch.from_arrays(arrays, names=["cell_column", "cell_row", "cell_code", "at_us", "amount"])


def _parts(table: pa.Table, edges: Instants, closed: str, how: str) -> pa.RecordBatch:
    """Return the bins of a batch with what is left to add up or to order: expansions of sums, all values of medians, else one number."""
    at = table.column("at_us").to_numpy().astype("datetime64[us]")
    step = steps_of(edges, at, closed)
    inside = step >= 0
    table = table.filter(pa.array(inside)).append_column("step", pa.array(step[inside]))
    keys = [table.column(name) for name in _KEYS]
    names, packed = _packed(keys)
    amounts = np.ones(len(packed)) if how == "count" else table.column("amount").to_numpy(zero_copy_only=False)
    order = np.lexsort((amounts, packed))
    packed, amounts = packed[order], amounts[order]
    starts = np.flatnonzero(np.concatenate([[True], packed[1:] != packed[:-1]])) if len(packed) else np.empty(0, np.int64)
    borders = np.append(starts, len(packed)).astype(np.int64)
    if how in ("sum", "mean"):
        values, ends = exact_parts(amounts, borders)
    elif how == "median":
        values, ends = amounts, borders
    else:
        values = aggregated(packed, amounts, how)[1]  # type: ignore[arg-type]
        ends = np.arange(len(starts) + 1)
    first = pa.array(order[starts]) if len(starts) else pa.array([], pa.int64())
    lists = pa.ListArray.from_arrays(pa.array(ends.astype(np.int32)), pa.array(values, pa.float64()))
    kept = [k.combine_chunks().take(first) if isinstance(k, pa.ChunkedArray) else k.take(first) for k in keys]
    return pa.RecordBatch.from_arrays([*kept, pa.array(np.diff(borders)), lists], names=[*names, "events", "parts"])


def _merged(batch: pa.RecordBatch, how: str) -> pa.RecordBatch:
    """Return the values of bins whose parts have come together."""
    lists = batch.column("parts")
    amounts, borders = np.asarray(lists.flatten()), np.asarray(lists.offsets) - int(lists.offsets[0].as_py())
    counts = np.asarray(batch.column("events"))
    sizes = np.diff(borders)
    if how in ("sum", "mean"):
        values = exact_sums(np.ascontiguousarray(amounts, np.float64), borders.astype(np.int64))
        values = values / counts if how == "mean" else values
    elif how == "count":
        values = counts.astype(np.float64)
    else:
        values = aggregated(np.repeat(np.arange(len(sizes)), sizes), amounts, how)[1]  # type: ignore[arg-type]
    arrays = [batch.column(name) for name in _KEYS] + [batch.column("events"), pa.array(values + 0.0)]
    return pa.RecordBatch.from_arrays(arrays, names=[*_KEYS, "events", "bin_value"])


def _packed(keys: list[Any]) -> tuple[tuple[str, ...], npt.NDArray[np.int64]]:
    """Return the names of the keys and one number per row that is equal where all keys are."""
    packed = np.zeros(len(keys[0]), np.int64)
    for key in keys:
        codes = np.asarray(key.combine_chunks().dictionary_encode().indices.fill_null(-1)) + 1
        packed = np.unique(packed * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1].astype(np.int64)
    return _KEYS, packed
