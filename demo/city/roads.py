"""Roads of the demo city: centre lines between junctions, with class, name, lanes, speed and direction of travel, on two map sheets.

Names run along whole streets with the sections that Chinese cities give them (人民东路, 人民西路); lanes in a superblock have their own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely

from demo.city.naming import GRAND_ROADS, Names, numeral
from demo.city.plan import CLASSES, STEP, SUPER, Edge, Plan, stream

LANES = {"expressway": 8, "arterial": 6, "secondary": 4, "branch": 2}
SPEED_KMH = {"expressway": 80, "arterial": 60, "secondary": 50, "branch": 30}
WIDTH_M = {"expressway": 45.0, "arterial": 32.0, "secondary": 20.0, "branch": 9.0}


@dataclass(frozen=True)
class Roads:
    """`frame`: one row per segment (sheet, key, name, kind, lanes, speed, width, oneway, geom); `names`: name of each unit edge."""

    frame: pd.DataFrame
    names: dict[Edge, str]


def build(plan: Plan) -> Roads:
    """Make named segments between junctions from the unit edges of the plan, and cut them at the border of the two sheets."""
    rng = stream(plan.seed, "roads")
    names = _edge_names(plan, rng)
    rows = []
    for axis, k, start, stop in _segments(plan, names):
        edge: Edge = (axis, start, k) if axis == "h" else (axis, k, start)
        kind = plan.roads[edge]
        rows.append({"name": names[edge], "kind": kind, "geom": shapely.LineString(plan.line(axis, k, start, stop))})
    frame = pd.DataFrame(rows)
    frame["lanes"] = frame["kind"].map(LANES) - 2 * (rng.random(len(frame)) < 0.15) * (frame["kind"] != "branch")
    frame["speed"] = frame["kind"].map(SPEED_KMH)
    frame["width"] = frame["kind"].map(WIDTH_M)
    frame["oneway"] = (frame["kind"] == "branch") & (rng.random(len(frame)) < 0.18)
    return Roads(_on_sheets(plan, frame), names)


def _edge_names(plan: Plan, rng: np.random.Generator) -> dict[Edge, str]:
    pool = Names(rng)
    grand = [GRAND_ROADS[i] for i in rng.permutation(len(GRAND_ROADS))]
    base: dict[tuple[object, ...], str] = {}
    names: dict[Edge, str] = {}
    expressways = iter(("环城快速路", "东海大道", "滨海高架路"))
    for edge in sorted(plan.roads):
        axis, u, v = edge
        k, along, length = (v, u, plan.nx) if axis == "h" else (u, v, plan.ny)
        kind = plan.roads[edge]
        if kind == "expressway":
            key: tuple[object, ...] = ("expressway", axis, k)
            if key not in base:
                base[key] = next(expressways, None) or f"{next(pool)}高架路"
            names[edge] = base[key]
        elif k % SUPER == 0 or kind == "secondary":
            key = (axis, k)
            if key not in base:
                base[key] = grand.pop() if k % SUPER == 0 and grand else next(pool)
            names[edge] = base[key] + _section(axis, along / length) + ("大道" if base[key] in ("迎宾", "滨江") else "路")
        else:
            key = (axis, k, along // SUPER)
            if key not in base:
                base[key] = (
                    f"第{numeral(int(rng.integers(1, 40)))}弄"
                    if rng.random() < 0.06
                    else next(pool) + str(rng.choice(["巷", "弄", "支路", "街"]))
                )
                if base[key].startswith("第"):
                    base[key] = next(pool) + base[key]
            names[edge] = base[key]
    return names


def _section(axis: str, share: float) -> str:
    low, high = ("西", "东") if axis == "h" else ("南", "北")
    return low if share < 0.38 else "中" if share < 0.6 else high


def _segments(plan: Plan, names: dict[Edge, str]) -> list[tuple[str, int, int, int]]:
    """Return (axis, line, start, stop) of maximal runs of unit edges without junction or change of name or class."""
    runs: list[tuple[str, int, int, int]] = []
    for edge in sorted(plan.roads, key=lambda e: (e[0], e[2], e[1]) if e[0] == "h" else e):
        axis, u, v = edge
        k, along = (v, u) if axis == "h" else (u, v)
        if runs and runs[-1][:2] == (axis, k) and runs[-1][3] == along:
            before: Edge = (axis, along - 1, k) if axis == "h" else (axis, k, along - 1)
            crossing: list[Edge] = [("v", u, v), ("v", u, v - 1)] if axis == "h" else [("h", u, v), ("h", u - 1, v)]
            same = plan.roads[before] == plan.roads[edge] and names[before] == names[edge]
            if same and not any(c in plan.roads for c in crossing):
                runs[-1] = (axis, k, runs[-1][2], along + 1)
                continue
        runs.append((axis, k, along, along + 1))
    return runs


def sheet_border(plan: Plan) -> float:
    """Return the easting between sheet 01 and sheet 02."""
    return float(plan.points[(plan.nx // 2) * STEP + 1, :, 0].mean().round(0))


def _on_sheets(plan: Plan, frame: pd.DataFrame) -> pd.DataFrame:
    """Cut at the sheet border; `border` tells which rows were cut, and `twin` joins the halves."""
    border = sheet_border(plan)
    low, high = plan.points.min(axis=(0, 1)) - 10_000, plan.points.max(axis=(0, 1)) + 10_000
    sides = (shapely.box(low[0], low[1], border, high[1]), shapely.box(border, low[1], high[0], high[1]))
    lines = frame["geom"].to_numpy()
    frame["twin"] = np.arange(len(frame))
    parts = []
    for number, side in enumerate(sides, start=1):
        shapely.prepare(side)
        inside, touching = shapely.covers(side, lines), shapely.intersects(side, lines)
        cut = touching & ~inside & (shapely.length(shapely.intersection(lines, side)) > 0.5)
        part = frame[inside | cut].copy()
        geoms = np.where(cut, shapely.intersection(lines, side), lines)[inside | cut]
        part["geom"], part["border"], part["sheet"] = geoms, cut[inside | cut], number
        parts.append(part[shapely.get_type_id(geoms) == 1])
    both = pd.concat(parts, ignore_index=True)
    order = both["kind"].map(CLASSES.index)
    both = both.assign(order=order).sort_values(["sheet", "order", "twin"], ignore_index=True).drop(columns="order")
    serial = both.groupby("sheet").cumcount() + 1
    both["key"] = [f"{s:02d}{n:06d}" for s, n in zip(both["sheet"], serial, strict=True)]
    return both
