"""`sanyu address` as it is typed: what it prints, in which language, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli import main
from sanyu.address import engine as engine_module

DOORS = "entity_id,kind,district,road,door,division_code,lon,lat\n" + "".join(
    f"D{n},door,望海区,解放东路,{n}号,390102001001,{120 + n / 1000:.3f},30.1\n" for n in (12, 14)
)


@pytest.fixture
def gazetteer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(engine_module, "national_divisions", lambda folder: None)
    monkeypatch.setenv("SANYU_LANG", "en")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "doors.csv").write_text(DOORS, "utf-8")
    return "doors.csv"


def _run(*words: str) -> int:
    """Return the exit code of a command line."""
    try:
        main(["address", *words])
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def test_a_match_explains_each_element(gazetteer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--gazetteer", gazetteer, "match", "望海区解放东路十二号") == 0
    said = capsys.readouterr().out
    assert "M matched" in said and "120.0120000 30.1000000" in said and "390102001001" in said
    assert [line.split()[0] for line in said.splitlines()[-3:]] == ["district", "road", "door"]


def test_json_is_one_document_and_an_unanswered_question_exits_with_4(gazetteer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--gazetteer", gazetteer, "match", "解放东路14号", "解放东路99号", "--json") == 4
    found = json.loads(capsys.readouterr().out)
    assert [(one["entity_id"], one["code"]) for one in found] == [("D14", None), (None, "SY-A018")]


def test_chinese_is_said_to_whom_it_is_spoken(gazetteer: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANYU_LANG", "zh")
    assert _run("--gazetteer", gazetteer, "match", "解放东路99号") == 4
    said = capsys.readouterr().out
    assert "未匹配" in said and "没有" in said and "unmatched" not in said


def test_parse_same_extract_and_reverse_answer(gazetteer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--gazetteer", gazetteer, "parse", "望海区解放东路12号", "--json") == 0
    assert [e["level"] for e in json.loads(capsys.readouterr().out)["elements"]] == ["district", "road", "door"]
    assert _run("--gazetteer", gazetteer, "same", "解放东路12号", "解放东路14号") == 0
    assert capsys.readouterr().out.startswith("different")
    assert _run("--gazetteer", gazetteer, "extract", "昨夜解放东路12号起火", "--json") == 0
    assert [(e["start"], e["end"]) for e in json.loads(capsys.readouterr().out)] == [(2, 9)]
    assert _run("--gazetteer", gazetteer, "reverse", "120.0121", "30.1", "--json") == 0
    assert json.loads(capsys.readouterr().out)["entity_id"] == "D12"
    assert _run("--gazetteer", gazetteer, "reverse", "--", "-122.4", "37.7") == 4
    assert "SY-A050" in capsys.readouterr().out


def test_an_index_that_was_built_of_a_file_keeps_its_aliases(gazetteer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("--gazetteer", gazetteer, "build", "--out", "saved") == 0
    assert _run("--index", "saved", "alias", "老城墙路", "--element", "解放东路", "--level", "road") == 0
    capsys.readouterr()
    assert _run("--index", "saved", "match", "老城墙路12号", "--json") == 0
    assert json.loads(capsys.readouterr().out)[0]["entity_id"] == "D12"
    assert _run("--index", "saved", "alias", "某", "--element", "没有的路") == 1
    assert "SY-A006" in capsys.readouterr().err


def test_a_batch_writes_its_files_and_a_map(gazetteer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in.csv").write_text("地址\n解放东路12号\n<script>alert(1)</script>\n", "utf-8")
    outs = ("--out", "a.csv", "--out", "a.geojson", "--out", "a.html")
    assert _run("--gazetteer", gazetteer, "batch", "in.csv", "--column", "地址", *outs, "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["rows"], report["statuses"], report["outputs"]) == (2, {"M": 1, "U": 1}, ["a.csv", "a.geojson", "a.html"])
    page = (tmp_path / "a.html").read_text("utf-8")
    assert "Matched addresses" in page and "<script>alert(1)" not in page


def test_a_former_name_counts_on_its_days_only(gazetteer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "aliases.csv").write_text("element,level,alias,kind,valid_to_on\n解放东路,road,老城墙路,former,1990-01-01\n", "utf-8")
    (tmp_path / "in.csv").write_text("地址\n老城墙路12号\n", "utf-8")
    head = ("--gazetteer", gazetteer, "--element-aliases", "aliases.csv")
    for at, entity in (("1980-01-01", "D12"), ("2020-01-01", None)):
        assert _run(*head, "match", "老城墙路12号", "--at", at, "--json") == (0 if entity else 4)
        assert json.loads(capsys.readouterr().out)[0]["entity_id"] == entity
        assert _run(*head, "batch", "in.csv", "--column", "地址", "--out", f"{at}.csv", "--at", at, "--json") == 0
        assert json.loads(capsys.readouterr().out)["statuses"] == ({"M": 1} if entity else {"U": 1})


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("batch", "in.csv", "--column", "住址", "--out", "a.csv"), "SY-A070"),
        (("batch", "in.csv", "--column", "地址", "--out", "a.doc"), "SY-A071"),
        (("batch", "absent.csv", "--column", "地址", "--out", "a.csv"), "absent.csv"),
        (("match", "x", "--near", "east"), "--near"),
        (("alias", "某"), "--entity"),
        (("serve", "--host", "0.0.0.0"), "SY-A079"),
        (("serve", "--key-env", "NO_SUCH_VARIABLE"), "SY-A080"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_message_and_exits_with_2(
    gazetteer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], told: str
) -> None:
    (tmp_path / "in.csv").write_text("地址\n解放东路12号\n", "utf-8")
    assert _run("--gazetteer", gazetteer, *words) == 2
    assert told in capsys.readouterr().err


def test_without_a_gazetteer_the_command_says_that_only_divisions_are_known(gazetteer: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert _run("match", "解放东路12号") == 4
    assert "only the national divisions" in capsys.readouterr().err
