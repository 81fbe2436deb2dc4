"""Local statistics of a large Spark frame: the driver learns the values, the workers do the rows of their tiles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from schemas.messages import SanyuError
from transforms.mining.autocorrelation.local_request import (
    Request,
    judged_p,
    patterns,
    require_edges,
    require_sums,
    require_varied,
    transformed_rows,
)
from transforms.mining.autocorrelation.local_statistics import Part, Whole, local_columns, whole
from transforms.mining.ground import fdr
from transforms.mining.ground.metres import XY, with_metres
from transforms.mining.shelf.frames import INDEX, Way, canonical, dense_index, floats, id_column_of, note, require_columns
from transforms.mining.weights.tiles import tile_rows
from transforms.mining.weights.weights import Kernel, Knn, Rule

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_PLACES = ("geom", "lon", "lat", *XY)


def distributed(frame: DataFrame, request: Request, rule: Rule) -> DataFrame:
    """Return the Spark frame with the statistic's columns, as `local` gives them in one process; errors the same."""
    indexed, key, values, ids = prepared(frame, request.value, request.id_column)
    require_varied(request.value, values, f"local_{request.statistic}")
    require_sums(request, values, ids)
    if isinstance(rule, Knn | Kernel) and rule.k is not None and rule.k >= len(values):
        raise SanyuError("SY-N013", k=rule.k, count=len(values))
    most, edges, islands = _neighbour_counts(indexed, rule, len(values))
    require_edges(edges)
    note(island_count=islands, edge_count=edges)
    shared = whole(request.statistic, values, most, request.inference, star=request.star)
    id_type = indexed.schema["__id"].dataType.simpleString()
    found = tile_rows(indexed, rule, _Kernel(request, shared), _schema(request, id_type), len(values))
    return _joined(frame, key, _labelled(found, request))


def prepared(frame: DataFrame, value: str, id_column: str | None) -> tuple[DataFrame, str, Any, pa.Table]:
    """Return `__id`, `index`, `x_m`, `y_m`, `__value` of a Spark frame, its id column, all values in canonical order and their ids.

    SY-N009 where a value is missing, and what `with_metres` and `dense_index` raise.
    """
    from pyspark.sql import functions as F

    note(way=Way.DISTRIBUTED)
    require_columns(frame, [value])
    key = id_column_of(frame, id_column)
    assert key is not None
    needed = dict.fromkeys([key, value, *(c for c in _PLACES if c in frame.columns)])
    indexed = dense_index(with_metres(frame.select(*(f"`{c}`" for c in needed)), id_column=key), key)
    indexed = indexed.select(F.col(f"`{key}`").alias("__id"), INDEX, *XY, F.col(f"`{value}`").alias("__value"))
    table = canonical(indexed.select("__id", INDEX, "__value").toArrow(), INDEX).rename_columns(["id", INDEX, value])
    return indexed, key, floats(table, value), table


class _Kernel:
    """The statistic on a tile; an object, because it travels to the workers."""

    def __init__(self, request: Request, shared: Whole) -> None:
        self._request, self._shared = request, shared

    def __call__(self, table: pa.Table, owned: Any, starts: Any, positions: Any, distance: Any, weights: Any) -> dict[str, Any]:
        index = table.column(INDEX).to_numpy()
        values = table.column("__value").cast(pa.float64()).to_numpy()
        transformed, own = transformed_rows(starts, weights, self._request.transform, self._request.star)
        part = Part(index[owned], owned, values, starts, positions, transformed, own)
        columns = local_columns(part, self._shared)
        columns = {name: pa.array(column, type=pa.string()) if name == "quadrant" else column for name, column in columns.items()}
        return {INDEX: index[owned], "__id": table.column("__id").take(pa.array(owned)), **columns}


class _Counts:
    """How many neighbours the rows of a tile have: the most, all, and none."""

    def __call__(self, table: pa.Table, owned: Any, starts: Any, positions: Any, distance: Any, weights: Any) -> dict[str, Any]:
        counts = np.diff(starts)
        rows = min(len(owned), 1)
        facts = {"most": counts.max(initial=0), "edges": counts.sum(), "islands": (counts == 0).sum()}
        return {INDEX: np.zeros(rows, dtype=np.int64), **{name: np.full(rows, fact, dtype=np.int64) for name, fact in facts.items()}}


def _neighbour_counts(indexed: DataFrame, rule: Rule, rows: int) -> tuple[int, int, int]:
    """Return the most neighbours of a row, the number of edges and of islands."""
    from pyspark.sql import functions as F

    if isinstance(rule, Knn):
        return rule.k, rule.k * rows, 0
    counted = tile_rows(indexed, rule, _Counts(), f"{INDEX} long, most long, edges long, islands long", rows)
    row = counted.agg(F.max("most"), F.sum("edges"), F.sum("islands")).head()
    assert row is not None
    return int(row[0]), int(row[1]), int(row[2])


def _schema(request: Request, id_type: str) -> str:
    order = ["value", "neighbour_count", "lag", "statistic", "expected", "variance"]
    order += ["quadrant"] if request.statistic == "moran" else []
    types = {"neighbour_count": "int", "quadrant": "string"}
    figures = ", ".join(f"{name} {types.get(name, 'double')}" for name in [*order, "z_score", "p_analytic", "p_permuted"])
    return f"{INDEX} long, __id {id_type}, {figures}"


def _labelled(found: DataFrame, request: Request) -> DataFrame:
    """Add `q_value` and `pattern`: the p-values are ranked on the driver, the rest is done where the rows are."""
    spark = found.sparkSession
    name = "p_permuted" if request.inference.permutations and request.statistic != "g" else "p_analytic"
    ranked = canonical(found.select(INDEX, name).toArrow(), INDEX)
    p = ranked.column(name).to_numpy(zero_copy_only=False)
    q = spark.createDataFrame(pa.table({INDEX: ranked.column(INDEX), "q_value": fdr.adjusted(p)}))
    wide = found.join(q, INDEX)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in batches:
            columns = {n: batch.column(n).to_numpy(zero_copy_only=False) for n in batch.schema.names if n != "__id"}
            judged = columns["q_value"] if request.use_fdr else judged_p(columns, request)
            yield batch.append_column("pattern", pa.array(patterns(columns, judged, request), type=pa.string()))

    ddl = ", ".join(f"`{f.name}` {f.dataType.simpleString()}" for f in wide.schema.fields)
    return wide.mapInArrow(run, f"{ddl}, pattern string").drop(INDEX)


def _joined(frame: DataFrame, key: str, found: DataFrame) -> DataFrame:
    added = [c for c in found.columns if c != "__id"]
    kept = frame.select(*(f"`{c}`" for c in frame.columns if c not in added))
    return kept.join(found, kept[f"`{key}`"] == found["__id"]).drop("__id")
