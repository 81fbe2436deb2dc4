"""Buildings of the demo city: estates of repeated slabs, towers, courtyards of the old town, factories, schools, village houses.

Each block is filled in its own frame (x along its southern road, y away from it) by the rule of its zone, then turned into place. A
building knows the road that it fronts and how far along it stands, which is all that an address needs.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import shapely

from demo.city.naming import ESTATE_SUFFIX, Names
from demo.city.plan import HALF_WIDTH_M, Anys, Array, Block, Edge, Plan, stream

# One building in block frame: x, y of its south-west corner, width, depth (m), shape, storeys, use.
Draft = tuple[float, float, float, float, str, int, str]
STOREY_M = {"residential": 2.9, "commercial": 4.2, "office": 3.9, "industrial": 6.0, "education": 3.6, "medical": 3.8, "public": 4.0}
BUILT = {
    "estate": (1986, 2016), "towers": (2006, 2024), "oldtown": (1920, 1979), "village": (1978, 2018), "industry": (1992, 2022),
    "school": (1985, 2020), "hospital": (1990, 2018), "business": (1996, 2024), "park": (1990, 2020), "field": (1970, 2015),
}  # fmt: skip


def build(plan: Plan, names: dict[Edge, str], water: pd.DataFrame, green: pd.DataFrame) -> pd.DataFrame:
    """Fill all blocks; drop what stands in water or a park.

    Columns: key, name, use, floors, height, year, road, side, estate, number, u, v (lattice place), geom.
    """
    rng = stream(plan.seed, "buildings")
    pool = Names(rng)
    rows: list[tuple[object, ...]] = []
    rings: list[Array] = []
    holes: list[Array | None] = []
    for block in plan.blocks:
        frame = _frame(plan, block)
        if frame is None:
            continue
        origin, e1, e2, wide, deep, position = frame
        first, last = BUILT[block.zone]
        start = int(rng.integers(first, max(first + 1, last - 6)))
        estate = next(pool) + str(rng.choice(ESTATE_SUFFIX)) if block.zone in ("estate", "towers") else ""
        for number, draft in enumerate(FILL[block.zone](rng, wide, deep, block.density), start=1):
            x, y, w, d, shape, floors, use = draft
            ring, hole = _outline(shape, w, d)
            rings.append(origin + (ring[:, :1] + x) * e1 + (ring[:, 1:] + y) * e2)
            holes.append(None if hole is None else origin + (hole[:, :1] + x) * e1 + (hole[:, 1:] + y) * e2)
            year = min(2025, start + int(rng.integers(0, 5 if estate else 20)))
            u, v, road, side = _front(plan, block, names, position(x + w / 2, y + d / 2))
            rows.append((f"{estate}{number}幢" if estate else "", use, floors, year, road, side, estate, number, u, v))
    frame_ = pd.DataFrame(rows, columns=["name", "use", "floors", "year", "road", "side", "estate", "number", "u", "v"])
    frame_["geom"] = _polygons(rings, holes)
    frame_["height"] = np.round(frame_["floors"] * frame_["use"].map(STOREY_M) + rng.uniform(0.3, 2.4, len(frame_)), 1)
    frame_ = _on_dry_land(frame_, water, green)
    frame_["key"] = [f"LH{n:07d}" for n in range(1, len(frame_) + 1)]
    return frame_


def _frame(plan: Plan, block: Block):  # type: ignore[no-untyped-def]
    """Return origin, unit vectors and size of the rectangle that fits between the block's roads, and the way back to block shares."""
    south, north = plan.line("h", block.v0, block.u0, block.u1), plan.line("h", block.v1, block.u0, block.u1)
    west, east = plan.line("v", block.u0, block.v0, block.v1), plan.line("v", block.u1, block.v0, block.v1)
    e1 = (east.mean(0) - west.mean(0)) / np.linalg.norm(east.mean(0) - west.mean(0))
    e2 = np.array([-e1[1], e1[0]])
    centre = (south.mean(0) + north.mean(0) + west.mean(0) + east.mean(0)) / 4
    sides: tuple[tuple[Array, str, Edge], ...] = (
        (west, "x", ("v", block.u0, block.v0)),
        (east, "x", ("v", block.u1, block.v0)),
        (south, "y", ("h", block.u0, block.v0)),
        (north, "y", ("h", block.u0, block.v1)),
    )
    limits: list[float] = []
    for points, axis, edge in sides:
        offsets = (points - centre) @ (e1 if axis == "x" else e2)
        margin = HALF_WIDTH_M[plan.roads.get(edge, "branch")] + 5.0
        limits.append(offsets.max() + margin if len(limits) % 2 == 0 else offsets.min() - margin)
    x0, x1, y0, y1 = limits
    if x1 - x0 < 40 or y1 - y0 < 40:
        return None
    size = ((east.mean(0) - west.mean(0)) @ e1, (north.mean(0) - south.mean(0)) @ e2)

    def position(x: float, y: float) -> tuple[float, float]:
        return min(max((x + x0) / size[0] + 0.5, 0.0), 1.0), min(max((y + y0) / size[1] + 0.5, 0.0), 1.0)

    return centre + x0 * e1 + y0 * e2, e1, e2, x1 - x0, y1 - y0, position


def _front(plan: Plan, block: Block, names: dict[Edge, str], share: tuple[float, float]) -> tuple[float, float, str, str]:
    """Return the lattice place, the nearest road with a name, and the side of it (left or right of its direction)."""
    s, t = share
    u, v = block.u0 + s * (block.u1 - block.u0), block.v0 + t * (block.v1 - block.v0)
    options: list[tuple[float, Edge, str]] = [
        (t * (block.v1 - block.v0), ("h", min(int(u), plan.nx - 1), block.v0), "left"),
        ((1 - t) * (block.v1 - block.v0), ("h", min(int(u), plan.nx - 1), block.v1), "right"),
        (s * (block.u1 - block.u0), ("v", block.u0, min(int(v), plan.ny - 1)), "right"),
        ((1 - s) * (block.u1 - block.u0), ("v", block.u1, min(int(v), plan.ny - 1)), "left"),
    ]
    for _, edge, side in sorted(options):
        if edge in names and plan.roads[edge] != "expressway":
            return u, v, names[edge], side
    return u, v, "", "left"


def _outline(shape: str, w: float, d: float) -> tuple[Array, Array | None]:
    """Return ring and hole of a shape in a w × d box: box, ell, court."""
    if shape == "ell":
        a, b = w * 0.38, d * 0.42
        return np.array([(0, 0), (w, 0), (w, b), (a, b), (a, d), (0, d), (0, 0)], float), None
    if shape == "bay":
        a, b = w * 0.3, d * 0.35
        return np.array([(0, 0), (w, 0), (w, d), (w - a, d), (w - a, b), (a, b), (a, d), (0, d), (0, 0)], float), None
    box = np.array([(0, 0), (w, 0), (w, d), (0, d), (0, 0)], float)
    if shape == "court":
        m = min(w, d) * 0.3
        return box, np.array([(m, m), (m, d - m), (w - m, d - m), (w - m, m), (m, m)], float)
    return box, None


def _polygons(rings: list[Array], holes: list[Array | None]) -> Anys:
    coordinates = np.round(np.concatenate(rings), 3)
    owner = np.repeat(np.arange(len(rings)), [len(r) for r in rings])
    shells = shapely.linearrings(coordinates, indices=owner)
    inner = [i for i, hole in enumerate(holes) if hole is not None]
    courts = [shapely.linearrings(np.round(hole, 3)) for hole in holes if hole is not None]
    result = shapely.polygons(shells)
    result[inner] = [shapely.Polygon(shells[i], [court]) for i, court in zip(inner, courts, strict=True)]
    return np.asarray(result)


def _on_dry_land(frame: pd.DataFrame, water: pd.DataFrame, green: pd.DataFrame) -> pd.DataFrame:
    taken = shapely.STRtree(shapely.buffer(np.concatenate([water["geom"].to_numpy(), green["geom"].to_numpy()]), 6.0))
    wet = np.unique(taken.query(frame["geom"].to_numpy(), predicate="intersects")[0])
    return frame.drop(index=frame.index[wet]).reset_index(drop=True)


def _rows(
    rng: np.random.Generator, wide: float, deep: float, *, size: tuple[float, float], gap: tuple[float, float], jitter: float = 0.0
) -> Array:
    """Return south-west corners of as many equal boxes as fit, in rows, spread over the block."""
    nx, ny = int((wide + gap[0]) // (size[0] + gap[0])), int((deep + gap[1]) // (size[1] + gap[1]))
    if nx < 1 or ny < 1:
        return np.zeros((0, 2))
    x = np.arange(nx) * (size[0] + (wide - nx * size[0]) / max(nx, 1)) + (wide - nx * size[0]) / max(nx, 1) / 2
    y = np.arange(ny) * (size[1] + (deep - ny * size[1]) / max(ny, 1)) + (deep - ny * size[1]) / max(ny, 1) / 2
    spots = np.stack(np.meshgrid(x, y, indexing="xy"), axis=-1).reshape(-1, 2)
    return np.asarray(spots + rng.uniform(-jitter, jitter, spots.shape))


def _estate(rng: np.random.Generator, wide: float, deep: float, density: float) -> list[Draft]:
    length, depth = float(rng.choice([38, 46, 54, 62])), float(rng.choice([11.5, 12.5, 13.5]))
    floors = int(rng.choice([5, 6, 6, 7, 11]))
    drafts: list[Draft] = []
    for x, y in _rows(rng, wide, deep, size=(length, depth), gap=(10.0, 12.0 + 1.0 * floors)):
        if rng.random() < 0.95:
            shape = "ell" if rng.random() < 0.04 and depth * 1.6 < 24 else "box"
            drafts.append((x, y, length, depth * (1.5 if shape == "ell" else 1), shape, floors, "residential"))
    return drafts


def _towers(rng: np.random.Generator, wide: float, deep: float, density: float) -> list[Draft]:
    w, d = float(rng.choice([24, 28, 34])), float(rng.choice([16, 18, 20]))
    floors = int(rng.choice([18, 24, 26, 28, 32, 33]))
    spots = _rows(rng, wide, deep, size=(w, d), gap=(24.0, 36.0))
    return [
        (x, y, w, d, "bay" if i % 3 == 0 else "box", floors - 2 * int(rng.integers(0, 3)), "residential") for i, (x, y) in enumerate(spots)
    ]


def _old_town(rng: np.random.Generator, wide: float, deep: float, density: float) -> list[Draft]:
    w, d = float(rng.uniform(13, 16)), float(rng.uniform(15, 18))
    drafts: list[Draft] = []
    for x, y in _rows(rng, wide, deep, size=(w, d), gap=(3.5, 5.5), jitter=0.7):
        if rng.random() < 0.9:
            shape = str(rng.choice(["court", "box", "ell"], p=[0.35, 0.45, 0.2]))
            drafts.append(
                (
                    x,
                    y,
                    w * rng.uniform(0.85, 1),
                    d * rng.uniform(0.85, 1),
                    shape,
                    int(rng.integers(1, 4)),
                    str(rng.choice(["residential", "commercial"], p=[0.8, 0.2])),
                )
            )
    return drafts


def _village(rng: np.random.Generator, wide: float, deep: float, density: float) -> list[Draft]:
    """Return rows of farm houses that fill a part of the land; the rest is fields."""
    x0, y0 = rng.uniform(0, 0.35, 2)
    w, d = wide * min(0.7, 200 / wide + 0.25), deep * min(0.62, 170 / deep + 0.25)
    drafts: list[Draft] = []
    for x, y in _rows(rng, w, d, size=(10.5, 11.5), gap=(5.0, 9.5), jitter=1.2):
        if rng.random() < 0.72:
            drafts.append((x + x0 * wide, y + y0 * deep, 10.5, float(rng.uniform(9, 12)), "box", int(rng.integers(2, 5)), "residential"))
    return drafts


def _industry(rng: np.random.Generator, wide: float, deep: float, density: float) -> list[Draft]:
    w, d = float(rng.choice([62, 84, 110])), float(rng.choice([28, 40, 54]))
    drafts: list[Draft] = []
    for x, y in _rows(rng, wide - 60, deep - 60, size=(w, d), gap=(18.0, 20.0)):
        if rng.random() < 0.85:
            drafts.append((x + 30, y + 30, w, d, "ell" if rng.random() < 0.12 else "box", int(rng.choice([1, 1, 1, 2, 3])), "industrial"))
    return drafts


def _school(rng: np.random.Generator, wide: float, deep: float, density: float) -> list[Draft]:
    w, d = min(wide, 170.0), min(deep, 150.0)
    drafts: list[Draft] = [(0, 0, w * 0.42, d * 0.4, "bay", 5, "education"), (w * 0.56, 0, w * 0.34, 14, "box", 4, "education")]
    drafts += [(w * 0.56, d * 0.24, w * 0.34, 14, "box", 4, "education"), (0, d * 0.62, 34, 24, "box", 2, "public")]
    return (
        drafts + [(x + w + 15, y, a, b, s, f, u) for x, y, a, b, s, f, u in _estate(rng, wide - w - 20, deep, density)]
        if wide - w > 80
        else drafts
    )


def _hospital(rng: np.random.Generator, wide: float, deep: float, density: float) -> list[Draft]:
    drafts: list[Draft] = [(0, 0, 80, 34, "bay", 6, "medical"), (0, 55, 60, 22, "box", 16, "medical")]
    if wide > 120:
        drafts.append((95, 0, 22, 60, "ell", 4, "medical"))
    return drafts


def _business(rng: np.random.Generator, wide: float, deep: float, density: float) -> list[Draft]:
    w, d = float(rng.choice([44, 56])), float(rng.choice([36, 46]))
    drafts: list[Draft] = []
    for x, y in _rows(rng, wide, deep, size=(w, d), gap=(14.0, 16.0)):
        use = "office" if rng.random() < 0.55 else "commercial"
        floors = int(rng.integers(12, 46) if use == "office" and density > 0.6 else rng.integers(3, 13))
        drafts.append((x, y, w, d, str(rng.choice(["box", "court", "ell", "bay"], p=[0.5, 0.2, 0.15, 0.15])), floors, use))
    return drafts


def _open(rng: np.random.Generator, wide: float, deep: float, density: float) -> list[Draft]:
    return []


FILL: dict[str, Callable[[np.random.Generator, float, float, float], list[Draft]]] = {
    "estate": _estate, "towers": _towers, "oldtown": _old_town, "village": _village, "industry": _industry, "school": _school,
    "hospital": _hospital, "business": _business, "park": _open, "field": _open,
}  # fmt: skip
