"""The engine on a gazetteer of a dozen rows: what must match, and what must never."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import sanyu
from sanyu import SanyuError
from sanyu.address import engine as engine_module
from sanyu.address import national
from transforms.address.model import Match

HEAD = {
    "province_name": "东海省",
    "city_name": "临海新城",
    "district_name": "望海区",
    "township_name": "青园街道",
    "community_name": "龙溪社区",
}
OTHER = HEAD | {"district_name": "云山区", "township_name": "秋沙街道", "community_name": "柳亭社区"}


def _row(entity: str, kind: str, head: dict[str, str], code: str, lon: float, **elements: str) -> dict[str, Any]:
    row = {"entity_id": entity, "kind": kind, "division_code": code, "lon": lon, "lat": 30.1} | head | elements
    order = [*HEAD, "road_name", "door_number", "name", "building_number", "unit_number", "room_number"]
    return row | {"address_text": "".join(str(row[c]) for c in order if row.get(c))}


HERE, THERE = "390102001001", "390105002003"
ROWS = [
    _row("R1", "road", HEAD, HERE, 120.10, road_name="解放东路"),
    _row("R2", "road", HEAD, HERE, 120.11, road_name="解放西路"),
    _row("D12", "door", HEAD, HERE, 120.12, road_name="解放东路", door_number="12号"),
    _row("D14", "door", HEAD, HERE, 120.13, road_name="解放东路", door_number="14号"),
    _row("D8", "door", HEAD, HERE, 120.14, road_name="春湖路", door_number="8号"),
    _row("S2", "place", HEAD, HERE, 120.15, road_name="春湖路", door_number="10号", name="望海区第二小学"),
    _row("E1", "estate", HEAD, HERE, 120.16, road_name="春湖路", door_number="20号", name="骆家庄花园"),
    _row("B3", "building", HEAD, HERE, 120.17, road_name="春湖路", door_number="20号", name="骆家庄花园", building_number="3幢"),
    _row("T1", "door", HEAD, HERE, 120.18, road_name="鹤鸣巷", door_number="1号"),
    _row("T2", "door", OTHER, THERE, 120.19, road_name="鹤鸣巷", door_number="1号"),
    _row("F1", "place", OTHER, THERE, 120.20, road_name="鹤鸣巷", door_number="3号", name="明月面馆"),
]


@pytest.fixture(autouse=True)
def _no_national(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "national_divisions", lambda folder: None)


@pytest.fixture
def engine() -> sanyu.AddressEngine:
    return sanyu.AddressEngine.build(pd.DataFrame(ROWS))


def _id(match: Match) -> str | None:
    return match.entity_id if match.status == "M" else None


@pytest.mark.parametrize(
    ("text", "entity"),
    [
        ("东海省临海新城望海区青园街道龙溪社区解放东路12号", "D12"),
        ("解放东路12号", "D12"),
        ("望海区解放东路十二号", "D12"),
        ("望海區解放東路１２號", "D12"),
        ("望海区解放冬路12号", "D12"),
        ("望海区解放放东路12号", "D12"),
        ("望海区解东放路12号", "D12"),
        ("望海区解放东路12#", "D12"),
        ("解放东路12号，望海区", "D12"),
        ("春糊路8号", "D8"),
        ("骆家庄花园3栋", "B3"),
        ("骆家庄花圆3号楼", "B3"),
        ("龙溪社区骆庄花园", "E1"),
        ("望海第2小学", "S2"),
        ("云山区鹤鸣巷1号", "T2"),
    ],
)
def test_a_written_otherwise_address_is_found(engine: sanyu.AddressEngine, text: str, entity: str) -> None:
    assert _id(engine.match(text)) == entity


@pytest.mark.parametrize(
    "text", ["望海区第三小学", "解放东路13号", "解放北路12号", "春溪路8号", "骆家庄花园5幢", "解放西路12号", "望海区第十二小学"]
)
def test_a_neighbour_is_never_taken(engine: sanyu.AddressEngine, text: str) -> None:
    match = engine.match(text)
    assert match.status != "M" or match.precision == "road"
    assert match.entity_id not in {"D12", "D14", "D8", "S2", "B3"}


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "SY-A010"),
        ("　 ", "SY-A010"),
        ("今天天气真不错", "SY-A012"),
        ("SELECT * FROM t; DROP TABLE x--", "SY-A012"),
        ("<script>alert(1)</script>", "SY-A012"),
        ("😀😀", "SY-A012"),
        ("望" * 10_000, "SY-A011"),
        ("望海区秋沙街道柳亭社区鹤鸣巷1号", "SY-A013"),
        ("临海新城墨砚区滨河路3号", "SY-A014"),
        ("望海区滨河路3号", "SY-A017"),
        ("解放东路99号", "SY-A018"),
        ("鹤鸣巷1号", "SY-A016"),
    ],
)
def test_bad_input_has_a_code_a_message_and_no_place(engine: sanyu.AddressEngine, text: str, code: str) -> None:
    match = engine.match(text)
    assert match.code == code
    assert match.message and match.message_zh
    assert (match.lon, match.lat, match.geom, match.grid_code, match.entity_id) == (None,) * 5
    assert all(candidate.lon is None for candidate in match.candidates)


def test_context_and_nearness_decide_between_equals(engine: sanyu.AddressEngine) -> None:
    assert _id(engine.match("鹤鸣巷1号", context="云山区")) == "T2"
    assert _id(engine.match("鹤鸣巷1号", near=(120.181, 30.1))) == "T1"


def test_the_answer_is_filled_and_reasoned(engine: sanyu.AddressEngine) -> None:
    match = engine.match("解放冬路12号")
    assert match.standard == "东海省临海新城望海区青园街道龙溪社区解放东路12号"
    assert (match.division_code, match.precision, match.lon) == (HERE, "door", 120.12)
    assert match.grid_code is not None
    codes = {reason.level: reason.code for reason in match.reasons}
    assert codes == {
        "province": "filled",
        "city": "filled",
        "district": "filled",
        "township": "filled",
        "community": "filled",
        "road": "mended",
        "door": "same",
    }


@pytest.mark.parametrize(
    ("text", "standard"),
    [
        ("解放东路12号北侧100米", "东海省临海新城望海区青园街道龙溪社区解放东路12号北侧100米"),
        ("100 m east of 解放东路12号", "东海省临海新城望海区青园街道龙溪社区解放东路12号东侧100米"),
    ],
)
def test_an_offset_is_never_told_as_the_place_itself(engine: sanyu.AddressEngine, text: str, standard: str) -> None:
    found = engine.match(text)
    assert (found.standard, found.precision, found.entity_id) == (standard, "offset", None)
    assert (found.reasons[-1].code, found.reasons[-1].found) == ("offset", engine.match("解放东路12号").standard)


def test_without_a_distance_an_offset_tells_its_side_at_the_point_of_its_anchor(engine: sanyu.AddressEngine) -> None:
    found = engine.match("解放东路12号西侧")
    assert (found.standard or "").endswith("解放东路12号西侧") and (found.precision, found.lon) == ("area", 120.12)


def test_fields_match_as_one_string_does(engine: sanyu.AddressEngine) -> None:
    assert _id(engine.match({"district_name": "望海区", "road": "解放东路", "door_number": 12})) == "D12"


def test_every_row_of_a_batch_comes_back_in_order(engine: sanyu.AddressEngine) -> None:
    texts = ["解放东路14号", None, "x" * 10_000, "解放东路12号", "解放东路14号", "🏠"]
    assert [_id(m) for m in engine.match_many(texts)] == ["D14", None, None, "D12", "D14", None]


def test_an_alias_holds_from_the_next_call_on_and_after_a_reload(engine: sanyu.AddressEngine, tmp_path: Path) -> None:
    engine.save(tmp_path)
    assert _id(engine.match("云山区片儿川")) is None
    engine.add_alias("片儿川", element="明月面馆", level="place", kind="dish")
    engine.add_alias("红旗路", element="解放东路", level="road", kind="former")
    engine.add_alias("二小", entity_id="S2")
    for known in (engine, sanyu.AddressEngine.load(tmp_path), pickle.loads(pickle.dumps(engine))):
        assert _id(known.match("云山区片儿川")) == "F1"
        assert _id(known.match("望海区红旗路12号")) == "D12"
        assert _id(known.match("二小")) == "S2"
    with pytest.raises(SanyuError, match="SY-A006"):
        engine.add_alias("无", element="没有这条路")


def test_a_saved_engine_starts_without_pandas(engine: sanyu.AddressEngine, tmp_path: Path) -> None:
    engine.add_alias("老市场", entity_id="D12")
    engine.save(tmp_path)
    asked = "import sys, sanyu; print(sanyu.AddressEngine.load(sys.argv[1]).match('老市场').entity_id, 'pandas' in sys.modules)"
    told = subprocess.run([sys.executable, "-c", asked, str(tmp_path)], capture_output=True, text=True, check=True)
    assert told.stdout.split() == ["D12", "False"]


def test_the_rebuild_of_a_district_touches_its_shard_alone(engine: sanyu.AddressEngine, tmp_path: Path) -> None:
    engine.save(tmp_path)
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "shards" / "390102").iterdir()}
    fresh = [*ROWS, _row("D5", "door", OTHER, THERE, 120.3, road_name="鹤鸣巷", door_number="5号")]
    assert _id(engine.rebuild("390105", pd.DataFrame(fresh)).match("鹤鸣巷5号")) == "D5"
    assert _id(sanyu.AddressEngine.load(tmp_path).match("鹤鸣巷5号")) == "D5"
    assert {p: p.stat().st_mtime_ns for p in (tmp_path / "shards" / "390102").iterdir()} == before


def test_division_codes_come_without_the_gazetteer_rows(engine: sanyu.AddressEngine) -> None:
    assert engine.division_codes(["东海省临海新城望海区解放东路", "云山区秋沙街道", "无此地"]) == ["390102000000", "390105002000", None]


def test_parsing_gives_elements_at_their_offsets(engine: sanyu.AddressEngine) -> None:
    text = "送到：望海区 解放東路十二號"
    elements = engine.parse(text).elements
    assert [(e.level, e.text) for e in elements] == [("district", "望海区"), ("road", "解放東路"), ("door", "十二號")]
    assert all(text[e.start : e.end] == e.text for e in elements)


def test_addresses_are_extracted_from_running_text(engine: sanyu.AddressEngine) -> None:
    text = "昨日14时，望海区解放东路12号发生追尾；骆家庄花园3幢居民报警。"
    assert [(x.text, _id(x.match)) for x in engine.extract(text)] == [("望海区解放东路12号", "D12"), ("骆家庄花园3幢", "B3")]
    assert engine.extract("今天天气真不错。" * 500) == []


@pytest.mark.parametrize(
    ("first", "second", "relation"),
    [
        ("解放东路12号", "望海区解放冬路十二号", "same"),
        ("解放东路12号", "解放东路14号", "different"),
        ("骆家庄花园3幢", "骆家庄花园", "partial"),
        ("解放东路12号", "解放西路12号", "different"),
    ],
)
def test_two_texts_are_the_same_part_or_different(engine: sanyu.AddressEngine, first: str, second: str, relation: str) -> None:
    assert engine.same(first, second).relation == relation


def test_a_folder_that_is_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SanyuError, match="SY-A005"):
        sanyu.AddressEngine.load(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps({"version": 0}))
    with pytest.raises(SanyuError, match="SY-A005"):
        sanyu.AddressEngine.load(tmp_path)


def test_a_gazetteer_without_coordinates_is_refused() -> None:
    with pytest.raises(SanyuError, match="SY-A004"):
        sanyu.AddressEngine.build(pd.DataFrame({"road_name": ["解放路"]}))


def test_setup_without_npm_names_the_remedy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(national.shutil, "which", lambda name: None)
    with pytest.raises(SanyuError, match="apt-get install npm"):
        national.install_divisions(tmp_path)


def test_former_names_are_dated_and_lead_to_codes() -> None:
    former = {entry.name: entry for entry in national.former_names()}
    assert former["江干区"].successors[0] == "330102000000"
    assert str(former["下城区"].valid_to) == "2021-04-09"
    assert {"余杭县", "富阳市", "萧山市", "临安市"} <= former.keys()


@pytest.mark.parametrize(
    ("text", "entity", "also"),
    [
        ("解放东路12、14号", "D12", {"14号": True}),
        ("解放东路12号,14号", "D12", {"14号": True}),
        ("望海区解放东路９０、14号", "D14", {"９０号": False}),
        ("解放东路12、14、90号2楼", "D12", {"14号": True, "90号": False}),
        ("解放东路12-14号", "D12", {"14号": True}),
        ("解放东路14至90号", "D14", {"90号": False}),
        ("春湖路20号骆家庄花园3、4幢", "B3", {"4幢": False}),
    ],
)
def test_of_listed_numbers_one_is_the_answer_and_the_others_are_told(
    engine: sanyu.AddressEngine, text: str, entity: str, also: dict[str, bool]
) -> None:
    found = engine.match(text)
    assert (found.status, found.entity_id, found.query) == ("M", entity, text)
    assert {r.asked: r.found is not None for r in found.reasons if r.code == "also"} == also
    assert all(r.level == ("building" if "幢" in text else "door") for r in found.reasons if r.code == "also")


@pytest.mark.parametrize("text", ["春湖路20号、3幢", "春湖路20号，骆家庄花园3幢", "春湖路20号3幢"])
def test_numbers_of_different_levels_are_no_list(engine: sanyu.AddressEngine, text: str) -> None:
    found = engine.match(text)
    assert (found.status, found.entity_id) == ("M", "B3")
    assert "also" not in {r.code for r in found.reasons}


@pytest.mark.parametrize("text", ["解放东路90-94号", "解放东路90、94号", "解放东路12-300号", "解放东路14-12号"])
def test_numbers_that_are_not_there_are_no_others(engine: sanyu.AddressEngine, text: str) -> None:
    found = engine.match(text)
    assert (found.status, found.lon, found.code) == ("U", None, "SY-A018")
