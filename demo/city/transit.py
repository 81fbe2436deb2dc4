"""Public transport of the demo city as GTFS tables: two metro lines and a dozen bus lines along its streets. Stops in metres, EPSG:4549."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import shapely

from demo.city.naming import Names
from demo.city.plan import SUPER, Edge, Plan, stream

RUNS = range(6 * 3600, 22 * 3600, 2400)


@dataclass(frozen=True)
class Transit:
    """GTFS tables with their published column names; `stops` has `geom` in place of its coordinates."""

    stops: pd.DataFrame
    routes: pd.DataFrame
    trips: pd.DataFrame
    stop_times: pd.DataFrame


def build(plan: Plan, names: dict[Edge, str]) -> Transit:
    """Lay lines along arterials; a stop is named after the crossing road, and lines that meet share it."""
    rng = stream(plan.seed, "transit")
    pool = Names(rng)
    stops: dict[tuple[int, int], tuple[str, str]] = {}
    routes, trips, times = [], [], []
    rows_ns = list(range(2 * SUPER, plan.nx - SUPER, SUPER))
    rows_ew = list(range(2 * SUPER, plan.ny - SUPER, SUPER))
    lines = [("v", k) for k in rows_ns[::2]] + [("h", k) for k in rows_ew[::2]]
    metro = {("v", rows_ns[len(rows_ns) // 4 * 2]), ("h", rows_ew[len(rows_ew) // 4 * 2])}
    for number, (axis, k) in enumerate(lines, start=1):
        rail = (axis, k) in metro
        step = SUPER if rail else SUPER // 2
        length = plan.ny if axis == "v" else plan.nx
        nodes = [(k, i) if axis == "v" else (i, k) for i in range(SUPER, length - SUPER + 1, step)]
        for u, v in nodes:
            cross: list[Edge] = [("h", u, v), ("h", u - 1, v)] if axis == "v" else [("v", u, v), ("v", u, v - 1)]
            name = next((names[e] for e in cross if e in names), None) or next(pool)
            stops.setdefault((u, v), (f"S{len(stops) + 1:04d}", name.removesuffix("快速路") + ("站" if rail else "口")))
        short = f"地铁{sorted(metro).index((axis, k)) + 1}号线" if rail else f"{number}路"
        ends = stops[nodes[0]][1], stops[nodes[-1]][1]
        routes.append((f"L{number:02d}", "CT", short, f"{ends[0]}—{ends[1]}", "1" if rail else "3", f"{rng.integers(0, 1 << 24):06X}"))
        for direction, course in enumerate((nodes, nodes[::-1])):
            for run, start in enumerate(RUNS):
                trip = f"L{number:02d}-{direction}-{run:03d}"
                trips.append((f"L{number:02d}", "DAILY", trip, ends[1 - direction], str(direction)))
                pace = 75 if rail else 95
                for order, node in enumerate(course, start=1):
                    at = _clock(start + (order - 1) * pace * (2 if rail else 1))
                    times.append((trip, at, at, stops[node][0], str(order)))
    places = [shapely.Point(*plan.at(u, v)) for u, v in stops]
    stop_frame = pd.DataFrame(list(stops.values()), columns=["stop_id", "stop_name"])
    stop_frame["geom"] = np.array(places, dtype=object)
    return Transit(
        stop_frame,
        pd.DataFrame(routes, columns=["route_id", "agency_id", "route_short_name", "route_long_name", "route_type", "route_color"]),
        pd.DataFrame(trips, columns=["route_id", "service_id", "trip_id", "trip_headsign", "direction_id"]),
        pd.DataFrame(times, columns=["trip_id", "arrival_time", "departure_time", "stop_id", "stop_sequence"]),
    )


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
