"""Finds the division of a point on a day: cells that lie entirely in one division answer at once, the others use the polygons."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
FINEST, COARSEST = 5, 1
MAX_CELLS, CELLS_EACH = 1 << 18, 1 << 11
FAR = dt.date(9999, 12, 31)


@dataclass(frozen=True)
class _Cover:
    """One level on one day: per cell its only division, −1 for none, −2 if borders cross it; `rows` are those of the table."""

    rows: Ints
    polygons: npt.NDArray[Any]
    tree: shapely.STRtree
    bounds: tuple[float, float, float, float]
    size: tuple[int, int]
    cells: Ints

    def find(self, lon: Floats, lat: Floats) -> Ints:
        """Return the table row of the division of each point, −1 for none; on a border, the first one in the table."""
        west, south, east, north = self.bounds
        nx, ny = self.size
        with np.errstate(invalid="ignore"):
            inside = (lon >= west) & (lon <= east) & (lat >= south) & (lat <= north)
        found = np.full(len(lon), -1, np.int64)
        i = np.minimum(((lon[inside] - west) / (east - west) * nx).astype(np.int64), nx - 1)
        j = np.minimum(((lat[inside] - south) / (north - south) * ny).astype(np.int64), ny - 1)
        found[inside] = self.cells[i * ny + j]
        asked = np.flatnonzero(found == -2)
        found[asked] = -1
        points, hit = self.tree.query(shapely.points(lon[asked], lat[asked]), predicate="intersects")
        # In descending order, so that the first one in the table is written last and stays.
        order = np.argsort(-hit, kind="stable")
        found[asked[points[order]]] = hit[order]
        return np.where(found >= 0, self.rows[found], -1)


@dataclass
class DivisionIndex:
    """Divisions with levels, parents and validity; the index of each period between two changes is built on first use."""

    codes: npt.NDArray[Any]
    names: npt.NDArray[Any]
    levels: Ints
    parents: npt.NDArray[Any]
    starts: npt.NDArray[Any]
    ends: npt.NDArray[Any]
    polygons: npt.NDArray[Any]
    changes: list[dt.date]
    _made: dict[int, tuple[list[_Cover], Ints]] = field(default_factory=dict)

    @classmethod
    def build(cls, table: pa.Table) -> DivisionIndex:
        """Build from division_code, division_level, parent_code, name, geom (WKB, degrees); valid_from_on and valid_to_on are optional."""
        columns = {name: table.column(name).to_pylist() for name in table.column_names if name != "geom"}
        size = table.num_rows
        starts = [day or dt.date.min for day in columns.get("valid_from_on", [None] * size)]
        ends = [day or FAR for day in columns.get("valid_to_on", [None] * size)]
        return cls(
            codes=np.array(columns["division_code"], dtype=object),
            names=np.array(columns["name"], dtype=object),
            levels=np.array(columns["division_level"], dtype=np.int64),
            parents=np.array(columns.get("parent_code", [None] * size), dtype=object),
            starts=np.array(starts, dtype=object),
            ends=np.array(ends, dtype=object),
            polygons=np.asarray(shapely.from_wkb(table.column("geom").to_numpy(zero_copy_only=False))),
            changes=sorted({day for day in (*starts, *ends) if day not in (dt.date.min, FAR)}),
        )

    def find(self, lon: Floats, lat: Floats, at: npt.NDArray[np.datetime64] | None) -> tuple[Ints, Ints]:
        """Return for each point the table row of its finest division on its day (−1 outside), and rows per level, shape (n, 5), −1 for
        none.

        `at` contains days; None means after the last change in the table.
        """
        found, chains = np.full(len(lon), -1, np.int64), np.full((len(lon), FINEST), -1, np.int64)
        changes = np.array(self.changes, dtype="datetime64[D]")
        epoch = np.full(len(lon), len(changes)) if at is None else np.searchsorted(changes, at.astype("datetime64[D]"), side="right")
        for when in np.unique(epoch):
            covers, chain = self._on(int(when))
            part = np.flatnonzero(epoch == when)
            for cover in covers:
                found[part] = cover.find(lon[part], lat[part])
                chains[part] = np.where(found[part, None] >= 0, chain[found[part]], -1)
                part = part[found[part] < 0]
                if not len(part):
                    break
        return found, chains

    def _on(self, epoch: int) -> tuple[list[_Cover], Ints]:
        """Return the covers of an epoch from the finest level up, and per row of the table its chain of rows."""
        if epoch not in self._made:
            day = self.changes[epoch - 1] if epoch else dt.date.min
            valid = np.array([a <= day < b for a, b in zip(self.starts, self.ends, strict=True)], dtype=bool)
            row_of = {self.codes[i]: int(i) for i in np.flatnonzero(valid)}
            chain = np.full((len(self.codes), FINEST), -1, np.int64)
            for row in np.flatnonzero(valid):
                above: int | None = int(row)
                while above is not None and chain[row, self.levels[above] - 1] < 0:
                    chain[row, self.levels[above] - 1] = above
                    above = row_of.get(self.parents[above])
            covers = []
            for level in range(FINEST, COARSEST - 1, -1):
                rows = np.flatnonzero(valid & (self.levels == level) & ~shapely.is_missing(self.polygons))
                if len(rows):
                    covers.append(_cover(rows, self.polygons[rows]))
            self._made[epoch] = (covers, chain)
        return self._made[epoch]


def _cover(rows: Ints, polygons: npt.NDArray[Any]) -> _Cover:
    west, south, east, north = (float(b) for b in shapely.total_bounds(polygons))
    ratio = max(east - west, 1e-9) / max(north - south, 1e-9)
    count = min(MAX_CELLS, CELLS_EACH * len(rows))
    ny = int(np.clip(np.sqrt(count / ratio), 1, 4096))
    nx = int(np.clip(count // ny, 1, 4096))
    shapely.prepare(polygons)
    tree = shapely.STRtree(polygons)
    x, y = np.linspace(west, east, nx + 1), np.linspace(south, north, ny + 1)
    # Slightly wider than the cell, so that rounding never puts a point in a cell whose border it crosses.
    hair_x, hair_y = (east - west) * 1e-9, (north - south) * 1e-9
    boxes = shapely.box(
        np.repeat(x[:-1], ny) - hair_x, np.tile(y[:-1], nx) - hair_y, np.repeat(x[1:], ny) + hair_x, np.tile(y[1:], nx) + hair_y
    )
    cells = np.full(nx * ny, -1, np.int64)
    touched, _ = tree.query(boxes, predicate="intersects")
    cells[touched] = -2
    whole, holder = tree.query(boxes, predicate="covered_by")
    once = np.bincount(whole, minlength=len(cells)) == 1
    touches = np.bincount(touched, minlength=len(cells)) == 1
    only = once[whole] & touches[whole]
    cells[whole[only]] = holder[only]
    return _Cover(rows, polygons, tree, (west, south, east, north), (nx, ny), cells)
