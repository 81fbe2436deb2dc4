"""What a local statistic is asked for, what it demands of the values, and how its rows are judged, in one process and on workers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from schemas.messages import SanyuError
from transforms.mining.autocorrelation.local_statistics import (
    LABELS,
    Columns,
    Inference,
    Statistic,
)
from transforms.mining.ground import fdr
from transforms.mining.shelf.frames import note
from transforms.mining.weights.weights_kernels import row_sums

NOT_SIGNIFICANT = "Not significant"
ISLAND = "Island"
LEAST_ROWS = 4


@dataclass(frozen=True)
class Request:
    """A local statistic as asked for."""

    statistic: Statistic
    value: str
    transform: str
    star: bool
    alpha: float
    inference: Inference
    id_column: str | None
    use_fdr: bool = True


def require_varied(column: str, values: Any, tool_name: str, least: int = LEAST_ROWS) -> None:
    """Raise SY-N020 for too few rows, SY-N021 for a constant."""
    if len(values) < least:
        raise SanyuError("SY-N020", tool=tool_name, least=least, count=len(values))
    if (values == values[0]).all():
        raise SanyuError("SY-N021", column=column, value=float(values[0]))


def transform_of(name: str) -> str:
    """Return the letter of a transform (`r`, `b`, `o`); SY-N003 for another."""
    if name.lower() not in ("r", "b", "o"):
        raise SanyuError("SY-N003", tool="weights", name="transform", value=name, kind="one of r, b, o")
    return name.lower()


def transformed_rows(starts: Any, weights: Any, transform: str, star: bool = False) -> tuple[Any, Any]:
    """Return neighbours' and own weights as the transform wants them; the own weight is the row's largest with `star`, else 0."""
    counts = np.diff(starts)
    how = transform_of(transform)
    if how == "b":
        weights = np.ones(len(weights))
    own = np.zeros(len(counts))
    if star:
        own[:] = 1.0
        filled = counts > 0
        own[filled] = np.maximum.reduceat(weights, starts[:-1][filled]) if filled.any() else own[filled]
    if how == "r":
        total = row_sums(starts, weights) + own
        total[total == 0] = 1.0
        return weights / np.repeat(total, counts), own / total
    return weights, own


def judged_p(columns: Columns, request: Request) -> Any:
    """Return the p-values that the pattern rests on: permuted ones, for G and without permutations the analytic ones."""
    return columns["p_permuted" if request.inference.permutations and request.statistic != "g" else "p_analytic"]


def patterns(columns: Columns, judged: Any, request: Request) -> Any:
    """Return what each row is called, given its statistic and the (adjusted) p-value it is judged by."""
    pattern = np.where(columns["neighbour_count"] == 0, ISLAND, NOT_SIGNIFICANT).astype(object)
    significant = np.flatnonzero(np.nan_to_num(judged, nan=2.0) <= request.alpha)
    if request.statistic == "moran":
        quadrants = np.asarray(columns["quadrant"], dtype=object)[significant]
        pattern[significant] = np.array([LABELS.get(quadrant or "", NOT_SIGNIFICANT) for quadrant in quadrants], dtype=object)
    elif request.statistic == "geary":
        is_similar = columns["statistic"][significant] < columns["expected"][significant]
        pattern[significant] = np.where(is_similar, "Similar", "Dissimilar")
    else:
        pattern[significant] = np.where(columns["z_score"][significant] > 0, "Hot", "Cold")
    return pattern


def labelled(columns: Columns, request: Request) -> Columns:
    """Return the columns with `q_value` and `pattern`, which look at all rows."""
    p = judged_p(columns, request)
    q = fdr.adjusted(p)
    pattern = patterns(columns, q if request.use_fdr else p, request)
    note(significant_count=int(((pattern != NOT_SIGNIFICANT) & (pattern != ISLAND)).sum()))
    return {**columns, "q_value": q, "pattern": pattern}


def require_edges(count: int) -> None:
    """Raise SY-N022 where no row has a neighbour."""
    if count == 0:
        raise SanyuError("SY-N022")


def require_sums(request: Request, values: Any, table: pa.Table) -> None:
    """Raise SY-N023 for values whose sum, or without the row itself, is 0: G divides by it."""
    if request.statistic != "g":
        return
    total = float(values.sum())
    bad = np.isclose(total - (0.0 if request.star else values), 0.0, atol=1e-12 * float(np.abs(values).sum()))
    if np.any(bad):
        row = int(np.argmax(np.broadcast_to(bad, values.shape)))
        raise SanyuError(
            "SY-N023",
            column=request.value,
            value=float(values[row]),
            id=table.column("id")[row].as_py(),
            tool="local_g",
            wanted="values whose sum is not 0",
        )
