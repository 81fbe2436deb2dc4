"""Runs as records: what was noted stays, whoever writes at the same time; what is left is told; a dead process is no holder."""

from __future__ import annotations

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from jobs.runs import _is_to_publish
from sanyu.lake import runs as module
from sanyu.lake.runs import Attempt, Gate, Holder, Item, Run, Runs, run_name
from sanyu.lake.store import LocalStore
from sanyu.processes import this_process
from schemas.messages import SanyuError

PLACE, ROAD = "core.basemap__place", "core.basemap__road_segment"
GOAL: Any = ("landed", "loaded", "gated", "published")


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(LocalStore(tmp_path / "lake"))


def shops(item: Item) -> bool:
    return item.source == "shops"


def parks(item: Item) -> bool:
    return item.source == "parks"


def begun(runs: Runs, run_id: str = "r1") -> Run:
    return runs.start(run_id, "tiny", GOAL, [("shops", PLACE), ("parks", PLACE)])


def test_a_run_tells_what_is_left_of_it(runs: Runs) -> None:
    begun(runs)
    with runs.attempt("r1") as number:
        runs.reach("r1", "landed", shops, number, batch_id="b1")
        runs.reach("r1", "loaded", shops, number, version=3, figures={"loaded": 7})
        runs.fail("r1", parks, "no file", number)
    run = runs.read("r1")
    assert [i.source for i in run.left("loaded")] == ["parks"]
    assert [(i.state, i.version, i.figures, i.error, i.attempt) for i in run.items] == [
        ("loaded", 3, {"loaded": 7}, None, 1),
        ("planned", None, {}, "no file", 1),
    ]
    assert (run.status, run.is_done) == ("failed", False)
    assert runs.unfinished().run_id == "r1"


def test_a_run_that_waits_for_its_announcement_is_not_gone_on_with(runs: Runs) -> None:
    runs.start("r1", "tiny", ("loaded", "announced"), [("shops", PLACE)])
    assert runs.unfinished().run_id == "r1"
    runs.reach("r1", "loaded", shops, 1, version=3)
    assert runs.read("r1").status == "open"
    with pytest.raises(SanyuError, match="SY-J004"):
        runs.unfinished()


def test_a_retry_erases_neither_reports_nor_states_of_the_attempt_before(runs: Runs) -> None:
    begun(runs)
    for _ in range(2):
        begun(runs)  # as a retried task does
        with runs.attempt("r1") as number:
            runs.report("r1", number, {"source": "shops", "attempt": number})
            if number == 1:
                runs.reach("r1", "loaded", shops, number, version=3)
    run = runs.read("r1")
    assert [a.reports for a in run.attempts] == [({"source": "shops", "attempt": 1},), ({"source": "shops", "attempt": 2},)]
    assert "loaded" in run.items[0].states
    assert run.items[0].attempt == 1


def test_a_table_that_is_loaded_again_is_to_be_gated_again(runs: Runs) -> None:
    begun(runs)
    runs.reach("r1", "loaded", shops, 1, version=3)
    runs.reach("r1", "published", shops, 1)
    runs.reach("r1", "loaded", shops, 2, version=3)
    assert runs.read("r1").items[0].state == "published", "the same version is what was published"
    runs.reach("r1", "loaded", shops, 2, version=4)
    assert runs.read("r1").items[0].state == "loaded"


def test_processes_that_write_at_once_lose_nothing(runs: Runs, tmp_path: Path) -> None:
    runs.start("r1", "tiny", GOAL, [(f"s{n}", PLACE) for n in range(8)])
    program = (
        "import sys; from pathlib import Path; from sanyu.lake.runs import Runs; from sanyu.lake.store import LocalStore\n"
        "r = Runs(LocalStore(Path(sys.argv[1])))\n"
        "for n in (int(x) for x in sys.argv[2:]): r.reach('r1', 'loaded', lambda i: i.source == f's{n}', 1, version=n)\n"
    )
    lake = str(tmp_path / "lake")
    root = str(Path(__file__).resolve().parents[3])
    started = [subprocess.Popen([sys.executable, "-c", program, lake, *own], cwd=root) for own in ("0246", "1357")]
    assert [p.wait(60) for p in started] == [0, 0]
    assert [i.version for i in runs.read("r1").items] == list(range(8))


def test_threads_that_start_one_run_make_one_record(runs: Runs) -> None:
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: runs.start("r1", "tiny", GOAL, [(f"s{n}", PLACE)]), range(8)))
    assert sorted(i.source for i in runs.read("r1").items) == [f"s{n}" for n in range(8)]


def test_a_run_that_another_living_process_works_on_is_refused(runs: Runs, tmp_path: Path) -> None:
    begun(runs)
    program = (
        "import sys, time; from pathlib import Path; from sanyu.lake.runs import Runs; from sanyu.lake.store import LocalStore\n"
        "with Runs(LocalStore(Path(sys.argv[1]))).attempt('r1'): print('in', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "lake")]
    root = str(Path(__file__).resolve().parents[3])
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=root) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        assert runs.read("r1").status == "running"
        with pytest.raises(SanyuError, match=f"SY-J002: run r1 is being worked on by process {other.pid}"), runs.attempt("r1"):
            pytest.fail("two processes work on one run")
        with pytest.raises(SanyuError, match="SY-J004"):
            runs.unfinished()
        other.kill()
        other.wait()
    assert runs.read("r1").status == "interrupted"
    with runs.attempt("r1") as number:
        assert number == 2


def test_an_attempt_says_what_stopped_it(runs: Runs) -> None:
    begun(runs)
    with pytest.raises(KeyboardInterrupt), runs.attempt("r1"):
        raise KeyboardInterrupt
    with pytest.raises(OSError, match="disk full"), runs.attempt("r1"):
        raise OSError("disk full")
    assert [a.error for a in runs.read("r1").attempts] == ["KeyboardInterrupt", "disk full"]
    assert runs.read("r1").status == "failed"


def test_an_unknown_run_is_told_with_the_nearest(runs: Runs) -> None:
    begun(runs, "20261201T132225-bf016b")
    with pytest.raises(SanyuError, match=r"SY-J001.*the nearest is 20261201T132225-bf016b") as caught:
        runs.read("20261201T132225-bf016c")
    assert caught.value.exit_code == 2


def test_damaged_records_and_reports_of_old_are_passed_over(runs: Runs, tmp_path: Path) -> None:
    begun(runs)
    for name, text in {"half/run.json": '{"run_id": "ha', "empty/run.json": "", "report.json": "[]", "_announced/core.json": "{}"}.items():
        (tmp_path / "lake/runs" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "lake/runs" / name).write_text(text, "utf-8")
    assert [run.run_id for run in runs.newest()] == ["r1"]
    with pytest.raises(SanyuError, match=r"SY-J005.*runs/half/run\.json"):
        runs.read("half")


def test_old_runs_are_dropped_and_those_being_worked_on_stay(runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "KEEP", 3)
    me = this_process()
    holder = Holder(host=me.host, machine=me.machine, pid=me.pid, started=me.started)
    working = Attempt(number=1, began_at="2020", holder=holder)
    for n in range(6):
        run = Run(run_id=f"r{n}", began_at=f"202{n}", city="", goal=GOAL, items=(Item(source="", table=PLACE, states={"planned": ""}),))
        run = run.model_copy(update={"attempts": (working,) if n == 0 else ()})
        (tmp_path / f"lake/runs/r{n}").mkdir(parents=True)
        (tmp_path / f"lake/runs/r{n}/run.json").write_text(run.model_dump_json(), "utf-8")
    begun(runs, "new")
    assert sorted(runs.ids()) == ["new", "r0", "r4", "r5"]


def test_names_of_schedulers_become_names_of_files() -> None:
    assert run_name("city__manual__2026-12-01T13:00:00+00:00") == "city__manual__2026-12-01T13_00_00_00_00"
    assert run_name("../x") == "x"


@pytest.mark.parametrize(
    ("failed", "release", "state", "may"),
    [
        (0, None, "gated", True),
        (0, {"release_id": "x"}, "gated", True),
        (0, {"release_id": "x"}, "published", False),
        (1, None, "gated", False),
    ],
)
def test_a_release_is_made_once_and_of_open_gates(failed: int, release: dict[str, Any] | None, state: str, may: bool) -> None:
    states = {"planned": "", "loaded": "", "gated": "", **({"published": ""} if state == "published" else {})}
    item = Item.model_validate({"source": "s", "table": PLACE, "states": states})
    gates = {ROAD: Gate(version=1, expectations=2, failed=failed, at="")}
    run = Run(run_id="r", began_at="", city="", goal=GOAL, items=(item,), gates=gates, release=release)
    assert _is_to_publish(run) is may


def test_nothing_is_published_where_no_load_succeeded(runs: Runs) -> None:
    assert not _is_to_publish(begun(runs))
    assert _is_to_publish(runs.start("r2", "tiny", ("gated", "published"), [])), "an empty lake is told by the publication"


def test_what_was_reached_before_is_not_this_attempt_s(runs: Runs) -> None:
    begun(runs)
    runs.reach("r1", "loaded", shops, 1, version=3)
    runs.reach("r1", "gated", shops, 1)
    before = runs.read("r1")
    runs.reach("r1", "loaded", shops, 2, version=3)
    runs.reach("r1", "gated", shops, 2)
    assert runs.read("r1") == before
    runs.fail("r1", shops, "unreadable", 2)
    runs.reach("r1", "loaded", shops, 3, version=3)
    assert [(i.error, i.attempt, i.state) for i in runs.read("r1").items if shops(i)] == [(None, 3, "gated")]


def test_a_record_is_json_that_others_can_read(runs: Runs, tmp_path: Path) -> None:
    begun(runs)
    record = json.loads((tmp_path / "lake/runs/r1/run.json").read_text("utf-8"))
    assert [i["table"] for i in record["items"]] == [PLACE, PLACE]
