"""Kill loads at random and see whether the lake is as if nothing had happened: `make chaos` (100 rounds), or `python -m tests.chaos 5`.

Each round a city of shops gets its next edition by `sanyu run` in a process of its own, which is killed (`kill -9`) at a random time
between its start and its usual end: Python, the JVM, or both. Then the run is made again, twice at once, and the lake is compared with one
that was loaded without any accident: rows, stamps, ledger, and `sanyu verify`. Prints a line per round and, last, the counts.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from jobs.verify import verified
from sanyu.lake import Lake
from schemas.registry import contracts

PLACE = "core.basemap__place"
SOURCE = """
[source]
name = "shops"
title = "Shops"
domain = "basemap"
licence = "none"
attribution = "none"
[read]
path = "*.csv"
x = "lon"
y = "lat"
crs = "EPSG:4326"
[delivery]
edition_at = "{edition}"
[[into]]
contract = "core.basemap__place"
key = "id"
[into.columns]
name = "name"
class_code = {{ expr = "kind", codes = {{ "food" = "01", "school" = "05" }} }}
"""
CITY = 'name = "chaos"\ntitle = "Chaos"\ntitle_zh = "混沌"\nextent = [119.0, 29.0, 121.0, 31.0]\nmetric_crs = "EPSG:4549"\n'
OF_A_RUN = ("recorded_at", "closed_at", "superseded_at")


class Town:
    """A folder with sources, data and a lake, brought from edition to edition by the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("sources", "data"):
            (folder / name).mkdir(parents=True)
        (folder / "sources/city.toml").write_text(CITY)

    def deliver(self, number: int, dice: random.Random) -> None:
        """Write the next edition: some shops renamed, renumbered, closed or opened, some rows bad."""
        rows = ["id,name,kind,lon,lat"]
        for shop in range(60):
            if dice.random() < 0.03:
                continue
            kind = "unknown" if dice.random() < 0.03 else dice.choice(["food", "school"])
            key = f"{shop}b" if dice.random() < 0.05 else str(shop)
            rows.append(f"{key},shop {shop} {number if dice.random() < 0.2 else ''},{kind},{120 + shop / 1000:.4f},30.2")
        (self.folder / "data/shops.csv").write_text("\n".join(rows) + "\n")
        day = f"2025-{1 + number // 28:02d}-{1 + number % 28:02d}"
        (self.folder / "sources/shops.toml").write_text(SOURCE.format(edition=day))

    def start(self) -> subprocess.Popen[bytes]:
        """Start a load in a session of its own."""
        options = ["--lake", "lake", "--sources", "sources", "--data", "data"]
        command = [sys.executable, "-m", "cli", *options, "run", "shops"]
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1]), "SANYU_DRIVER_MEMORY": "1g"}
        log = (self.folder / "log.txt").open("ab")
        return subprocess.Popen(command, cwd=self.folder, env=environment, start_new_session=True, stdout=log, stderr=log)

    def content(self) -> dict[str, list[Any]]:
        """Return the tables' rows but for when they were recorded, and the ledger's figures of what went well."""
        lake = Lake(self.folder / "lake")
        found: dict[str, list[Any]] = {}
        for table in (PLACE, "quarantine.basemap__place", "raw.ops__bridge"):
            if table in lake.names():
                rows = lake.table(table).to_arrow(history=True).to_pylist()
                told = [{k: v is not None if k in OF_A_RUN else str(v) for k, v in r.items() if k != "run_id"} for r in rows]
                found[table] = sorted(str(sorted(r.items())) for r in told)
        names = ("batch_id", "rows_in", "rows_loaded", "rows_unchanged", "rows_quarantined", "rows_closed", "status")
        rows = lake.table("raw.ops__ledger").to_arrow(where="step = 'core'").to_pylist()
        found["ledger"] = sorted(str([r[n] for n in names]) for r in rows)
        return found


def children(pid: int) -> list[int]:
    """Return the processes below one, all levels."""
    listed = subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True, check=True).stdout.split()
    parents = {int(p): int(q) for p, q in zip(listed[::2], listed[1::2], strict=True)}
    found = [p for p, q in parents.items() if q == pid]
    return found + [p for child in found for p in children(child)]


def killed(process: subprocess.Popen[bytes], after_s: float, whom: str) -> str:
    """Kill Python, the JVM or both after a time, see that all of it is gone, and tell what was hit; `nothing` where it had ended."""
    try:
        process.wait(after_s)
        return "nothing"
    except subprocess.TimeoutExpired:
        pass
    below = children(process.pid)
    java = [p for p in below if _is_java(p)]
    chosen = {"python": [process.pid], "jvm": java, "both": [process.pid, *java]}[whom] or [process.pid]
    for pid in chosen:
        _kill(pid)
    process.wait(120)
    deadline = time.monotonic() + 60
    while (left := [p for p in below if _is_java(p)]) and time.monotonic() < deadline:
        time.sleep(0.5)
    for pid in left:
        _kill(pid)
    return f"{whom}, a JVM was left" if left else whom


def _is_java(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "java"
    except OSError:
        return False


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def main(rounds: int, seed: int) -> int:
    """Play the rounds; returns the exit code: 0 where the lakes are equal and sound after each."""
    dice = random.Random(seed)
    hits: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(prefix="sanyu-chaos-") as scratch:
        calm, wild = Town(Path(scratch) / "calm"), Town(Path(scratch) / "wild")
        usual_s = 20.0
        for number in range(rounds):
            edition = dice.random()
            for town in (calm, wild):
                town.deliver(number, random.Random(edition))
            began = time.monotonic()
            if calm.start().wait() not in (0, 3):
                print("the calm load failed; see log.txt", (calm.folder / "log.txt").read_text()[-2000:])
                return 1
            usual_s = time.monotonic() - began
            hit = killed(wild.start(), dice.uniform(0.05, 1.0) * usual_s, dice.choice(["python", "jvm", "both"]))
            hits[hit] += 1
            for process in [wild.start(), wild.start()]:  # two at once: one waits for the other
                process.wait()
            found, _ = verified(Lake(wild.folder / "lake"), contracts())
            same = calm.content() == wild.content()
            print(f"round {number + 1}: killed {hit}; {'equal' if same else 'DIFFERENT'}, {len(found)} findings", flush=True)
            if found or not same:
                print([f.as_dict() for f in found], (wild.folder / "log.txt").read_text()[-3000:])
                for table, rows in calm.content().items():
                    print(table, sorted(set(rows) ^ set(wild.content().get(table, [])))[:4])
                return 1
    print(f"{rounds} rounds, seed {seed}: " + ", ".join(f"{count} × {hit}" for hit, count in hits.most_common()) + "; all equal and sound")
    return 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 100, int(sys.argv[2]) if len(sys.argv) > 2 else 1))
