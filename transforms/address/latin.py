"""Geocoding of Latin-script addresses: doors, doors between doors, crossings, streets, blocks; same interface as the Chinese engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import shapely
from rapidfuzz import fuzz, process

from transforms.address.answer import refusal
from transforms.address.blocks import number_blocks
from transforms.address.crossings import crossing_points, metres_per_degree
from transforms.address.latin_numbers import NumberedStreet, learn_curve, odd_side
from transforms.address.latin_text import LatinAddress, Street, parse_block, parse_latin, parse_street
from transforms.address.model import Match, Status

NO_ADDRESS, NO_STREET, NO_NUMBER, NO_CROSSING, TIED = "SY-A012", "SY-A053", "SY-A054", "SY-A052", "SY-A016"
_ALIKE = 86.0
KERB_M, HOUSE_M = 20.0, 30.0  # distance from the middle of a street to its houses, and how far from there a house is searched for


@dataclass(frozen=True)
class _Door:
    entity_id: str
    lon: float
    lat: float


@dataclass(frozen=True)
class LatinIndex:
    """Streets by key, with lines in degrees, doors and the numbering along them; `scale` is metres per degree at the middle."""

    lines: dict[str, Any]
    names: dict[str, str]
    parts: dict[str, Street]
    doors: dict[tuple[str, int], _Door]
    numbering: dict[str, NumberedStreet]
    scale: Any
    localities: tuple[str, ...]
    odd_side: float
    houses: shapely.STRtree | None

    @classmethod
    def build(cls, table: pa.Table, localities: tuple[str, ...] = ()) -> LatinIndex:
        """Build from rows of kind door (entity_id, road_name, door_number, lon, lat), road (road_name, geom as WKB lines), EPSG:4490.

        With rows of kind building (geom as WKB polygons), an interpolated number is moved to the house on its side of the
        street.
        `localities` are names that may follow the street (SAN FRANCISCO, CA).
        """
        frame = table.to_pandas()
        roads = frame[frame["kind"] == "road"]
        parts: dict[str, Street] = {}
        names: dict[str, str] = {}
        gathered: dict[str, list[Any]] = {}
        for name, geom in zip(roads["road_name"], shapely.from_wkb(roads["geom"].to_numpy()), strict=True):
            street = parse_street(str(name))
            parts[street.key], names[street.key] = street, str(name)
            gathered.setdefault(street.key, []).append(geom)
        lines = {key: shapely.line_merge(shapely.union_all(geoms)) for key, geoms in gathered.items()}
        doors: dict[tuple[str, int], _Door] = {}
        spots: dict[str, list[tuple[float, float, int]]] = {}
        part = frame[frame["kind"] == "door"]
        for entity, name, number, lon, lat in part[["entity_id", "road_name", "door_number", "lon", "lat"]].itertuples(index=False):
            street, digits = parse_street(str(name)), _leading(str(number))
            if digits is None:
                continue
            parts.setdefault(street.key, street)
            names.setdefault(street.key, str(name))
            doors.setdefault((street.key, digits), _Door(str(entity), float(lon), float(lat)))
            spots.setdefault(street.key, []).append((float(lon), float(lat), digits))
        middle = float(np.mean(shapely.get_coordinates(list(lines.values()))[:, 1])) if lines else 0.0
        scale = metres_per_degree(middle)
        numbering, known = {}, {}
        for key, line in lines.items():
            rows = np.array(spots.get(key, np.empty((0, 3))), dtype=float).reshape(-1, 3)
            known[key] = (rows[:, :2] * scale, rows[:, 2])
            numbering[key] = NumberedStreet.of(shapely.transform(line, lambda xy: xy * scale), *known[key])
        side = odd_side(numbering, known)
        number_blocks(numbering, known)
        learn_curve(numbering, known)
        shapes = shapely.from_wkb(frame.loc[frame["kind"] == "building", "geom"].to_numpy())
        houses = shapely.STRtree(shapely.transform(shapes, lambda xy: xy * scale)) if len(shapes) else None
        return cls(lines, names, parts, doors, numbering, scale, localities, side, houses)

    def match(self, text: str, *, block: str | None = None) -> Match:
        """Find the place of an address, a crossing or a street; bad input gives an answer with a code.

        `block` is the stretch of the street, in the format of `parse_block`; it locates a number without a known door, or gives the middle
        of the stretch if the text is not an address.
        """
        asked = parse_latin(text, self.localities)
        stretch = self._on_block(asked.number if asked else None, block) if block else None
        if asked is None or not asked.streets:
            return stretch_match(text, stretch, "block") if stretch is not None else refusal(text, NO_ADDRESS, value=text[:40])
        keys = [self.street_keys(street) for street in asked.streets]
        for street, found in zip(asked.streets, keys, strict=True):
            if len(found) > 1 and len(keys) == 1:
                return refusal(text, TIED, tuple(self._road(text, key) for key in found), value=text, count=len(found))
            if not found:
                return stretch_match(text, stretch, "interpolated") if stretch is not None else refusal(text, NO_STREET, value=street.key)
        if len(keys) == 2:
            return self._crossing(text, keys[0], keys[1])
        return self._on_street(text, asked, keys[0][0], stretch)

    def street_keys(self, street: Street) -> list[str]:
        """Return the keys that a street can mean: itself, else the same without type or direction, else a similarly spelt one."""
        if street.key in self.parts:
            return [street.key]
        same = [
            key
            for key, known in self.parts.items()
            if known.base == street.base
            and (not street.kind or not known.kind or known.kind == street.kind)
            and (not street.direction or known.direction == street.direction)
        ]
        plain = [key for key in same if not self.parts[key].direction]
        if same:
            return plain if len(plain) == 1 else same
        if any(c.isdigit() for c in street.base):
            return []
        options = {
            key: known.base
            for key, known in self.parts.items()
            if known.direction == street.direction and (not street.kind or known.kind in ("", street.kind))
        }
        options = {key: base for key, base in options.items() if not any(c.isdigit() for c in base)}
        best = process.extract(street.base, options, scorer=fuzz.ratio, score_cutoff=_ALIKE, limit=2)
        squeezed = [key for key, base in options.items() if base.replace(" ", "") == street.base.replace(" ", "")]
        if squeezed:
            return squeezed
        return [best[0][2]] if best and (len(best) == 1 or best[0][1] > best[1][1]) else []

    def _on_street(self, text: str, asked: LatinAddress, key: str, stretch: tuple[float, float] | None) -> Match:
        if asked.number is None:
            return self._road(text, key)
        door = self.doors.get((key, asked.number))
        if door is not None:
            return self._point(text, key, asked, (door.lon, door.lat), "door", 100.0, door.entity_id)
        if stretch is not None:
            return self._point(text, key, asked, self.house_at(key, asked.number, np.array(stretch) * self.scale), "interpolated", 90.0)
        place = self.numbering[key].place_of(asked.number) if key in self.numbering else None
        if place is None:
            return refusal(text, NO_NUMBER, street=self.names[key], value=asked.number)
        return self._point(text, key, asked, self.house_at(key, asked.number, place), "interpolated", 80.0)

    def house_at(self, key: str, number: int, place: Any) -> tuple[float, float]:
        """Return in degrees the middle of the house at a place of the street, on the number's side; the place itself without houses."""
        street = self.numbering.get(key)
        if self.houses is not None and street is not None and len(street.at) > 1:
            left = self.odd_side * street.sense() * (1 if number % 2 else -1)
            kerb = shapely.Point(place + left * KERB_M * np.array([-street.axis[1], street.axis[0]]))
            near = self.houses.query_nearest(kerb, max_distance=HOUSE_M, all_matches=False)
            if len(near):
                place = shapely.get_coordinates(shapely.centroid(self.houses.geometries[near[0]]))[0]
        return float(place[0] / self.scale[0]), float(place[1] / self.scale[1])

    def _on_block(self, number: int | None, text: str) -> tuple[float, float] | None:
        """Return the location of a number within a stretch between two crossings, its middle without a number."""
        block = parse_block(text)
        if block is None:
            return None
        found = [self.street_keys(street) for street in (block.street, block.first, block.second)]
        if not all(found) or found[0][0] not in self.lines:
            return None
        ends = [crossing_points(self.lines[found[0][0]], self.lines[side[0]]) for side in found[1:] if side[0] in self.lines]
        if len(ends) != 2 or not all(len(end) for end in ends):
            return None
        first, second = min(
            ((a, b) for a in ends[0] for b in ends[1]), key=lambda pair: float(np.hypot(*((pair[0] - pair[1]) * self.scale)))
        )
        street = self.numbering[found[0][0]]
        share = 0.5 if number is None else street.share(float(np.clip((number - block.low) / max(block.high - block.low, 1), 0, 1)) * 100)
        low, high = ((end * self.scale - street.origin) @ street.axis for end in (first, second))
        at = low + share * (high - low)
        spot = street.point_at(float(at))
        if spot is None:
            spot = (first + share * (second - first)) * self.scale
        return float(spot[0] / self.scale[0]), float(spot[1] / self.scale[1])

    def _crossing(self, text: str, first: list[str], second: list[str]) -> Match:
        spots = [
            spot
            for a in first
            for b in second
            if a in self.lines and b in self.lines
            for spot in crossing_points(self.lines[a], self.lines[b])
        ]
        if not spots:
            return refusal(text, NO_CROSSING, first=first[0], second=second[0])
        standard = f"{self.names[first[0]]} & {self.names[second[0]]}"
        made = [_placed(text, standard, float(lon), float(lat), "crossing", 100.0) for lon, lat in spots]
        return made[0] if len(made) == 1 else refusal(text, TIED, tuple(made), value=standard, count=len(made))

    def _road(self, text: str, key: str) -> Match:
        line = self.lines.get(key)
        if line is None:
            return refusal(text, NO_NUMBER, street=self.names[key], value="")
        middle = shapely.get_coordinates(
            shapely.line_interpolate_point(shapely.get_geometry(line, 0) if shapely.get_type_id(line) != 1 else line, 0.5, normalized=True)
        )[0]
        return _placed(text, self.names[key], float(middle[0]), float(middle[1]), "road", 90.0, shapely.to_wkb(line))

    def _point(
        self,
        text: str,
        key: str,
        asked: LatinAddress,
        spot: tuple[float, float],
        precision: str,
        score: float,
        entity_id: str | None = None,
    ) -> Match:
        unit = f" #{asked.unit}" if asked.unit else ""
        return _placed(text, f"{asked.number} {self.names[key]}{unit}", *spot, precision, score, entity_id=entity_id)


def stretch_match(text: str, spot: tuple[float, float], precision: str) -> Match:
    """Return a match on a given stretch of a street, used if the text itself has no known street."""
    return _placed(text, text, *spot, "interpolated" if precision == "interpolated" else "road", 70.0)


def _placed(
    text: str, standard: str, lon: float, lat: float, precision: str, score: float, geom: bytes | None = None, entity_id: str | None = None
) -> Match:
    shape = geom if geom is not None else shapely.to_wkb(shapely.Point(lon, lat))
    return Match(text, Status.MATCHED, score, standard, precision=precision, lon=lon, lat=lat, geom=shape, entity_id=entity_id)


def _leading(text: str) -> int | None:
    digits = text.strip().split("-")[0].split(";")[0].split(",")[0].strip()
    return int(digits) if digits.isdecimal() else None
