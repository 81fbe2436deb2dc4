"""`sanyu runs` and `sanyu run --resume` as a person and a program meet them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import main
from sanyu.lake.runs import Runs
from sanyu.lake.store import LocalStore

PLACE = "core.basemap__place"


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    runs = Runs(LocalStore(tmp_path))
    runs.start("20261201T100000-aaaaaa", "tiny", ("landed", "loaded"), [("shops", PLACE), ("gone", PLACE)])
    with runs.attempt("20261201T100000-aaaaaa") as number:
        runs.reach(
            "20261201T100000-aaaaaa", "loaded", lambda i: i.source == "shops", number, version=3, figures={"rows_in": 7, "loaded": 7}
        )
        runs.fail("20261201T100000-aaaaaa", lambda i: i.source == "gone", "SY-L031: no file", number)
    return tmp_path


def said(capsys: pytest.CaptureFixture[str], lake: Path, *words: str) -> tuple[int, str, str]:
    """Return exit code, output and errors of a command."""
    code = 0
    try:
        main(["--lake", str(lake), *words])
    except SystemExit as end:
        code = int(end.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_runs_are_listed_for_programs(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, lake, "runs", "--json")
    (run,) = json.loads(out)
    assert (code, run["status"], [i["state"] for i in run["items"]]) == (0, "failed", ["loaded", "planned"])


def test_one_run_is_shown_with_its_figures_and_errors(lake: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = said(capsys, lake, "runs", "20261201T100000-aaaaaa", "--json")
    run = json.loads(out)
    assert (code, run["items"][0]["figures"]["loaded"], run["items"][1]["error"]) == (0, 7, "SY-L031: no file")


@pytest.mark.parametrize("words", [("runs", "20261201T100000-aaaaab"), ("run", "--resume", "20261201T100000-aaaaab")])
def test_an_unknown_run_is_an_error_with_the_nearest(lake: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    code, _, err = said(capsys, lake, *words)
    assert code == 2
    assert "the nearest is 20261201T100000-aaaaaa" in err


def test_a_lake_without_an_unfinished_run_has_nothing_to_go_on_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = said(capsys, tmp_path / "empty", "run", "--resume")
    assert code == 2
    assert "SY-J004" in err
    assert said(capsys, tmp_path / "empty", "runs", "--json")[:2] == (0, "[]\n")


@pytest.mark.parametrize("words", [("--resume", "a", "b"), ("--resume", "--all"), ("--resume", "--publish"), ()])
def test_words_that_contradict_each_other_are_refused(lake: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    code, _, err = said(capsys, lake, "--sources", str(lake), "run", *words)
    assert code == 2
    assert err
