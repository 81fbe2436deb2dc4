"""The end of a process: when it is asked to stop, and when it has used Arrow and Delta's native threads."""

from __future__ import annotations

import atexit
import os
import sys
from typing import Any, NoReturn

INTERRUPTED = 130


def interrupted(signum: int, frame: Any) -> NoReturn:
    """Handle TERM as Ctrl-C is handled: what is under way is left in order."""
    raise KeyboardInterrupt


def leave(code: int) -> NoReturn:
    """End the process with Python's own clean-up, but without that of native libraries.

    Joined at the very end, threads of Arrow aborted a process in six of twelve runs after its answer was out (exit code -6,
    "terminate called without an active exception"), and Airflow took the task as failed.
    """
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)
