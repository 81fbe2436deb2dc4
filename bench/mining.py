"""The mining shelf against its peers in one run: `python -m bench.mining [ROW[=SIZE] …]`, all rows by default.

Each row prints ours and the peer's wall and CPU seconds (all processes), their ratio, and whether the bar is met; results are compared in
the run, and one that differs ends it. Compiling is not timed: kernels are called on a few rows before.
"""

from __future__ import annotations

import resource
import sys
import warnings
from collections.abc import Callable

warnings.simplefilter("ignore")

from bench import mining_autocorrelation, mining_clusters, mining_delta, mining_space_time  # noqa: E402
from bench.mining_common import header  # noqa: E402

ROWS: dict[str, Callable[..., None]] = {
    "analytic": mining_autocorrelation.analytic,
    "local": mining_autocorrelation.local,
    "global": mining_autocorrelation.whole,
    "dbscan": mining_clusters.dbscan,
    "interaction": mining_clusters.interaction,
    "cube": mining_space_time.cube,
    "scan": mining_space_time.scan,
    "delta_local": mining_delta.delta_local,
    "delta_global": mining_delta.delta_global,
    "delta_dbscan": mining_delta.delta_dbscan,
    "delta_update": mining_delta.delta_update,
    "delta_interaction": mining_delta.delta_interaction,
    "delta_cube": mining_delta.delta_cube,
    "sedona": mining_clusters.sedona,
}


def main() -> None:
    chosen = [part.partition("=") for part in sys.argv[1:]] or [(name, "", "") for name in ROWS]
    unknown = [name for name, _, _ in chosen if name not in ROWS]
    if unknown:
        raise SystemExit(f"no row {unknown[0]}; rows: {', '.join(ROWS)}")
    for module in (mining_autocorrelation, mining_clusters, mining_space_time):
        module.warm()
    header()
    for name, _, size in chosen:
        ROWS[name](*([int(size)] if size else []))
    print(f"largest resident size of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


if __name__ == "__main__":
    main()
