"""How well planted hot spots are found again: precision and recall of each kind, from the cells that the shelf has named."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from demo.city.events import CELL_M, KINDS, PARAMETERS, Planted, end_at, planted_events
from demo.city.plan import METRIC_CRS
from demo.view import Tables
from transforms.space.coords import transform

__all__ = ["CELL_M", "KINDS", "PARAMETERS", "Planted", "end_at", "planted_events", "score", "score_of_lake"]


TABLE, EVENTS = "mart.mining__emerging_hot_spot", "core.thematic__event"
SCORES = ("kind", "precision", "recall", "disc_recall", "core_cells", "found_cells")


def score_of_lake(lake: Tables, truth: pd.DataFrame) -> pd.DataFrame:
    """Return the scores of the newest emerging hot spots of events in a lake; empty where nobody has looked for any."""
    runs = _newest(lake)
    if runs is None or truth.empty:
        return pd.DataFrame(columns=list(SCORES))
    cells = lake.table(TABLE).to_arrow(columns=["category_name", "geom"], where=f"source_name = '{runs}'").to_pandas()
    return score(cells, truth)


def _newest(lake: Tables) -> str | None:
    """Return the `source_name` of the newest run over events."""
    if TABLE not in lake.names():
        return None
    where = f"tool_name = 'emerging_hot_spots' AND inputs LIKE '%{EVENTS}%'"
    runs = lake.table("mart.mining__run").to_arrow(columns=["result_source", "recorded_at"], where=where)
    return str(runs.sort_by("recorded_at").column("result_source")[-1]) if runs.num_rows else None


def score(cells: Any, truth: pd.DataFrame) -> pd.DataFrame:
    """Return precision and recall of the found categories, one row per planted kind, from a frame of cells with `category_name` and `geom`.

    Recall: of the cells that lie wholly in a disc (their neighbourhood too), those found as its kind. Precision: of the cells found as a
    kind anywhere, those whose neighbourhood touches a disc of that kind. `disc_recall`: discs in which the kind is the one found most.
    """
    outlines = cells.geometry if hasattr(cells, "geometry") else shapely.from_wkb(cells["geom"].to_numpy())
    centres = shapely.centroid(np.asarray(outlines))
    x, y = transform(shapely.get_x(centres), shapely.get_y(centres), "EPSG:4490", METRIC_CRS)
    found = cells["category_name"].to_numpy().astype(str)
    away = np.hypot(x[:, None] - truth["x_m"].to_numpy(), y[:, None] - truth["y_m"].to_numpy()) - truth["radius_m"].to_numpy()
    rows = []
    for kind in KINDS:
        own = (truth["kind"] == kind).to_numpy()
        named = found == f"{kind} Hot Spot"
        inside = away[:, own] <= -1.5 * np.sqrt(2) * CELL_M
        touched = (away[:, own] <= 1.5 * np.sqrt(2) * CELL_M).any(axis=1)
        won = [_most(found[inside[:, n]]) == f"{kind} Hot Spot" for n in range(inside.shape[1])]
        core = inside.any(axis=1)
        rows.append(
            {
                "kind": kind,
                "precision": _share((named & touched).sum(), named.sum()),
                "recall": _share((named & core).sum(), core.sum()),
                "disc_recall": _share(sum(won), len(won)),
                "core_cells": int(core.sum()),
                "found_cells": int(named.sum()),
            }
        )
    return pd.DataFrame(rows)


def _most(names: npt.NDArray[Any]) -> str:
    known, counts = np.unique(names, return_counts=True)
    return str(known[np.argmax(counts)]) if len(known) else ""


def _share(part: Any, whole: Any) -> float:
    return float(part) / float(whole) if whole else float("nan")
