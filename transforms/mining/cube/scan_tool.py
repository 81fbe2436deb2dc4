"""The scan statistic and change points as the shelf offers them: a frame of events in, clusters or cuts out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import shapely

from transforms.mining.cube.cell_tables import LAKE_CRS, instants, outlines
from transforms.mining.cube.change_points import change_points
from transforms.mining.cube.cube import Cube
from transforms.mining.cube.cube_frames import cells_like, cube_of_frame
from transforms.mining.cube.cube_update import cellwise
from transforms.mining.cube.scan import Cluster, Scan, ScanRule, space_time_scan
from transforms.mining.shelf.frames import note
from transforms.mining.shelf.tool import tool
from transforms.mining.shelf.update import Change, Updated
from transforms.space.coords import transform_geometries


@tool("Space-time scan statistic", "时空扫描统计", result="mart.mining__space_time_cluster", grain="own", columns=("time",))
def scan_statistic(
    frame: Any,
    *,
    radius_m: float,
    max_days: int,
    time: str = "observed_at",
    cell: str = "square",
    size_m: float = 250.0,
    crs: str | None = None,
    max_places: int = 50,
    max_share: float = 0.5,
    prospective: bool = False,
    permutations: int = 999,
    seed: int = 0,
    max_p: float = 0.05,
    from_at: str | None = None,
    to_at: str | None = None,
) -> Any:
    """Return the clusters with p ≤ `max_p`, best first: cylinders of cells and days with more events than margins of both explain.

    The places are the centres of the `cell`s of `size_m` with events, the days those of Beijing; space-time permutation model. The other
    arguments are those of `scan.ScanRule`; errors as `scan.space_time_scan`. A Poisson model with a population: `scan.space_time_scan`.
    """
    rule = ScanRule(radius_m, max_days, max_places, max_share, "permutation", prospective, permutations, seed)
    asked: dict[str, Any] = {
        "time": time, "value": None, "cell": cell, "size_m": size_m, "level": None, "division": "division_code", "step": "day", "every": 1,
        "length_s": None, "anchor": "end", "from_at": from_at, "to_at": to_at, "aggregate": "count", "empty": None, "keep": "with_data",
        "crs": crs,
    }  # fmt: skip
    cube, metric = cube_of_frame(frame, asked)
    found = scan_of_cube(cube, rule)
    kept = [c for c in found.clusters if c.p <= max_p]
    note(cell_count=len(cube.cells), step_count=cube.shape[1], cluster_count=len(kept), permutation_count=permutations)
    return cells_like(frame, _cluster_table(cube, kept, metric))


def scan_of_cube(cube: Cube, rule: ScanRule) -> Scan:
    """Return the clusters among the events of a cube of daily counts; its cells are the places."""
    place, day = np.nonzero(cube.counts)
    times = cube.counts[place, day]
    x, y = (np.asarray(part, np.float64) for part in (cube.cells.x, cube.cells.y))
    return space_time_scan(x, y, np.repeat(place, times), np.repeat(day, times), cube.shape[1], rule)


def _updated_change_points(change: Change, asked: Mapping[str, Any]) -> Updated | str:
    """Bring change points up to date: only the series of cells with other bins are cut again."""
    how = (asked["model"], asked["penalty"], asked["min_steps"])
    return cellwise(change, _cube_of_cells(asked), lambda cube, crs: _change_table(cube, crs, *how), _change_facts)


def _cube_of_cells(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {**asked, "division": "division_code", "keep": "with_data"}


@tool(
    "Change points of cells",
    "单元变点检测",
    result="mart.mining__change_point",
    grain="own",
    columns=("time", "value"),
    name="change_points",
    update=_updated_change_points,
)
def cell_change_points(
    frame: Any,
    *,
    time: str = "observed_at",
    value: str | None = None,
    cell: str = "square",
    size_m: float | None = None,
    level: int | None = None,
    step: str = "day",
    every: int = 1,
    length_s: float | None = None,
    anchor: str = "end",
    from_at: str | None = None,
    to_at: str | None = None,
    aggregate: str = "count",
    empty: str | None = None,
    crs: str | None = None,
    model: Literal["l2", "poisson"] = "l2",
    penalty: float | None = None,
    min_steps: int = 2,
) -> Any:
    """Return one row per change point of a cell's series: of a `Cube` as `ChangePoints`, of events as a frame.

    The arguments up to `crs` make the cube (`cube_tools.space_time_cube`), the others are those of `change_points.change_points`.
    """
    if isinstance(frame, Cube):
        return change_points(frame.values, model=model, penalty=penalty, min_steps=min_steps)
    asked = _cube_of_cells({k: v for k, v in locals().items() if k != "frame"})
    cube, metric = cube_of_frame(frame, asked)
    table = _change_table(cube, metric, model, penalty, min_steps)
    note(**_change_facts(cube, table))
    return cells_like(frame, table)


def _change_table(cube: Cube, crs: str | None, model: Literal["l2", "poisson"], penalty: float | None, min_steps: int) -> pa.Table:
    """Return one row per change of a cell's series."""
    found = change_points(cube.values, model=model, penalty=penalty, min_steps=min_steps)
    return pa.table(
        {
            "cell_id": pa.array(cube.cells.ids[found.rows], pa.string()),
            "step_number": pa.array(found.steps.astype(np.int32)),
            "changed_at": instants(cube.edges[found.steps]),
            "mean_before": pa.array(found.before),
            "mean_after": pa.array(found.after),
            "geom": outlines(cube, crs).take(pa.array(found.rows)),
        }
    )


def _change_facts(cube: Cube, table: pa.Table) -> dict[str, Any]:
    return {"cell_count": len(cube.cells), "step_count": cube.shape[1], "change_count": table.num_rows}


def _cluster_table(cube: Cube, clusters: list[Cluster], crs: str | None) -> pa.Table:
    """Return one row per cluster, with the union of its cells in EPSG:4490."""
    shapes = cube.cells.polygons()
    areas = np.array([shapely.union_all(shapes[c.places]) for c in clusters], dtype=object)
    if crs is not None and len(clusters):
        areas = transform_geometries(areas, crs, LAKE_CRS)
    wkb = pa.array(shapely.to_wkb(areas, flavor="iso"), pa.binary()) if crs is not None else pa.nulls(len(clusters), pa.binary())
    return pa.table(
        {
            "cluster_number": pa.array(np.arange(1, len(clusters) + 1, dtype=np.int32)),
            "cell_id": pa.array([str(cube.cells.ids[c.centre]) for c in clusters], pa.string()),
            "covered_cell_count": pa.array([len(c.places) for c in clusters], pa.int32()),
            "radius_m": pa.array([c.radius_m for c in clusters], pa.float64()),
            "from_at": instants(cube.edges[[c.first for c in clusters]]),
            "to_at": instants(cube.edges[[c.last + 1 for c in clusters]]),
            "found_count": pa.array([c.found for c in clusters], pa.int64()),
            "expected_count": pa.array([c.expected for c in clusters], pa.float64()),
            "log_likelihood_ratio": pa.array([c.llr for c in clusters], pa.float64()),
            "p_value": pa.array([c.p for c in clusters], pa.float64()),
            "geom": wkb,
        }
    )
