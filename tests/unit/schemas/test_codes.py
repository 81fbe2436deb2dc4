"""Code lists: dated, unique, and from somewhere."""

from datetime import date
from pathlib import Path

import pytest

from schemas import codes
from schemas.codes import code_list, code_lists
from schemas.fields import code_list_of, fields_of
from schemas.messages import SanyuError
from schemas.registry import contracts


@pytest.mark.parametrize("name", code_lists())
def test_codes_are_unique_have_their_parents_and_say_where_they_come_from(name: str) -> None:
    listed = code_list(name)
    assert len(listed) > 0
    assert len(set(listed.codes())) == len(listed)
    for entry in listed:
        assert entry.name
        assert entry.name_zh
        assert entry.note
        assert entry.parent is None or entry.parent in listed


def test_every_list_that_a_contract_names_exists_and_no_list_is_idle() -> None:
    named = {code_list_of(t, f.name) for t in contracts().values() for f in fields_of(t)} - {None}
    assert named <= set(code_lists())
    assert set(code_lists()) - named == {"theme"}
    assert {t.attribute.theme_code for t in contracts().values()} <= set(code_list("theme").codes())


def test_the_industry_list_has_all_sections_and_divisions_of_the_standard() -> None:
    industry = code_list("industry")
    assert [e.code for e in industry if e.parent is None] == list("ABCDEFGHIJKLMNOPQRST")
    assert [e.code for e in industry if e.parent] == [f"{n:02d}" for n in range(1, 98)]
    assert industry.entry("62").name_zh == "餐饮业"


def test_the_outline_has_thirteen_trades() -> None:
    assert code_list("place_trade").codes() == tuple(f"{n:02d}" for n in range(1, 14))


def test_a_code_is_only_good_while_it_is_valid() -> None:
    status = code_list("firm_status")
    assert "suspended" not in status.codes(at=date(2022, 2, 28))
    assert "suspended" in status.codes(at=date(2022, 3, 1))
    assert "suspended" in status.codes()


def test_an_unknown_list_is_told_with_the_nearest_name() -> None:
    with pytest.raises(SanyuError) as told:
        code_list("road_clas")
    assert told.value.code == "SY-K002"
    assert told.value.params["near"] == "road_class"


@pytest.mark.parametrize(
    ("line", "detail"),
    [("a,A,甲,,2020-13-01,,x", "month"), ("a,A,甲,,,,x,y", "more values than columns")],
)
def test_a_broken_list_is_told_with_file_and_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, detail: str) -> None:
    (tmp_path / "shade.csv").write_text(f"code,name,name_zh,parent,valid_from,valid_to,note\nb,B,乙,,,,x\n{line}\n", "utf-8")
    monkeypatch.setattr(codes, "FOLDER", tmp_path)
    with pytest.raises(SanyuError) as told:
        code_list("shade")
    assert told.value.code == "SY-K003"
    assert told.value.params["file"] == "shade.csv"
    assert told.value.params["row"] == 3
    assert detail in told.value.params["detail"]
