"""Location instances (ISO 19112) from the tables of a lake: divisions, roads, doors, buildings, estates, places, firms as gazetteer rows.

Each row has an identifier, the elements of its address from the province down, a division code, a point and, if it has an extent, its
geometry (ISO WKB, EPSG:4490). Division names come from the lake's own division table, otherwise from the national one. A place is assigned
to the standard address with the same text; if the register has none, the road and number in its text become a new door.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import shapely

DIVISION = "core.basemap__division"
ADDRESS = "core.basemap__address"
ROAD = "core.basemap__road_segment"
PLACE = "core.basemap__place"
BUILDING = "core.basemap__building"
FIRM = "core.thematic__legal_person"
TABLES: Mapping[str, tuple[str, ...]] = {
    DIVISION: (
        "entity_id",
        "division_code",
        "division_level",
        "parent_code",
        "name",
        "former_names",
        "valid_from_on",
        "valid_to_on",
        "geom",
    ),
    ADDRESS: (
        *("entity_id", "address_text", "province_name", "city_name", "district_name", "township_name", "community_name", "road_name"),
        *("door_number", "building_number", "unit_number", "room_number", "division_code", "geom"),
    ),
    ROAD: ("entity_id", "name", "name_en", "division_code", "geom"),
    PLACE: ("entity_id", "name", "name_en", "address_text", "division_code", "geom"),
    BUILDING: ("entity_id", "name", "division_code", "geom"),
    FIRM: ("entity_id", "name", "address_text", "division_code", "geom"),
}
HEAD = ("province_name", "city_name", "district_name", "township_name", "community_name")
TAIL = ("road_name", "door_number", "place_name", "building_number", "unit_number", "room_number")
COLUMNS = ("entity_id", "kind", "address_text", *HEAD, *TAIL, "division_code", "lon", "lat", "geom")
_DIGITS = (2, 4, 6, 9, 12)
# 晨阁府10幢: the estate's name stands before the building's number.
_ESTATE_BUILDING = r"^(?P<place>.*?[^\d\-—A-Za-z第])?(?P<number>(?:第)?[\dA-Za-z一二三四五六七八九十\-]+(?:幢|栋|座|号楼|#楼?|楼))$"
_DOOR = re.compile(r"^(?P<road>[\u4e00-\u9fff]{1,10}(?:大道|大街|公路|路|街|巷|弄))(?P<door>\d{1,5}(?:-\d{1,4})?)号?$")
_LATIN_DOOR = re.compile(r"^(?P<door>\d{1,6})[A-Za-z]?\s+(?P<road>[A-Za-z0-9][A-Za-z0-9 .']*[A-Za-z])\s*(?:[,#].*)?$")
_NEAR_DEG = 0.0004  # about 40 m: segments of the same name this close are one road
_PAD_DEG = 0.00008


def location_instances(tables: Mapping[str, pa.Table], names: Mapping[str, str], former: Iterable[str] = ()) -> pa.Table:
    """Return the gazetteer of a city: columns of `COLUMNS`, one row per thing.

    `tables` are current rows by table name with those columns of `TABLES` that exist; `names` give the name of a division by
    its 12-digit code, `former` the names of abolished divisions that are still in use.
    """
    frames = {name: _frame(table, TABLES[name]) for name, table in tables.items()}
    parts = []
    if DIVISION in frames:
        parts.append(_divisions(frames[DIVISION], names))
    if ROAD in frames:
        parts.append(_roads(frames[ROAD], names))
    address = _addresses(frames[ADDRESS], names) if ADDRESS in frames else None
    if address is not None:
        parts += [address, _estates(address, frames.get(BUILDING))]
    if BUILDING in frames:
        parts.append(_named_buildings(frames[BUILDING], names, address))
    known = frozenset(names.values()) | frozenset(former)
    for table in (PLACE, FIRM):
        if table in frames:
            placed = _places(frames[table], names, address, known)
            parts += [placed, _doors(placed, address)]
    parts = [part for part in parts if len(part)]
    rows = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))
    rows = rows.reindex(columns=list(COLUMNS)).drop_duplicates("entity_id", ignore_index=True).sort_values("entity_id", ignore_index=True)
    return _arrow(rows)


def division_names(tables: Mapping[str, pa.Table], national: pa.Table | None) -> dict[str, str]:
    """Return the names of divisions by code: national ones, overridden by the lake's own."""
    found: dict[str, str] = {}
    for table in (national, tables.get(DIVISION)):
        if table is not None:
            found |= dict(zip(table["division_code"].to_pylist(), table["name"].to_pylist(), strict=True))
    return found


def derived_aliases(tables: Mapping[str, pa.Table]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the aliases contained in the tables themselves: (of entities, of elements), as `AddressEngine.build` takes them."""
    entities, elements = [], []
    for row in _listed(tables.get(PLACE), ("entity_id", "name", "name_en")):
        if row["name_en"] and row["name"] and row["name_en"] != row["name"]:
            entities.append({"alias": row["name_en"], "entity_id": row["entity_id"], "kind": "english"})
    seen: set[tuple[str, str]] = set()
    for row in _listed(tables.get(ROAD), ("name", "name_en")):
        pair = (row["name"], row["name_en"])
        if all(pair) and pair[0] != pair[1] and pair not in seen:
            seen.add(pair)
            elements.append({"element": pair[0], "level": "road", "alias": pair[1], "kind": "english"})
    levels = ("province", "city", "district", "township", "community")
    for row in _listed(tables.get(DIVISION), ("name", "division_level", "former_names")):
        for former in row["former_names"] or ():
            elements.append({"element": row["name"], "level": levels[int(row["division_level"]) - 1], "alias": former, "kind": "former"})
    return entities, elements


def _listed(table: pa.Table | None, columns: tuple[str, ...]) -> list[dict[str, Any]]:
    if table is None or not set(columns) <= set(table.column_names):
        return []
    return list(table.select(list(columns)).to_pylist())


def _frame(table: pa.Table, columns: tuple[str, ...]) -> pd.DataFrame:
    """Return the rows with all columns, missing ones empty, and geometry as shapely."""
    missing = {name: pa.nulls(table.num_rows) for name in columns if name not in table.column_names}
    for name, values in missing.items():
        table = table.append_column(name, values)
    frame = table.to_pandas()
    frame["geom"] = shapely.from_wkb(frame["geom"].to_numpy(dtype=object))
    return frame


def _chain(codes: pd.Series, names: Mapping[str, str], depth: int = 5) -> dict[str, Any]:
    """Return the names of the divisions above and at each code, down to a level."""
    found: dict[str, Any] = {}
    for level, (column, digits) in enumerate(zip(HEAD, _DIGITS, strict=True), start=1):
        part = codes.str[:digits]
        own = part.notna() & ~part.str[_DIGITS[level - 2] if level > 1 else 0 :].fillna("0").str.fullmatch("0*") & (level <= depth)
        found[column] = part.str.ljust(12, "0").map(names).where(own, None).astype(object)
    return found


def _placed(frame: pd.DataFrame) -> pd.DataFrame:
    shapes = frame["geom"].to_numpy(dtype=object)
    points = shapely.point_on_surface(shapes)
    frame["lon"], frame["lat"] = np.round(shapely.get_x(points), 7), np.round(shapely.get_y(points), 7)
    return frame


def _text(frame: pd.DataFrame) -> pd.Series:
    parts = [frame[name].fillna("").astype(str) for name in (*HEAD, *TAIL) if name in frame]
    whole = parts[0].copy()
    for part in parts[1:]:
        whole = whole + part
    return whole


def _divisions(division: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    now = division[division["valid_to_on"].isna()] if "valid_to_on" in division else division
    rows = now[["entity_id", "division_code", "geom"]].reset_index(drop=True)
    rows = rows.assign(kind="division", **_chain(rows["division_code"], names))
    return _placed(rows.assign(address_text=_text(rows)))


def _roads(segments: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """One row per road: connected segments of the same name; if they lie in several districts, the division is the city."""
    named = segments[segments["name"].notna() & ~shapely.is_missing(segments["geom"].to_numpy(dtype=object))]
    rows = []
    for name, part in named.groupby("name", sort=True):
        shapes = part["geom"].to_numpy(dtype=object)
        for group in _connected(shapes):
            members = part.iloc[group]
            codes = [str(code) for code in members["division_code"].dropna()]
            rows.append(
                {
                    "entity_id": "road-" + str(min(members["entity_id"])),
                    "road_name": name,
                    "division_code": _common(codes),
                    "geom": shapely.line_merge(shapely.union_all(shapes[group])),
                }
            )
    frame = pd.DataFrame(rows, columns=["entity_id", "road_name", "division_code", "geom"]).astype({"division_code": object})
    frame = frame.assign(kind="road", **_chain(frame["division_code"].astype("object"), names, depth=3))
    frame["address_text"] = _text(frame)
    parts = shapely.get_geometry(frame["geom"].to_numpy(dtype=object), 0)
    points = shapely.line_interpolate_point(parts, 0.5, normalized=True)
    return frame.assign(lon=np.round(shapely.get_x(points), 7), lat=np.round(shapely.get_y(points), 7))


def _connected(shapes: Any) -> list[list[int]]:
    """Return the groups of lines that are close to each other, each as positions."""
    if len(shapes) == 1:
        return [[0]]
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    left, right = shapely.STRtree(shapes).query(shapes, predicate="dwithin", distance=_NEAR_DEG)
    links = coo_array((np.ones(len(left), dtype=np.int8), (left, right)), shape=(len(shapes), len(shapes)))
    count, label = connected_components(links, directed=False)
    return [np.flatnonzero(label == i).tolist() for i in range(count)]


def _common(codes: list[str]) -> str | None:
    """Return the district shared by all codes, else the city, else None."""
    for digits in (6, 4):
        if len({code[:digits] for code in codes}) == 1:
            return codes[0][:digits].ljust(12, "0")
    return None


def _addresses(address: pd.DataFrame, names: Mapping[str, str]) -> pd.DataFrame:
    """Doors and buildings of the address register; an estate's name before a building's number becomes a separate element."""
    rows = address.copy()
    chain = _chain(rows["division_code"].astype("object"), names)
    for column in HEAD:
        rows[column] = rows[column].astype(object).where(rows[column].notna(), chain[column]) if column in rows else chain[column]
    cut = rows["building_number"].astype("object").str.extract(_ESTATE_BUILDING)
    rows["place_name"] = cut["place"].astype(object).where(cut["place"].notna(), None)
    rows["building_number"] = cut["number"].astype(object).where(cut["number"].notna(), rows["building_number"])
    fine = rows[["building_number", "unit_number", "room_number"]].notna().any(axis=1)
    rows["kind"] = np.where(fine, "building", "door")
    rows["address_text"] = rows["address_text"].astype(object).where(rows["address_text"].notna(), _text(rows))
    return _placed(rows)


def _estates(address: pd.DataFrame, buildings: pd.DataFrame | None) -> pd.DataFrame:
    """One row per estate named by the register's buildings: a polygon around their outlines, or around their points."""
    inside = address[address["place_name"].notna() & address["road_name"].notna()]
    outlines = None
    if buildings is not None and len(buildings):
        shapes = buildings["geom"].to_numpy(dtype=object)
        outlines = shapes, shapely.STRtree(shapes)
    rows = []
    for (place, road, door, code), part in inside.groupby(["place_name", "road_name", "door_number", "division_code"], sort=True):
        shapes = part["geom"].to_numpy(dtype=object)
        if outlines is not None:
            found = outlines[1].query(shapes, predicate="intersects")[1]
            shapes = np.concatenate([shapes, outlines[0][np.unique(found)]])
        first = part.iloc[0]
        rows.append(
            {name: first[name] for name in HEAD}
            | {"entity_id": "estate-" + str(min(part["entity_id"])), "place_name": place, "road_name": road, "door_number": door}
            | {"division_code": code, "geom": shapely.buffer(shapely.convex_hull(shapely.union_all(shapes)), _PAD_DEG, quad_segs=2)}
        )
    frame = pd.DataFrame(rows, columns=["entity_id", *HEAD, "road_name", "door_number", "place_name", "division_code", "geom"])
    return _placed(frame.assign(kind="estate", address_text=_text(frame))) if len(frame) else frame


def _named_buildings(buildings: pd.DataFrame, names: Mapping[str, str], address: pd.DataFrame | None) -> pd.DataFrame:
    """Buildings that have a name; those that the register already has as a building of an estate are skipped."""
    rows = buildings[buildings["name"].notna()].reset_index(drop=True)
    if address is not None:
        known = set((address["place_name"].fillna("") + address["building_number"].fillna("")).to_numpy())
        rows = rows[~rows["name"].isin(known)].reset_index(drop=True)
    rows = rows[["entity_id", "name", "division_code", "geom"]].rename(columns={"name": "place_name"})
    rows = rows.assign(kind="place", **_chain(rows["division_code"].astype("object"), names))
    return _placed(rows.assign(address_text=_text(rows)))


def _places(places: pd.DataFrame, names: Mapping[str, str], address: pd.DataFrame | None, divisions: frozenset[str]) -> pd.DataFrame:
    """Places and firms with a coordinate: at the door given by their address, else by name in their division; `is_own` marks rows whose
    address is not in the register."""
    shapes = places["geom"].to_numpy(dtype=object)
    known = places["name"].notna() | places["address_text"].notna()
    rows = places[known.to_numpy() & ~shapely.is_missing(shapes)].reset_index(drop=True)
    rows = rows.rename(columns={"name": "place_name"}).assign(kind="place", **_chain(rows["division_code"].astype("object"), names))
    told = rows["address_text"]
    cut = {text: _road_and_door(text, divisions) for text in told.dropna().unique()}
    rows["road_name"] = [cut[text][0] if isinstance(text, str) else None for text in told]
    rows["door_number"] = [cut[text][1] if isinstance(text, str) else None for text in told]
    rows["is_own"] = rows["door_number"].notna()
    if address is not None:
        at = address.drop_duplicates("address_text").set_index("address_text")[[*HEAD, "road_name", "door_number"]]
        registered = told.isin(at.index).to_numpy()
        found = at.reindex(told)
        for column in at.columns:
            rows[column] = np.where(registered, found[column].to_numpy(dtype=object), rows[column].to_numpy(dtype=object))
        rows["is_own"] &= ~registered
    rows["address_text"] = _text(rows)
    return _placed(rows)


def _doors(places: pd.DataFrame, address: pd.DataFrame | None) -> pd.DataFrame:
    """One door for each road and number in the texts of places that the register does not have, located at the median of its places."""
    told = places[places["is_own"]]
    if address is not None:
        known = set(zip(address["road_name"], address["door_number"], strict=True))
        pairs = zip(told["road_name"], told["door_number"], strict=True)
        told = told[np.array([pair not in known for pair in pairs], dtype=bool)]
    if told.empty:
        return told
    told = told.assign(district=told["division_code"].astype("object").str[:6].fillna("")).sort_values("entity_id")
    grouped = told.groupby(["district", "road_name", "door_number"], sort=True)
    away = (told["lon"] - grouped["lon"].transform("median")).abs() + (told["lat"] - grouped["lat"].transform("median")).abs()
    rows = told.loc[away.groupby([told["district"], told["road_name"], told["door_number"]]).idxmin()].reset_index(drop=True)
    rows = rows.assign(kind="door", entity_id="door-" + rows["entity_id"].astype(str), place_name=None, geom=None)
    return rows.assign(address_text=_text(rows))


def _road_and_door(text: str, divisions: frozenset[str]) -> tuple[str | None, str | None]:
    """Return road and number of an address that ends with them, (None, None) for any other; division names before the road are dropped."""
    latin = _LATIN_DOOR.match(text)
    if latin:
        return latin["road"].strip(), latin["door"]
    rest = text.strip()
    while head := next((rest[:n] for n in range(min(15, len(rest)), 1, -1) if rest[:n] in divisions), ""):
        rest = rest[len(head) :]
    found = _DOOR.match(rest)
    return (found["road"], found["door"] + "号") if found else (None, None)


def _arrow(rows: pd.DataFrame) -> pa.Table:
    columns: dict[str, Any] = {}
    for name in COLUMNS:
        if name in ("lon", "lat"):
            columns[name] = pa.array(rows[name].to_numpy(dtype=float), pa.float64(), from_pandas=True)
        elif name == "geom":
            columns[name] = pa.array(list(shapely.to_wkb(rows[name].to_numpy(dtype=object), flavor="iso")), pa.binary())
        else:
            values = [None if value is None or value is pd.NA or value != value else str(value) for value in rows[name]]  # noqa: PLR0124
            columns[name] = pa.array(values, pa.string())
    return pa.table(columns)
