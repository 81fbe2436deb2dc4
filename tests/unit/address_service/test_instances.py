"""Gazetteer rows from the tables of a lake: what stands for what, and the index of a lake from build to rebuild."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import shapely
from deltalake import write_deltalake

import sanyu
from jobs import gazetteer
from quality.arrow import arrow_schema
from sanyu.address import engine as engine_module
from sanyu.address import lakeindex
from sanyu.lake.store import LocalStore
from schemas.messages import SanyuError
from schemas.registry import find_contract
from transforms.address.instances import ADDRESS, BUILDING, DIVISION, FIRM, PLACE, ROAD, derived_aliases, division_names, location_instances

EAST, WEST = "390102001001", "390105002003"
HEAD = ("东海省", "临海新城", "望海区", "青园街道", "龙溪社区")


def _division(code: str, level: int, name: str, box: tuple[float, float, float, float] | None = None) -> dict[str, Any]:
    geom = shapely.to_wkb(shapely.box(*box)) if box else None
    row = {"entity_id": f"d{code}", "division_code": code, "division_level": level, "parent_code": None, "name": name, "geom": geom}
    return row | {
        "former_names": ["望海县"] if level == 3 and name == "望海区" else None,
        "valid_from_on": date(2020, 1, 1),
        "valid_to_on": None,
    }


def _address(entity: str, code: str, lon: float, road: str, door: str, building: str | None = None) -> dict[str, Any]:
    text = "".join(HEAD) + road + door + (building or "") if code == EAST else f"东海省临海新城云山区秋沙街道柳亭社区{road}{door}"
    row = {"entity_id": entity, "address_text": text, "road_name": road, "door_number": door, "building_number": building}
    return row | {"division_code": code, "geom": shapely.to_wkb(shapely.Point(lon, 30.1))}


TABLES = {
    DIVISION: [
        _division("390000000000", 1, "东海省"),
        _division("390100000000", 2, "临海新城"),
        _division("390102000000", 3, "望海区", (120.0, 30.0, 120.5, 30.5)),
        _division("390102001000", 4, "青园街道"),
        _division(EAST, 5, "龙溪社区"),
        _division("390105000000", 3, "云山区"),
        _division("390105002000", 4, "秋沙街道"),
        _division(WEST, 5, "柳亭社区"),
    ],
    ADDRESS: [
        _address("a1", EAST, 120.10, "解放路", "1号"),
        _address("a2", EAST, 120.11, "解放路", "3号", "春沙苑1幢"),
        _address("a3", EAST, 120.12, "解放路", "3号", "春沙苑2幢"),
        _address("a4", WEST, 120.60, "鹤鸣巷", "1号"),
    ],
    ROAD: [
        {"entity_id": f"r{n}", "name": name, "name_en": "Liberation Road" if name == "解放路" else None, "division_code": code}
        | {"geom": shapely.to_wkb(shapely.LineString([(lon, 30.1), (lon + 0.1, 30.1)]))}
        for n, (name, code, lon) in enumerate(
            [("解放路", EAST, 120.0), ("解放路", WEST, 120.1), ("鹤鸣巷", EAST, 120.0), ("鹤鸣巷", WEST, 120.6)]
        )
    ],
    PLACE: [
        {
            "entity_id": "p1",
            "name": "明月面馆",
            "name_en": "Moon Noodles",
            "address_text": "".join(HEAD) + "解放路1号",
            "division_code": EAST,
        }
        | {"geom": shapely.to_wkb(shapely.Point(120.1001, 30.1))},
        {"entity_id": "p2", "name": None, "name_en": None, "address_text": None, "division_code": EAST, "geom": None},
    ],
    BUILDING: [
        {
            "entity_id": "b1",
            "name": "春沙苑1幢",
            "division_code": EAST,
            "geom": shapely.to_wkb(shapely.box(120.1099, 30.0999, 120.1101, 30.1001)),
        },
        {"entity_id": "b2", "name": "望海大厦", "division_code": EAST, "geom": shapely.to_wkb(shapely.box(120.2, 30.2, 120.21, 30.21))},
    ],
    FIRM: [{"entity_id": "f1", "name": "临海新城甲有限公司", "address_text": "解放路1号", "division_code": None, "geom": None}],
}


def _tables() -> dict[str, pa.Table]:
    return {name: _table(name, rows) for name, rows in TABLES.items()}


def _table(name: str, rows: list[dict[str, Any]]) -> pa.Table:
    schema = arrow_schema(find_contract(name))
    return pa.Table.from_pylist(rows, pa.schema([schema.field(column) for column in rows[0]])).replace_schema_metadata(None)


@pytest.fixture
def rows() -> dict[str, dict[str, Any]]:
    tables = _tables()
    found = location_instances(tables, division_names(tables, None))
    return {row["entity_id"]: row for row in found.to_pylist()}


def test_an_address_has_the_names_of_its_divisions_and_its_estate_apart_from_the_building(rows: dict[str, dict[str, Any]]) -> None:
    assert tuple(rows["a1"][f"{level}_name"] for level in ("province", "city", "district", "township", "community")) == HEAD
    assert (rows["a1"]["kind"], rows["a1"]["place_name"], rows["a1"]["building_number"]) == ("door", None, None)
    assert (rows["a2"]["kind"], rows["a2"]["place_name"], rows["a2"]["building_number"]) == ("building", "春沙苑", "1幢")


def test_an_estate_is_a_polygon_around_its_buildings(rows: dict[str, dict[str, Any]]) -> None:
    estate = rows["estate-a2"]
    assert (estate["kind"], estate["place_name"], estate["door_number"]) == ("estate", "春沙苑", "3号")
    shape = shapely.from_wkb(estate["geom"])
    assert (
        shape.geom_type == "Polygon"
        and shape.covers(shapely.box(120.1099, 30.0999, 120.1101, 30.1001))
        and shape.covers(shapely.Point(120.12, 30.1))
    )


def test_segments_of_one_name_are_one_road_only_where_they_hang_together(rows: dict[str, dict[str, Any]]) -> None:
    roads = {key: row for key, row in rows.items() if row["kind"] == "road"}
    assert {key: (row["road_name"], row["division_code"]) for key, row in roads.items()} == {
        "road-r0": ("解放路", "390100000000"),
        "road-r2": ("鹤鸣巷", "390102000000"),
        "road-r3": ("鹤鸣巷", "390105000000"),
    }
    assert (roads["road-r0"]["district_name"], roads["road-r2"]["district_name"]) == (None, "望海区")
    assert shapely.from_wkb(roads["road-r0"]["geom"]).length == pytest.approx(0.2)


def test_a_place_stands_at_the_standard_address_of_its_text(rows: dict[str, dict[str, Any]]) -> None:
    assert (rows["p1"]["road_name"], rows["p1"]["door_number"], rows["p1"]["place_name"]) == ("解放路", "1号", "明月面馆")
    assert rows["p1"]["lon"] == 120.1001


@pytest.mark.parametrize(
    ("text", "road", "door"),
    [
        ("东海省望海区市心路12号", "市心路", "12号"),
        ("望海区解放路12", "解放路", "12号"),
        ("望海区解放路12-3号", "解放路", "12-3号"),
        ("望海区解放路", None, None),
        ("望海区解放路12号甲楼", None, None),
        ("3166 Buchanan Street", "Buchanan Street", "3166"),
        ("401 16th St, San Francisco", "16th St", "401"),
        ("Assessors Block", None, None),
    ],
)
def test_road_and_number_of_a_place_that_the_register_lacks_make_a_door(text: str, road: str | None, door: str | None) -> None:
    place = {
        "entity_id": "p9",
        "name": "某店",
        "address_text": text,
        "division_code": EAST,
        "geom": shapely.to_wkb(shapely.Point(120.3, 30.2)),
    }
    tables = _tables() | {PLACE: _table(PLACE, [place])}
    found = {row["entity_id"]: row for row in location_instances(tables, division_names(tables, None)).to_pylist()}
    assert (found["p9"]["road_name"], found["p9"]["door_number"]) == (road, door)
    assert ("door-p9" in found) == (door is not None)
    if door:
        made = found["door-p9"]
        assert (made["kind"], made["road_name"], made["door_number"], made["place_name"], made["lon"]) == ("door", road, door, None, 120.3)


def test_what_has_no_name_no_place_or_stands_in_the_register_already_is_left_out(rows: dict[str, dict[str, Any]]) -> None:
    assert not {"p2", "f1", "b1"} & set(rows) and rows["b2"]["place_name"] == "望海大厦"


def test_other_names_in_the_tables_become_aliases() -> None:
    entities, elements = derived_aliases(_tables())
    assert [(a["alias"], a["entity_id"]) for a in entities] == [("Moon Noodles", "p1")]
    assert {(a["alias"], a["element"], a["level"]) for a in elements} == {
        ("Liberation Road", "解放路", "road"),
        ("望海县", "望海区", "district"),
    }


@pytest.fixture
def lake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> sanyu.Lake:
    monkeypatch.setattr(engine_module, "national_divisions", lambda folder: None)
    monkeypatch.setattr(gazetteer, "national_divisions", lambda folder: None)
    for name, table in _tables().items():
        layer, _, rest = name.partition(".")
        write_deltalake(str(tmp_path / layer / rest.replace("__", "/")), table)
    return sanyu.open(tmp_path)


def _replace(lake: sanyu.Lake, rows: list[dict[str, Any]]) -> None:
    write_deltalake(lake.table(ADDRESS).path, _table(ADDRESS, rows), mode="overwrite")


def test_without_an_index_the_lake_says_how_to_build_it(lake: sanyu.Lake) -> None:
    with pytest.raises(sanyu.SanyuError, match="SY-A073"):
        lakeindex.open_engine(lake)


def test_the_lake_answers_after_the_build_and_an_unchanged_lake_builds_nothing(lake: sanyu.Lake) -> None:
    built = gazetteer.run(lake)
    assert (built.state, built.kinds["door"], built.kinds["estate"]) == ("built", 2, 1)
    engine = lakeindex.open_engine(lake)
    assert [engine.match(text).entity_id for text in ("解放路1号", "望海区鹤鸣巷", "Moon Noodles", "望海县解放路1号")] == [
        "a1",
        "road-r2",
        "p1",
        "a1",
    ]
    assert gazetteer.run(lake).state == "unchanged"


def test_a_change_in_one_district_makes_its_shard_only_and_keeps_added_aliases(lake: sanyu.Lake) -> None:
    gazetteer.run(lake)
    lakeindex.open_engine(lake).add_alias("老面馆", entity_id="p1")
    lakeindex.open_engine(lake).add_alias("鬼巷", entity_id="a4")
    before = lakeindex.current(lake.store)
    _replace(lake, [*TABLES[ADDRESS], _address("a5", EAST, 120.13, "解放路", "5号")])
    report = gazetteer.run(lake)
    after = lakeindex.current(lake.store)
    assert before and after and (report.state, report.shards_made) == ("updated", 1)
    assert {code for code in after.shards if after.shards[code] != before.shards[code]} == {"390102"}
    engine = lakeindex.open_engine(lake)
    assert [engine.match(text).entity_id for text in ("解放路5号", "老面馆", "鬼巷")] == ["a5", "p1", "a4"]


def test_a_whole_rebuild_keeps_added_aliases_but_those_of_what_is_gone(lake: sanyu.Lake) -> None:
    gazetteer.run(lake)
    lakeindex.open_engine(lake).add_alias("老面馆", entity_id="p1")
    lakeindex.open_engine(lake).add_alias("鬼巷", entity_id="a4")
    _replace(lake, TABLES[ADDRESS][:3])
    assert gazetteer.run(lake, force=True).state == "built"
    engine = lakeindex.open_engine(lake)
    assert (engine.match("老面馆").entity_id, engine.match("鬼巷").entity_id) == ("p1", None)
    assert len(lake.store.folders(lakeindex.ROOT)) == 2


def test_a_build_that_fails_leaves_the_index_in_use(lake: sanyu.Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    gazetteer.run(lake)

    def fails(self: sanyu.AddressEngine, path: Path) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr(sanyu.AddressEngine, "save", fails)
    with pytest.raises(OSError, match="no space"):
        gazetteer.run(lake, force=True)
    assert lakeindex.open_engine(lake).match("解放路1号").entity_id == "a1"
    assert len(list((Path(lake.url) / lakeindex.ROOT).iterdir())) == 2  # the index and the pointer


def test_a_lake_without_any_table_of_places_says_which_are_wanted(tmp_path: Path) -> None:
    with pytest.raises(sanyu.SanyuError, match="SY-A084"):
        gazetteer.run(sanyu.open(tmp_path))


@pytest.mark.parametrize("damage", [b"", b"{", b"null", b"[]"])
def test_a_damaged_pointer_is_told_and_the_next_build_starts_from_scratch(tmp_lake: Path, damage: bytes) -> None:
    store = LocalStore(tmp_lake)
    store.put(lakeindex.POINTER, damage)
    with pytest.raises(SanyuError, match=r"SY-L060: .*index/address/current.json is damaged: .*sanyu address build"):
        lakeindex.current(store)
    assert lakeindex.last(store) is None


def test_an_opened_lake_has_its_addresses_at_hand(tmp_lake: Path) -> None:
    tmp_lake.mkdir(exist_ok=True)
    opened = sanyu.open(tmp_lake)
    assert isinstance(opened, sanyu.Lake)
    with pytest.raises(SanyuError, match=f"SY-A073: the lake {tmp_lake} has no address index"):
        opened.addresses()
