"""Processes: every descendant is found and ended, whatever it does about sessions and signals."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path

import pytest

from sanyu.processes import end, free_port, start, tagged

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
