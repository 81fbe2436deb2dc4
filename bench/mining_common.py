"""What the mining benches share: clocks that see all processes of ours, peers that are run once, and the table."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cost:
    """Wall and CPU seconds, the latter with all child processes (Spark's JVM and its Python workers)."""

    wall: float
    cpu: float

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.wall + other.wall, self.cpu + other.cpu)

    def __mul__(self, times: float) -> Cost:
        return Cost(self.wall * times, self.cpu * times)


def timed(run: Callable[[], Any]) -> tuple[Any, Cost]:
    """Return a result and what it cost."""
    wall, cpu = time.perf_counter(), _cpu_seconds()
    result = run()
    return result, Cost(time.perf_counter() - wall, _cpu_seconds() - cpu)


def _cpu_seconds() -> float:
    """Return the CPU seconds of this process and of all its descendants, those that have ended included."""
    used: dict[int, float] = {}
    parent: dict[int, int] = {}
    for folder in Path("/proc").iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parent[int(folder.name)] = int(fields[1])
        used[int(folder.name)] = sum(map(int, fields[11:15])) / _TICKS
    own = os.getpid()
    total = used[own]
    for process, seconds in used.items():
        above = process
        while above in parent and above != own:
            above = parent[above]
        total += seconds if above == own and process != own else 0.0
    return total


def header() -> None:
    print(f"{'seconds':<58}{'ours':>8}{'cpu':>8}{'peer':>9}{'cpu':>9}{'ratio':>9}{'cpu':>9}  bar, equality")


def line(name: str, ours: Cost, peer: Cost | None = None, bar: str = "", note: str = "", *, least: float = 0.0, most: float = 0.0) -> None:
    """Print a row: ours, the peer's, their ratio (peer over ours), and whether the bar (`least` ratio or `most` wall seconds) is met."""
    theirs = (
        f"{peer.wall:>9.2f}{peer.cpu:>9.2f}{peer.wall / ours.wall:>7.1f} ×{peer.cpu / max(ours.cpu, 0.01):>7.1f} ×" if peer else " " * 36
    )
    met = (peer is not None and peer.wall / ours.wall >= least) if least else ours.wall <= most if most else None
    verdict = "" if met is None else " met;" if met else " NOT MET;"
    print(f"{name:<58}{ours.wall:>8.2f}{ours.cpu:>8.2f}{theirs}  {bar}{verdict} {note}", flush=True)


def require(equal: bool, what: str) -> None:
    """End the bench where a result differs from its peer's: a figure for a wrong answer is none."""
    if not equal:
        raise SystemExit(f"differs from its peer: {what}")


_peers: dict[str, tuple[Any, Cost]] = {}


def once(key: str, run: Callable[[], Any]) -> tuple[Any, Cost]:
    """Run a peer the first time that a row asks for it; later rows of the run get the same result and cost."""
    if key not in _peers:
        _peers[key] = timed(run)
    return _peers[key]
