"""Results brought up to date after random inserts, updates and deletes are those of a run over all rows, byte for byte, in each round."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import shapely

from schemas.messages import SanyuError
from transforms.mining.shelf.frames import noted
from transforms.mining.shelf.tool import find_tool, tools
from transforms.mining.shelf.update import MOST_WINDOWS, Change, Updated, Window, windows

COLUMNS = ("entity_id", "observed_at", "amount", "geom")
CUBE: dict[str, Any] = {"time": "observed_at", "size_m": 400.0, "step": "day"}
ASKED: list[tuple[str, dict[str, Any]]] = [
    ("emerging_hot_spots", CUBE),
    ("emerging_hot_spots", {**CUBE, "cell": "hexagon", "aggregate": "mean", "value": "amount", "empty": "neighbours", "steps_back": 2}),
    ("mann_kendall", {**CUBE, "aggregate": "sum", "value": "amount"}),
    ("mann_kendall", {"time": "observed_at", "cell": "beidou", "level": 5, "aggregate": "max", "value": "amount", "empty": "previous"}),
    ("change_points", {**CUBE, "model": "poisson", "penalty": 3.0}),
    ("cell_count", {"size_m": 500.0, "weight": "amount"}),
    ("cell_count", {"size_m": 500.0, "empty": False}),
]


def _rows(size: int, seed: int, first: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    at = pd.Timestamp("2025-03-01", tz="UTC") + pd.to_timedelta(rng.integers(0, 12 * 86_400, size), unit="s")
    points = shapely.points(rng.uniform(120.60, 120.68, size), rng.uniform(30.2, 30.27, size))
    amounts = np.where(rng.random(size) < 0.5, rng.normal(size=size) * 1e9, rng.normal(size=size))
    columns = {"entity_id": [f"e{n:05d}" for n in range(first, first + size)], "observed_at": at.as_unit("us"), "amount": amounts}
    return pd.DataFrame({**columns, "geom": shapely.to_wkb(points, flavor="iso")})


def _edited(rows: pd.DataFrame, round_: int, fresh: pd.DataFrame) -> pd.DataFrame:
    """Drop some rows, move some in space or time, change an amount, and add some at one place."""
    rng = np.random.default_rng(100 + round_)
    kept = rows.drop(index=rng.choice(len(rows) - 2, 6, replace=False) + 1).reset_index(drop=True)  # the first and last event stay
    moved = rng.choice(len(kept) - 2, 4, replace=False) + 1
    kept.loc[moved, "geom"] = shapely.to_wkb(shapely.points(rng.uniform(120.61, 120.67, 4), rng.uniform(30.21, 30.26, 4)), flavor="iso")
    kept.loc[moved[:2], "observed_at"] += pd.Timedelta(hours=1)
    kept.loc[moved[2], "amount"] *= 3.0
    return pd.concat([kept, fresh], ignore_index=True).sort_values("observed_at", kind="stable", ignore_index=True)


def _change(old: pd.DataFrame, new: pd.DataFrame, kept: pa.Table | None, result: pa.Table) -> Change:
    both = old.merge(new, how="outer", on=list(COLUMNS), indicator=True)
    sides = [both[both["_merge"] == side].drop(columns="_merge") for side in ("left_only", "right_only")]
    x, y = (f(shapely.from_wkb(new["geom"].to_numpy())) for f in (shapely.get_x, shapely.get_y))
    times = new["observed_at"]
    period: tuple[datetime, datetime] = (times.min().to_pydatetime(), times.max().to_pydatetime())

    def near(asked: Sequence[Window]) -> pd.DataFrame:
        inside = np.zeros(len(new), dtype=bool)
        for west, south, east, north in asked:
            inside |= (x >= west) & (x <= east) & (y >= south) & (y <= north)
        return new[inside].sample(frac=1.0, random_state=1)

    def of(ids: pa.Array) -> pd.DataFrame:
        return new[new["entity_id"].isin(ids.to_pylist())]

    def before(columns: Sequence[str] | None) -> pa.Table:
        return result if columns is None else result.select(list(columns))

    return Change(sides[0], sides[1], (x.min(), y.min(), x.max(), y.max()), period, near, of, kept, before)


def _whole(name: str, rows: pd.DataFrame, parameters: dict[str, Any]) -> tuple[pa.Table, pa.Table | None]:
    with noted() as notes:
        found = find_tool(name).function(rows, **parameters)
    kept = notes.get("kept")
    return pa.Table.from_pandas(found, preserve_index=False), kept.to_arrow() if kept is not None else None


def _update(name: str, change: Change, parameters: dict[str, Any]) -> Updated | str:
    tool = find_tool(name)
    assert tool.update is not None
    return tool.update(change, {**{p.name: p.default for p in tool.parameters}, **parameters})


def _bytes(table: pa.Table, by: list[str]) -> list[tuple[str, str]]:
    order = [(name, "ascending") for name in by]
    columns = table.sort_by(order)
    return [(name, repr([str(v) for v in columns.column(name).to_pylist()])) for name in sorted(columns.column_names)]


@pytest.mark.parametrize(("name", "parameters"), ASKED, ids=[f"{name}-{n}" for n, (name, _) in enumerate(ASKED)])
def test_rounds_of_edits_equal_whole_runs(name: str, parameters: dict[str, Any]) -> None:
    rows = _rows(4000, 1).sort_values("observed_at", kind="stable", ignore_index=True)
    result, kept = _whole(name, rows, parameters)
    by = ["lattice_id"] if name == "cell_count" else ["cell_id", "step_number"] if name == "change_points" else ["cell_id"]
    for round_ in range(3):
        fresh = _rows(3, 50 + round_, first=10_000 + 10 * round_)
        if round_ == 1:
            fresh["observed_at"] = pd.Timestamp("2025-03-13T18:00Z").as_unit("us")  # a step after the last
        new = _edited(rows, round_, fresh)
        found = _update(name, _change(rows, new, kept, result), parameters)
        assert isinstance(found, Updated), found
        full, wanted = _whole(name, new, parameters)
        assert _bytes(found.result, by) == _bytes(full, by)
        assert 0 < found.recomputed <= found.whole
        assert found.recomputed < 0.5 * found.whole or (round_ == 1 and kept is not None)
        if wanted is not None:
            assert found.kept is not None
            assert found.kept.schema.metadata == wanted.schema.metadata
            known = found.kept.column_names
            assert wanted.select(known).equals(found.kept)
        rows, result, kept = new, found.result, found.kept


def _clumped(size: int, seed: int, first: int = 0) -> pd.DataFrame:
    """Return events in clumps and chains, with some far from all: clusters that an edit can split, merge, end and begin."""
    rng = np.random.default_rng(seed)
    rows = _rows(size, seed, first)
    middles = rng.uniform((120.60, 30.20), (120.68, 30.27), (400, 2))
    at = middles[rng.integers(0, len(middles), size)] + rng.normal(scale=0.0004, size=(size, 2))
    alone = rng.random(size) < 0.3
    at[alone] = rng.uniform((120.60, 30.20), (120.68, 30.27), (int(alone.sum()), 2))
    at[:2] = (120.59, 30.19), (120.69, 30.28)
    return rows.assign(geom=shapely.to_wkb(shapely.points(at), flavor="iso"))


CLUSTERS: list[tuple[str, dict[str, Any]]] = [
    ("dbscan", {"eps_m": 60.0, "min_points": 5}),
    ("dbscan", {"eps_m": 25.0, "min_points": 1}),
    ("dbscan", {"eps_m": 40.0, "min_points": 3}),
    ("st_dbscan", {"time": "observed_at", "eps_m": 120.0, "eps_time": 86_400.0, "min_points": 4}),
]


@pytest.mark.parametrize(("name", "parameters"), CLUSTERS, ids=[f"{name}-{n}" for n, (name, _) in enumerate(CLUSTERS)])
def test_clusters_after_rounds_of_edits_are_those_of_whole_runs(name: str, parameters: dict[str, Any]) -> None:
    rows = _clumped(4000, 1)
    result, kept = _whole(name, rows, parameters)
    was = set(result.column("cluster_id").to_pylist())
    split = merged = 0
    for round_ in range(15):
        rng = np.random.default_rng(round_)
        core = result.filter(pc.equal(result.column("cluster_role"), "core")).column("entity_id").to_pylist()
        gone = [*rng.choice(core, 3, replace=False), *rng.choice(rows["entity_id"][2:], 2, replace=False)]
        new = rows[~rows["entity_id"].isin(gone)].reset_index(drop=True)
        moved = rng.choice(len(new) - 2, 3, replace=False) + 2
        new.loc[moved, "geom"] = new.loc[rng.permutation(moved), "geom"].to_numpy()
        fresh = _clumped(6, 70 + round_, first=10_000 + 20 * round_).iloc[2:]
        bridge = shapely.from_wkb(new["geom"].iloc[rng.choice(len(new), len(fresh))].to_numpy())
        fresh["geom"] = shapely.to_wkb(shapely.transform(bridge, lambda p: p + 0.0003), flavor="iso")
        new = pd.concat([new, fresh], ignore_index=True)
        found = _update(name, _change(rows, new, kept, result), parameters)
        assert isinstance(found, Updated), found
        assert found.keys is not None
        old = result.filter(pc.invert(pc.is_in(result.column("entity_id"), value_set=found.keys)))
        part = pa.Table.from_pandas(found.result, preserve_index=False).select(result.column_names).cast(result.schema)
        full, _ = _whole(name, new, parameters)
        assert _bytes(pa.concat_tables([old, part]), ["entity_id"]) == _bytes(full, ["entity_id"])
        assert 0 < found.recomputed < 0.2 * found.whole
        assert found.whole == len(new)
        now = set(full.column("cluster_id").to_pylist())
        split, merged = split + len(now - was), merged + len(was - now)
        assert found.facts["cluster_count"] == len(now - {None})
        assert found.facts["noise_count"] == full.column("cluster_id").null_count
        rows, result, kept, was = new, full, found.kept, now
    assert split > 3
    assert merged > 3


def test_clusters_are_made_anew_where_an_edit_is_no_small_one() -> None:
    asked = {"eps_m": 60.0, "min_points": 5}
    rows = _clumped(600, 1)
    result, kept = _whole("dbscan", rows, asked)
    many = _update("dbscan", _change(rows, rows.iloc[:500], kept, result), asked)
    assert many == "100 of 600 rows have changed"
    wide = {"eps_m": 5_000.0, "min_points": 5}
    result, kept = _whole("dbscan", rows, wide)
    one = _update("dbscan", _change(rows, rows.drop(index=9), kept, result), wide)
    assert one == "the clusters that changed have 600 of 600 rows"
    other = _update("dbscan", _change(rows, rows.drop(index=9), pa.table({"crs": ["EPSG:4526"]}), result), wide)
    assert isinstance(other, str)
    assert "metric system" in other


def test_a_whole_run_is_asked_for_where_a_change_is_no_small_one() -> None:
    rows = _rows(400, 1).sort_values("observed_at", ignore_index=True)
    result, kept = _whole("mann_kendall", rows, CUBE)

    def said(new: pd.DataFrame) -> str:
        found = _update("mann_kendall", _change(rows, new, kept, result), CUBE)
        assert isinstance(found, str)
        return found

    assert "cells have changed" in said(rows.iloc[[0, *range(60, 400)]])
    assert "time steps" in said(rows.assign(observed_at=rows["observed_at"] - pd.Timedelta(days=1)))
    far = rows.assign(
        geom=[shapely.to_wkb(shapely.transform(shapely.from_wkb(g), lambda p: p + np.array([9.0, 0.0]))) for g in rows["geom"]]
    )
    assert "metric system" in said(far)


def test_what_a_whole_run_refuses_an_update_refuses_too() -> None:
    asked = {**CUBE, "aggregate": "max", "value": "amount"}
    rows = _rows(900, 1).sort_values("observed_at", ignore_index=True)
    result, kept = _whole("emerging_hot_spots", rows, asked)
    late = pd.concat([rows, _rows(1, 9, first=5000).assign(observed_at=pd.Timestamp("2025-03-20", tz="UTC").as_unit("us"))])
    with pytest.raises(SanyuError, match="SY-N070"):
        _whole("emerging_hot_spots", late, asked)
    with pytest.raises(SanyuError, match="SY-N070"):
        _update("emerging_hot_spots", _change(rows, late, kept, result), asked)


def test_which_tools_can_be_brought_up_to_date() -> None:
    able = {t.name for t in tools().values() if t.update is not None}
    assert able == {"emerging_hot_spots", "mann_kendall", "change_points", "cell_count", "dbscan", "st_dbscan"}


def test_windows_hold_all_bounds_and_are_few() -> None:
    rng = np.random.default_rng(3)
    low = np.sort(rng.uniform(0, 1, (200, 2)), axis=0)
    bounds = np.hstack([low, low + 0.01])
    made = windows(bounds)
    assert len(made) == MOST_WINDOWS
    inside = [any(w[0] <= b[0] and w[1] <= b[1] and b[2] <= w[2] and b[3] <= w[3] for w in made) for b in bounds.tolist()]
    assert all(inside)
    assert windows(np.empty((0, 4))) == []
