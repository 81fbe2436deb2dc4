"""Named points at which tests and `make chaos` let a process die, to show that the next one finishes what was left.

Nothing happens at a point unless a test has armed it, or the variable SANYU_CRASH_AT names it (`write.committed`, or `write.committed:2`
for the second time it is reached); then the process is killed at once, without clean-up, as by a power cut.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable

VARIABLE = "SANYU_CRASH_AT"
POINTS = {
    "land.copied": "files are copied, no manifest yet",
    "land.listed": "the manifest is written, the delivery has no number yet",
    "raw.committed": "raw rows are committed",
    "quarantine.committed": "rejected rows are committed, nothing is in the table yet",
    "write.evolved": "the table has its new columns, the rows are not written yet",
    "write.ready": "what is to change is computed, nothing is committed",
    "write.committed": "the table is committed, the ledger does not know it",
    "write.bridged": "the bridge has its links, the ledger has no row",
    "write.accounted": "the ledger has its row, the report is not made",
    "release.committed": "released rows are in the table, the quarantine does not know it",
    "run.loaded": "a source is loaded, the run's record does not say so",
    "run.gated": "the gates have passed, nothing is published",
    "publish.staged": "a release is written, `current.json` still names the one before",
    "publish.named": "`current.json` names the new release, nothing is announced",
}


class Crash(BaseException):
    """Raised at an armed point in place of a kill; not an Exception, so that nothing handles it."""


_armed: dict[str, int] = {}
_passed: Counter[str] = Counter()
_listeners: list[Callable[[str], None]] = []


def point(name: str) -> None:
    """Die here if a test wants so."""
    wanted = os.environ.get(VARIABLE)
    if not (wanted or _armed or _listeners):
        return
    for listener in _listeners:
        listener(name)
    _passed[name] += 1
    if wanted is not None:
        where, _, turn = wanted.partition(":")
        if where == name and _passed[name] == int(turn or 1):
            os.kill(os.getpid(), signal.SIGKILL)
    if name in _armed:
        _armed[name] -= 1
        if not _armed[name]:
            del _armed[name]
            raise Crash(name)


def arm(name: str, turn: int = 1) -> None:
    """Let the process raise `Crash` when it reaches the point for the n-th time from now on; KeyError for an unknown name."""
    _ = POINTS[name]
    _armed[name] = turn


def disarm() -> None:
    """Take back what was armed."""
    _armed.clear()
