"""Run every bench in a process of its own, so that none inherits another's memory: `python -m bench [NAME …]`."""

from __future__ import annotations

import subprocess
import sys

NAMES = ("beidou", "coords", "entity", "read", "load", "address", "mining")

for name in sys.argv[1:] or NAMES:
    print(f"\n== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"bench.{name}"], check=True)
