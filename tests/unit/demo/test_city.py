"""The generated city: plausible, exact, and the same bytes from the same seed."""

from __future__ import annotations

import csv
import hashlib
import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import shapely

from demo.city import Truth, divisions, edits, generate, naming, plan, society, world
from schemas.city import load_city, read_sources
from schemas.messages import SanyuError
from schemas.registry import contracts
from transforms.space import coords

SOURCES = Path(__file__).parents[3] / "sources" / "demo"


@pytest.fixture(scope="module")
def city() -> world.World:
    return world.create(7, "small")


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return generate(tmp_path_factory.mktemp("city"), seed=7)


@pytest.fixture(scope="module")
def second(tmp_path_factory: pytest.TempPathFactory) -> Truth:
    return generate(tmp_path_factory.mktemp("city2"), seed=7, edition=2)


def _digests(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_one_seed_gives_the_same_bytes(first: Truth, tmp_path: Path) -> None:
    again = generate(tmp_path, seed=7)
    expected = _digests(first.data.parent)
    assert len(expected) > 30
    assert _digests(again.data.parent) == expected


def test_another_seed_gives_another_city(city: world.World) -> None:
    assert world.create(8, "small").roads["name"].tolist() != city.roads["name"].tolist()


def test_divisions_of_each_level_tile_the_city_exactly(city: world.World) -> None:
    frame = city.divisions.frame
    for level, least in (("district", 3), ("township", 12), ("community", 50)):
        parts = frame.loc[frame["level"] == level, "geom"].to_numpy()
        assert len(parts) >= least
        assert (shapely.get_type_id(parts) == shapely.GeometryType.POLYGON).all()
        assert shapely.coverage_is_valid(parts)
        assert shapely.equals(shapely.coverage_union_all(parts), city.outline)


def test_division_codes_name_their_parents(city: world.World) -> None:
    frame = city.divisions.frame
    shape = dict(zip(frame["code"], frame["geom"], strict=True))
    assert frame["code"].is_unique and frame["code"].str.fullmatch(r"39\d{10}").all()
    children = frame[frame["parent"].notna()]
    assert set(children["parent"]) <= set(frame["code"])
    inside = shapely.covers([shape[p].buffer(0.01) for p in children["parent"]], children["geom"].to_numpy())
    assert inside.all()


def test_names_of_divisions_have_pinyin(city: world.World) -> None:
    frame = city.divisions.frame
    assert frame["name"].is_unique
    assert [naming.pinyin(n) for n in frame["name"]] == frame["pinyin"].tolist()


def test_larger_city_does_not_run_out_of_names() -> None:
    frame = divisions.divide(plan.draw(7, "medium")).frame
    assert (frame["level"] == "community").sum() > 400
    assert frame["name"].is_unique and frame["code"].is_unique


def test_buildings_neither_overlap_nor_stand_in_water(city: world.World) -> None:
    geoms = city.buildings["geom"].to_numpy()
    tree = shapely.STRtree(geoms)
    a, b = tree.query(geoms, predicate="intersects")
    assert len(geoms) > 15_000
    assert shapely.is_valid(geoms).all()
    assert (a == b).all()
    assert len(tree.query(shapely.union_all(city.nature.water["geom"].to_numpy()), predicate="intersects")) == 0


def test_segments_meet_at_junctions_only(city: world.World) -> None:
    geoms = city.roads["geom"].to_numpy()
    a, b = shapely.STRtree(geoms).query(geoms, predicate="crosses")
    assert len(a) == len(b) == 0


def test_door_numbers_are_odd_on_one_side_and_even_on_the_other(city: world.World) -> None:
    doors = city.addresses.assign(n=city.addresses["door"].str.removesuffix("号").astype(int))
    assert city.addresses["text"].is_unique
    sides = doors.groupby("road")["n"].agg(lambda n: set(n % 2))
    assert (sides.map(len) == 2).sum() > 30


def test_check_character_of_a_published_credit_code() -> None:
    # the example of GB 32100-2015, annex
    assert society.check_character("91350100M000100Y4") == "3"


def test_credit_codes_hold_the_check_of_the_contract(city: world.World) -> None:
    codes = city.firms["key"]
    assert codes.is_unique and len(codes) > 1000
    assert all(society.check_character(c[:17]) == c[17] for c in codes)
    assert codes.str.fullmatch("[0-9A-HJ-NPQRTUWXY]{2}[0-9]{6}[0-9A-HJ-NPQRTUWXY]{10}").all()


def test_places_come_back_from_bd09_to_where_they_are(first: Truth) -> None:
    told = first.tables["coordinates"].set_index("key")
    bad = set(first.tables["rejects"]["key"])
    with (first.data / "place/poi_bd09.csv").open(encoding="utf-8-sig", newline="") as stream:
        rows = [r for r in csv.DictReader(stream) if r["编号"] not in bad]
    lon, lat = coords.transform([float(r["bd_lng"]) for r in rows], [float(r["bd_lat"]) for r in rows], "BD-09", "EPSG:4490")
    expected = told.loc[[r["编号"] for r in rows]]
    assert len(rows) > 2000
    assert np.hypot(lon - expected["lon"], lat - expected["lat"]).max() * 111_320 < 1e-3


def test_truth_counts_every_row(first: Truth) -> None:
    counts = first.tables["counts"]
    assert (counts["loaded"] + counts["rejected"] + counts["duplicates"] == counts["rows_in"]).all()
    assert counts["rejected"].sum() == len(first.tables["rejects"])
    share = counts["rejected"].sum() / counts.loc[~counts["source"].str.contains("transit"), "rows_in"].sum()
    assert 0.01 < share < 0.03


def test_row_numbers_point_at_the_bad_rows(first: Truth) -> None:
    told = first.tables["rejects"]
    tile = json.loads((first.data / "building/tile_nw.geojson").read_text("utf-8"))["features"]
    mine = told[told["file"] == "building/tile_nw.geojson"]
    assert len(mine) > 20
    assert [tile[n - 1]["properties"]["编号"] for n in mine["row_number"]] == mine["key"].tolist()
    lines = (first.data / "permit/xuke.csv").read_text("utf-8-sig").splitlines()
    ragged = told[(told["source"] == "demo_permit") & (told["reason"] == "ragged_line")]
    assert len(ragged) >= 1
    assert all(lines[n - 1].endswith(",补录") for n in ragged["row_number"])


def test_shapefile_says_nothing_of_its_encoding(first: Truth) -> None:
    assert not (first.data / "road/sheet_01.cpg").exists()
    dbf = (first.data / "road/sheet_01.dbf").read_bytes()
    assert dbf[29] == 0 and "路".encode("gbk") in dbf


def test_sheets_differ_at_their_border(first: Truth) -> None:
    edges = first.tables["edges"]
    sheets = [gpd.read_file(first.data / f"road/sheet_0{n}.shp", encoding="gbk").set_index("BH").geometry for n in (1, 2)]
    gaps = [shapely.distance(sheets[0][a].boundary, sheets[1][b].boundary) for a, b in zip(edges["key_1"], edges["key_2"], strict=True)]
    assert len(gaps) > 20
    assert min(gaps) > 0.1 and max(gaps) < 1.0


def test_identities_cover_each_building_of_both_editions_once(city: world.World) -> None:
    one, two, identities = edits.editions(city)
    rows = identities[identities["table"] == "building"]
    assert set(rows["uid_1"].dropna()) == set(one.buildings["uid"])
    assert set(rows["uid_2"].dropna()) == set(two.buildings["uid"])
    assert rows.loc[rows["kind"] == "same", "uid_1"].is_unique
    assert set(rows["kind"]) == {"same", "new", "ended", "split", "merge"}


def test_moved_buildings_still_overlap_themselves(city: world.World) -> None:
    one, two, identities = edits.editions(city)
    moved = identities[(identities["table"] == "building") & (identities["edit"] == "moved")]["uid_1"].tolist()
    before = one.buildings.set_index("uid").loc[moved, "geom"].to_numpy()
    after = two.buildings.set_index("uid").loc[moved, "geom"].to_numpy()
    iou = shapely.area(shapely.intersection(before, after)) / shapely.area(shapely.union(before, after))
    assert iou.min() > 0.7 and (iou < 1).mean() > 0.95


def test_second_edition_overlaps_nothing_either(city: world.World) -> None:
    geoms = edits.editions(city)[1].buildings["geom"].to_numpy()
    a, b = shapely.STRtree(geoms).query(geoms, predicate="overlaps")
    assert len(a) == len(b) == 0


def test_truth_names_keys_of_both_editions(second: Truth) -> None:
    rows = second.tables["identities"]
    numbered = rows[rows["edit"] == "renumbered"]
    named = numbered[numbered["key_1"].notna()]
    assert len(named) > 20
    assert (named["key_1"] != named["key_2"]).all()
    assert rows.loc[rows["kind"] == "new", "key_1"].isna().all()


def test_sources_fill_known_columns_of_their_contracts(first: Truth) -> None:
    known = contracts()
    sources = read_sources(SOURCES, known).usable
    assert set(sources) == set(first.tables["counts"]["source"])
    for source in sources.values():
        for into in source.into:
            columns = {c.name for c in known[into.contract].columns}
            assert set(into.columns) <= columns, source.name
            assert set(known[into.contract].required) <= set(into.columns), source.name
        assert [p for glob in source.read.paths for p in first.data.glob(glob)], source.name


@pytest.mark.parametrize("scale", ["small", "medium"])
def test_city_lies_within_its_extent(scale: str) -> None:
    west, south, east, north = load_city(SOURCES).extent
    points = plan.draw(7, scale).points.reshape(-1, 2)
    lon, lat = coords.transform(points[:, 0], points[:, 1], plan.METRIC_CRS, "EPSG:4490")
    assert west < lon.min() and lon.max() < east
    assert south < lat.min() and lat.max() < north


@pytest.mark.parametrize(("options", "code"), [({"scale": "huge"}, "SY-M001"), ({"edition": 3}, "SY-M002")])
def test_unknown_scale_or_edition_is_refused(options: dict[str, object], code: str, tmp_path: Path) -> None:
    with pytest.raises(SanyuError) as caught:
        generate(tmp_path, **options)  # type: ignore[arg-type]
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("path", "key"),
    [("water/shuixi.fgb", "bh"), ("green/lvdi.gpkg", "编号"), ("boundary/kongzhixian.gml", "bh"), ("division/xzqh.gpkg", "区划代码")],
)
def test_rows_stand_in_the_order_of_the_truth(first: Truth, path: str, key: str) -> None:
    told = first.tables["rejects"]
    keys = pyogrio.read_dataframe(first.data / path, read_geometry=False, **({"WRITE_GFS": "NO"} if path.endswith("gml") else {}))[key]
    mine = told[told["file"] == path]
    assert len(mine) >= 1
    assert [keys[n - 1] for n in mine["row_number"]] == mine["key"].tolist()


def test_what_did_not_change_is_delivered_byte_for_byte_again(first: Truth, second: Truth) -> None:
    one, two = _digests(first.data), _digests(second.data)
    assert set(one) - set(two) == {"building/tile_all.geojson", "building/tile_overview.geojson"}
    changed = {path.split("/")[0] for path in two if one[path] != two[path]}
    assert changed == {"division", "road", "building", "place", "firm", "population", "economy"}
