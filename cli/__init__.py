"""The command line: `sanyu`. Commands are thin wrappers over the jobs and the lake; most print JSON with `--json`."""

from __future__ import annotations

import sys

from cli.app import main
from sanyu.leaving import leave

__all__ = ["main", "program"]


def program() -> None:
    """Run the command line as the process's main program; the entry point of the installed `sanyu`."""
    try:
        main()
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            sys.stderr.write(f"{end.code}\n")
        leave(end.code if isinstance(end.code, int) else int(end.code is not None))
    leave(0)
