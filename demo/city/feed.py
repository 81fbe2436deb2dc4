"""The demo city's GTFS feed: one zip, of which each table is a source of its own."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from demo.city import formats
from demo.city.publish import Delivery, positions
from demo.city.world import World

PATH = "transit/gtfs.zip"


def write(data: Path, world: World) -> list[Delivery]:
    """Write the feed and return its deliveries; one stop without name is its only bad row."""
    t = world.transit
    lon, lat = positions(t.stops["geom"], "EPSG:4326")
    stops = t.stops.drop(columns="geom").assign(stop_lat=lat, stop_lon=lon, location_type="0").astype(object)
    nameless = stops.iloc[[0]].assign(stop_id="S9999", stop_name=None, _reason="missing_value", _codes="SY-Q003")
    stops = pd.concat([stops.assign(_reason=None, _codes=None), nameless], ignore_index=True)
    calendar = {"service_id": "DAILY", **dict.fromkeys(("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"), "1")}
    tables = {
        "agency.txt": pd.DataFrame([("CT", "临海新城公共交通", "https://example.invalid/", "Asia/Shanghai")], columns=_AGENCY),
        "calendar.txt": pd.DataFrame([{**calendar, "start_date": "20250101", "end_date": "20261231"}]),
        "stops.txt": stops,
        "routes.txt": t.routes,
        "trips.txt": t.trips,
        "stop_times.txt": t.stop_times,
    }
    formats.zip_tables(data / PATH, tables)
    keys = {
        "stop": stops["stop_id"], "route": t.routes["route_id"], "trip": t.trips["trip_id"],
        "stop_time": t.stop_times["trip_id"] + "|" + t.stop_times["stop_sequence"],
    }  # fmt: skip
    return [
        Delivery(
            f"demo_transit_{entity}",
            f"core.basemap__transit_{entity}",
            [formats.File(PATH, tables[f"{entity}s.txt"].assign(_key=key.tolist()))],
        )
        for entity, key in keys.items()
    ]


_AGENCY = ["agency_id", "agency_name", "agency_url", "agency_timezone"]
