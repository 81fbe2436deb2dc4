"""Events of the demo city with planted hot spots: a Poisson background and discs in which the rate goes above it, each in its own way.

A disc is of one kind of the published categories: `New` (only the last week), `Consecutive` (the last weeks), `Intensifying` (all weeks,
the rate climbing), `Persistent` (all weeks alike), `Diminishing` (all weeks, the rate falling, still high at the end), `Sporadic` (on and
off, on at the end). The truth says centre, radius and kind of each disc. The same seed gives the same events.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely

from sanyu.demo.city.plan import CENTRE, METRIC_CRS, stream
from transforms.space.coords import transform

Floats = npt.NDArray[np.float64]
SEED: Final = 20260101
CELL_M: Final = 250.0
SIDE_CELLS: Final = 48
WEEKS: Final = 26
BEGIN: Final = datetime(2025, 6, 29, 16, tzinfo=UTC)  # Monday 30 June 2025, midnight in Beijing
RADIUS_M: Final = 900.0
BACKGROUND: Final = 2.0  # events per cell and week
KINDS: Final = ("New", "Consecutive", "Intensifying", "Persistent", "Diminishing", "Sporadic")
DISCS_PER_KIND: Final = 3
PARAMETERS: Final[dict[str, Any]] = {"cell": "square", "size_m": CELL_M, "step": "week"}


@dataclass(frozen=True)
class Planted:
    """`events`: event_id, observed_at (UTC), lon, lat (EPSG:4490), kind_name; `truth`: one row per disc with kind, x_m, y_m, radius_m."""

    events: pd.DataFrame
    truth: pd.DataFrame


def planted_events(seed: int = SEED, weeks: int = WEEKS, background: float = BACKGROUND) -> Planted:
    """Return the events of `weeks` weeks over a square of 12 km around the city's centre, and the planted discs."""
    rng = stream(seed, "events")
    side = SIDE_CELLS * CELL_M
    west, south = np.floor((np.array(CENTRE) - side / 2) / CELL_M) * CELL_M
    discs = _discs(rng, west, south)
    parts = [_scattered(rng, rng.poisson(background * SIDE_CELLS**2, weeks), west, south, side)]
    for disc in discs.itertuples():
        cells = np.pi * disc.radius_m**2 / CELL_M**2
        parts.append(_in_disc(rng, rng.poisson(background * cells * _above(disc.kind, weeks, rng)), disc))
    placed = pd.concat(parts, ignore_index=True)
    lon, lat = transform(placed["x"].to_numpy(), placed["y"].to_numpy(), METRIC_CRS, "EPSG:4490")
    seconds = (placed["week"].to_numpy() * 7 * 86_400 + rng.integers(0, 7 * 86_400, len(placed))).astype("timedelta64[s]")
    at = pd.Series(np.datetime64(BEGIN.replace(tzinfo=None), "us") + seconds).dt.tz_localize("UTC")
    events = pd.DataFrame({"observed_at": at, "lon": lon, "lat": lat, "kind_name": rng.choice(["投诉", "报警", "抢修"], len(placed))})
    events = events.sort_values("observed_at", kind="stable", ignore_index=True)
    events.insert(0, "event_id", [f"E{n:07d}" for n in range(1, len(events) + 1)])
    return Planted(events, discs)


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


def _discs(rng: np.random.Generator, west: float, south: float) -> pd.DataFrame:
    """Return discs on the places of a coarse lattice, shuffled, so that no two neighbourhoods meet."""
    across = 5
    apart = SIDE_CELLS * CELL_M / across
    places = [(west + (i + 0.5) * apart, south + (j + 0.5) * apart) for i in range(across) for j in range(across)]
    chosen = rng.permutation(len(places))[: DISCS_PER_KIND * len(KINDS)]
    rows = [(KINDS[n % len(KINDS)], *places[place], RADIUS_M) for n, place in enumerate(chosen)]
    return pd.DataFrame(rows, columns=["kind", "x_m", "y_m", "radius_m"])


def _above(kind: str, weeks: int, rng: np.random.Generator) -> Floats:
    """Return how many times the background the disc adds in each week."""
    level = np.zeros(weeks)
    climb = np.linspace(3.5, 8.0, weeks)
    if kind == "New":
        level[-1] = 9.0
    elif kind == "Consecutive":
        level[-6:] = 6.0
    elif kind == "Intensifying":
        level = climb
    elif kind == "Persistent":
        level[:] = 6.0
    elif kind == "Diminishing":
        level = climb[::-1].copy()
    else:
        start = int(rng.integers(1, 4))
        level[start : start + 4] = 6.0
        level[weeks // 2 : weeks // 2 + 4] = 6.0
        level[-3:] = 6.0
    return level


def _scattered(rng: np.random.Generator, counts: npt.NDArray[Any], west: float, south: float, side: float) -> pd.DataFrame:
    size = int(counts.sum())
    x, y = west + rng.uniform(0, side, size), south + rng.uniform(0, side, size)
    return pd.DataFrame({"week": np.repeat(np.arange(len(counts)), counts), "x": x, "y": y})


def _in_disc(rng: np.random.Generator, counts: npt.NDArray[Any], disc: Any) -> pd.DataFrame:
    size = int(counts.sum())
    reach, turn = disc.radius_m * np.sqrt(rng.random(size)), rng.uniform(0, 2 * np.pi, size)
    x, y = disc.x_m + reach * np.cos(turn), disc.y_m + reach * np.sin(turn)
    return pd.DataFrame({"week": np.repeat(np.arange(len(counts)), counts), "x": x, "y": y})


def _most(names: npt.NDArray[Any]) -> str:
    known, counts = np.unique(names, return_counts=True)
    return str(known[np.argmax(counts)]) if len(known) else ""


def _share(part: Any, whole: Any) -> float:
    return float(part) / float(whole) if whole else float("nan")


def end_at(weeks: int = WEEKS) -> datetime:
    """Return the end of the period, exclusive: with it as `to_at` the last step is whole."""
    return BEGIN + timedelta(weeks=weeks)
