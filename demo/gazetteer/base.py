"""The gazetteer of the demo city: divisions, roads, estates, doors, buildings and places with what people call them.

Taken from the generated city and changed where a search needs what it lacks: lanes of one name in two districts, offices with short,
old and English names, roads with former names, a county that became a district in 2021. Some doors, schools and whole roads are held
out, so that what is asked for is sometimes not there. Coordinates are EPSG:4490.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely

from demo.city.divisions import CITY_CODE, CITY_NAME, PROVINCE_NAME
from demo.city.plan import METRIC_CRS, Anys, stream
from demo.city.world import World
from transforms.space import coords

ELEMENTS = (
    "province_name",
    "city_name",
    "district_name",
    "township_name",
    "community_name",
    "road_name",
    "door_number",
    "name",
    "building_number",
    "unit_number",
    "room_number",
)
COLUMNS = ("entity_id", "kind", "address_text", *ELEMENTS, "division_code", "lon", "lat", "geom")
DIVISION_LEVELS = ("province", "city", "district", "township", "community")
REFORM_ON = dt.date(2021, 4, 9)  # the day of Hangzhou's reform, on which the demo city's county becomes a district too
COUNTY = ("新港区", "390104", "新港县", "390121")
OFFICES = (
    # name behind the district, short name, former name, English name
    ("人民政府", "区政府", None, "People's Government of {} District"),
    ("市场监督管理局", "市监局", "工商行政管理局", "{} Administration for Market Regulation"),
    ("人力资源和社会保障局", "人社局", "劳动局", "{} Human Resources and Social Security Bureau"),
    ("卫生健康局", "卫健局", "卫生局", "{} Health Bureau"),
    ("住房和城乡建设局", "住建局", "建设局", "{} Housing and Construction Bureau"),
    ("综合行政执法局", "综合执法局", "城管局", "{} Urban Management Bureau"),
    ("人民法院", "区法院", None, "{} People's Court"),
    ("妇幼保健院", "妇保院", "妇幼保健所", "{} Maternity Hospital"),
)


@dataclass(frozen=True)
class Base:
    """`table`: COLUMNS, `geom` as shapely in degrees; `held`: rows that are true but not in the table; `roads`: lines by `entity_id`."""

    table: pd.DataFrame
    held: pd.DataFrame
    roads: pd.DataFrame
    divisions: pd.DataFrame


def build(world: World, seed: int) -> Base:
    """Make the gazetteer's rows and hold some of them out."""
    rng = stream(seed, "gazetteer")
    address, roads, places = _with_twin_lanes(world, rng)
    division = _divisions(world)
    parents = world.divisions.frame.set_index("code")["name"].to_dict()
    parts = [
        _division_rows(world),
        _road_rows(roads, world, parents),
        _door_rows(address, world),
        _estate_rows(address, world),
        _building_rows(address, world),
        _place_rows(places, address, world),
        _office_rows(address, world, rng),
    ]
    table = pd.concat(parts, ignore_index=True)[list(COLUMNS)]
    table = table.drop_duplicates("entity_id", ignore_index=True)
    table[list(ELEMENTS)] = table[list(ELEMENTS)].astype(object).where(table[list(ELEMENTS)].notna(), None)
    held = _held_out(table, rng)
    lines = table[table["kind"] == "road"][["entity_id", "road_name", "geom"]].rename(columns={"road_name": "name"})
    return Base(table[~held].reset_index(drop=True), table[held].reset_index(drop=True), lines.reset_index(drop=True), division)


def _with_twin_lanes(world: World, rng: np.random.Generator) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Give lanes of one district the names of lanes in another, as grown cities have them. Returns addresses, roads and places."""
    address, roads, places = world.addresses.copy(), world.roads.copy(), world.places.copy()
    address["source_text"] = address["text"]
    lanes = address[address["road"].str.endswith(("巷", "弄", "街"))]
    at = lanes.groupby("road")["district"].agg(["first", "nunique"])
    at = at[at["nunique"] == 1]["first"]
    many = lanes.groupby("road")["door"].nunique()
    pools = {d: [r for r in at.index[at == d] if many[r] >= 3] for d in sorted(at.unique())}
    names = {d: [pool[i] for i in rng.permutation(len(pool))] for d, pool in pools.items() if len(pool) >= 4}
    first, second = sorted(names, key=lambda d: -len(names[d]))[:2]
    count = len(names[second]) // 2
    new = dict(zip(names[second][:count], names[first][:count], strict=True))
    address["road"] = address["road"].map(lambda r: new.get(r, r))
    roads["name"], roads["own_name"] = roads["name"].map(lambda r: new.get(r, r)), roads["name"]
    for old, name in new.items():
        places["name"] = places["name"].str.replace(f"（{old}", f"（{name}", regex=False)
    return address, roads, places


def _degrees(geoms: Anys) -> Anys:
    return np.asarray(coords.transform_geometries(np.asarray(geoms), METRIC_CRS, "EPSG:4490"))


def _frame(kind: str, ids: Anys, geoms: Anys, codes: Anys, points: Anys | None = None, **elements: Any) -> pd.DataFrame:
    """Return rows of one kind; the coordinate is the point given, else a point on the geometry; the text joins the elements."""
    degrees = _degrees(geoms)
    spots = shapely.point_on_surface(degrees) if points is None else _degrees(points)
    frame = pd.DataFrame({"entity_id": ids, "kind": kind, "division_code": codes, "geom": degrees})
    for name in ELEMENTS:
        frame[name] = pd.Series(elements.get(name), index=frame.index, dtype=object)
    frame["lon"], frame["lat"] = np.round(shapely.get_x(spots), 7), np.round(shapely.get_y(spots), 7)
    frame["address_text"] = frame[list(ELEMENTS)].fillna("").agg("".join, axis=1)
    return frame


def _division_rows(world: World) -> pd.DataFrame:
    frame = world.divisions.frame
    names = frame.set_index("code")["name"]
    elements: dict[str, Any] = {}
    for depth, (level, digits) in enumerate(zip(DIVISION_LEVELS, (2, 4, 6, 9, 12), strict=True)):
        own = frame["level"].map(DIVISION_LEVELS.index) >= depth
        codes = frame["code"].str[:digits].str.ljust(12, "0")
        elements[f"{level}_name"] = np.where(own, codes.map(names), None)
    return _frame("division", frame["code"].to_numpy(), frame["geom"].to_numpy(), frame["code"].to_numpy(), **elements)


def _divisions(world: World) -> pd.DataFrame:
    """Return divisions with validity: what is in the county's place since the reform, and the county with its parts before it."""
    frame = world.divisions.frame
    now = pd.DataFrame(
        {
            "division_code": frame["code"],
            "division_level": frame["level"].map(DIVISION_LEVELS.index) + 1,
            "parent_code": frame["parent"],
            "name": frame["name"],
            "name_pinyin": frame["pinyin"],
            "valid_from_on": None,
            "valid_to_on": None,
            "geom": _degrees(frame["geom"].to_numpy()),
        }
    )
    name, code, old_name, old_code = COUNTY
    part = now["division_code"].str.startswith(code)
    before = now[part].assign(valid_to_on=REFORM_ON)
    for column in ("division_code", "parent_code"):
        before[column] = before[column].str.replace(f"^{code}", old_code, regex=True)
    before.loc[before["name"] == name, ["name", "name_pinyin"]] = [old_name, "Xingangxian"]
    now.loc[part, "valid_from_on"] = REFORM_ON
    return pd.concat([now, before], ignore_index=True)


def _road_rows(roads: pd.DataFrame, world: World, names: dict[str, str]) -> pd.DataFrame:
    """One row per road; where it lies in several districts its division is the city."""
    lines = roads.groupby("own_name", sort=True).agg(name=("name", "first"), geom=("geom", list)).reset_index()
    geoms = np.array([shapely.line_merge(shapely.union_all(parts)) for parts in lines["geom"]], dtype=object)
    districts = world.divisions.frame[world.divisions.frame["level"] == "district"]
    tree = shapely.STRtree(districts["geom"].to_numpy())
    crossed: dict[int, list[str]] = {}
    for i, j in zip(*tree.query(geoms, predicate="intersects"), strict=True):
        share = shapely.length(shapely.intersection(geoms[i], districts["geom"].to_numpy()[j])) / shapely.length(geoms[i])
        if share > 0.02:
            crossed.setdefault(int(i), []).append(str(districts["code"].to_numpy()[j]))
    codes = [crossed[i][0] if len(crossed.get(i, [])) == 1 else f"{CITY_CODE}00000000" for i in range(len(lines))]
    return _frame(
        "road",
        np.array([f"DL{n:06d}" for n in range(1, len(lines) + 1)]),
        geoms,
        np.array(codes),
        points=shapely.line_interpolate_point([shapely.get_geometry(g, 0) for g in geoms], 0.5, normalized=True),
        province_name=PROVINCE_NAME,
        city_name=CITY_NAME,
        district_name=[names[c] if not c.startswith(f"{CITY_CODE}00") else None for c in codes],
        road_name=lines["name"].to_numpy(),
    )


def _codes(address: pd.DataFrame, world: World) -> Anys:
    """Return community codes from the names of the chain."""
    frame = world.divisions.frame
    by_name = {(frame_name, parent): code for frame_name, parent, code in zip(frame["name"], frame["parent"], frame["code"], strict=True)}
    town = frame[frame["level"] == "township"].set_index("name")["code"]
    return np.array([by_name[c, town[t]] for c, t in zip(address["community"], address["township"], strict=True)])


def chain(address: pd.DataFrame) -> dict[str, Any]:
    """Return the division elements and the road and door of addresses."""
    return {
        "province_name": PROVINCE_NAME,
        "city_name": CITY_NAME,
        "district_name": address["district"].to_numpy(),
        "township_name": address["township"].to_numpy(),
        "community_name": address["community"].to_numpy(),
        "road_name": address["road"].to_numpy(),
        "door_number": address["door"].to_numpy(),
    }


def _door_rows(address: pd.DataFrame, world: World) -> pd.DataFrame:
    doors = address.drop_duplicates(["road", "door", "district"]).copy()
    ids = doors["key"].str.replace("DZ", "MP", regex=False).to_numpy()
    return _frame("door", ids, doors["geom"].to_numpy(), _codes(doors, world), **chain(doors))


def estate_of(address: pd.DataFrame) -> pd.Series:
    """Return the estate's name of addresses of its buildings, null for houses on the road."""
    return address["unit"].str.replace(r"\d+幢$", "", regex=True)


def _estate_rows(address: pd.DataFrame, world: World) -> pd.DataFrame:
    part = address[address["unit"].notna()].assign(estate=estate_of)
    built = world.buildings["geom"].to_numpy()
    area = part.groupby("estate", sort=True)["building"].agg(list)
    first = part.drop_duplicates("estate").set_index("estate").loc[area.index].reset_index()
    polygons = np.array([shapely.buffer(shapely.convex_hull(shapely.union_all(built[b])), 8.0, quad_segs=2) for b in area], dtype=object)
    ids = np.array([f"XQ{n:05d}" for n in range(1, len(first) + 1)])
    return _frame("estate", ids, polygons, _codes(first, world), name=first["estate"].to_numpy(), **chain(first))


def _building_rows(address: pd.DataFrame, world: World) -> pd.DataFrame:
    part = address[address["unit"].notna()]
    number = part["unit"].str.extract(r"(\d+幢)$")[0].to_numpy()
    return _frame(
        "building",
        part["key"].to_numpy(),
        part["geom"].to_numpy(),
        _codes(part, world),
        name=estate_of(part).to_numpy(),
        building_number=number,
        **chain(part),
    )


def _place_rows(places: pd.DataFrame, address: pd.DataFrame, world: World) -> pd.DataFrame:
    at = address.set_index("source_text").loc[places["address"]].reset_index()
    return _frame(
        "place", places["key"].to_numpy(), places["geom"].to_numpy(), _codes(at, world), name=places["name"].to_numpy(), **chain(at)
    )


def _office_rows(address: pd.DataFrame, world: World, rng: np.random.Generator) -> pd.DataFrame:
    """Put the offices of each district, and those of its townships, at doors there."""
    doors = address[address["unit"].isna()]
    picked, names = [], []
    for district, rows in doors.groupby("district", sort=True):
        spots = rng.choice(len(rows), len(OFFICES), replace=False)
        picked.append(rows.iloc[spots])
        names += [f"{district}{office[0]}" for office in OFFICES]
    for township, rows in doors.groupby("township", sort=True):
        picked.append(rows.iloc[rng.choice(len(rows), 1)])
        names.append(f"{township}{'人民政府' if str(township).endswith('镇') else '办事处'}")
    at = pd.concat(picked)
    ids = np.array([f"JG{n:04d}" for n in range(1, len(at) + 1)])
    return _frame("place", ids, at["geom"].to_numpy(), _codes(at, world), name=np.array(names), **chain(at))


def _held_out(table: pd.DataFrame, rng: np.random.Generator) -> Anys:
    """Choose what is true but unknown: some doors between known ones, one school in eight, and eight sections of long roads.

    Held doors bear no estate and no place, so that nothing else in the table tells where they are; those at the kerb are held more often,
    for only they can be interpolated.
    """
    held = np.zeros(len(table), bool)
    used = set(zip(*(table.loc[table["kind"].isin(["place", "estate", "building"]), c] for c in ("road_name", "door_number")), strict=True))
    number = table["door_number"].str.extract(r"^(\d+)号$")[0].astype(float).to_numpy()
    top = table.assign(number=number).groupby("road_name")["number"].transform("max").to_numpy()
    free = np.array([(r, d) not in used for r, d in zip(table["road_name"], table["door_number"], strict=True)])
    inner = (table["kind"] == "door").to_numpy() & free & (number > 4) & (number < top - 4)
    # Two neighbours on one side are never both gone.
    inner &= np.isin(number % 16, (5, 6))
    held |= inner & (rng.random(len(table)) < np.where(_at_kerb(table), 0.9, 0.25))
    school = (table["kind"] == "place").to_numpy() & table["name"].fillna("").str.contains("第.+(?:小学|幼儿园)$").to_numpy()
    held |= school & (rng.random(len(table)) < 0.12)
    sections = sorted(table.loc[(table["kind"] == "road") & table["road_name"].str.contains("[东西南北]路$", na=False), "road_name"])
    gone = {sections[i] for i in rng.choice(len(sections), 8, replace=False)}
    return np.asarray(held | table["road_name"].isin(gone).to_numpy())


def _at_kerb(table: pd.DataFrame) -> Anys:
    """Return which doors stand within 0.0005° (some 50 m) of a road of their name."""
    roads = table[table["kind"] == "road"].groupby("road_name")["geom"].agg(lambda g: shapely.union_all(list(g)))
    near = np.zeros(len(table), bool)
    doors = np.flatnonzero((table["kind"] == "door").to_numpy())
    lines = roads.reindex(table["road_name"].iloc[doors]).to_numpy()
    points = shapely.points(table["lon"].to_numpy(float)[doors], table["lat"].to_numpy(float)[doors])
    near[doors] = shapely.distance(lines, points) < 0.0005
    return near
