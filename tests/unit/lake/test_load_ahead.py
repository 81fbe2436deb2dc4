"""Several sources in a row: the next is landed while one is loaded, none further ahead, and a failure of any kind stays with its source."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import pytest

from jobs.loading import load, run
from jobs.loading.report import SourceReport
from schemas.messages import SanyuError


@dataclass(frozen=True)
class Named:
    name: str


@dataclass
class Seen:
    """What happened, in order; `landed` tells which sources are landed by now."""

    steps: list[str] = field(default_factory=list)
    landed: dict[str, threading.Event] = field(default_factory=lambda: {name: threading.Event() for name in "abc"})
    threads: set[str] = field(default_factory=set)

    def spark(self) -> None:
        self.steps.append("spark")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    found = Seen()

    def land(loading: Any, source: Any) -> str:
        found.threads.add(threading.current_thread().name)
        found.landed[source.name].set()
        if source.name == "b":
            raise SanyuError("SY-L031", source="b", pattern="x", folder="y")
        return f"landed {source.name}"

    def load_one(loading: Any, source: Any, landing: Any) -> SourceReport:
        after = {"a": "b", "b": "c", "c": "c"}[source.name]
        assert found.landed[after].wait(10), f"{after} was not landed while {source.name} was loaded"
        if source.name == "a":
            assert not found.landed["c"].is_set()
        found.steps.append(landing())
        return SourceReport(source.name, "batch", 1, (), 0, 0, (), 0.0)

    monkeypatch.setattr(load, "landed", land)
    monkeypatch.setattr(load, "run", load_one)
    return found


def test_the_next_source_is_landed_while_one_is_loaded(seen: Seen) -> None:
    sources: Any = [Named("a"), Named("b"), Named("c")]
    reports: list[Any] = list(run.load_all(seen, sources))  # type: ignore[arg-type]
    assert seen.steps == ["landed a", "landed c"]
    assert [(report.source, (report.error or "")[:7]) for report in reports] == [("a", ""), ("b", "SY-L031"), ("c", "")]
    assert threading.current_thread().name not in seen.threads


def test_spark_starts_at_once_only_where_everything_is_new(seen: Seen) -> None:
    sources: Any = [Named("a"), Named("b"), Named("c")]
    run.load_all(seen, sources, all_new=True)  # type: ignore[arg-type]
    assert seen.steps[0] == "spark"
    assert run.load_all(seen, [], all_new=True) == []  # type: ignore[arg-type]
    assert seen.steps.count("spark") == 1


def broken(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the load of source `b` raise."""

    def load_one(loading: Any, source: Any, landing: Any) -> SourceReport:
        landing()
        if source.name == "b":
            raise error
        return SourceReport(source.name, "batch", 1, (), 0, 0, (), 0.0)

    monkeypatch.setattr(load, "landed", lambda loading, source: f"landed {source.name}")
    monkeypatch.setattr(load, "run", load_one)
    return [Named("a"), Named("b"), Named("c")]


@pytest.mark.parametrize("error", [KeyError("x"), MemoryError(), SanyuError("SY-L031", source="b", pattern="x", folder="y")])
def test_any_exception_is_the_failure_of_its_source_alone(error: BaseException, seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = broken(error, monkeypatch)
    told: list[str] = []
    listener = run.Listener(lambda source, landed: told.append(str(landed)), lambda source, report: told.append(source.name))
    reports = run.load_all(seen, sources, listener=listener)  # type: ignore[arg-type]
    assert [report.is_ok for report in reports] == [True, False, True]
    assert told == ["landed a", "a", "landed b", "b", "landed c", "c"]
    cause = reports[1]
    assert cause.error is not None
    assert cause.error.startswith("SY-L031" if isinstance(error, SanyuError) else type(error).__name__)
    assert ("load_one" in (cause.trace or "")) is not isinstance(error, SanyuError)


def test_an_interrupt_stops_the_run(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        run.load_all(seen, broken(KeyboardInterrupt(), monkeypatch))  # type: ignore[arg-type]


def test_the_end_of_the_jvm_stops_the_run(seen: Seen, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "lost_jvm", lambda: "exit code -9")
    monkeypatch.setattr(Seen, "run_id", "r1", raising=False)
    with pytest.raises(SanyuError, match=r"SY-J003: run r1 stopped at b.*exit code -9"):
        run.load_all(seen, broken(OSError("no answer"), monkeypatch))  # type: ignore[arg-type]
