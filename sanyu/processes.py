"""Start and end groups of processes whole, whatever sessions their children make for themselves; name a process; end it with another.

A child keeps its parent's environment, so a tag in it finds every descendant through /proc; a process group does not (Airflow's task
supervisors and Spark's JVM start groups of their own). Linux only, like the rest of the project.
"""

from __future__ import annotations

import functools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

TAG = "_SANYU_PROCESS_TAG"
_GUARD = Path(__file__).with_name("guard.py")


@dataclass(frozen=True)
class ProcessName:
    """A process as other processes and machines can name it.

    `machine` is the space in which `pid` means something; `started` (ticks since boot) tells a recycled pid from the process.
    """

    host: str
    machine: str
    pid: int
    started: str | None

    def is_alive(self) -> bool | None:
        """Tell whether the process lives; None where it is on another machine, which can't be known from here."""
        if self.machine != machine():
            return None
        now = started(self.pid)
        return now is not None and (self.started is None or now == self.started)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


def this_process() -> ProcessName:
    """Return the name of this process."""
    return ProcessName(socket.gethostname(), machine(), os.getpid(), started(os.getpid()))


@functools.cache
def machine() -> str:
    """Return what tells one space of process ids from another: containers may share a host's name, but not its ids."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def started(pid: int) -> str | None:
    """Return a process's start time (Linux: ticks since boot), `?` where the kernel doesn't tell, None if it is gone or a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return "?"
    return None if fields[0] == b"Z" else fields[19].decode()


def parent(pid: int) -> int:
    """Return the id of a process's parent; OSError where the process is gone."""
    return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[1])


def guard(victim: int | str, owner: int, scratch: Path | None = None, patience_s: float = 10.0) -> subprocess.Popen[bytes]:
    """Start a small process that ends `victim`, and removes its scratch folder, when `owner` has ended in whatever way.

    The victim is a process id, or `NAME=value` for all that have this in their environment: those that are yet to be started, too. It is
    asked to end (TERM) and killed after the patience; a guard of one process ends with it. There is no pipe to the owner, which its forked
    children would keep open, and no signal on the parent's death, which the end of the thread that started the victim would set off.
    """
    words = [str(victim), str(owner), str(patience_s), *([str(scratch)] if scratch else [])]
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(_GUARD), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        close_fds=True,
        cwd="/",
    )


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
