"""The demo city as things, before anybody publishes it: every part in EPSG:4549, clean, with the internal number `uid` of each thing."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
import shapely

from demo.city import buildings, divisions, nature, places, plan, roads, society, transit
from demo.city.plan import stream


@dataclass
class World:
    """All parts of the city at one time."""

    plan: plan.Plan
    divisions: divisions.Divisions
    roads: pd.DataFrame
    nature: nature.Nature
    buildings: pd.DataFrame
    addresses: pd.DataFrame
    places: pd.DataFrame
    firms: pd.DataFrame
    permits: pd.DataFrame
    population: pd.DataFrame
    economy: pd.DataFrame
    transit: transit.Transit

    @property
    def outline(self) -> shapely.Geometry:
        return _outline(self.divisions)


def _outline(parts: divisions.Divisions) -> shapely.Geometry:
    frame = parts.frame
    return frame["geom"].to_numpy()[frame["level"].to_numpy() == "city"][0]


def create(seed: int, scale: str) -> World:
    """Build the city with everything that stands in either edition; `edits` takes the two editions from it."""
    ground = plan.draw(seed, scale)
    parts = divisions.divide(ground)
    network = roads.build(ground)
    wild = nature.build(ground, _outline(parts))
    houses = buildings.build(ground, network.names, wild.water, wild.green)
    address = places.addresses(ground, parts, houses)
    firm = society.firms(ground, parts, address, houses)
    world = World(
        plan=ground,
        divisions=parts,
        roads=network.frame,
        nature=wild,
        buildings=houses,
        addresses=address,
        places=places.places(ground, address, houses),
        firms=firm,
        permits=society.permits(ground, firm),
        population=society.population(ground, parts, houses),
        economy=society.economy(ground, parts, firm),
        transit=transit.build(ground, network.names),
    )
    rng = stream(seed, "dates")
    for frame in (world.buildings, world.roads, world.places, world.firms):
        frame["uid"] = range(len(frame))
        frame["updated"] = pd.to_datetime("2024-01-01") + pd.to_timedelta(rng.integers(0, 500, len(frame)), unit="D")
        frame["updated"] = frame["updated"].dt.strftime("%Y-%m-%d")
    return world
