"""Where an address ends in running text: what stands behind its number tells where at the door something is, and is not part of it."""

from __future__ import annotations

import pyarrow as pa
import pytest

import sanyu
from sanyu.address import engine as engine_module

NAMES = ("entity_id", "kind", "district", "road", "door", "place", "building", "division_code", "lon", "lat")
ROWS = [
    *(("D" + n, "door", "拱墅区", "秋江北路", f"{n}号", None, None, "330105001001", 120.1, 30.3) for n in ("8", "28", "28-1")),
    ("P1", "place", "拱墅区", "解放东路", "12号", "骆家庄花园", None, "330105001001", 120.2, 30.3),
    ("B3", "building", "拱墅区", "解放东路", "12号", "骆家庄花园", "3幢", "330105001001", 120.2, 30.3),
]


@pytest.fixture(scope="module")
def engine() -> sanyu.AddressEngine:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine_module, "national_divisions", lambda folder: None)
        return sanyu.AddressEngine.build(pa.table({name: [row[i] for row in ROWS] for i, name in enumerate(NAMES)}))


@pytest.mark.parametrize(
    ("address", "behind", "entity"),
    [
        *(("秋江北路28号", behind, "D28") for behind in ("门前", "门口", "门面", "门店", "大门外", "附近", "旁", "旁边", "对面")),
        *(("秋江北路28号", behind, "D28") for behind in ("楼下", "楼前", "路口", "底商", "前", "起火", "公寓")),
        *(("秋江北路28", behind, "D28") for behind in ("附近", "门前", "对面")),
        *(("骆家庄花园3幢", behind, "B3") for behind in ("楼下", "门口", "前", "旁")),
        *(("骆家庄花园3号楼", behind, "B3") for behind in ("下", "前", "门口")),
        ("秋江北路28-1号", "门前", "D28-1"),
        ("秋江北路二十八号", "门前", "D28"),
        ("秋江北路２８号", "門前", "D28"),
        ("秋江北路28号院", "内", "D28"),
        ("秋江北路28号一楼", "大厅", "D28"),
    ],
)  # fmt: skip
def test_what_stands_behind_the_number_is_left_out(engine: sanyu.AddressEngine, address: str, behind: str, entity: str) -> None:
    (found,) = engine.extract(f"昨夜{address}{behind}积水严重。")
    assert (found.text, found.start, found.match.entity_id) == (address, 2, entity)


@pytest.mark.parametrize("text", ["秋江北路28路公交车改道", "秋江北路28号线开工", "秋江北路28人受伤"])
def test_a_number_of_something_else_is_no_door(engine: sanyu.AddressEngine, text: str) -> None:
    (found,) = engine.extract(text)
    assert found.text == "秋江北路"


@pytest.mark.parametrize("behind", ["门前", "门口", "楼下", "路口", "附近", "对面", "门面房"])
def test_the_same_words_do_not_hinder_a_match(engine: sanyu.AddressEngine, behind: str) -> None:
    found = engine.match(f"秋江北路28号{behind}")
    assert (str(found.status), found.entity_id, found.precision) == ("M", "D28", "door")


@pytest.mark.parametrize(
    ("listed", "asked"),
    [
        ("秋江北路8、28号", {"秋江北路8": "D8", "28号": "D28"}),
        ("秋江北路8号、28号", {"秋江北路8号": "D8", "28号": "D28"}),
        ("秋江北路八和二十八号", {"秋江北路八": "D8", "二十八号": "D28"}),
        ("秋江北路八、二十八号", {"秋江北路八": "D8", "二十八号": "D28"}),
        ("秋江北路８、２８、28-1号", {"秋江北路８": "D8", "２８": "D28", "28-1号": "D28-1"}),
        ("骆家庄花园3幢、秋江北路28号", {"骆家庄花园3幢": "B3", "秋江北路28号": "D28"}),
    ],
)
def test_listed_numbers_are_places_of_their_own(engine: sanyu.AddressEngine, listed: str, asked: dict[str, str]) -> None:
    text = f"昨夜{listed}停电。"
    found = engine.extract(text)
    assert {one.text: one.match.entity_id for one in found} == asked
    assert all(text[one.start : one.end] == one.text for one in found)


@pytest.mark.parametrize("text", ["秋江北路28号、10号线停运", "秋江北路28号、12人受伤", "秋江北路28号、３幢起火"])
def test_a_number_of_another_kind_is_not_listed(engine: sanyu.AddressEngine, text: str) -> None:
    assert len(engine.extract(text)) == 1
