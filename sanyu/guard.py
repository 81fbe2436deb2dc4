"""A program of its own: wait until an owner process has ended, then end its victims and remove their scratch folder.

`python -I -S guard.py VICTIM OWNER PATIENCE_S [SCRATCH]`, started by `sanyu.processes.guard`. The victim is a process id, or `NAME=value`
for all processes with this in their environment. Standard library only, since it stays in memory as long as a load. Processes named by id
are waited for and signalled through a file descriptor (pidfd), which can't be confused by a recycled id.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

POLL_S = 0.2


def main(victim: str, owner: int, patience_s: float, scratch: str | None) -> None:
    """Return when the victims have ended, by themselves or by our hand."""
    only = _opened([int(victim)]) if victim.isdecimal() else None
    if only == []:
        return
    owners = _opened([owner])
    if owners and not set(owners) & set(select.select([*(only or ()), *owners], [], [])[0]):
        return  # the victim was first
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = time.monotonic() + patience_s
        signalled: set[int] = set()
        while living := [pid for pid in ([int(victim)] if only else tagged(victim)) if _is_alive(pid, only)]:
            for pid in set(living) - signalled:  # between two looks, a launcher may have started another process
                with contextlib.suppress(ProcessLookupError):
                    signal.pidfd_send_signal(only[0], number) if only else os.kill(pid, number)
            signalled.update(living)
            if time.monotonic() > deadline:
                break
            time.sleep(POLL_S)
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)


def _is_alive(pid: int, only: list[int] | None) -> bool:
    """Tell whether a process has not ended; a zombie has no environment, so a tagged one lives."""
    return not select.select(only, [], [], 0)[0] if only else Path(f"/proc/{pid}").exists()


def tagged(tag: str) -> list[int]:
    """Return the ids of the living processes with `NAME=value` in their environment."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            if entry.name.isdecimal() and tag.encode() in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def _opened(pids: list[int]) -> list[int]:
    found = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            found.append(os.pidfd_open(pid))
    return found


if __name__ == "__main__":
    # The guard outlives the interrupts of a terminal and of a scheduler: it has to see the end of the others.
    for signalled in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signalled, signal.SIG_IGN)
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)
