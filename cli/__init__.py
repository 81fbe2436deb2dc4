"""The command line: `sanyu`. Each command is a few lines over the jobs and the lake; what it prints is also there as `--json`."""

from __future__ import annotations

import sys

from cli.app import main
from sanyu.leaving import leave

__all__ = ["main", "program"]


def program() -> None:
    """Run the command line as a process of its own: what the installed `sanyu` calls."""
    try:
        main()
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            sys.stderr.write(f"{end.code}\n")
        leave(end.code if isinstance(end.code, int) else int(end.code is not None))
    leave(0)
