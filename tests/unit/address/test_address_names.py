"""Names that are not known, torn out of longer ones, or dated; gazetteers without codes; engines shared by threads and processes."""

from __future__ import annotations

import csv
import datetime as dt
import multiprocessing
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest

import sanyu
from sanyu.address import engine as engine_module
from sanyu.address import national, store
from schemas.messages import SanyuError
from transforms.address.catalog import Alias

HEAD = {"province_name": "东海省", "city_name": "临海新城", "district_name": "望海区", "division_code": "390102001001", "lat": 30.1}
ROWS = [
    HEAD | {"entity_id": "R1", "kind": "road", "road_name": "白塔路", "lon": 120.10},
    HEAD | {"entity_id": "D5", "kind": "door", "road_name": "白塔路", "door_number": "5号", "lon": 120.11},
    HEAD | {"entity_id": "D7", "kind": "door", "road_name": "白塔路", "door_number": "7号", "lon": 120.12},
    HEAD | {"entity_id": "S3", "kind": "place", "road_name": "白塔路", "door_number": "7号", "name": "望海区第三小学", "lon": 120.13},
    HEAD | {"entity_id": "U1", "kind": "place", "name": "东海工商大学（白塔路校区）", "lon": 120.14},
    HEAD | {"entity_id": "C1", "kind": "place", "name": "Coffee (Riverside)", "lon": 120.15},
    HEAD | {"entity_id": "C2", "kind": "place", "name": "Starbucks", "lon": 120.16},
    HEAD | {"entity_id": "B1", "kind": "place", "name": "临海新城银行（白塔路二店）", "lon": 120.17},
    HEAD | {"entity_id": "X1", "kind": "place", "name": "白塔路清江路口", "lon": 120.18},
    HEAD | {"entity_id": "E1", "kind": "place", "name": "云源里", "road_name": "白塔路", "door_number": "9号", "lon": 120.19},
    HEAD | {"entity_id": "R2", "kind": "road", "road_name": "云源弄", "lon": 120.20},
]
NATIONAL = pa.table(
    {
        "division_code": ["330000000000", "330100000000", "330106000000", "330110000000"],
        "division_level": pa.array([1, 2, 3, 3], pa.int8()),
        "name": ["浙江省", "杭州市", "西湖区", "余杭区"],
    }
)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> sanyu.AddressEngine:
    monkeypatch.setattr(engine_module, "national_divisions", lambda folder: None)
    return sanyu.AddressEngine.build(pd.DataFrame(ROWS))


def test_an_unknown_name_at_a_known_door_gives_the_door_and_says_so(engine: sanyu.AddressEngine) -> None:
    match = engine.match("白塔路5号望海区第二十小学")
    assert (match.status, match.entity_id, match.precision) == ("M", "D5", "door")
    assert [(r.level, r.asked) for r in match.reasons if r.code == "SY-A017"] == [("place", "第20小学")]
    assert match.score < 95


def test_a_door_whose_school_bears_another_number_is_refused(engine: sanyu.AddressEngine) -> None:
    match = engine.match("白塔路7号望海区第二十小学")
    assert (match.status, match.code, match.lon) == ("U", "SY-A017", None)
    assert engine.match("白塔路7号望海区第三小学").entity_id == "S3"


@pytest.mark.parametrize("text", ["东海工商大学（清江校区）", "Starbucks Coffee", "东海工商学院"])
def test_a_part_of_a_longer_unknown_name_is_no_match(engine: sanyu.AddressEngine, text: str) -> None:
    assert engine.match(text).status == "U"


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        ("望海区临海新城临海新城银行（白塔路二店）", "B1"),
        ("白塔路清江路口", "X1"),
        ("白塔路9号云源里", "E1"),
        ("望海区东海工商大学", "U1"),
        ("望海区第三小学谢谢", "S3"),
    ],
)
def test_what_is_written_whole_is_found_whole(engine: sanyu.AddressEngine, text: str, entity: str) -> None:
    assert engine.match(text).entity_id == entity


def test_missing_codes_come_from_the_elements_and_what_stays_open_lies_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "national_divisions", lambda folder: NATIONAL)
    rows = [
        {
            "entity_id": "A",
            "address_text": "浙江省杭州市西湖区文三路5号",
            "road_name": "文三路",
            "door_number": "5号",
            "lon": 120.1,
            "lat": 30.3,
        },
        {"entity_id": "B", "district_name": "余杭区", "road_name": "文三路", "door_number": "5号", "lon": 120.0, "lat": 30.3},
        {"entity_id": "C", "name": "知味面馆", "lon": 120.2, "lat": 30.2},
    ]
    engine = sanyu.AddressEngine.build(pd.DataFrame(rows))
    match = engine.match("西湖区文三路5号")
    assert (match.entity_id, match.division_code) == ("A", "330106000000")
    assert engine.match("余杭区文三路5号").entity_id == "B"
    assert engine.match("杭州市西湖区知味面馆").entity_id == "C"


def test_a_dated_alias_holds_on_its_days(engine: sanyu.AddressEngine) -> None:
    engine.add_alias("红旗路", element="白塔路", level="road", valid_from=dt.date(1970, 1, 1), valid_to=dt.date(1990, 1, 1))
    found = {
        at: engine.match("望海区红旗路5号", at=at).entity_id for at in (None, dt.date(1980, 5, 1), dt.date(1990, 1, 1), dt.date(1969, 1, 1))
    }
    assert list(found.values()) == ["D5", "D5", None, None]
    assert engine.match_many(["红旗路5号", "白塔路5号"], at=dt.date(2000, 1, 1))[1].entity_id == "D5"
    engine.add_alias("红旗路", element="白塔路", level="road", valid_from=dt.date(1999, 1, 1))
    assert engine.match("望海区红旗路5号", at=dt.date(2000, 1, 1)).entity_id == "D5"


def test_threads_share_an_engine_while_aliases_come(engine: sanyu.AddressEngine) -> None:
    texts = ["白塔路5号", "望海区第三小学", "白塔路清江路口", "望海区白搭路7号望海区第三小学", "无此地"] * 20
    alone = engine.match_many(texts)
    with ThreadPoolExecutor(8) as pool:
        added = [pool.submit(engine.add_alias, f"别名{i}号楼", entity_id="D5") for i in range(20)]
        found = list(pool.map(engine.match, texts))
        for future in added:
            future.result()
    assert found == alone
    assert all(engine.match(f"别名{i}号楼").entity_id == "D5" for i in range(20))


def _append(folder: str, name: str) -> None:
    for i in range(200):
        store.append_alias(Path(folder), Alias(f"{name}{i}" + "长" * 3000, "D5"))


def test_processes_that_add_aliases_lose_none(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")  # the child writes a file and knows nothing else
    writers = [context.Process(target=_append, args=(str(tmp_path), name)) for name in "甲乙"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    names = [alias.alias.rstrip("长") for alias in store.read_aliases(tmp_path)]
    assert sorted(names) == sorted(f"{name}{i}" for name in "甲乙" for i in range(200))
    assert [n for n in names if n[0] == "甲"] == [f"甲{i}" for i in range(200)]


@pytest.fixture(scope="module")
def divisions() -> dict[str, str]:
    """Return name by code of the national divisions; skip where the set-up had no npm, except in CI."""
    table = national.national_divisions(national.division_folder())
    if table is None:
        if os.environ.get("CI") == "true":
            pytest.fail("the national divisions are not installed: python -m sanyu.address.national")
        pytest.skip("the national divisions are not installed: python -m sanyu.address.national")
    return dict(zip(table["division_code"].to_pylist(), table["name"].to_pylist(), strict=True))


def test_former_divisions_are_gone_and_their_successors_are_there(divisions: dict[str, str]) -> None:
    for former in national.former_names():
        assert all(code in divisions for code in former.successors), former
        assert all(divisions[code] != former.name for code in former.successors), former
        assert former.valid_from is None or former.valid_from < former.valid_to


def test_every_former_name_says_what_it_was_checked_against_and_years_alone_are_whole_years() -> None:
    with (Path(national.__file__).parent / "history.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kinds = {"areacodes", "notice", "xinhua", "press", "encyclopedia"}
    assert rows and all(row["source"].split("-")[0] in kinds for row in rows)
    by_year = [row[side] for row in rows if row["source"] == "areacodes" for side in ("valid_from", "valid_to") if row[side]]
    assert all(day.endswith("-01-01") for day in by_year)


def test_a_former_code_of_another_division_is_no_present_one(divisions: dict[str, str]) -> None:
    with (Path(national.__file__).parent / "history.csv").open(encoding="utf-8") as file:
        rows = [line.split(",") for line in file.read().splitlines()[1:]]
    present = {row[0]: divisions[row[0].ljust(12, "0")] for row in rows if row[0].ljust(12, "0") in divisions}
    assert all(code in row[3].split(";") for row in rows if (code := row[0]) in present), present


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        ("临海新城夏衍中学", "P1"),
        ("夏衍中学", "P1"),
        ("东海省展览馆", "P2"),
        ("东海展览馆", "P2"),
        ("第二中学", None),  # may be any city's
        ("第三中学", None),
        ("衍中学", None),
    ],
)
def test_a_place_is_known_without_its_city_and_with_its_province(text: str, entity: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "national_divisions", lambda folder: None)
    names = {"P1": "临海市夏衍中学", "P2": "东海展览馆", "P3": "临海市第二中学"}
    head = HEAD | {"city_name": "临海市"}
    rows = [head | {"entity_id": key, "kind": "place", "name": name, "lon": 120.1} for key, name in names.items()]
    found = sanyu.AddressEngine.build(pd.DataFrame(rows)).match(text.replace("临海新城", "临海市"))
    assert found.entity_id == entity


@pytest.mark.parametrize("text", ["望海区第三小学白塔校区", "第三小学(白塔校区)", "白塔路7号望海区第三小学白塔分校", "Starbucks白塔分店"])
def test_a_branch_that_is_not_known_is_not_the_house_itself(engine: sanyu.AddressEngine, text: str) -> None:
    assert engine.match(text).entity_id not in ("S3", "C2")


def test_a_line_that_a_crash_has_cut_off_is_dropped_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    store.append_alias(tmp_path, Alias("东大街", "D5"))
    with (tmp_path / "aliases.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"alias": "西大')
    assert [alias.alias for alias in store.read_aliases(tmp_path)] == ["东大街"]
    store.append_alias(tmp_path, Alias("南大街", "D5"))
    assert [alias.alias for alias in store.read_aliases(tmp_path)] == ["东大街", "南大街"]
    with (tmp_path / "aliases.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"alias": "西大\n')
    with pytest.raises(SanyuError, match=r"SY-A008: .*aliases.jsonl is damaged in line 3"):
        store.read_aliases(tmp_path)
