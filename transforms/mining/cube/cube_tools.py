"""The tools of the space-time cube as the shelf offers them: a frame of events in, a frame of the same kind out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from schemas.messages import SanyuError
from transforms.mining.cube.cell_tables import hot_spot_table, instants, outlines
from transforms.mining.cube.cube import Cube
from transforms.mining.cube.cube_frames import cells_like, cube_of_frame
from transforms.mining.cube.cube_kept import Kept
from transforms.mining.cube.cube_update import cellwise, renewed
from transforms.mining.cube.hot_spots import HotSpotRule, HotSpots, hot_spots, judged, require_usable
from transforms.mining.cube.hot_spots_update import updated_sums
from transforms.mining.cube.trend import trends
from transforms.mining.shelf.frames import note
from transforms.mining.shelf.tool import tool
from transforms.mining.shelf.update import Change, Updated


def space_time_cube(
    frame: Any,
    *,
    time: str = "observed_at",
    value: str | None = None,
    cell: str = "square",
    size_m: float | None = None,
    level: int | None = None,
    division: str = "division_code",
    borders: npt.NDArray[Any] | None = None,
    step: str = "day",
    every: int = 1,
    length_s: float | None = None,
    anchor: str = "end",
    from_at: str | None = None,
    to_at: str | None = None,
    aggregate: str = "count",
    empty: str | None = None,
    keep: str = "with_data",
    crs: str | None = None,
) -> Cube:
    """Return the space-time cube of a frame's events (pandas, GeoPandas or Spark).

    `time` is the column of instants (without a zone: Beijing time), `value` that of the numbers for any aggregation but `count`. Cells are
    `square` or `hexagon` of `size_m` metres, `beidou` or `h3` of a `level`, or `division` (column `division`, with `borders`, the pairs
    of codes that touch). Steps are `every` × `step` (`hour`, `day`, `week`, `month`) or `length_s` seconds; `anchor`, `from_at`, `to_at`
    as in `cube_time.StepRule`; `aggregate`, `empty`, `keep` as in `cube.CubeRule`. Errors: `cube_frames.cube_of_frame`.
    """
    return cube_of_frame(frame, {k: v for k, v in locals().items() if k not in ("frame", "borders")}, borders)[0]


def _updated_hot_spots(change: Change, asked: Mapping[str, Any]) -> Updated | str:
    """Bring emerging hot spots up to date: neighbourhoods near a change are summed again, what depends on the whole cube is judged anew."""
    new = renewed(change, asked)
    if isinstance(new, str):
        return new
    if new.before.local is None:
        return "the last run left no sums of neighbourhoods"
    require_usable(new.cube)
    rule = HotSpotRule(**{field.name: asked[field.name] for field in fields(HotSpotRule)})
    local, summed = updated_sums(new.before.cube, new.before.local, new.cube, rule)
    found = judged(new.cube, rule, local)
    return Updated(hot_spot_table(found, new.crs), summed, len(new.cube.cells), "cells", Kept(new.cube, local).to_arrow(), facts(found))


def _updated_trends(change: Change, asked: Mapping[str, Any]) -> Updated | str:
    """Bring the trends of cells up to date: only cells with other bins are tested again."""
    return cellwise(change, asked, lambda cube, crs: _trend_table(cube, crs, asked["alpha"]), _trend_facts)


@tool(
    "Emerging hot spots",
    "时空热点演化",
    result="mart.mining__emerging_hot_spot",
    grain="own",
    columns=("time", "value", "division"),
    update=_updated_hot_spots,
)
def emerging_hot_spots(
    frame: Any,
    *,
    time: str = "observed_at",
    value: str | None = None,
    cell: str = "square",
    size_m: float | None = None,
    level: int | None = None,
    division: str = "division_code",
    borders: npt.NDArray[Any] | None = None,
    step: str = "day",
    every: int = 1,
    length_s: float | None = None,
    anchor: str = "end",
    from_at: str | None = None,
    to_at: str | None = None,
    aggregate: str = "count",
    empty: str | None = None,
    keep: str = "with_data",
    crs: str | None = None,
    rings: int = 1,
    contiguity: str = "queen",
    distance_m: float | None = None,
    steps_back: int = 1,
    alpha: float = 0.05,
    trend_alpha: float = 0.05,
    fdr: bool = True,
) -> Any:
    """Return the category of each cell: of a `Cube` as `HotSpots`, of a frame of events as a frame of cells.

    The arguments up to `crs` make the cube (see `space_time_cube`); the others are those of `hot_spots.HotSpotRule`. Result columns: see
    `schemas/mining/emerging_hot_spot.py`. SY-N065 one step, SY-N068 constant values, SY-N070 a step without any value.
    """
    rule = HotSpotRule(rings, contiguity, distance_m, steps_back, alpha, trend_alpha, fdr)
    if isinstance(frame, Cube):
        return hot_spots(frame, rule)
    cube, metric = cube_of_frame(frame, {k: v for k, v in locals().items() if k not in ("frame", "borders", "rule")}, borders)
    found = hot_spots(cube, rule)
    note(**facts(found), kept=Kept(cube, found.local))
    return cells_like(frame, hot_spot_table(found, metric))


@tool(
    "Trends of cells",
    "单元趋势检验",
    result="mart.mining__cell_trend",
    grain="own",
    columns=("time", "value", "division"),
    update=_updated_trends,
)
def mann_kendall(
    frame: Any,
    *,
    time: str = "observed_at",
    value: str | None = None,
    cell: str = "square",
    size_m: float | None = None,
    level: int | None = None,
    division: str = "division_code",
    step: str = "day",
    every: int = 1,
    length_s: float | None = None,
    anchor: str = "end",
    from_at: str | None = None,
    to_at: str | None = None,
    aggregate: str = "count",
    empty: str | None = None,
    keep: str = "with_data",
    crs: str | None = None,
    alpha: float = 0.05,
) -> Any:
    """Return the Mann-Kendall trend and Sen's slope of each cell's values: of a `Cube` as `Trends`, of events as a frame of cells."""
    if not 0.0 < alpha < 1.0:
        raise SanyuError("SY-N063", argument="alpha", value=alpha, expected="a level between 0 and 1")
    if isinstance(frame, Cube):
        return trends(frame.values)
    cube, metric = cube_of_frame(frame, {k: v for k, v in locals().items() if k != "frame"})
    table = _trend_table(cube, metric, alpha)
    note(**_trend_facts(cube, table))
    return cells_like(frame, table)


def _trend_table(cube: Cube, crs: str | None, alpha: float) -> pa.Table:
    """Return one row per cell: its trend, its slope, and its outline in EPSG:4490 (WKB)."""
    found = trends(cube.values)
    rising = found.signs(alpha)
    return pa.table(
        {
            "cell_id": pa.array(cube.cells.ids, pa.string()),
            "event_count": pa.array(cube.counts.sum(axis=1)),
            "step_count": pa.array(found.count.astype("int32")),
            "trend_score": pa.array(found.score),
            "trend_z": pa.array(found.z),
            "trend_p": pa.array(found.p),
            "trend_tau": pa.array(found.tau, from_pandas=True),
            "trend_sign": pa.array(rising.astype("int32")),
            "sen_slope": pa.array(found.slope, from_pandas=True),
            "sen_intercept": pa.array(found.intercept, from_pandas=True),
            "from_at": instants(cube.edges[:1].repeat(len(rising))),
            "to_at": instants(cube.edges[-1:].repeat(len(rising))),
            "geom": outlines(cube, crs),
        }
    )


def _trend_facts(cube: Cube, table: pa.Table) -> dict[str, Any]:
    signs = table.column("trend_sign").to_numpy()
    return {"cell_count": len(cube.cells), "rising_count": int((signs > 0).sum()), "falling_count": int((signs < 0).sum())}


def facts(found: HotSpots) -> dict[str, Any]:
    """Return what a run tells of itself: sizes, the limit of significance, and how many cells have a pattern."""
    cells, steps = found.cube.shape
    return {
        "cell_count": cells,
        "step_count": steps,
        "p_limit": found.p_limit,
        "significant_count": int((found.signs != 0).sum()),
        "pattern_count": int((found.codes != 0).sum()),
    }
