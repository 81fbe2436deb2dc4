"""Processes: every descendant is found and ended, whatever it does about sessions and signals."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sanyu.processes import end, free_port, guard, start, started, tagged, this_process

DEAF_GRANDCHILD = """
import os, signal, sys, time
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("up", flush=True)
time.sleep(60)
"""


@pytest.fixture
def tag(tmp_path: Path) -> str:
    return str(tmp_path)


def _wait_for(log: Path, count: int) -> None:
    deadline = time.monotonic() + 20
    while log.read_text("utf-8").count("up") < count:
        assert time.monotonic() < deadline, "the child did not come up"
        time.sleep(0.05)


def test_deaf_descendants_in_their_own_session_are_ended(tmp_path: Path, tag: str) -> None:
    log = tmp_path / "log"
    child = start([sys.executable, "-c", DEAF_GRANDCHILD], tag, dict(os.environ), log)
    _wait_for(log, 2)
    assert len(tagged(tag)) == 2

    left = end(tag, patience_s=1)
    child.wait(timeout=10)

    assert left == tagged(tag) == []


def test_other_processes_are_left_alone(tmp_path: Path, tag: str) -> None:
    other = start(
        [sys.executable, "-c", "print('up', flush=True); import time; time.sleep(60)"], tag + "-other", dict(os.environ), tmp_path / "log"
    )
    _wait_for(tmp_path / "log", 1)
    assert end(tag) == []
    assert other.poll() is None
    end(tag + "-other", patience_s=2)
    other.wait(timeout=10)


def test_a_taken_port_is_not_given() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = holder.getsockname()[1]
        assert free_port(taken) != taken
    assert free_port(taken) == taken


DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


def _running(program: str) -> subprocess.Popen[bytes]:
    child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"up\n"
    return child


@pytest.mark.parametrize("victim", [DEAF, DEAF.replace("signal.SIGTERM", "signal.SIGUSR1")])
def test_a_guarded_process_ends_with_its_killed_owner(victim: str, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with _running(victim) as works, _running(DEAF) as owner:
        watch = guard(works.pid, owner.pid, scratch, patience_s=1)
        time.sleep(0.5)
        assert (works.poll(), watch.poll()) == (None, None)
        owner.kill()
        assert works.wait(20) in (-signal.SIGTERM, -signal.SIGKILL)
        assert watch.wait(20) == 0
    assert not scratch.exists()


def test_a_guard_ends_with_its_victim_and_leaves_the_owner_alone(tmp_path: Path) -> None:
    with _running(DEAF) as works, _running(DEAF) as owner:
        watch = guard(works.pid, owner.pid, tmp_path, patience_s=1)
        works.kill()
        works.wait()
        assert watch.wait(20) == 0
        assert owner.poll() is None
        owner.kill()
    assert tmp_path.exists()


def test_a_guard_of_a_dead_owner_ends_the_victim_at_once(tmp_path: Path) -> None:
    with _running(DEAF) as works, _running(DEAF) as owner:
        owner.kill()
        owner.wait()
        guard(works.pid, owner.pid, None, patience_s=0.5).wait(20)
        assert works.wait(20) == -signal.SIGKILL


def test_a_process_is_known_by_its_start_and_its_machine() -> None:
    me = this_process()
    assert me.is_alive() is True
    assert dataclasses.replace(me, started="1").is_alive() is False, "a recycled id"
    assert dataclasses.replace(me, machine="another").is_alive() is None
    with _running(DEAF) as child:
        child.kill()
        child.wait()
        assert started(child.pid) is None
