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

from demo.city.plan import CENTRE, METRIC_CRS, stream
from transforms.space.coords import transform

Floats = npt.NDArray[np.float64]
SEED: Final = 20260101
CELL_M: Final = 250.0
SIDES: Final = (48, 38)  # cells from west to east and from south to north, within the small city
WEEKS: Final = 20
BEGIN: Final = datetime(2025, 2, 9, 16, tzinfo=UTC)  # Monday 10 February 2025, midnight in Beijing; the last week ends with edition 1
RADIUS_M: Final = 900.0
BACKGROUND: Final = 0.5  # events per cell and week
KINDS: Final = ("New", "Consecutive", "Intensifying", "Persistent", "Diminishing", "Sporadic")
DISCS_PER_KIND: Final = 2
PARAMETERS: Final[dict[str, Any]] = {"cell": "square", "size_m": CELL_M, "step": "week"}


@dataclass(frozen=True)
class Planted:
    """`events`: event_id, observed_at (UTC), lon, lat (EPSG:4490), kind_name; `truth`: one row per disc with kind, x_m, y_m, radius_m."""

    events: pd.DataFrame
    truth: pd.DataFrame


def planted_events(seed: int = SEED, weeks: int = WEEKS, background: float = BACKGROUND) -> Planted:
    """Return the events of `weeks` weeks over 12 km × 9.5 km around the city's centre, and the planted discs."""
    rng = stream(seed, "events")
    sides = np.array(SIDES) * CELL_M
    corner = np.floor((np.array(CENTRE) - sides / 2) / CELL_M) * CELL_M
    discs = _discs(rng, corner, sides)
    parts = [_scattered(rng, rng.poisson(background * SIDES[0] * SIDES[1], weeks), corner, sides)]
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


def _discs(rng: np.random.Generator, corner: Floats, sides: Floats) -> pd.DataFrame:
    """Return discs on the places of a coarse lattice, shuffled, so that no two neighbourhoods meet."""
    across = (5, 4)
    apart = sides / across
    places = [corner + (np.array([i, j]) + 0.5) * apart for i in range(across[0]) for j in range(across[1])]
    chosen = rng.permutation(len(places))[: DISCS_PER_KIND * len(KINDS)]
    rows = [(KINDS[n % len(KINDS)], *places[place].tolist(), RADIUS_M) for n, place in enumerate(chosen)]
    return pd.DataFrame(rows, columns=["kind", "x_m", "y_m", "radius_m"])


def _above(kind: str, weeks: int, rng: np.random.Generator) -> Floats:
    """Return how many times the background the disc adds in each week."""
    level = np.zeros(weeks)
    climb = np.linspace(5.0, 12.0, weeks)
    if kind == "New":
        level[-1] = 12.0
    elif kind == "Consecutive":
        level[-6:] = 8.0
    elif kind == "Intensifying":
        level = climb
    elif kind == "Persistent":
        level[:] = 8.0
    elif kind == "Diminishing":
        level = climb[::-1].copy()
    else:
        start = int(rng.integers(1, 4))
        level[start : start + 4] = 8.0
        level[weeks // 2 : weeks // 2 + 4] = 8.0
        level[-3:] = 8.0
    return level


def _scattered(rng: np.random.Generator, counts: npt.NDArray[Any], corner: Floats, sides: Floats) -> pd.DataFrame:
    size = int(counts.sum())
    x, y = corner[0] + rng.uniform(0, sides[0], size), corner[1] + rng.uniform(0, sides[1], size)
    return pd.DataFrame({"week": np.repeat(np.arange(len(counts)), counts), "x": x, "y": y})


def _in_disc(rng: np.random.Generator, counts: npt.NDArray[Any], disc: Any) -> pd.DataFrame:
    size = int(counts.sum())
    reach, turn = disc.radius_m * np.sqrt(rng.random(size)), rng.uniform(0, 2 * np.pi, size)
    x, y = disc.x_m + reach * np.cos(turn), disc.y_m + reach * np.sin(turn)
    return pd.DataFrame({"week": np.repeat(np.arange(len(counts)), counts), "x": x, "y": y})


def end_at(weeks: int = WEEKS) -> datetime:
    """Return the end of the period, exclusive: with it as `to_at` the last step is whole."""
    return BEGIN + timedelta(weeks=weeks)
