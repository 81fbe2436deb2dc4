"""Normal form of address text, typed numbers, and the division parser on a literal table."""

from __future__ import annotations

import datetime as dt

import pytest

from transforms.address.divisions import DivisionTable, FormerName, short_names
from transforms.address.numbers import canonical, number_code, numbers_in
from transforms.address.text import clean, is_mostly_latin, key_of, key_with_offsets

ROWS = [
    ("330000000000", 1, "浙江省"),
    ("320000000000", 1, "江苏省"),
    ("360000000000", 1, "江西省"),
    ("330100000000", 2, "杭州市"),
    ("320100000000", 2, "南京市"),
    ("360100000000", 2, "南昌市"),
    ("330102000000", 3, "上城区"),
    ("330106000000", 3, "西湖区"),
    ("330114000000", 3, "钱塘区"),
    ("360103000000", 3, "西湖区"),
    ("320106000000", 3, "鼓楼区"),
    ("330106012000", 4, "文新街道"),
]
FORMER = [FormerName("江干区", 3, ("330102000000", "330114000000"), None, dt.date(2021, 4, 9))]
TABLE = DivisionTable(ROWS, FORMER)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("浙江省 杭州市，餘杭區", "浙江省杭州市余杭区"),
        ("文三路１２号Ａ座", "文3路12号A座"),
        ("解放路一百一十二号三幢二单元五零一室", "解放路112号3幢2单元501室"),
        ("十二号之三3幢", "12号之3 3幢"),
        ("八一路八一号", "八一路81号"),
        ("收货地址：文三路5号😀 13812345678", "文3路5号"),
        ("", ""),
        ("😀😀", ""),
    ],
)
def test_one_form_for_width_script_numerals_and_noise(text: str, key: str) -> None:
    assert key_of(text).strip() == key


def test_numerals_in_names_compare_equal_in_both_scripts_of_digits() -> None:
    assert key_of("第二小学") == key_of("第2小学") != key_of("第三小学")
    assert key_of("三里屯") == key_of("3里屯")


@pytest.mark.parametrize("text", ["浙江省 杭州市", "一百零八号", "送到文三路十二号之三3幢", "a😀b<script>", "第二十三中学"])
def test_every_character_of_the_key_leads_back_to_the_text(text: str) -> None:
    key, starts, ends = key_with_offsets(text)
    assert key == key_of(text)
    assert len(key) == len(starts) == len(ends)
    assert all(0 <= a < b <= len(text) for a, b in zip(starts, ends, strict=True))
    assert starts == sorted(starts)


def test_cleaning_keeps_the_length() -> None:
    text = "（浙）杭州😀ｶﾅ\t<b>"
    assert len(clean(text)) == len(text)


def test_latin_text_is_told_from_chinese() -> None:
    assert is_mostly_latin("1 Dr Carlton B Goodlett Pl, San Francisco")
    assert not is_mostly_latin("A座501室")


@pytest.mark.parametrize(
    ("text", "levels"),
    [
        ("文3路12号3幢2单元501室", [("door", "12"), ("building", "3"), ("unit", "2"), ("room", "501")]),
        ("88弄12号", [("lane", "88"), ("door", "12")]),
        ("12号附3号", [("door", "12-3")]),
        ("A座5楼", [("building", "A"), ("floor", "5")]),
        ("2号大街12号", [("door", "12")]),
        ("51号门口", [("door", "51")]),
    ],
)
def test_numbers_are_typed_by_the_word_behind(text: str, levels: list[tuple[str, str]]) -> None:
    assert [(n.level, n.value) for n in numbers_in(text)] == levels


def test_numbers_are_equal_as_a_whole_only() -> None:
    assert canonical("012号") == "12"
    assert len({number_code(v) for v in ("12", "14", "12-1", "1-21", "甲-12", "A", "")}) == 7


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("浙江省杭州市西湖区文三路", "330106000000"),
        ("浙江杭州西湖区", "330106000000"),
        ("杭州市文新街道", "330106012000"),
        ("南昌西湖区", "360103000000"),
        ("鼓楼区", "320106000000"),
        ("西湖区", None),
        ("南京路12号", None),
        ("杭州西湖公园", "330100000000"),
    ],
)
def test_divisions_are_read_and_open_ones_stay_open(text: str, code: str | None) -> None:
    found = TABLE.settle(TABLE.find(key_of(text)))
    assert (None if found is None else TABLE.codes[found]) == code


def test_levels_that_contradict_are_told() -> None:
    reading = TABLE.read(key_of("浙江省南京市西湖区"))
    assert reading.conflict is not None
    assert TABLE.names[reading.conflict.division] == "南京市"


def test_a_former_name_leads_to_all_that_followed() -> None:
    reading = TABLE.read(key_of("杭州市江干区"))
    assert [TABLE.names[i] for i in reading.candidates] == ["上城区", "钱塘区"]


def test_short_names_drop_peoples_and_kind() -> None:
    assert short_names("恩施土家族苗族自治州", 2) == ["恩施州", "恩施"]
    assert short_names("新疆维吾尔自治区", 1) == ["新疆"]
    assert short_names("西湖区", 3) == ["西湖"]
    assert short_names("东区", 3) == []


@pytest.mark.parametrize(("day", "found"), [(dt.date(2020, 1, 1), True), (dt.date(2021, 4, 9), False), (None, True)])
def test_a_former_name_of_a_division_is_read_on_its_days(day: dt.date | None, found: bool) -> None:
    table = TABLE if day is None else TABLE.at(day)
    assert bool(table.read("江干区").candidates) is found
    assert TABLE.read("江干区").candidates  # the table of all times is as it was
