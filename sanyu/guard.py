"""A program of its own: wait until an owner process has ended, then end its victim and remove the victim's scratch folder.

`python -I -S guard.py VICTIM OWNER PATIENCE_S [SCRATCH]`, started by `sanyu.processes.guard`. File descriptors of processes (pidfd) are
waited for: they can't be confused by a recycled id. Standard library only, since it stays in memory as long as a load.
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import sys


def main(victim: int, owner: int, patience_s: float, scratch: str | None) -> None:
    """Return when the victim has ended, by itself or by our hand."""
    try:
        victim_fd = os.pidfd_open(victim)
    except ProcessLookupError:
        return
    try:
        owner_fd = os.pidfd_open(owner)
    except ProcessLookupError:  # it ended while this program started
        owner_fd = None
    if owner_fd is not None:
        ended, _, _ = select.select([victim_fd, owner_fd], [], [])
        if owner_fd not in ended:
            return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(victim_fd, number)
        if select.select([victim_fd], [], [], patience_s)[0]:
            break
    if scratch:
        shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    # The guard outlives the interrupts of a terminal and of a scheduler: it has to see the end of the others.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4] if len(sys.argv) > 4 else None)
