"""What a tool needs to bring its last result up to date: what changed in its table, and how to ask for the rows near a change.

A tool with such a way names it in `@tool(…, update=…)`. It gets a `Change` and the parameters of the run, and returns the new result,
equal to that of a run over all rows to the last bit, and how much of it was computed again; or, as a text, why only a run over all rows can
give the result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Window = tuple[float, float, float, float]
MARGIN_DEG = 1e-3  # the bounds of a line or polygon may miss its centroid in metres by some metres
MOST_WINDOWS = 48
MOST_SHARE = 0.1  # of the cells: above it reading all rows once is quicker than reading those of the changed cells


@dataclass(frozen=True)
class Change:
    """The change of a table under one question since the last run.

    `removed` and `added` are frames (pandas) of the rows that are gone and new, a changed row being in both. `extent` are the bounds of
    the centres of all rows' bounds in degrees, `period` the first and last instant of the time column where the tool has one. `near`
    reads the rows whose bounds meet one of the windows (degrees), `rows` those of some ids, both in the order of the table. `kept` is what
    the last run left (`note(kept=…)`), `result` reads its rows, in the columns that are named.
    """

    removed: Any
    added: Any
    extent: Window
    period: tuple[datetime, datetime] | None
    near: Callable[[Sequence[Window]], Any]
    rows: Callable[[pa.Array], Any]
    kept: pa.Table | None
    result: Callable[[Sequence[str] | None], pa.Table]


@dataclass(frozen=True)
class Updated:
    """The new result, how many of how many `unit`s were computed again, what to keep for the next run, and the run's metrics.

    `result` is all of it, or, where `keys` (ids of rows) are given, what of it stands for them: the rest is as the last run left it. Then
    `touched` are the clusters that these rows were in or are in now.
    """

    result: Any
    recomputed: int
    whole: int
    unit: str
    kept: pa.Table | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    keys: pa.Array | None = None
    touched: pa.Array | None = None


Update = Callable[[Change, Mapping[str, Any]], Updated | str]


def windows(bounds: npt.NDArray[np.float64]) -> list[Window]:
    """Return at most `MOST_WINDOWS` windows that together hold all bounds with a margin; neighbours in the given order share one."""
    parts = np.array_split(bounds, min(len(bounds), MOST_WINDOWS)) if len(bounds) else []
    grown = [(*(part[:, :2].min(axis=0) - MARGIN_DEG), *(part[:, 2:].max(axis=0) + MARGIN_DEG)) for part in parts]
    return [(float(a), float(b), float(c), float(d)) for a, b, c, d in grown]
