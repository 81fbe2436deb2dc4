"""Coordinates per CPU-second, against bare pyproj with a transformer made beforehand."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pyproj

from sanyu import coords


def rate(run: Callable[[], Any], rows: int) -> float:
    """Return millions of rows per CPU-second, the best of three."""
    best = float("inf")
    for _ in range(3):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return rows / best / 1e6


def main() -> None:
    rows = 500_000
    rng = np.random.default_rng(0)
    china = rng.uniform(118.5, 121.5, rows), rng.uniform(25, 45, rows)
    britain = rng.uniform(-5, 1, rows), rng.uniform(50.5, 58, rows)
    cases = [("EPSG:4490", "EPSG:4549", china), ("EPSG:4326", "EPSG:3857", china), ("EPSG:4326", "EPSG:27700", britain)]
    print(f"{'from':<12}{'to':<12}{'sanyu':>8}{'pyproj':>8}   (M rows per CPU-second){'':>4}worst difference")
    for source, target, place in cases:
        bare = pyproj.Transformer.from_crs(source, target, always_xy=True)
        ours, theirs = coords.transform(*place, source, target), bare.transform(*place)
        worst = max(np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True))
        own = rate(lambda s=source, t=target, p=place: coords.transform(*p, s, t), rows)
        peer = rate(lambda b=bare, p=place: b.transform(*p), rows)
        print(f"{source:<12}{target:<12}{own:>8.2f}{peer:>8.2f}{'':>30}{worst * 1000:.6f} mm")
    for source in ("GCJ-02", "BD-09"):
        moved = coords.transform(*china, "EPSG:4490", source)
        back = coords.transform(*moved, source, "EPSG:4490")
        worst = max(np.abs(a - b).max() for a, b in zip(back, china, strict=True))
        own = rate(lambda s=source, m=moved: coords.transform(*m, s, "EPSG:4490"), rows)
        print(f"{source:<12}{'EPSG:4490':<12}{own:>8.2f}{'-':>8}{'':>30}{worst:.1e} degrees (round trip)")


if __name__ == "__main__":
    main()
