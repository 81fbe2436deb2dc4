"""One writer per table, with real processes that die and that are paused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
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
        assert record.expires_at > time.time()


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
