"""The cube: cells, steps, aggregations, empty bins; the same for any order of the events."""

from __future__ import annotations

import itertools
import math
from datetime import UTC, datetime
from typing import Any

import h3
import numpy as np
import pytest
import shapely

from schemas.messages import SanyuError
from transforms.mining.cube.cells import CellRule, lattice_cells, locate, neighbours, outlines
from transforms.mining.cube.cube import CubeRule, cube_of_events, exact_sums
from transforms.mining.cube.cube_time import StepRule, as_instants, step_edges, steps_of
from transforms.space import beidou

SQUARE = CellRule("square", size_m=100.0)
DAYS = StepRule("day")


def at(*texts: str) -> Any:
    return as_instants(list(texts))


def beijing(edges: Any) -> list[str]:
    return [str(e) for e in (edges + np.timedelta64(8, "h")).astype("datetime64[m]")]


def test_calendar_steps_are_those_of_beijing() -> None:
    found = step_edges(DAYS, *at("2025-03-01T16:30Z", "2025-03-03T15:59:59Z"))
    assert beijing(found) == ["2025-03-02T00:00", "2025-03-03T00:00", "2025-03-04T00:00"]
    assert beijing(step_edges(StepRule("month"), *at("2024-02-29 23:00", "2024-03-01 01:00"))) == [
        "2024-02-01T00:00", "2024-03-01T00:00", "2024-04-01T00:00",
    ]  # fmt: skip
    monday = step_edges(StepRule("week"), *at("2025-01-05 12:00", "2025-01-06 12:00"))
    assert beijing(monday) == ["2024-12-30T00:00", "2025-01-06T00:00", "2025-01-13T00:00"]
    assert len(step_edges(StepRule("hour"), *at("1969-12-31 22:10", "1970-01-01 01:00"))) == 5


def test_grouped_units_are_counted_from_the_anchored_side() -> None:
    period = at("2025-01-01 10:00", "2025-01-05 10:00")
    assert beijing(step_edges(StepRule("day", every=2), *period))[0::3] == ["2024-12-31T00:00", "2025-01-06T00:00"]
    assert beijing(step_edges(StepRule("day", every=2, anchor="start"), *period))[0::3] == ["2025-01-01T00:00", "2025-01-07T00:00"]


def test_fixed_steps_end_at_the_last_event_or_begin_at_the_first() -> None:
    times = at("2025-01-01T00:00Z", "2025-01-01T01:00Z", "2025-01-01T02:00Z")
    end, start = StepRule(None, length_s=3600.0), StepRule(None, length_s=3600.0, anchor="start")
    edges = step_edges(end, times[0], times[2])
    assert edges[-1] == times[2] and steps_of(edges, times, end.closed).tolist() == [0, 1, 2]
    edges = step_edges(start, times[0], times[2])
    assert edges[0] == times[0] and steps_of(edges, times, start.closed).tolist() == [0, 1, 2]


def test_a_given_period_leaves_out_what_lies_beyond() -> None:
    rule = StepRule("day", from_at=datetime(2025, 1, 2, tzinfo=UTC), to_at=datetime(2025, 1, 3, 16, tzinfo=UTC))
    edges = step_edges(rule, *at("2025-01-01 00:00", "2025-09-01 00:00"))
    assert beijing(edges) == ["2025-01-02T00:00", "2025-01-03T00:00", "2025-01-04T00:00"]
    assert steps_of(edges, at("2025-01-01 23:59", "2025-01-03 23:59", "2025-01-04 00:00")).tolist() == [-1, 1, -1]


@pytest.mark.parametrize("kind", ["square", "hexagon"])
def test_a_place_lies_in_the_outline_of_its_cell_and_neighbours_touch(kind: Any) -> None:
    rng = np.random.default_rng(2)
    rule = CellRule(kind, size_m=70.0)
    x, y = rng.uniform(-400, 400, (2, 600))
    places = np.stack(locate(rule, x, y), axis=1)
    found, back = np.unique(places, axis=0, return_inverse=True)
    cells = lattice_cells(rule, found[:, 0], found[:, 1])
    shapes = cells.polygons()
    assert shapely.distance(shapes[back], shapely.points(x, y)).max() < 1e-9
    assert len(set(cells.ids)) == len(cells)
    starts, others = neighbours(cells)
    owner = np.repeat(np.arange(len(cells)), np.diff(starts))
    a, b = np.nonzero(shapely.distance(shapes[:, None], shapes[None, :]) < 1e-6)
    assert set(zip(owner.tolist(), others.tolist(), strict=True)) == set(zip(a.tolist(), b.tolist(), strict=True))


def test_beidou_cells_bear_their_codes_and_touch_across_the_prime_meridian() -> None:
    rule = CellRule("beidou", level=4)
    lon, lat = np.array([-0.001, 0.001, 116.3912]), np.array([51.5, 51.5, 39.9067])
    cube = cube_of_events(CubeRule(rule, DAYS), at("2025-01-01", "2025-01-01", "2025-01-02"), x=lon, y=lat)
    assert set(cube.cells.ids) == set(beidou.encode(lon, lat, 4))
    starts, others = neighbours(cube.cells)
    assert [others[starts[n] : starts[n + 1]].tolist() for n in range(3)] == [[0, 1], [0, 1], [2]]


def test_divisions_keep_their_codes_and_need_borders() -> None:
    codes = np.array(["390101", "390102", "390101", "390103"])
    times = at("2025-01-01", "2025-01-01", "2025-01-02", "2025-01-02")
    borders = np.array([["390101", "390102"], ["390102", "390199"]])
    cube = cube_of_events(CubeRule(CellRule("division"), DAYS), times, codes=codes, borders=borders)
    assert cube.cells.ids.tolist() == ["390101", "390102", "390103"]
    assert cube.values.tolist() == [[1, 1], [1, 0], [0, 1]]
    assert [len(x) for x in np.split(neighbours(cube.cells)[1], neighbours(cube.cells)[0][1:-1])] == [2, 2, 1]
    with pytest.raises(SanyuError, match="SY-N069"):
        cube_of_events(CubeRule(CellRule("division"), DAYS), times, codes=codes)


def test_h3_cells_are_those_of_h3_and_their_neighbours_its_first_ring() -> None:
    """Two events in one cell, one in a cell beside it, one far off; the polygon of a cell holds its events."""
    lon, lat = np.array([116.3, 116.3, 116.309, 117.0]), np.array([39.9, 39.9, 39.9, 39.9])
    cube = cube_of_events(CubeRule(CellRule("h3", level=8), DAYS), at(*["2025-01-01"] * 4), x=lon, y=lat)
    expected = sorted({h3.latlng_to_cell(b, a, 8) for a, b in zip(lon.tolist(), lat.tolist(), strict=True)})
    assert cube.cells.ids.tolist() == expected and cube.values.sum() == 4
    starts, near = neighbours(cube.cells)
    rings = [sorted(expected.index(c) for c in h3.grid_disk(cell, 1) if c in expected) for cell in expected]
    assert [sorted(part.tolist()) for part in np.split(near, starts[1:-1])] == rings and max(map(len, rings)) == 2
    home = h3.latlng_to_cell(39.9, 116.3, 8)
    assert outlines(cube.cells)[expected.index(home)].contains(shapely.Point(116.3, 39.9))


@pytest.mark.parametrize(("how", "expected"), [("count", 4), ("sum", 0.4), ("mean", 0.1), ("median", 0.25), ("min", -0.5), ("max", 0.4)])
def test_each_aggregation(how: Any, expected: float) -> None:
    values = np.array([0.2, 0.3, -0.5, 0.4])
    cube = cube_of_events(CubeRule(SQUARE, DAYS, how), at(*["2025-01-01"] * 4), x=np.full(4, 5.0), y=np.full(4, 5.0), values=values)
    assert cube.values[0, 0] == pytest.approx(expected, rel=1e-15)
    assert cube.counts.tolist() == [[4]]


def _events(size: int = 500) -> dict[str, Any]:
    rng = np.random.default_rng(4)
    times = np.datetime64("2025-01-01", "us") + rng.integers(0, 20 * 86_400, size) * np.timedelta64(1_000_000, "us")
    values = rng.normal(size=size) * 10.0 ** rng.integers(-9, 9, size)
    return {"at": times, "x": rng.uniform(0, 900, size), "y": rng.uniform(0, 900, size), "values": values}


@pytest.mark.parametrize("how", ["count", "sum", "mean", "median", "min", "max"])
def test_the_order_of_events_changes_no_bit(how: Any) -> None:
    rule = CubeRule(CellRule("hexagon", size_m=150.0), DAYS, how)
    events = _events()
    order = np.random.default_rng(9).permutation(500)
    one, other = cube_of_events(rule, **events), cube_of_events(rule, **{k: v[order] for k, v in events.items()})
    assert one.values.tobytes() == other.values.tobytes() and one.cells.ids.tolist() == other.cells.ids.tolist()


def test_sums_are_those_of_fsum() -> None:
    values = np.concatenate([_events()["values"], [1e16, 1.0, -1e16], [0.1] * 10])
    borders = np.array([0, 500, 503, 503, 513])
    assert exact_sums(values, borders).tolist() == [math.fsum(values[a:b]) for a, b in itertools.pairwise(borders)]


def _gappy(empty: Any, **more: Any) -> Any:
    """Return a cube with the middle cell empty on day 1 and 2, and the first day of the left cell."""
    x = np.array([50.0, 150.0, 250.0, 50.0, 250.0, 50.0, 150.0, 150.0])
    days = ["02", "04", "01", "03", "02", "04", "04", "01"]
    values = np.array([2.0, 8.0, 1.0, 4.0, 6.0, 5.0, 8.0, 3.0])
    rule = CubeRule(SQUARE, DAYS, "mean", empty, **more)
    return cube_of_events(rule, at(*[f"2025-01-{d}" for d in days]), x=x, y=np.full(8, 5.0), values=values).values


@pytest.mark.parametrize(
    ("empty", "expected"),
    [
        ("zero", [[0, 2, 4, 5], [3, 0, 0, 8], [1, 6, 0, 0]]),
        ("previous", [[None, 2, 4, 5], [3, 3, 3, 8], [1, 6, 6, 6]]),
        ("neighbours", [[3, 2, 4, 5], [3, 4, 4, 8], [1, 6, None, 8]]),
        ("skip", [[None, 2, 4, 5], [3, None, None, 8], [1, 6, None, None]]),
        (None, [[None, 2, 4, 5], [3, None, None, 8], [1, 6, None, None]]),
    ],
)
def test_each_rule_for_empty_bins(empty: Any, expected: Any) -> None:
    np.testing.assert_array_equal(_gappy(empty), np.array(expected, dtype=np.float64))


def test_cells_without_data_come_in_on_demand() -> None:
    rule = CubeRule(SQUARE, DAYS, keep="all")
    cube = cube_of_events(rule, at("2025-01-01", "2025-01-02"), x=np.array([50.0, 250.0]), y=np.array([50.0, 150.0]))
    assert cube.shape == (6, 2) and cube.values.sum() == 2 and (cube.values.sum(axis=1) == 0).sum() == 4
    assert cube_of_events(CubeRule(SQUARE, DAYS), at("2025-01-01"), x=np.array([50.0]), y=np.array([50.0])).shape == (1, 1)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"at": np.array([], "datetime64[us]"), "x": np.array([]), "y": np.array([])}, "SY-N064"),
        ({"x": np.array([np.nan, 1.0])}, "SY-N066"),
        ({"y": np.array([1.0, np.inf])}, "SY-N066"),
        ({"at": np.array(["2025-01-01", "NaT"], "datetime64[us]")}, "SY-N066"),
        ({"values": np.array([1.0, np.nan])}, "SY-N066"),
        ({"x": np.array([0.0, 1e9]), "y": np.array([0.0, 1e9])}, "SY-N067"),
    ],
    ids=["no event", "no place", "infinite place", "no time", "NaN value", "too many bins"],
)
def test_events_that_cannot_be_placed_are_refused(change: dict[str, Any], code: str) -> None:
    events = {"at": at("2025-01-01", "2025-01-02"), "x": np.array([1.0, 2.0]), "y": np.array([1.0, 2.0]), "values": np.array([1.0, 2.0])}
    with pytest.raises(SanyuError, match=code):
        cube_of_events(CubeRule(SQUARE, DAYS, "sum", keep="all"), **{**events, **change})


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda: CellRule("triangle"), "SY-N062"),  # type: ignore[arg-type]
        (lambda: CellRule("square"), "SY-N069"),
        (lambda: CellRule("square", size_m=-5.0), "SY-N063"),
        (lambda: CellRule("beidou", level=11), "SY-N063"),
        (lambda: StepRule("year"), "SY-N062"),  # type: ignore[arg-type]
        (lambda: StepRule("day", every=0), "SY-N063"),
        (lambda: StepRule(None, length_s=0.0), "SY-N063"),
        (lambda: CubeRule(SQUARE, DAYS, "mode"), "SY-N062"),  # type: ignore[arg-type]
        (lambda: CubeRule(CellRule("division"), DAYS, keep="all"), "SY-N062"),
    ],
)
def test_rules_that_say_nothing_are_refused(make: Any, code: str) -> None:
    with pytest.raises(SanyuError, match=code):
        make()
