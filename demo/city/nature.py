"""Water and green of the demo city: a river that winds to the sea, canals of the water country, lakes, parks, and protection lines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely

from demo.city.naming import Names
from demo.city.plan import HALF_WIDTH_M, STEP, Array, Plan, stream

GREEN_WORDS = (("公园", "park", 0.6), ("广场绿地", "square", 0.2), ("防护绿地", "shelter", 0.2))


@dataclass(frozen=True)
class Nature:
    """`water` (key, name, kind, geom), `green` (key, name, kind, area, geom), `lines` (key, name, kind, geom); metres, EPSG:4549."""

    water: pd.DataFrame
    green: pd.DataFrame
    lines: pd.DataFrame


def build(plan: Plan, city: shapely.Geometry) -> Nature:
    """Draw river, canals, lakes, parks; `city` is the outline that everything is cut to."""
    rng = stream(plan.seed, "nature")
    names = Names(rng)
    river = _winding(plan, rng, axis="v", at=0.36, swing=0.055, width=(70.0, 210.0))
    water = [("春江", "river", river)]
    for k in range(max(5, plan.nx // 12)):
        axis = "h" if k % 2 else "v"
        canal = _winding(plan, rng, axis=axis, at=float(rng.uniform(0.06, 0.94)), swing=0.02, width=(12.0, 24.0))
        water.append((f"{next(names)}河" if rng.random() < 0.6 else f"{next(names)}塘", "canal", shapely.difference(canal, river)))
    wet = shapely.union_all([g for _, _, g in water])
    for _ in range(max(4, plan.nx // 15)):
        lake = shapely.difference(_blob(plan, rng), wet)
        wet = shapely.union(wet, lake)
        water.append((f"{next(names)}湖", "lake", lake))
    rows = [{"name": n, "kind": k, "geom": g} for n, k, whole in water for g in _pieces(shapely.intersection(whole, city), 400.0)]
    water_frame = pd.DataFrame(rows)
    water_frame["key"] = [f"W{n:05d}" for n in range(1, len(water_frame) + 1)]
    green = _parks(plan, rng, names, wet)
    return Nature(water_frame, green, _lines(plan, city, water_frame, green))


def _winding(plan: Plan, rng: np.random.Generator, *, axis: str, at: float, swing: float, width: tuple[float, float]) -> shapely.Geometry:
    """Return a band along a lattice direction that swings from side to side and widens to its end."""
    n, across = (plan.ny, plan.nx) if axis == "v" else (plan.nx, plan.ny)
    t = np.linspace(0, 1, 160)
    side = at + swing * (np.sin(2 * np.pi * t * 1.6 + rng.uniform(0, 6)) + 0.45 * np.sin(2 * np.pi * t * 4.1 + rng.uniform(0, 6)))
    along, offset = t * n * STEP, np.clip(side, 0.01, 0.99) * across * STEP
    i, j = (offset, along) if axis == "v" else (along, offset)
    line = np.stack([_bilinear(plan.points[..., c], i, j) for c in (0, 1)], axis=-1)
    tangent = np.gradient(line, axis=0)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=-1) / np.linalg.norm(tangent, axis=1, keepdims=True)
    half = (width[0] + (width[1] - width[0]) * t**2)[:, None] / 2 * (1 + 0.12 * np.sin(2 * np.pi * t * 7)[:, None])
    band = np.concatenate([line + normal * half, (line - normal * half)[::-1]])
    return shapely.buffer(shapely.make_valid(shapely.Polygon(np.round(band, 2))), 0)


def _bilinear(table: Array, i: Array, j: Array) -> Array:
    i0, j0 = np.clip(i.astype(int), 0, table.shape[0] - 2), np.clip(j.astype(int), 0, table.shape[1] - 2)
    a, b = i - i0, j - j0
    low = table[i0, j0] * (1 - a) + table[i0 + 1, j0] * a
    high = table[i0, j0 + 1] * (1 - a) + table[i0 + 1, j0 + 1] * a
    return np.asarray(low * (1 - b) + high * b)


def _blob(plan: Plan, rng: np.random.Generator) -> shapely.Geometry:
    """Return a lake with a soft, uneven shore."""
    x, y = plan.at(float(rng.uniform(0.1, 0.9)) * plan.nx, float(rng.uniform(0.1, 0.85)) * plan.ny)
    turn = np.linspace(0, 2 * np.pi, 72, endpoint=False)
    radius = rng.uniform(120, 380) * (1 + 0.22 * np.sin(2 * turn + rng.uniform(0, 6)) + 0.10 * np.sin(5 * turn + rng.uniform(0, 6)))
    return shapely.Polygon(np.round(np.stack([x + 1.3 * radius * np.cos(turn), y + 0.8 * radius * np.sin(turn)], axis=-1), 2))


def _pieces(geometry: shapely.Geometry, least_m2: float) -> list[shapely.Geometry]:
    parts = [g for g in shapely.get_parts(geometry) if g.geom_type == "Polygon" and g.area >= least_m2]
    return [shapely.set_precision(g, 0.001) for g in parts]


def _parks(plan: Plan, rng: np.random.Generator, names: Names, wet: shapely.Geometry) -> pd.DataFrame:
    rows = []
    for block in plan.blocks:
        ground = shapely.Polygon(plan.ring(block.u0, block.v0, block.u1, block.v1))
        if block.zone == "park":
            dry = shapely.difference(shapely.buffer(ground, -HALF_WIDTH_M["arterial"] - 4, join_style="mitre"), wet)
            word, kind, _ = GREEN_WORDS[0 if rng.random() < 0.75 else 1]
            rows += [{"name": next(names) + word, "kind": kind, "geom": g} for g in _pieces(dry, 2500.0)[:1]]
        elif block.zone == "industry" and rng.random() < 0.8:
            strip = shapely.difference(shapely.buffer(ground, -26, join_style="mitre"), shapely.buffer(ground, -44, join_style="mitre"))
            rows += [
                {"name": next(names) + "防护绿地", "kind": "shelter", "geom": g}
                for g in _pieces(shapely.difference(strip, wet), 2500.0)[:1]
            ]
    frame = pd.DataFrame(rows)
    frame["area"] = np.round(shapely.area(frame["geom"].to_numpy()), 1)
    frame["key"] = [f"G{n:05d}" for n in range(1, len(frame) + 1)]
    return frame


def _lines(plan: Plan, city: shapely.Geometry, water: pd.DataFrame, green: pd.DataFrame) -> pd.DataFrame:
    """Return protection lines of planning (城市蓝线, 城市绿线) and the limit of urban development (城镇开发边界), as polygons."""
    rows = []
    for name, shape in zip(water["name"], water["geom"], strict=True):
        if shape.area > 20_000:
            rows += [
                {"name": f"{name}蓝线", "kind": "blue_line", "geom": g}
                for g in _pieces(shapely.intersection(shapely.buffer(shape, 30), city), 1000.0)
            ]
    for name, shape in zip(green["name"], green["geom"], strict=True):
        if shape.area > 60_000:
            rows.append(
                {
                    "name": f"{name}绿线",
                    "kind": "green_line",
                    "geom": shapely.set_precision(shapely.buffer(shape, 5, join_style="mitre"), 0.001),
                }
            )
    dense = [shapely.Polygon(plan.ring(b.u0, b.v0, b.u1, b.v1)) for b in plan.blocks if b.density > 0.2]
    for n, part in enumerate(_pieces(shapely.union_all(dense), 500_000.0), start=1):
        rows.append({"name": f"城镇开发边界（{n}）", "kind": "urban_limit", "geom": part})
    frame = pd.DataFrame(rows)
    frame["key"] = [f"B{n:04d}" for n in range(1, len(frame) + 1)]
    return frame
