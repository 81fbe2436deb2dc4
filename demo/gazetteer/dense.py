"""A million doors: the streets of a city lined with doors on both sides at even steps, odd numbers on the left, even on the right."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
import shapely

from demo.city.plan import METRIC_CRS, Anys
from demo.city.world import World
from demo.gazetteer import base
from demo.gazetteer.base import COLUMNS, ELEMENTS, Base
from transforms.space import coords

SETBACK_M = 15.0


def build(world: World, seed: int, doors: int) -> Base:
    """Return the city's gazetteer with `doors` doors along its roads in place of the houses' own; what stood at the old doors is kept."""
    whole = base.build(world, seed)
    kept = whole.table[~whole.table["kind"].isin(["door"])]
    lines = coords.transform_geometries(whole.roads["geom"].to_numpy(), "EPSG:4490", METRIC_CRS)
    placed = _placed(lines, doors)
    code = _community(world, placed)
    inside = code != ""
    placed, code = placed[inside], code[inside]
    table = pd.DataFrame({"road": placed["road"].to_numpy(), "number": placed["number"].to_numpy(), "code": code})
    names = world.divisions.frame.set_index("code")["name"]
    frame = pd.DataFrame({"entity_id": [f"MP{n:08d}" for n in range(1, len(table) + 1)], "kind": "door", "division_code": code})
    for level, digits in (("province", 2), ("city", 4), ("district", 6), ("township", 9), ("community", 12)):
        own = table["code"].str[:digits].str.ljust(12, "0").astype("category")
        frame[f"{level}_name"] = own.map(names).astype(object)
    frame["road_name"] = whole.roads["name"].to_numpy()[table["road"].to_numpy()]
    frame["door_number"] = table["number"].astype(str) + "号"
    for name in ("name", "building_number", "unit_number", "room_number"):
        frame[name] = None
    frame["address_text"] = frame[list(ELEMENTS[:7])].sum(axis=1)
    lon, lat = coords.transform(placed["x"].to_numpy(), placed["y"].to_numpy(), METRIC_CRS, "EPSG:4490")
    frame["lon"], frame["lat"] = np.round(lon, 7), np.round(lat, 7)
    frame["geom"] = shapely.points(frame["lon"].to_numpy(), frame["lat"].to_numpy())
    table = pd.concat([kept, frame[list(COLUMNS)]], ignore_index=True)
    return dataclasses.replace(whole, table=table)


def _placed(lines: Anys, doors: int) -> pd.DataFrame:
    """Return road, number, x, y of doors at even steps along both sides; a road of several parts goes on counting from part to part."""
    parts, owner = shapely.get_parts(lines, return_index=True)
    length = shapely.length(parts)
    step = length.sum() * 2 / doors
    count = np.maximum(1, (length / step).astype(int))
    part = np.repeat(np.arange(len(parts)), count)
    serial = np.arange(len(part)) - np.repeat(np.cumsum(count) - count, count)
    along = (serial + 0.5) * length[part] / count[part]
    here, ahead = shapely.line_interpolate_point(parts[part], along), shapely.line_interpolate_point(parts[part], along + 0.5)
    back = shapely.line_interpolate_point(parts[part], np.maximum(along - 0.5, 0))
    dx, dy = shapely.get_x(ahead) - shapely.get_x(back), shapely.get_y(ahead) - shapely.get_y(back)
    norm = np.hypot(dx, dy)
    road = owner[part]
    order = np.arange(len(road)) - np.searchsorted(road, road)
    rows = []
    for side, first in ((1.0, 1), (-1.0, 2)):
        x, y = shapely.get_x(here) - side * SETBACK_M * dy / norm, shapely.get_y(here) + side * SETBACK_M * dx / norm
        rows.append(pd.DataFrame({"road": road, "number": 2 * order + first, "x": x, "y": y}))
    return pd.concat(rows, ignore_index=True)


def _community(world: World, placed: pd.DataFrame) -> Anys:
    frame = world.divisions.frame
    parts = frame[frame["level"] == "community"]
    tree = shapely.STRtree(parts["geom"].to_numpy())
    found = np.full(len(placed), "", dtype=object)
    spots, hit = tree.query(shapely.points(placed["x"].to_numpy(), placed["y"].to_numpy()), predicate="covered_by")
    found[spots] = parts["code"].to_numpy()[hit]
    return found
