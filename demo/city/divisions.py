"""Administrative divisions of the demo city: province, city, districts, subdistricts and towns, communities and villages.

Regions grow over 400 m cells of the street lattice from spread seeds, so that borders follow roads, every part is one piece, and each level
tiles the one above exactly. Codes keep the shape of GB/T 2260 and of the statistical codes for urban and rural units (12 digits) in a
province number (39) that is not in use.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely

from demo.city.naming import Names, hamlets, pinyin
from demo.city.plan import Anys, Plan, stream

CITY_CODE = "3901"
CITY_NAME = "临海新城"
PROVINCE_NAME = "东海省"
DISTRICTS = ("望海区", "临江区", "新港区", "云山区")
ATOM = 2  # unit cells along the smallest piece of a community
PER_COMMUNITY = 12  # such pieces in a community
LEVELS = {"province": 1, "city": 2, "district": 3, "township": 4, "community": 5}


@dataclass(frozen=True)
class Divisions:
    """`frame`: code, level, name, pinyin, parent, geom per division; `cells`: community code per 400 m cell."""

    frame: pd.DataFrame
    cells: Anys

    def community(self, u: Anys, v: Anys) -> Anys:
        """Return the community codes at lattice coordinates (unit cells); outside counts as the nearest cell."""
        i = np.clip((np.asarray(u) // ATOM).astype(int), 0, self.cells.shape[0] - 1)
        j = np.clip((np.asarray(v) // ATOM).astype(int), 0, self.cells.shape[1] - 1)
        return np.asarray(self.cells[i, j])


def divide(plan: Plan) -> Divisions:
    """Divide the city; about one community per 1.9 km², five to a township, three or four townships to a district."""
    rng = stream(plan.seed, "divisions")
    wide, tall = plan.nx // ATOM, plan.ny // ATOM
    spots = np.stack(np.meshgrid(np.arange(wide), np.arange(tall), indexing="ij"), axis=-1).reshape(-1, 2).astype(float)
    community = _grow(rng, spots, _grid_links(wide, tall), count=wide * tall // PER_COMMUNITY, rough=0.8)
    towns_spots, links = _contract(spots, community, _grid_links(wide, tall))
    township = _grow(rng, towns_spots, links, count=max(12, len(towns_spots) // 5), rough=0.3)
    district_spots, links = _contract(towns_spots, township, links)
    district = _grow(rng, district_spots, links, count=len(DISTRICTS), rough=0.1)
    west_east = np.array([district_spots[district == d, 0].mean() for d in range(int(district.max()) + 1)])
    return _named(plan, rng, community=community.reshape(wide, tall), township=township, district=district, west_east=west_east)


def _grid_links(wide: int, tall: int) -> list[set[int]]:
    links: list[set[int]] = [set() for _ in range(wide * tall)]
    for i in range(wide):
        for j in range(tall):
            for ni, nj in ((i + 1, j), (i, j + 1)):
                if ni < wide and nj < tall:
                    a, b = i * tall + j, ni * tall + nj
                    links[a].add(b)
                    links[b].add(a)
    return links


def _contract(spots: Anys, label: Anys, links: list[set[int]]) -> tuple[Anys, list[set[int]]]:
    """Return centres and neighbours of the regions that a labelling makes."""
    count = int(label.max()) + 1
    centres = np.array([spots[label == k].mean(axis=0) for k in range(count)])
    joined: list[set[int]] = [set() for _ in range(count)]
    for a, near in enumerate(links):
        for b in near:
            if label[a] != label[b]:
                joined[label[a]].add(int(label[b]))
    return centres, joined


def _grow(rng: np.random.Generator, spots: Anys, links: list[set[int]], *, count: int, rough: float) -> Anys:
    """Label nodes by the seed that reaches them first over links of random cost: connected regions with uneven borders."""
    centres = spots[rng.choice(len(spots), count, replace=False)]
    for _ in range(12):
        near = ((spots[:, None, :] - centres[None]) ** 2).sum(-1).argmin(1)
        centres = np.array([spots[near == k].mean(0) if (near == k).any() else centres[k] for k in range(count)])
    seeds: list[int] = []
    for centre in centres:
        order = ((spots - centre) ** 2).sum(1).argsort(kind="stable")
        seeds.append(next(int(i) for i in order if int(i) not in seeds))
    label = np.full(len(spots), -1)
    queue = [(0.0, seed, k) for k, seed in enumerate(seeds)]
    heapq.heapify(queue)
    while queue:
        cost, node, k = heapq.heappop(queue)
        if label[node] >= 0:
            continue
        label[node] = k
        for other in sorted(links[node]):
            if label[other] < 0:
                step = float(np.hypot(*(spots[other] - spots[node]))) * (1 + rough * float(rng.random()))
                heapq.heappush(queue, (cost + step, other, k))
    return label


def _named(plan: Plan, rng: np.random.Generator, *, community: Anys, township: Anys, district: Anys, west_east: Anys) -> Divisions:
    """Give codes and names from west to east, and make the polygons by union of cells with common vertices."""
    names, villages = Names(rng), hamlets(rng)
    district_rank = np.argsort(np.argsort(west_east))
    codes: dict[int, str] = {}
    rows: list[dict[str, object]] = []
    town_number: dict[int, int] = {}
    town_code: dict[int, str] = {}
    for t in range(int(township.max()) + 1):
        d = int(district[t])
        town_number[d] = town_number.get(d, 0) + 1
        rural = town_number[d] >= 4
        serial = 100 + town_number[d] - 4 if rural else town_number[d]
        town_code[t] = f"{CITY_CODE}{district_rank[d] + 2:02d}{serial:03d}"
        rows.append(_row(f"{town_code[t]}000", "township", next(names) + ("镇" if rural else "街道")))
        for n, c in enumerate(np.flatnonzero(township == t)):
            rural_unit = rural and n % 2 == 1
            codes[int(c)] = f"{town_code[t]}{(200 if rural_unit else 1) + n:03d}"
            name = f"{next(villages)}村" if rural_unit and n < 4 else f"{next(names)}社区"
            rows.append(_row(codes[int(c)], "community", name))
    for d in range(len(DISTRICTS)):
        rows.append(_row(f"{CITY_CODE}{d + 2:02d}000000", "district", DISTRICTS[d]))
    rows.append(_row(f"{CITY_CODE}00000000", "city", CITY_NAME))
    rows.append(_row(f"{CITY_CODE[:2]}0000000000", "province", PROVINCE_NAME))
    frame = pd.DataFrame(rows).sort_values("code", ignore_index=True)
    cells = np.vectorize(codes.__getitem__, otypes=[object])(community)
    frame["geom"] = _polygons(plan, cells, frame)
    return Divisions(frame, cells)


def _row(code: str, level: str, name: str) -> dict[str, object]:
    parent = {
        "province": None,
        "city": f"{code[:2]}0000000000",
        "district": f"{code[:4]}00000000",
        "township": f"{code[:6]}000000",
        "community": f"{code[:9]}000",
    }[level]
    return {"code": code, "level": level, "name": name, "pinyin": pinyin(name), "parent": parent}


def _polygons(plan: Plan, cells: Anys, frame: pd.DataFrame) -> list[shapely.Geometry]:
    squares: dict[str, list[shapely.Geometry]] = {}
    for i in range(cells.shape[0]):
        for j in range(cells.shape[1]):
            ring = plan.ring(i * ATOM, j * ATOM, (i + 1) * ATOM, (j + 1) * ATOM)
            squares.setdefault(cells[i, j], []).append(shapely.Polygon(ring))
    shape = {code: shapely.coverage_union_all(parts) for code, parts in squares.items()}
    kept = {"province": 2, "city": 4, "district": 6, "township": 9, "community": 12}
    return [
        shapely.coverage_union_all([g for c, g in shape.items() if c.startswith(code[: kept[level]])])
        for code, level in zip(frame["code"], frame["level"], strict=True)
    ]
