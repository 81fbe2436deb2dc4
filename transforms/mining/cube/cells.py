"""Cells of a space-time cube: squares, hexagons, BeiDou grid cells, H3 cells, or the divisions that events already name.

Squares and hexagons are counted from the origin of the projected CRS in metres, half-open to the north-east. Hexagons are pointy-topped
(a corner in the north, neighbours to the east and west); `size_m` is the side of a square and, of a hexagon, the distance between opposite
sides, which is also that between the centres of neighbours. A point on the border of hexagons belongs to the one that cube rounding gives
(ties of a coordinate round to even), the same on every machine. BeiDou cells are those of GB/T 39409-2020 at one level.

Cell ids are stable: `sq500:EPSG:4549:1234:-5` and `hx…` name kind, size, CRS and place in the lattice; BeiDou, H3 and division cells bear
their own codes. Source of hexagon arithmetic: A. Patel, "Hexagonal Grids" (axial coordinates).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, Literal

import h3
import numpy as np
import numpy.typing as npt
import shapely

from schemas.messages import SanyuError
from transforms.space import beidou

Kind = Literal["square", "hexagon", "beidou", "h3", "division"]
Floats = npt.NDArray[np.floating[Any]]
Ints = npt.NDArray[np.int64]
KINDS: Final = ("square", "hexagon", "beidou", "h3", "division")
PLANAR: Final = ("square", "hexagon")
_HALF_ROOT_3: Final = np.sqrt(3.0) / 2.0


@dataclass(frozen=True)
class CellRule:
    """How places become cells: `size_m` with the metric `crs` for squares and hexagons, `level` for BeiDou (1–10) and H3 (0–15).

    SY-N062 for an unknown kind, SY-N063 for a size or level out of range, SY-N069 where the kind lacks its argument.
    """

    kind: Kind = "square"
    size_m: float | None = None
    level: int | None = None
    crs: str | None = None

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise SanyuError("SY-N062", argument="cells", value=self.kind, known=", ".join(KINDS))
        if self.kind in PLANAR:
            if self.size_m is None:
                raise SanyuError("SY-N069", kind=self.kind, needed="size_m, in metres")
            if not (np.isfinite(self.size_m) and self.size_m > 0):
                raise SanyuError("SY-N063", argument="size_m", value=self.size_m, expected="a length above 0 in metres")
        if self.kind in ("beidou", "h3"):
            if self.level is None:
                raise SanyuError("SY-N069", kind=self.kind, needed="level")
            low, high = (1, 10) if self.kind == "beidou" else (0, 15)
            if self.level != int(self.level) or not low <= self.level <= high:
                raise SanyuError("SY-N063", argument="level", value=self.level, expected=f"a whole number from {low} to {high}")

    @property
    def metres(self) -> float:
        """Return `size_m` of squares and hexagons."""
        assert self.size_m is not None
        return self.size_m

    @property
    def prefix(self) -> str:
        """Return what the ids of squares and hexagons begin with."""
        return f"{'sq' if self.kind == 'square' else 'hx'}{self.size_m:g}:{self.crs or 'metres'}"


@dataclass(frozen=True)
class Cells:
    """The cells of a cube in their one order: by lattice place (column, then row), else by code.

    `columns`, `rows` are lattice coordinates (empty for H3 and divisions), `x`, `y` the centres: metres of `rule.crs` for squares and
    hexagons, degrees for BeiDou and H3, NaN for divisions. `borders` are pairs of positions of touching divisions.
    """

    rule: CellRule
    ids: npt.NDArray[np.object_]
    x: Floats
    y: Floats
    columns: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    rows: Ints = field(default_factory=lambda: np.empty(0, np.int64))
    borders: Ints = field(default_factory=lambda: np.empty((0, 2), np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    def take(self, chosen: npt.NDArray[Any]) -> Cells:
        """Return some of the cells, by mask or ascending positions, with their borders renumbered."""
        positions = np.flatnonzero(chosen) if chosen.dtype == bool else np.asarray(chosen, np.int64)
        new = np.full(len(self), -1, np.int64)
        new[positions] = np.arange(len(positions))
        borders = new[self.borders]
        columns, rows = (part[positions] if part.size else part for part in (self.columns, self.rows))
        kept = borders[(borders >= 0).all(axis=1)]
        return Cells(self.rule, self.ids[positions], self.x[positions], self.y[positions], columns, rows, kept)

    def polygons(self) -> npt.NDArray[np.object_]:
        """Return the cells' outlines in the CRS of their centres; SY-N069 for divisions, whose shapes their own table holds."""
        return outlines(self)


def locate(rule: CellRule, x: Floats, y: Floats) -> tuple[Ints, Ints]:
    """Return lattice column and row of places, in metres for squares and hexagons and in degrees for BeiDou cells."""
    if rule.kind == "square":
        return np.floor(x / rule.metres).astype(np.int64), np.floor(y / rule.metres).astype(np.int64)
    if rule.kind == "hexagon":
        return _hexagon(x / rule.metres, y / rule.metres)
    assert rule.kind == "beidou" and rule.level is not None
    width, height = beidou.cell_size(rule.level)
    codes = np.asarray(beidou.encode(x, y, rule.level))
    found, back = np.unique(codes, return_inverse=True)
    cell = beidou.decode(found)
    return np.floor(cell.lon / width).astype(np.int64)[back], np.floor(cell.lat / height).astype(np.int64)[back]


def lattice_cells(rule: CellRule, columns: Ints, rows: Ints) -> Cells:
    """Return the cells at distinct lattice places, which must be given in ascending order of (column, row)."""
    if rule.kind == "square":
        x, y = (columns + 0.5) * rule.metres, (rows + 0.5) * rule.metres
    elif rule.kind == "hexagon":
        x, y = rule.metres * (columns + rows / 2.0), rule.metres * _HALF_ROOT_3 * rows
    else:
        assert rule.level is not None
        width, height = beidou.cell_size(rule.level)
        x, y = (columns + 0.5) * width, (rows + 0.5) * height
        return Cells(rule, np.asarray(beidou.encode(x, y, rule.level)).astype(object), x, y, columns, rows)
    ids = np.array([f"{rule.prefix}:{c}:{r}" for c, r in zip(columns.tolist(), rows.tolist(), strict=True)], dtype=object)
    return Cells(rule, ids, x, y, columns, rows)


def coded_cells(rule: CellRule, codes: npt.NDArray[Any], borders: npt.NDArray[Any] | None = None) -> Cells:
    """Return division or H3 cells by distinct ascending codes; `borders` are pairs of codes that touch, absent cells among them dropped."""
    ids = np.asarray(codes).astype(object)
    x = y = np.full(len(ids), np.nan)
    if rule.kind == "h3":
        places = np.array([h3.cell_to_latlng(c) for c in ids]).reshape(-1, 2)
        y, x = places[:, 0], places[:, 1]
        near = [(c, other) for c in ids for other in h3.grid_disk(c, 1) if other > c]
        borders = np.array(near, dtype=object).reshape(-1, 2)
    if borders is None:
        raise SanyuError("SY-N069", kind=rule.kind, needed="borders: the pairs of codes that touch")
    pairs = np.asarray(borders, dtype=object).reshape(-1, 2)
    order = {code: n for n, code in enumerate(ids.tolist())}
    numbered = np.array([[order.get(a, -1), order.get(b, -1)] for a, b in pairs.tolist()], dtype=np.int64).reshape(-1, 2)
    return Cells(rule, ids, x, y, borders=numbered[(numbered >= 0).all(axis=1)])


def offsets(rule: CellRule, rings: int = 1, contiguity: str = "queen", distance_m: float | None = None) -> Ints:
    """Return the lattice offsets of a cell's neighbours with itself, ascending: shape (n, 2).

    Either `rings` cells around (`queen` with, `rook` without the corners; hexagons and H3 have one meaning), or all whose centre lies
    within `distance_m` (squares and hexagons). SY-N062, SY-N063 for what is out of range.
    """
    if contiguity not in ("queen", "rook"):
        raise SanyuError("SY-N062", argument="contiguity", value=contiguity, known="queen, rook")
    if distance_m is not None:
        if rule.kind not in PLANAR or not distance_m >= 0 or not np.isfinite(distance_m):
            raise SanyuError("SY-N063", argument="distance_m", value=distance_m, expected="a length in metres, with squares or hexagons")
        rings = int(distance_m / (rule.metres * _HALF_ROOT_3)) + 1
    elif rings != int(rings) or rings < 0:
        raise SanyuError("SY-N063", argument="rings", value=rings, expected="a whole number from 0")
    span = np.arange(-rings, rings + 1)
    grid = np.stack(np.meshgrid(span, span, indexing="ij"), axis=-1).reshape(-1, 2)
    q, r = grid[:, 0], grid[:, 1]
    if distance_m is not None:
        square = q * q + r * r if rule.kind == "square" else q * q + q * r + r * r
        chosen = square * rule.metres**2 <= distance_m**2
    elif rule.kind == "hexagon":
        chosen = (np.abs(q) + np.abs(r) + np.abs(q + r)) // 2 <= rings
    else:
        chosen = (np.abs(q) + np.abs(r) <= rings) | (contiguity == "queen")
    around: Ints = grid[chosen]
    return around


def neighbours(cells: Cells, around: Ints | None = None) -> tuple[Ints, Ints]:
    """Return each cell's neighbours with itself as CSR (`starts` of length n + 1, `others` ascending in each row).

    Lattice cells take those of `around` (default: `offsets` of one ring) that are in the cube; divisions and H3 cells take their borders.
    """
    if not cells.columns.size:
        own = np.arange(len(cells))
        a = np.concatenate([own, cells.borders[:, 0], cells.borders[:, 1]])
        b = np.concatenate([own, cells.borders[:, 1], cells.borders[:, 0]])
        pairs = np.unique(a * max(len(cells), 1) + b)
        return _csr(pairs // max(len(cells), 1), pairs % max(len(cells), 1), len(cells))
    steps = offsets(cells.rule) if around is None else around
    reach = int(np.abs(steps).max(initial=0))
    low = int(cells.rows.min()) - reach
    stride = int(cells.rows.max()) - low + reach + 1
    keys = (cells.columns - cells.columns.min()) * stride + (cells.rows - low)
    found = np.empty((len(keys), len(steps)), np.int64)
    for n, (dc, dr) in enumerate(steps.tolist()):
        wanted = keys + dc * stride + dr
        at = np.searchsorted(keys, wanted)
        found[:, n] = np.where(keys[np.minimum(at, len(keys) - 1)] == wanted, at, -1)
    there = found >= 0
    starts = np.concatenate([[0], np.cumsum(there.sum(axis=1))]).astype(np.int64)
    return starts, found[there]


def _csr(owner: Ints, other: Ints, size: int) -> tuple[Ints, Ints]:
    """Return CSR of pairs that are sorted by owner, then other."""
    return np.searchsorted(owner, np.arange(size + 1)).astype(np.int64), other


def _hexagon(x: Floats, y: Floats) -> tuple[Ints, Ints]:
    """Return axial coordinates of places in units of the hexagon's width."""
    r = y / _HALF_ROOT_3
    q = x - r / 2.0
    s = -q - r
    rq, rr, rs = np.rint(q), np.rint(r), np.rint(s)
    dq, dr, ds = np.abs(rq - q), np.abs(rr - r), np.abs(rs - s)
    first = (dq > dr) & (dq > ds)
    second = ~first & (dr > ds)
    return np.where(first, -rr - rs, rq).astype(np.int64), np.where(second, -rq - rs, rr).astype(np.int64)


def outlines(cells: Cells) -> npt.NDArray[np.object_]:
    """Return the polygons of squares, hexagons (metres), BeiDou or H3 cells (degrees); SY-N069 for divisions."""
    rule = cells.rule
    if rule.kind == "square":
        half = rule.metres / 2.0
        made: Any = shapely.box(cells.x - half, cells.y - half, cells.x + half, cells.y + half)
    elif rule.kind == "hexagon":
        turn = np.deg2rad(np.arange(30.0, 390.0, 60.0))
        radius = rule.metres / np.sqrt(3.0)
        rings = np.stack([cells.x[:, None] + radius * np.cos(turn), cells.y[:, None] + radius * np.sin(turn)], axis=-1)
        made = shapely.polygons(rings)
    elif rule.kind == "beidou":
        box = beidou.decode(cells.ids)
        made = shapely.box(box.west, box.south, box.east, box.north)
    elif rule.kind == "h3":
        made = np.array([shapely.Polygon([(lon, lat) for lat, lon in h3.cell_to_boundary(c)]) for c in cells.ids], dtype=object)
    else:
        raise SanyuError("SY-N069", kind=rule.kind, needed="the polygons of the divisions' own table")
    return np.asarray(made, dtype=object)
