"""The two editions of the demo city and what truly happened to each thing between them.

An identity row says: the thing with `uid_1` in edition 1 is (`same`), was split into, or was merged into `uid_2` of edition 2, has
ended, or is new. `edit` names the change of a thing that stayed the same: `unchanged`, `moved`, `renumbered`, `attributes`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import shapely

from demo.city.divisions import Divisions
from demo.city.naming import Names
from demo.city.plan import stream
from demo.city.world import World

EDITION_AT = {1: "2025-06-30T00:00:00+08:00", 2: "2025-12-31T00:00:00+08:00"}
UPDATED = "2025-12-01"
IDENTITY = ["table", "uid_1", "uid_2", "kind", "edit"]
# Distances that a survey's second look moves a corner, and a provider's second geocoding a place.
CORNER_M = 0.8
PLACE_M = 25.0


def editions(world: World) -> tuple[World, World, pd.DataFrame]:
    """Return edition 1, edition 2 and the identities between them."""
    houses_1, houses_2, house_rows = _houses(world)
    roads_2, road_rows = _roads(world)
    places_1, places_2, place_rows = _places(world)
    firms_1, firms_2, firm_rows = _firms(world)
    past = world.population["year"] <= 2024, world.economy["year"] <= 2024
    first = dataclasses.replace(
        world, buildings=houses_1, places=places_1, firms=firms_1, population=world.population[past[0]], economy=world.economy[past[1]]
    )
    second = dataclasses.replace(
        world, buildings=houses_2, roads=roads_2, places=places_2, firms=firms_2, divisions=_renamed_community(world)
    )
    rows = [*house_rows, *road_rows, *place_rows, *firm_rows]
    identities = pd.DataFrame(rows, columns=IDENTITY).astype({"uid_1": "Int64", "uid_2": "Int64"})
    return first, second, identities


def _take(order: Iterator[int], count: int) -> list[int]:
    return [next(order) for _ in range(max(count, 3))]


def _houses(world: World) -> tuple[pd.DataFrame, pd.DataFrame, list[tuple[object, ...]]]:
    rng = stream(world.plan.seed, "edits.buildings")
    full = world.buildings
    total = len(full)
    merged = _mergeable(full, rng, max(3, total // 300))
    busy = {i for pair in merged for i in pair}
    order = iter(int(i) for i in rng.permutation(total) if int(i) not in busy)
    fresh, gone = _take(order, total // 100), _take(order, total // 100)
    moved, numbered, changed = _take(order, total * 15 // 1000), _take(order, total // 100), _take(order, total // 50)
    simple = shapely.get_num_coordinates(full["geom"].to_numpy()) == 5
    split = [i for i in _take(order, total // 150) if simple[i]]
    first = full.drop(index=fresh)
    second = full.copy()
    geoms = second["geom"].to_numpy().copy()
    for i in moved:
        geoms[i] = _moved(geoms[i], rng)
    second["geom"] = geoms
    serial = iter(range(9_000_001, 9_999_999))
    for i in numbered:
        second.at[i, "key"] = f"LH{next(serial)}"
    for i in changed:
        second.at[i, "floors"] = min(int(second.at[i, "floors"]) + 1, 60)
        second.at[i, "height"] = round(float(second.at[i, "height"]) + 3.0, 1)
    second.loc[[*moved, *numbered, *changed], "updated"] = UPDATED
    parts: list[dict[str, Any]] = []
    rows: list[tuple[object, ...]] = []
    for i in split:
        for half in _halves(geoms[i]):
            parts.append(
                {**second.loc[i].to_dict(), "geom": half, "key": f"LH{next(serial)}", "uid": total + len(parts), "updated": UPDATED}
            )
            rows.append(("building", i, parts[-1]["uid"], "split", ""))
    for a, b in merged:
        hull = shapely.convex_hull(shapely.union(geoms[a], geoms[b]))
        parts.append({**second.loc[a].to_dict(), "geom": hull, "key": f"LH{next(serial)}", "uid": total + len(parts), "updated": UPDATED})
        rows += [("building", a, parts[-1]["uid"], "merge", ""), ("building", b, parts[-1]["uid"], "merge", "")]
    second = pd.concat([second.drop(index=[*gone, *split, *busy]), pd.DataFrame(parts)], ignore_index=True)
    rows += [("building", None, i, "new", "") for i in fresh] + [("building", i, None, "ended", "") for i in gone]
    edit = {**dict.fromkeys(moved, "moved"), **dict.fromkeys(numbered, "renumbered"), **dict.fromkeys(changed, "attributes")}
    special = {*fresh, *gone, *split, *busy}
    rows += [("building", i, i, "same", edit.get(i, "unchanged")) for i in range(total) if i not in special]
    return first, second, rows


def _moved(shape: shapely.Geometry, rng: np.random.Generator) -> shapely.Geometry:
    """Return the outline with its first two corners moved a little."""
    ring = shapely.get_coordinates(shapely.get_exterior_ring(shape)).copy()
    ring[0:2] += rng.uniform(-CORNER_M, CORNER_M, (2, 2)).round(3)
    ring[-1] = ring[0]
    edited = shapely.Polygon(ring, [shapely.get_coordinates(r) for r in shape.interiors])
    return edited if edited.is_valid else shape


def _halves(shape: shapely.Geometry) -> list[shapely.Geometry]:
    """Cut a rectangle across its longer sides at 55 %."""
    a, b, c, d = shapely.get_coordinates(shape)[:4]
    if np.hypot(*(b - a)) < np.hypot(*(c - b)):
        a, b, c, d = b, c, d, a
    p, q = (a + 0.55 * (b - a)).round(3), (d + 0.55 * (c - d)).round(3)
    return [shapely.Polygon([a, p, q, d]), shapely.Polygon([p, b, c, q])]


def _mergeable(full: pd.DataFrame, rng: np.random.Generator, count: int) -> list[tuple[int, int]]:
    """Find pairs of neighbouring houses, at most 6 m apart, with nothing between or beside them."""
    geoms = full["geom"].to_numpy()
    tree = shapely.STRtree(geoms)
    small = np.flatnonzero(shapely.area(geoms) < 400)
    pairs: list[tuple[int, int]] = []
    used: set[int] = set()
    for i in (int(i) for i in rng.permutation(small)):
        if len(pairs) == count:
            break
        near = [int(j) for j in np.sort(tree.query(geoms[i], predicate="dwithin", distance=6.0)) if int(j) != i]
        for j in near:
            hull = shapely.convex_hull(shapely.union(geoms[i], geoms[j]))
            if (
                not {i, j} & used
                and len(tree.query(hull, predicate="intersects")) == 2
                and hull.area < 1.6 * (geoms[i].area + geoms[j].area)
            ):
                pairs.append((i, j))
                used |= {i, j}
                break
    return pairs


def _roads(world: World) -> tuple[pd.DataFrame, list[tuple[object, ...]]]:
    """Rename whole streets and renumber some segments."""
    rng = stream(world.plan.seed, "edits.roads")
    second = world.roads.copy()
    pool = Names(rng)
    streets = sorted(set(second["name"][second["kind"] == "branch"]))
    renamed = [streets[i] for i in rng.permutation(len(streets))[: max(3, len(streets) // 30)]]
    touched = second["name"].isin(renamed)
    second["name"] = second["name"].replace({name: f"{next(pool)}新街" for name in renamed})
    numbered = set(rng.choice(np.flatnonzero(~touched), max(5, len(second) // 100), replace=False).tolist())
    keys = second["key"].tolist()
    for serial, i in enumerate(sorted(numbered), start=1):
        keys[i] = f"{keys[i][:2]}9{serial:05d}"
    second["key"] = keys
    second.loc[touched | second.index.isin(numbered), "updated"] = UPDATED
    edit = ["attributes" if t else "renumbered" if i in numbered else "unchanged" for i, t in enumerate(touched)]
    return second, [("road_segment", i, i, "same", edit[i]) for i in range(len(second))]


def _places(world: World) -> tuple[pd.DataFrame, pd.DataFrame, list[tuple[object, ...]]]:
    """Open, close, move and renumber places; some give way to a sibling of nearly the same name at the same spot."""
    rng = stream(world.plan.seed, "edits.places")
    full = world.places
    total = len(full)
    order = iter(int(i) for i in rng.permutation(total))
    fresh, gone = _take(order, total // 50), _take(order, total // 50)
    moved, numbered, replaced = _take(order, total // 60), _take(order, total // 100), _take(order, total // 200)
    second = full.copy()
    xy = shapely.get_coordinates(second["geom"].to_numpy())
    xy[moved] += rng.uniform(-PLACE_M / 2, PLACE_M / 2, (len(moved), 2)).round(3)
    second["geom"] = shapely.points(xy)
    for serial, i in enumerate(numbered, start=1):
        second.at[i, "key"] = f"POI9{serial:05d}"
    second.loc[[*moved, *numbered], "updated"] = UPDATED
    heirs = second.loc[replaced].copy()
    heirs["name"] = [f"新{name}" for name in heirs["name"]]
    heirs["key"] = [f"POI8{n:05d}" for n in range(1, len(heirs) + 1)]
    heirs["uid"] = range(total, total + len(heirs))
    heirs["updated"] = UPDATED
    second = pd.concat([second.drop(index=[*gone, *replaced]), heirs], ignore_index=True)
    edit = {**dict.fromkeys(moved, "moved"), **dict.fromkeys(numbered, "renumbered")}
    special = {*fresh, *gone, *replaced}
    rows: list[tuple[object, ...]] = [("place", i, i, "same", edit.get(i, "unchanged")) for i in range(total) if i not in special]
    rows += [("place", None, int(u), "new", "") for u in [*fresh, *heirs["uid"]]]
    rows += [("place", i, None, "ended", "") for i in [*gone, *replaced]]
    return full.drop(index=fresh), second, rows


def _firms(world: World) -> tuple[pd.DataFrame, pd.DataFrame, list[tuple[object, ...]]]:
    """Found, strike off and move firms."""
    rng = stream(world.plan.seed, "edits.firms")
    full = world.firms
    total = len(full)
    order = iter(int(i) for i in rng.permutation(total))
    fresh, gone, shut, moved = (_take(order, total // n) for n in (50, 100, 40, 60))
    second = full.copy()
    second.loc[shut, "status"] = "注销"
    spots = rng.choice(len(world.addresses), len(moved))
    for i, spot in zip(moved, spots, strict=True):
        second.at[i, "address"], second.at[i, "geom"] = world.addresses["text"].iloc[spot], world.addresses["geom"].iloc[spot]
    second.loc[[*shut, *moved], "updated"] = UPDATED
    edit = {**dict.fromkeys(shut, "attributes"), **dict.fromkeys(moved, "moved")}
    special = {*fresh, *gone}
    rows: list[tuple[object, ...]] = [("legal_person", i, i, "same", edit.get(i, "unchanged")) for i in range(total) if i not in special]
    rows += [("legal_person", None, i, "new", "") for i in fresh] + [("legal_person", i, None, "ended", "") for i in gone]
    return full.drop(index=fresh), second.drop(index=gone), rows


def _renamed_community(world: World) -> Divisions:
    """Return the divisions with the first community under a new name; code and extent stay."""
    frame = world.divisions.frame.copy()
    first = frame.index[frame["level"] == "community"][0]
    frame.loc[first, ["name", "pinyin"]] = ["新春社区", "Xinchunshequ"]
    return dataclasses.replace(world.divisions, frame=frame)
