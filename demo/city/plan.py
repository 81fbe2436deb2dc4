"""The ground plan of the demo city: a street lattice bent into a city's shape, its roads by class, and the blocks between them.

All positions come from one table of lattice points, so that roads, blocks and divisions share their vertices exactly and tile without gaps.
Coordinates are metres in EPSG:4549 (CGCS2000 / 3-degree Gauss-Kruger CM 120E), easting before northing, rounded to millimetres.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

METRIC_CRS = "EPSG:4549"
CENTRE = (586_700.0, 3_342_300.0)  # 120.9° E, 30.2° N
UNIT_M = 200.0
SUPER = 4  # unit cells along a superblock: arterials stand 800 m apart
STEP = 2  # lattice points per unit cell, so that roads bend between junctions
SIZES = {"small": (60, 48), "medium": (188, 152)}
CLASSES = ("expressway", "arterial", "secondary", "branch")
HALF_WIDTH_M = {"expressway": 32.0, "arterial": 22.0, "secondary": 14.0, "branch": 8.0}

Array = NDArray[np.float64]
Anys = NDArray[Any]
Edge = tuple[str, int, int]  # ("h", u, v): from (u, v) to (u+1, v); ("v", u, v): from (u, v) to (u, v+1)


def stream(seed: int, part: str) -> np.random.Generator:
    """Return the random numbers of one part; what one part draws never moves another."""
    return np.random.default_rng([seed, zlib.crc32(part.encode())])


@dataclass(frozen=True)
class Block:
    """Land between roads: lattice rectangle in unit cells and the density of the town there (0 open country – 1 centre)."""

    u0: int
    v0: int
    u1: int
    v1: int
    density: float
    zone: str


@dataclass
class Plan:
    """Lattice of `nx` × `ny` unit cells, its bent points `(STEP·nx+1, STEP·ny+1, 2)`, roads by unit edge, and blocks."""

    seed: int
    nx: int
    ny: int
    points: Array
    roads: dict[Edge, str] = field(default_factory=dict)
    blocks: list[Block] = field(default_factory=list)

    def line(self, axis: str, k: int, start: int, stop: int) -> Array:
        """Return the points of lattice line `k` from unit `start` to `stop`, shape (n, 2)."""
        along = slice(start * STEP, stop * STEP + 1)
        return self.points[along, k * STEP] if axis == "h" else self.points[k * STEP, along]

    def ring(self, u0: int, v0: int, u1: int, v1: int) -> Array:
        """Return the closed outline of a lattice rectangle, counter-clockwise, shape (n, 2)."""
        south, east = self.line("h", v0, u0, u1), self.line("v", u1, v0, v1)
        north, west = self.line("h", v1, u0, u1)[::-1], self.line("v", u0, v0, v1)[::-1]
        return np.concatenate([south[:-1], east[:-1], north[:-1], west])

    def at(self, u: float, v: float) -> tuple[float, float]:
        """Return the position at a lattice coordinate, to the nearest lattice point."""
        x, y = self.points[round(u * STEP), round(v * STEP)]
        return float(x), float(y)


def draw(seed: int, scale: str) -> Plan:
    """Lay out the city: bend the lattice, then divide each superblock by roads the more the denser the town is there."""
    nx, ny = SIZES[scale]
    rng = stream(seed, "plan")
    plan = Plan(seed=seed, nx=nx, ny=ny, points=_bent(rng, nx, ny))
    density = _density(rng, nx, ny)
    for su in range(0, nx, SUPER):
        for sv in range(0, ny, SUPER):
            here = float(density[su : su + SUPER, sv : sv + SUPER].mean())
            _divide(plan, rng, density, (su, sv, su + SUPER, sv + SUPER), here=here, first=True)
    _grand_roads(plan, density)
    return plan


def _bent(rng: np.random.Generator, nx: int, ny: int) -> Array:
    """Bend the square lattice: corners rounded, the whole turned by 9°, streets waved, the northern edge made a ragged coast."""
    a, b = np.meshgrid(np.linspace(-1, 1, nx * STEP + 1), np.linspace(-1, 1, ny * STEP + 1), indexing="ij")
    round_x, round_y = a * np.sqrt(1 - b * b / 2), b * np.sqrt(1 - a * a / 2)
    x, y = 0.4 * a + 0.6 * round_x, 0.4 * b + 0.6 * round_y
    x, y = x * nx * UNIT_M / 2, y * ny * UNIT_M / 2
    for wave_m, height_m in ((9000.0, 260.0), (5200.0, 110.0), (2600.0, 34.0)):
        for _ in range(2):
            turn, phase_x, phase_y = rng.uniform(0, 2 * np.pi, 3)
            along = (x * np.cos(turn) + y * np.sin(turn)) * 2 * np.pi / wave_m
            x, y = x + height_m / 2 * np.sin(along + phase_x), y + height_m / 2 * np.sin(along + phase_y)
    for edge, reach in ((b, 1.0), (-b, 0.55), (a, 0.5), (-a, 0.6)):
        pull = np.clip((edge - 0.72) / 0.28, 0, 1) ** 2 * reach
        shift = np.zeros_like(x)
        for wave_m, height_m in ((4300.0, 330.0), (1900.0, 150.0), (900.0, 60.0)):
            shift += height_m * np.sin((x if edge is b or reach == 0.55 else y) * 2 * np.pi / wave_m + rng.uniform(0, 2 * np.pi))
        if reach in (1.0, 0.55):
            y = y + pull * shift
        else:
            x = x + pull * shift
    turn = np.radians(9.0)
    east, north = x * np.cos(turn) - y * np.sin(turn), x * np.sin(turn) + y * np.cos(turn)
    return np.round(np.stack([CENTRE[0] + east, CENTRE[1] + north], axis=-1), 3)


def _density(rng: np.random.Generator, nx: int, ny: int) -> Array:
    """Return the density of the town per unit cell: one centre, some minor ones, more of them in a larger city."""
    u, v = np.meshgrid((np.arange(nx) + 0.5) / nx, (np.arange(ny) + 0.5) / ny, indexing="ij")
    ratio = ny / nx
    field_ = 1.05 * np.exp(-((u - 0.48) ** 2 + ((v - 0.52) * ratio) ** 2) / 0.045)
    minor = [(0.78, 0.70, 0.6), (0.22, 0.36, 0.55), (0.72, 0.24, 0.5)]
    minor += [(*rng.uniform(0.08, 0.92, 2), rng.uniform(0.35, 0.6)) for _ in range((nx // 60 - 1) * 8)]
    for cu, cv, peak in minor:
        field_ = np.maximum(field_, peak * np.exp(-((u - cu) ** 2 + ((v - cv) * ratio) ** 2) / (0.014 if nx <= 60 else 0.004)))
    return np.clip(field_ + rng.normal(0, 0.04, field_.shape), 0, 1)


def _zone(plan: Plan, rng: np.random.Generator, box: tuple[int, int, int, int], density: float) -> str:
    """Choose what a block is used for, by where it lies and how dense the town is there."""
    u, v = (box[0] + box[2]) / 2 / plan.nx, (box[1] + box[3]) / 2 / plan.ny
    draw_ = rng.random()
    if v > 0.78 and u > 0.45 and density > 0.08:
        return "industry" if draw_ < 0.85 else "village"
    if density > 0.88:
        return "business" if draw_ < 0.6 else "oldtown" if draw_ < 0.8 else "park" if draw_ < 0.9 else "estate"
    steps: tuple[tuple[str, float], ...]
    if density > 0.32:
        steps = (
            ("estate", 0.52),
            ("towers", 0.68),
            ("oldtown", 0.76),
            ("school", 0.84),
            ("park", 0.91),
            ("hospital", 0.93),
            ("business", 1.0),
        )
    elif density > 0.12:
        steps = (("estate", 0.34), ("village", 0.62), ("industry", 0.74), ("school", 0.80), ("towers", 0.88), ("field", 1.0))
    else:
        steps = (("village", 0.30), ("industry", 0.34), ("field", 1.0))
    return next(zone for zone, limit in steps if draw_ <= limit)


def _divide(
    plan: Plan, rng: np.random.Generator, density: Array, box: tuple[int, int, int, int], *, here: float, first: bool = False
) -> None:
    """Split a rectangle by roads until it is as small as blocks are at that density."""
    u0, v0, u1, v1 = box
    wide, tall = u1 - u0, v1 - v0
    largest = 1 if here > 0.7 else 2 if here > 0.25 else 4 if here > 0.12 else 16
    if wide * tall <= largest and not (here > 0.6 and wide * tall > 1 and rng.random() < 0.35):
        local = float(density[u0:u1, v0:v1].mean())
        plan.blocks.append(Block(u0, v0, u1, v1, local, _zone(plan, rng, box, local)))
        return
    kind = "secondary" if first or SUPER in (wide, tall) else "branch"
    if wide > tall or (wide == tall and rng.random() < 0.5):
        cut = u0 + wide // 2
        plan.roads.update({("v", cut, v): kind for v in range(v0, v1)})
        parts = ((u0, v0, cut, v1), (cut, v0, u1, v1))
    else:
        cut = v0 + tall // 2
        plan.roads.update({("h", u, cut): kind for u in range(u0, u1)})
        parts = ((u0, v0, u1, cut), (u0, cut, u1, v1))
    for part in parts:
        _divide(plan, rng, density, part, here=here)


def _grand_roads(plan: Plan, density: Array) -> None:
    """Draw arterials between superblocks (thinned in open country), the ring and the two axes of expressways."""
    nx, ny = plan.nx, plan.ny
    for axis, k, along in _lattice_lines(nx, ny):
        across = density[k - 2 : k + 2] if axis == "v" else density[:, k - 2 : k + 2].T
        near = float(across[:, along : along + SUPER].mean())
        kind = "arterial" if near > 0.12 or k % (2 * SUPER) == 0 else "secondary"
        for i in range(along, along + SUPER):
            plan.roads[(axis, k, i) if axis == "v" else (axis, i, k)] = kind
    west, east, south, north = nx // 5 // 4 * 4, nx - nx // 5 // 4 * 4, ny // 5 // 4 * 4, ny - ny // 5 // 4 * 4
    ring: list[Edge] = [("v", u, v) for u in (west, east) for v in range(south, north)]
    ring += [("h", u, v) for v in (south, north) for u in range(west, east)]
    axes: list[Edge] = [("v", east, v) for v in range(ny)] + [("h", u, south) for u in range(nx)]
    plan.roads.update(dict.fromkeys(ring + axes, "expressway"))


def _lattice_lines(nx: int, ny: int) -> Iterator[tuple[str, int, int]]:
    yield from (("v", k, v) for k in range(SUPER, nx, SUPER) for v in range(0, ny, SUPER))
    yield from (("h", k, u) for k in range(SUPER, ny, SUPER) for u in range(0, nx, SUPER))
