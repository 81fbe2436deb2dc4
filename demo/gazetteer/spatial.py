"""Queries whose answer is a place computed from others: crossings, so many metres north of something, a door between two known ones."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from typing import Any

import numpy as np
import pandas as pd
import pyproj
import shapely

from demo.city.plan import METRIC_CRS, stream
from demo.gazetteer.base import Base
from demo.gazetteer.names import sample
from demo.gazetteer.queries import COLUMNS, refused
from demo.gazetteer.words import words
from transforms.space import coords

GEOD = pyproj.Geod(ellps="GRS80")
_AZIMUTHS = {"北": 0.0, "东北": 45.0, "东": 90.0, "东南": 135.0, "南": 180.0, "西南": 225.0, "西": 270.0, "西北": 315.0}


def metric(geoms: Any) -> Any:
    """Return geometries in degrees as metres of the city's grid (EPSG:4549)."""
    return coords.transform_geometries(np.asarray(geoms), "EPSG:4490", METRIC_CRS)


def crossings(base: Base, seed: int, count: int) -> list[dict[str, object]]:
    """Ask for crossings of two roads that cross once, and of roads that don't cross within the city; both roads are in the table."""
    rng = stream(seed, "gazetteer.crossings")
    gone = base.held.loc[base.held["kind"] == "road", "road_name"]
    roads = base.roads[~base.roads["name"].duplicated(keep=False) & ~base.roads["name"].str.contains("高架|快速")]
    roads = roads[~roads["name"].isin(gone)]
    names, lines = roads["name"].to_numpy(), metric(roads["geom"])
    tree = shapely.STRtree(lines)
    meets = {(int(i), int(j)) for i, j in zip(*tree.query(lines, predicate="intersects"), strict=True) if i < j}
    single = []
    for i, j in sorted(meets):
        point = shapely.intersection(lines[i], lines[j])
        if point.geom_type == "Point" and _bare(names[i]) != _bare(names[j]):
            single.append((names[i], names[j], point))
    points = coords.transform_geometries(np.array([p for *_, p in single], dtype=object), METRIC_CRS, "EPSG:4490")
    out = []
    for n in range(count):
        k = n % len(single)
        a, b, _ = single[k] if rng.random() < 0.5 else (single[k][1], single[k][0], None)
        text = str(rng.choice(["", "临海新城"])) + str(rng.choice(words("crossings"))).format(a, b)
        out.append(computed(text, "crossing", "crossing", shapely.get_x(points[k]), shapely.get_y(points[k]), 30.0))
    apart = [(a, b) for a, b in itertools.combinations(range(len(names)), 2) if (a, b) not in meets]
    for k in rng.choice(len(apart), count // 3, replace=False):
        i, j = apart[k]
        if shapely.distance(lines[i], lines[j]) > 300 and _bare(names[i]) != _bare(names[j]):
            out.append(refused(f"{names[i]}与{names[j]}交叉口", "crossing_absent", expected_class="not_in_gazetteer"))
    return out


def _bare(name: str) -> str:
    return re.sub("[东西南北中](?=路$|大道$)", "", name)


def computed(
    query: str, kind: str, precision: str, lon: float, lat: float, tolerance_m: float, code: str | None = None
) -> dict[str, object]:
    """Return a labelled query whose answer is a computed point."""
    answer: dict[str, object] = dict.fromkeys(COLUMNS)
    answer |= {"query": query, "kind": kind, "expected_status": "M", "expected_precision": precision, "expected_division_code": code}
    return answer | {"lon": round(float(lon), 7), "lat": round(float(lat), 7), "tolerance_m": tolerance_m}


def offsets(base: Base, seed: int, count: int) -> list[dict[str, object]]:
    """Ask for places so many metres in a direction from a door or a place of a unique name; geodesic, on GRS 80."""
    rng = stream(seed, "gazetteer.offsets")
    table = base.table
    single = ~table["name"].duplicated(keep=False) & table["name"].notna()
    part = table[
        (table["kind"] == "place") & single | (table["kind"] == "door") & ~table.duplicated(["road_name", "door_number"], keep=False)
    ]
    out = []
    for row in sample(part, count, rng).itertuples(index=False):
        way = str(rng.choice(list(_AZIMUTHS)))
        metres = int(rng.integers(2, 50)) * 10
        lon, lat, _ = GEOD.fwd(row.lon, row.lat, _AZIMUTHS[way], metres)
        anchor = f"{row.district_name}{row.name}" if row.kind == "place" else f"{row.district_name}{row.road_name}{row.door_number}"
        out.append(computed(str(rng.choice(words("offsets"))).format(anchor, way, metres), "offset", "offset", lon, lat, 10.0))
    return out


def interpolated(base: Base, seed: int, count: int) -> list[dict[str, object]]:
    """Ask for doors held out that stand at their road (within 50 m of its line), between known doors of their side within 150 m."""
    rng = stream(seed, "gazetteer.interpolated")
    held = base.held[base.held["kind"] == "door"]
    lines = base.roads.drop_duplicates("name").set_index("name")["geom"]
    held = held[held["road_name"].isin(lines.index)]
    spots = metric(shapely.points(held["lon"].to_numpy(float), held["lat"].to_numpy(float)))
    roads = metric(lines.loc[held["road_name"]].to_numpy())
    held = held.assign(number=held["door_number"].str[:-1].astype(int), spot=spots)[shapely.distance(spots, roads) < 50]
    known = base.table[base.table["kind"] == "door"]
    where = dict(
        zip(
            zip(known["road_name"], known["door_number"], strict=True),
            metric(shapely.points(known["lon"].to_numpy(float), known["lat"].to_numpy(float))),
            strict=True,
        )
    )
    out = []
    for row in held.itertuples(index=False):
        pair = [where.get((row.road_name, f"{row.number + step}号")) for step in (-2, 2)]
        if all(p is not None and shapely.distance(p, row.spot) < 150 for p in pair):
            text = f"{row.district_name}{row.road_name}{row.door_number}"
            out.append(computed(text, "interpolated", "interpolated", row.lon, row.lat, 100.0, row.division_code))
    return [out[i] for i in rng.permutation(len(out))[:count]]


def reverse_points(base: Base, outline: shapely.Geometry, seed: int, count: int) -> pd.DataFrame:
    """Return points with their true chain, nearest road and nearest door or building: lon, lat, crs, at, expected_*.

    The nearest are found by brute force over the metric grid, whose scale there differs from 1 by less than 10⁻⁴. One in ten points lies
    outside of the city; expected_code is then `outside_area`. Some are in GCJ-02 or BD-09, some are asked for a day before the reform.
    """
    rng = stream(seed, "gazetteer.reverse")
    west, south, east, north = outline.bounds
    margin = 3000
    xy = np.column_stack([rng.uniform(west - margin, east + margin, count * 4), rng.uniform(south - margin, north + margin, count * 4)])
    inside = shapely.contains_xy(outline, xy[:, 0], xy[:, 1])
    far = shapely.distance(outline, shapely.points(xy)) > 50
    xy = np.concatenate([xy[inside][: count - count // 10], xy[~inside & far][: count // 10]])
    lon, lat = coords.transform(xy[:, 0], xy[:, 1], METRIC_CRS, "EPSG:4490")
    lon, lat = np.round(lon, 7), np.round(lat, 7)
    at = np.where(rng.random(len(xy)) < 0.3, "2020-06-01", "2026-01-01")
    frame = pd.DataFrame(
        {
            "lon": lon,
            "lat": lat,
            "crs": rng.choice(["EPSG:4490", "EPSG:4326", "GCJ-02", "BD-09"], len(xy), p=[0.7, 0.1, 0.1, 0.1]),
            "at": at,
        }
    )
    points = metric(shapely.points(lon, lat))
    frame["expected_division_code"] = _division_at(base.divisions, points, at)
    frame["expected_code"] = ["outside_area" if code is None else None for code in frame["expected_division_code"]]
    lines, doors = metric(base.roads["geom"]), base.table[base.table["kind"].isin(["door", "building"])]
    spots = metric(shapely.points(doors["lon"].to_numpy(float), doors["lat"].to_numpy(float)))
    door_xy = shapely.get_coordinates(spots)
    road_at, road_m, door_at, door_m = [], [], [], []
    for point in points:
        away = shapely.distance(lines, point)
        road_at.append(int(away.argmin()))
        road_m.append(float(away.min()))
        flown = np.hypot(*(door_xy - (point.x, point.y)).T)
        door_at.append(int(flown.argmin()))
        door_m.append(float(flown.min()))
    frame["expected_road"] = base.roads["name"].to_numpy()[road_at]
    frame["expected_road_m"], frame["expected_address_m"] = np.round(road_m, 2), np.round(door_m, 2)
    frame["expected_id"] = doors["entity_id"].to_numpy()[door_at]
    frame["expected_standard"] = doors["address_text"].to_numpy()[door_at]
    for crs in ("GCJ-02", "BD-09"):
        part = (frame["crs"] == crs).to_numpy()
        frame.loc[part, "lon"], frame.loc[part, "lat"] = coords.transform(lon[part], lat[part], "EPSG:4490", crs)
    return frame


def _division_at(divisions: pd.DataFrame, points: Any, at: Any) -> Any:
    """Return the community code of each point that is valid on its day, None outside."""
    parts = divisions[divisions["division_level"] == 5]
    codes = np.full(len(points), None, dtype=object)
    for day in np.unique(at):
        when = dt.date.fromisoformat(str(day))
        valid = [
            (pd.isna(a) or a <= when) and (pd.isna(b) or when < b)
            for a, b in zip(parts["valid_from_on"], parts["valid_to_on"], strict=True)
        ]
        now = parts[valid]
        tree = shapely.STRtree(points)
        held, found = tree.query(metric(now["geom"]), predicate="covers")
        on_day = at[found] == day
        codes[found[on_day]] = now["division_code"].to_numpy()[held[on_day]]
    return codes
