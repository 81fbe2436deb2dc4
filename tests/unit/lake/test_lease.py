"""One writer per table, with real processes that die and that are paused."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sanyu.lake.lease import holder, lease
from sanyu.lake.store import LocalStore
from schemas.messages import SanyuError

ROOT = Path(__file__).resolve().parents[3]
TABLE = "core/basemap/building"


class SharedFolder(LocalStore):
    """A folder that other machines write, too: no lock of this machine's operating system decides."""

    def host_lock(self, key: str) -> Path | None:
        return None


# Takes the lease, says its token, then checks it once per line that it is sent.
HOLDER = """
import sys
from pathlib import Path
from schemas.messages import SanyuError
from sanyu.lake.lease import lease
from sanyu.lake.store import LocalStore
class SharedFolder(LocalStore):
    def host_lock(self, key): return None
store = {"local": LocalStore, "shared": SharedFolder}[sys.argv[1]](Path(sys.argv[2]))
with lease(store, sys.argv[3], "night run", ttl_s=float(sys.argv[4])) as held:
    print(held.token, flush=True)
    for line in sys.stdin:
        try:
            held.check()
            print("held", flush=True)
        except SanyuError as error:
            print(error.code, flush=True)
"""


@contextmanager
def other_process(kind: str, root: Path, ttl_s: float = 60.0) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", HOLDER, kind, str(root), TABLE, str(ttl_s)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def asked(process: subprocess.Popen[str]) -> str:
    assert process.stdin is not None
    process.stdin.write("check\n")
    process.stdin.flush()
    return said(process)


@pytest.mark.parametrize("kind", [LocalStore, SharedFolder])
def test_tokens_grow_from_holder_to_holder(tmp_lake: Path, kind: type[LocalStore]) -> None:
    tokens = []
    for _ in range(3):
        with lease(kind(tmp_lake), TABLE, "a") as held:
            held.check()
            tokens.append(held.token)
    assert tokens == [1, 2, 3]


@pytest.mark.parametrize("kind", ["local", "shared"])
def test_a_second_process_is_refused_and_told_who_holds_the_table(tmp_lake: Path, kind: str) -> None:
    store = {"local": LocalStore, "shared": SharedFolder}[kind](tmp_lake)
    with other_process(kind, tmp_lake) as process:
        assert said(process) == "1"
        with pytest.raises(SanyuError) as refused, lease(store, TABLE, "day run", wait_s=0.2, poll_s=0.05):
            pass
        assert refused.value.code == "SY-L002"
        assert f"night run (process {process.pid} on " in refused.value.message("en")
        assert asked(process) == "held"


@pytest.mark.parametrize("kind", ["local", "shared"])
def test_the_lease_of_a_killed_process_is_taken_over_at_once_with_a_higher_token(tmp_lake: Path, kind: str) -> None:
    store = {"local": LocalStore, "shared": SharedFolder}[kind](tmp_lake)
    with other_process(kind, tmp_lake, ttl_s=3600) as process:
        assert said(process) == "1"
        process.send_signal(signal.SIGKILL)
        process.wait()
        with lease(store, TABLE, "day run") as held:
            assert held.token == 2
            held.check()


def test_a_paused_holder_that_wakes_up_after_a_takeover_is_told_so_before_it_commits(tmp_lake: Path) -> None:
    with other_process("shared", tmp_lake, ttl_s=0.6) as process:
        assert said(process) == "1"
        assert asked(process) == "held"
        process.send_signal(signal.SIGSTOP)
        with lease(SharedFolder(tmp_lake), TABLE, "day run", wait_s=10, poll_s=0.05) as held:
            process.send_signal(signal.SIGCONT)
            assert asked(process) == "SY-L003"
            held.check()
            assert held.token == 2


def test_on_a_local_lake_a_paused_holder_keeps_the_table_whatever_the_clock_says(tmp_lake: Path) -> None:
    with other_process("local", tmp_lake, ttl_s=0.3) as process:
        assert said(process) == "1"
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.5)
        with pytest.raises(SanyuError, match="SY-L002"), lease(LocalStore(tmp_lake), TABLE, "day run"):
            pass
        process.send_signal(signal.SIGCONT)
        assert asked(process) == "held"


def test_the_heartbeat_keeps_a_lease_beyond_its_time(tmp_lake: Path) -> None:
    store = SharedFolder(tmp_lake)
    with lease(store, TABLE, "a", ttl_s=0.3):
        time.sleep(0.7)
        record = holder(store, TABLE)
        assert record is not None
        assert record.beat >= 3
        with pytest.raises(SanyuError, match="SY-L002"), lease(store, TABLE, "b", wait_s=0.5, poll_s=0.05):
            pass


def test_check_fails_once_another_record_stands_in_the_store(tmp_lake: Path) -> None:
    store = SharedFolder(tmp_lake)
    with lease(store, TABLE, "a") as held:
        store.put(f"_lease/{TABLE}.json", b"{}")
        with pytest.raises(SanyuError, match="SY-L003"):
            held.check()


def test_of_two_tables_each_has_its_own_lease(tmp_lake: Path) -> None:
    store = LocalStore(tmp_lake)
    with lease(store, TABLE, "a") as one, lease(store, "core/basemap/water", "b") as two:
        one.check()
        two.check()
        assert (one.table, two.table) == (TABLE, "core/basemap/water")


def test_leaving_the_block_frees_the_table_also_after_an_error(tmp_lake: Path) -> None:
    store = SharedFolder(tmp_lake)
    with pytest.raises(RuntimeError), lease(store, TABLE, "a", ttl_s=3600):
        raise RuntimeError
    with lease(store, TABLE, "b") as held:
        assert held.token == 2


def remote(store: SharedFolder, **changes: object) -> None:
    """Write the record of a holder on another machine, of which nothing is known but what it writes."""
    with lease(store, TABLE, "night run"):
        record = holder(store, TABLE)
    assert record is not None
    record = dataclasses.replace(record, machine="elsewhere", host="elsewhere", **changes)
    store.put(f"_lease/{TABLE}.json", record.encoded())


@pytest.mark.parametrize("skew_s", [-86400.0, -120.0, 0.0, 120.0, 86400.0])
def test_a_live_lease_of_another_machine_is_kept_whatever_its_clock_or_ours_says(
    tmp_lake: Path, skew_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SharedFolder(tmp_lake)
    remote(store, since_at=time.time() + skew_s, ttl_s=0.9)
    stop = threading.Event()

    def beats() -> None:
        number = 0
        while not stop.wait(0.3):
            number += 1
            record = holder(store, TABLE)
            assert record is not None
            store.put(f"_lease/{TABLE}.json", dataclasses.replace(record, beat=number).encoded())

    ours = time.time
    monkeypatch.setattr(time, "time", lambda: ours() - skew_s)
    thread = threading.Thread(target=beats)
    thread.start()
    try:
        with pytest.raises(SanyuError, match=r"SY-L002.*night run"), lease(store, TABLE, "day run", wait_s=2, poll_s=0.05):
            pass
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("skew_s", [-86400.0, 86400.0])
def test_a_dead_lease_of_another_machine_is_taken_over_after_its_time_by_the_waiters_own_clock(tmp_lake: Path, skew_s: float) -> None:
    store = SharedFolder(tmp_lake)
    remote(store, since_at=time.time() + skew_s, ttl_s=0.6)
    began = time.monotonic()
    with lease(store, TABLE, "day run", poll_s=0.05) as held:
        assert 0.6 <= time.monotonic() - began < 3
        assert held.token == 2


def test_a_lease_that_was_left_on_another_machine_is_taken_at_once(tmp_lake: Path) -> None:
    store = SharedFolder(tmp_lake)
    remote(store, released=True, ttl_s=3600.0)
    with lease(store, TABLE, "day run") as held:
        assert held.token == 2


def test_a_waiter_that_was_paused_itself_does_not_take_over_a_lease_that_has_gone_on(tmp_lake: Path) -> None:
    store = SharedFolder(tmp_lake)
    remote(store, ttl_s=30.0)
    seen = iter([0.0])

    def clock() -> float:
        """After the first look an hour passes, in which the holder has gone on."""
        at = next(seen, None)
        if at is None:
            record = holder(store, TABLE)
            assert record is not None
            store.put(f"_lease/{TABLE}.json", dataclasses.replace(record, beat=record.beat + 1).encoded())
            return 3600.0
        return at

    with pytest.raises(SanyuError, match="SY-L00"), lease(store, TABLE, "day run", poll_s=0.01, monotonic=clock):
        pass
    record = holder(store, TABLE)
    assert record is not None
    assert record.owner == "night run"


@pytest.mark.parametrize("kind", [LocalStore, SharedFolder])
@pytest.mark.parametrize(
    "data", [b"", b"{", b"null", b"[]", b"\xff\xfe", b'{"token": "x"}', b'{"token": 41, "table": "core/basemap/buil', b"\0" * 100]
)
def test_a_damaged_record_does_not_block_the_table(
    tmp_lake: Path, kind: type[LocalStore], data: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sanyu.lake.lease._TTL_S", 0.3)
    store = kind(tmp_lake)
    store.put(f"_lease/{TABLE}.json", data)
    began = time.monotonic()
    with lease(store, TABLE, "a", poll_s=0.05) as held:
        assert (time.monotonic() - began >= 0.3) == (kind is SharedFolder)
        assert held.token == (42 if b"41" in data else 1)
        held.check()
    assert holder(store, TABLE) is not None


def test_a_record_of_the_former_form_is_watched_and_taken_over(tmp_lake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sanyu.lake.lease._TTL_S", 0.3)
    store = SharedFolder(tmp_lake)
    former = (
        b'{"claim": "c", "expires_at": 9e9, "host": "h", "machine": "m", "owner": "o", "pid": 1, "since_at": 1.0, '
        b'"started": "1", "table": "t", "token": 7}'
    )
    store.put(f"_lease/{TABLE}.json", former)
    with lease(store, TABLE, "a", poll_s=0.05) as held:
        assert held.token == 8


@pytest.mark.parametrize("kind", ["local", "shared"])
def test_of_several_processes_at_once_one_holds_the_table_at_a_time(tmp_lake: Path, kind: str) -> None:
    counter = tmp_lake / "counter"
    tmp_lake.mkdir(exist_ok=True)
    counter.write_text("0")
    program = (
        HOLDER.split("with lease", maxsplit=1)[0]
        + """
import time
for _ in range(5):
    with lease(store, sys.argv[3], "one of many", wait_s=60, poll_s=0.01) as held:
        counter = Path(sys.argv[4])
        seen = int(counter.read_text())
        time.sleep(0.005)
        held.check()
        counter.write_text(str(seen + 1))
"""
    )
    command = [sys.executable, "-c", program, kind, str(tmp_lake), TABLE, str(counter)]
    running = [subprocess.Popen(command, env={**os.environ, "PYTHONPATH": str(ROOT)}) for _ in range(3)]
    assert [process.wait(timeout=100) for process in running] == [0, 0, 0]
    assert counter.read_text() == "15"
    record = holder(LocalStore(tmp_lake), TABLE)
    assert record is not None
    assert record.token == 15
