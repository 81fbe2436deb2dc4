"""Points to cells: how many rows, or what sum, lie in each square of a lattice; the ground for Gi* and LISA of events and places."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import shapely

from schemas.messages import SanyuError
from transforms.mining.ground import metres
from transforms.mining.ground.metres import LAKE_CRS, metric_crs_of, points
from transforms.mining.shelf.frames import column_names, floats, id_column_of, like, note
from transforms.mining.shelf.tool import tool
from transforms.mining.shelf.update import MOST_SHARE, Change, Updated, windows
from transforms.space.coords import transform_geometries

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_PLACE = re.compile(r"^(-?\d+)-(-?\d+)$")
MOST_CELLS = 4_000_000


def _updated_counts(change: Change, asked: Mapping[str, Any]) -> Updated | str:
    """Bring counts up to date: cells that lost or got a row are counted again, and empty cells come and go with the rows' box."""
    size_m = asked["size_m"]
    crs = metres.belt(change.extent[::2], change.extent[1::2])
    old = change.result(None)
    head = _prefix(size_m, crs)
    names = old.column("lattice_id").to_pylist()
    if not all(name.startswith(head) for name in names):
        return f"the metric system of the extent is now {crs}"
    lattice = np.array([_PLACE.findall(name[len(head) :])[0] for name in names], np.int64).reshape(-1, 2)
    touched = [_placed(frame, size_m, crs, None, None)[0] for frame in (change.removed, change.added) if len(frame)]
    places = np.unique(np.concatenate(touched), axis=0)
    if len(places) > MOST_SHARE * len(names):
        return f"{len(places):,} of {len(names):,} cells have changed"
    near = change.near(windows(shapely.bounds(transform_geometries(_squares(places, size_m), crs, LAKE_CRS))))
    place, values = _placed(near, size_m, crs, asked["weight"], None)
    inside = _among(place, places)
    fresh, counts, sums = _counted(place[inside], values[inside])
    others = ~_among(lattice, places)
    filled = np.concatenate([lattice[others & (old.column("row_count").to_numpy() > 0)], fresh])
    if not len(filled):
        return "no row is left"
    wanted = _box(filled, size_m) if asked["empty"] else filled
    stays = others & _among(lattice, wanted)
    bare = wanted[~_among(wanted, np.concatenate([lattice[stays], fresh]))]
    added = _cells(*_with_empty(fresh, counts, sums, bare), size_m, crs)
    whole = pa.concat_tables([old.filter(pa.array(stays)).select(added.column_names).cast(added.schema), added])
    whole = whole.take(pc.sort_indices(whole.column("lattice_id")))
    return Updated(whole, added.num_rows, whole.num_rows, "cells", facts=_facts(whole))


@tool("Counts by cell", "单元计数", result="mart.mining__cell_count", grain="own", columns=("weight",), update=_updated_counts)
def cell_count(frame: Any, *, size_m: float, weight: str | None = None, empty: bool = True, id_column: str | None = None) -> Any:
    """Return the squares of `size_m` metres with their `row_count` and `cell_sum` (of `weight`, else the number), outlines as `geom`.

    The lattice's origin is 0, 0 of the frame's metric system, so two tables of one city share their cells. With `empty` the cells without
    a row are there too, with 0, as far as the rows' bounding box goes. SY-N014 a size that is not above 0, SY-N015 too many cells.
    """
    if not 0 < size_m < np.inf:
        raise SanyuError("SY-N014", name="size_m", value=size_m)
    crs = metric_crs_of(frame)
    if crs is None:  # metres of nowhere have no outlines
        raise SanyuError("SY-N010", known=", ".join(column_names(frame)))
    lattice, counts, sums = _counted(*_placed(frame, size_m, crs, weight, id_column_of(frame, id_column)))
    if empty and len(lattice):
        box = _box(lattice, size_m)
        lattice, counts, sums = _with_empty(lattice, counts, sums, box[~_among(box, lattice)])
    table = _cells(lattice, counts, sums, size_m, crs)
    note(**_facts(table))
    return like(frame, table, geometry="geom", crs=LAKE_CRS)


def _placed(frame: Any, size_m: float, crs: str, weight: str | None, key: str | None) -> tuple[Ints, Floats]:
    """Return column and row of each row's cell, and its weight, in the canonical order."""
    table = points(frame, [weight] if weight else [], key, crs=crs)
    place = [np.floor(table.column(name).to_numpy() / size_m).astype(np.int64) for name in ("x_m", "y_m")]
    return np.stack(place, axis=1), floats(table, weight) if weight else np.ones(table.num_rows)


def _counted(place: Ints, values: Floats) -> tuple[Ints, Ints, Floats]:
    """Return the distinct cells, how many rows each has, and their sum; rows are in canonical order, so sums are added in one order."""
    cells, at = np.unique(place, axis=0, return_inverse=True)
    sums: Floats = np.bincount(at, weights=values, minlength=len(cells)).astype(np.float64)
    return cells, np.bincount(at, minlength=len(cells)).astype(np.int64), sums


def _box(lattice: Ints, size_m: float) -> Ints:
    """Return all cells of the rectangle around some; SY-N015 for too many."""
    (west, south), (wide, high) = lattice.min(axis=0), np.ptp(lattice, axis=0) + 1
    if int(wide) * int(high) > MOST_CELLS:
        raise SanyuError("SY-N015", radius_m=size_m, count=int(wide) * int(high), rows=len(lattice))
    numbers = np.arange(int(wide) * int(high))
    return np.stack([numbers % wide + west, numbers // wide + south], axis=1)


def _among(lattice: Ints, others: Ints) -> npt.NDArray[np.bool_]:
    """Tell which cells are among others."""
    kind = np.dtype([("column", np.int64), ("row", np.int64)])
    mine, theirs = (np.ascontiguousarray(part).view(kind).ravel() for part in (lattice, others))
    return np.isin(mine, theirs)


def _with_empty(lattice: Ints, counts: Ints, sums: Floats, bare: Ints) -> tuple[Ints, Ints, Floats]:
    """Return the cells with some that have no row."""
    return np.concatenate([lattice, bare]), np.append(counts, np.zeros(len(bare), np.int64)), np.append(sums, np.zeros(len(bare)))


def _squares(lattice: Ints, size_m: float) -> Any:
    corner = lattice * size_m
    return shapely.box(corner[:, 0], corner[:, 1], corner[:, 0] + size_m, corner[:, 1] + size_m)


def _prefix(size_m: float, crs: str) -> str:
    return f"{size_m:g}m-{crs}-"


def _cells(lattice: Ints, counts: Ints, sums: Floats, size_m: float, crs: str) -> pa.Table:
    """Return one row per cell, with its outline in EPSG:4490 (WKB), sorted by its id."""
    ids = [f"{_prefix(size_m, crs)}{x}-{y}" for x, y in lattice.tolist()]
    outlines = shapely.to_wkb(transform_geometries(_squares(lattice, size_m), crs, LAKE_CRS), flavor="iso") if ids else []
    names = pa.array(ids, pa.string())
    table = pa.table(
        {
            "lattice_id": names,
            "row_count": pa.array(counts, pa.int64()),
            "cell_sum": pa.array(sums, pa.float64()),
            "geom": pa.array(outlines, pa.binary()),
        }
    )
    return table.take(pc.sort_indices(names))


def _facts(table: pa.Table) -> dict[str, Any]:
    return {"cell_count": table.num_rows, "filled_count": int((table.column("row_count").to_numpy() > 0).sum())}
