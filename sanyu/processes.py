"""Start and end groups of processes whole, whatever sessions their children make for themselves.

A child keeps its parent's environment, so a tag in it finds every descendant through /proc; a process group does not (Airflow's task
supervisors and Spark's JVM start groups of their own). Linux only, like the rest of the project.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

TAG = "_SANYU_PROCESS_TAG"


def start(command: Sequence[str], tag: str, environment: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    """Start a tagged process in its own session, its output appended to the log."""
    # Airflow renames its processes over the memory that /proc shows as their environment, unless setproctitle is told not to.
    tags = {TAG: tag, "SPT_NOENV": "1"}
    with log.open("ab") as sink:
        return subprocess.Popen(
            command, env={**environment, **tags}, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, start_new_session=True
        )


def tagged(tag: str) -> list[int]:
    """Return the ids of all living processes with the tag, but for this one; a zombie has no environment and does not count."""
    wanted = f"{TAG}={tag}".encode()
    found: list[int] = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal() or int(entry.name) == os.getpid():
            continue
        try:
            if wanted in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
        except OSError:  # ended meanwhile, or another user's
            continue
    return found


def end(tag: str, patience_s: float = 10.0) -> list[int]:
    """End all processes with the tag: INT, after the patience TERM, then KILL; return the ids that are still there (none, normally)."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        alive = tagged(tag)
        for process in alive:
            try:
                os.kill(process, number)
            except ProcessLookupError:
                continue
        deadline = time.monotonic() + patience_s
        while alive and time.monotonic() < deadline:
            time.sleep(0.2)
            alive = tagged(tag)
        if not alive:
            break
    return tagged(tag)


def free_port(wanted: int | None = None) -> int:
    """Return the wanted loopback port if nothing listens there, else one that the system gives."""
    for port in (wanted, 0) if wanted else (0,):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port or 0))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on the loopback address")
