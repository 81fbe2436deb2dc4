"""The command line: `sanyu`. Each command is a few lines over the jobs and the lake; what it prints is also there as `--json`."""

from sanyu.cli.app import main

__all__ = ["main"]
