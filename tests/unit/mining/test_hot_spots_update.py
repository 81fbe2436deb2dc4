"""After a change only the cells it touches are summed again, and everything equals a full run."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest

from schemas.messages import SanyuError
from transforms.mining.cube.cells import CellRule, locate
from transforms.mining.cube.cube import CubeRule, bins_of_events, cube_of_events
from transforms.mining.cube.cube_time import StepRule
from transforms.mining.cube.hot_spots import hot_spots
from transforms.mining.cube.hot_spots_update import updated_cube, updated_hot_spots

STEPS = StepRule("day", from_at=datetime(2025, 1, 1, tzinfo=UTC), to_at=datetime(2025, 1, 11, tzinfo=UTC))


def _events(size: int, seed: int) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    at = np.datetime64("2025-01-01", "us") + rng.integers(0, 10 * 86_400, size) * np.timedelta64(1_000_000, "us")
    return {"at": at, "x": rng.uniform(0, 3000, size), "y": rng.uniform(0, 3000, size), "values": rng.normal(size=size)}


@pytest.mark.parametrize(("how", "empty"), [("count", None), ("sum", "previous"), ("mean", "neighbours")])
def test_an_update_equals_a_full_run_and_touches_few_cells(how: Any, empty: Any) -> None:
    rule = CubeRule(CellRule("hexagon", size_m=100.0), STEPS, how, empty)
    events = _events(9000, 1)
    before = hot_spots(cube_of_events(rule, **events))
    gone = (events["x"] < 260) & (events["y"] < 260)
    new = {**_events(3, 2), "x": np.array([2500.0, 2510.0, 3100.0]), "y": np.array([2500.0, 2505.0, 3100.0])}
    now = {k: np.concatenate([v[~gone], new[k]]) for k, v in events.items()}
    where = [np.stack(locate(rule.cells, *places), axis=1) for places in ((events["x"][gone], events["y"][gone]), (new["x"], new["y"]))]
    changed = {tuple(p) for p in np.concatenate(where).tolist()}
    ids = np.array([f"{rule.cells.prefix}:{c}:{r}" for c, r in changed])
    mine = np.array([tuple(p) in changed for p in np.stack(locate(rule.cells, now["x"], now["y"]), axis=1).tolist()])
    edges, fresh = bins_of_events(rule, **{k: v[mine] for k, v in now.items()}, edges=before.cube.edges)
    cube = updated_cube(before.cube, ids, fresh, edges)
    after, summed = updated_hot_spots(before, cube)
    full = hot_spots(cube_of_events(rule, **now))
    assert after.cube.cells.ids.tolist() == full.cube.cells.ids.tolist()
    for name in ("z", "p", "signs", "codes"):
        assert getattr(after, name).tobytes() == getattr(full, name).tobytes()
    assert after.cube.values.tobytes() == full.cube.values.tobytes()
    assert after.local.totals.tobytes() == full.local.totals.tobytes()
    assert 0 < summed < 0.12 * len(cube.cells)


def test_other_steps_are_refused() -> None:
    rule = CubeRule(CellRule("square", size_m=500.0), STEPS)
    cube = cube_of_events(rule, **_events(100, 1))
    with pytest.raises(SanyuError, match="SY-N063"):
        updated_cube(cube, np.array([]), None, cube.edges + np.timedelta64(1, "D"))
