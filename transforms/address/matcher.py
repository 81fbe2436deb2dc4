"""Matches one address: compares names and numbers in the text with the rows of the gazetteer, level by level.

A name may be corrected, a number may not: rows are found by their names and kept only if every typed number is equal. Text that contradicts
the hierarchy, lies outside it or remains ambiguous between several rows is refused with its reason.
"""

from __future__ import annotations

import copy
import itertools
import re
from collections.abc import Iterator
from datetime import date

import numpy as np
from numpy.typing import NDArray

from transforms.address.asking import DIVISION_LIKE, ORDINAL, ROAD_LIKE, TYPED, Asked, asked_of, merged
from transforms.address.catalog import ENTITY, Catalog
from transforms.address.divisions import LEVEL_NAMES, DivisionTable, Reading
from transforms.address.index import Shard
from transforms.address.lattice import Named, cover
from transforms.address.numbers import NUMBER_LEVELS, number_code, numbers_in
from transforms.address.outcome import Found, Outcome, areas_of, as_written, plainest

BRANCH = re.compile(".(?:分院|院区|校区|园区|分校|分园|分店|支行|分行|分部|分公司)$")
TIE = 0.12  # costs closer than this count as equal


class Matcher:
    """Finds the rows for a key (see `transforms.address.text.key_of`); has no state per query, so threads may share it."""

    def __init__(self, catalog: Catalog, table: DivisionTable, home: frozenset[int]) -> None:
        self.catalog, self.table, self.home = catalog, table, home
        self.shard_lines: list[frozenset[int]] = []
        for shard in catalog.shards:
            row = table.by_code.get(shard.code.ljust(12, "0"))
            self.shard_lines.append(table.above[row] if row is not None else frozenset())
        self._city_shards = {n: s.code[:4].rstrip("0") for n, s in enumerate(catalog.shards) if s.code.endswith("00")}
        self.areas = areas_of(catalog.shards)
        self._community_towns: dict[tuple[int, int], set[str]] = {}

    def at(self, day: date) -> Matcher:
        """Return the matcher restricted to the aliases and former names of divisions valid on a day."""
        other = copy.copy(self)
        other.catalog, other.table = self.catalog.at(day), self.table.at(day)
        return other

    def ask(self, key: str, *, faulty: bool = False, start: int | None = None) -> Asked:
        """Split a key into divisions, names, numbers and rest; `faulty` also finds names with faults."""
        names = self.catalog.exact(key)
        reading = self._reading(key, names) if start is None else self.table.read("")
        return self._cut(key, names, reading, faulty=faulty)

    def _cut(self, key: str, names: list[Named], reading: Reading, *, faulty: bool) -> Asked:
        head = reading.hits[0].start if reading.hits else 0
        if faulty:
            names = merged(names, self.catalog.faulty(key, 0 if head else reading.end))
        numbers = numbers_in(key)
        covered = cover(len(key), reading.end, names, numbers)
        before = cover(head, 0, [n for n in names if n.end <= head], [n for n in numbers if n.end <= head]) if head else None
        return asked_of(key, covered, before, reading, self.catalog)

    def _reading(self, key: str, names: list[Named]) -> Reading:
        """Read the divisions at the start, else where the first home division occurs, else after noise.

        A division that is only the beginning of a longer gazetteer name (望海区第九幼儿园) is left to that name.
        """
        whole = [(p.start, p.end) for p in names if any(self.catalog.names[n].division < 0 for n, _ in p.names)]
        reading = self.table.read(key)
        if reading.candidates or reading.conflict:
            return self._trimmed(key, reading, whole)
        starts = [p.start for p in names if p.names[0][1] == 0.0 and self.catalog.names[p.names[0][0]].division >= 0]
        starts = [at for at in starts if not any(a <= at < b for a, b in whole)]
        return self._trimmed(key, self.table.read(key, min(starts)) if starts else self.table.find(key), whole)

    def _trimmed(self, key: str, reading: Reading, whole: list[tuple[int, int]]) -> Reading:
        for hit in reading.hits:
            if any(a == hit.start and b > hit.end and b > reading.end for a, b in whole):
                return self.table.read(key[: hit.start]) if hit is not reading.hits[0] else self.table.read("")
        if reading.hits:  # 临海新城临海新城商业银行: a repeated division may begin a name
            last = reading.hits[-1].end
            again = [a for a, b in whole if last <= a < reading.end < b]
            return reading._replace(end=min(again)) if again else reading
        return reading

    def find(self, key: str, context: int | None = None) -> Found:
        """Return the rows for a key; `context` is a division row assumed where the text names no place."""
        names = self.catalog.exact(key)
        reading = self._reading(key, names)
        asked = self._cut(key, names, reading, faulty=False)
        found = self._judge(asked, context)
        if found.code is None and not asked.rest:
            return found
        if found.code in ("SY-A013", "SY-A018") and not asked.rest:
            return found
        again = self._cut(key, names, reading, faulty=True)
        second = self._judge(again, context)
        if (second.code is None and (found.code is not None or len("".join(again.rest)) < len("".join(asked.rest)))) or (
            found.code is not None and second.code == "SY-A016"
        ):
            found = second
        if found.code in ("SY-A012", "SY-A015", "SY-A017") and asked.reading.hits:
            whole = self._judge(self.ask(key, start=0), context, whole=True)
            if whole.code is None and whole.outcomes:
                return whole
        return found

    def _judge(self, asked: Asked, context: int | None, *, whole: bool = False) -> Found:
        reading = asked.reading if not whole else Reading((), (), 0, None)
        if reading.conflict is not None:
            hit = reading.conflict
            parent = self.table.names[reading.candidates[0]] if reading.candidates else ""
            return Found(asked, [], "SY-A013", {"value": asked.key[hit.start : hit.end], "parent": parent})
        division = self.table.settle(reading, self.home)
        rest_head = asked.rest[0] if asked.rest else ""
        unknown = DIVISION_LIKE.match(rest_head) if rest_head and asked.head_open else None
        scope = self.scope(reading.candidates, context)
        if reading.candidates and not scope:
            if division is None and not self.catalog.shards:
                return Found(asked, [], "SY-A016", {"value": asked.key, "count": len(reading.candidates)})
            if unknown and (self.catalog.shards or unknown.group()[-1] in "省市区县"):
                return Found(asked, [], "SY-A014", {"value": unknown.group()}, division)
            if not self.catalog.shards or (division is not None and not asked.named and not asked.numbers and not asked.rest):
                return Found(asked, [], None if not self.catalog.shards else "SY-A015", {"value": self._shown(reading)}, division)
            return Found(asked, [], "SY-A015", {"value": self._shown(reading)}, division)
        clash = self._clash(asked, scope)
        if clash is not None:
            return Found(asked, [], "SY-A013", clash, division)
        outcomes = list(self._outcomes(asked, scope))
        if not outcomes:
            return self._nothing(asked, division, unknown)
        return self._choose(asked, outcomes, division, unknown)

    def _shown(self, reading: Reading) -> str:
        return self.table.full_name(reading.candidates[0])

    def _clash(self, asked: Asked, scope: list[int]) -> dict[str, object] | None:
        """Return a township or community and the level it does not lie in, if the text names both exactly."""
        names = self.catalog.names
        town = self._township(asked.reading)
        towns: set[str] = {self.table.keys[town]} if town is not None else set()
        allowed = set(scope)
        parent = self._shown(asked.reading) if asked.reading.candidates else ""
        for piece in asked.named:
            exact = [names[number] for number, cost in piece.names if cost < 0.15]
            if exact and all(name.division >= 0 for name in exact):
                inside = {n for name in exact for n, line in enumerate(self.shard_lines) if name.division in line}
                if not inside & allowed:
                    return {"value": exact[0].text, "parent": parent}
                allowed = inside | {n for n in allowed if self._crosses(n, tuple(name.division for name in exact))}
                parent = exact[0].text
            if not exact or any(name.level not in ("township", "community") for name in exact):
                continue
            here = [(name, n) for name in exact for n in name.where if n in allowed]
            if not here:
                return {"value": exact[0].text, "parent": parent}
            if exact[0].level == "township":
                towns, parent = {name.key for name, _ in here}, exact[0].text
            elif towns and not any(self._towns_of(name.where[n], n) & towns for name, n in here):
                return {"value": exact[0].text, "parent": parent}
        return None

    def _towns_of(self, where: tuple[int, NDArray[np.int32]], shard: int) -> set[str]:
        """Return the keys of the townships that the rows of a community lie in."""
        known = self._community_towns.get((shard, where[0]))
        if known is None:
            ids = np.unique(self.catalog.shards[shard].ids["township"][where[1]])
            keys = self.catalog.shards[shard].names["key"]
            known = self._community_towns[shard, where[0]] = {str(keys[int(i)]) for i in ids if i >= 0}
        return known

    def scope(self, candidates: tuple[int, ...], context: int | None) -> list[int]:
        """Return the shards that lie in, or contain, one of the divisions."""
        lines = self.shard_lines
        if candidates:
            wanted = [(c, self.table.parents[c] if self.table.levels[c] == 4 else c) for c in candidates]
            return [n for n, line in enumerate(lines) if any(d in line or c in line for c, d in wanted) or self._crosses(n, candidates)]
        everywhere = list(range(len(lines)))
        if context is not None:
            district = self.table.parents[context] if self.table.levels[context] == 4 else context
            return [n for n in everywhere if district in lines[n]] or everywhere
        return everywhere

    def _crosses(self, shard: int, candidates: tuple[int, ...]) -> bool:
        """Return whether a shard whose rows are coded only by the city, or not at all, may have rows of these divisions."""
        city = self._city_shards.get(shard)
        return city is not None and any(self.table.codes[c].startswith(city) for c in candidates)

    def _outcomes(self, asked: Asked, scope: list[int]) -> Iterator[Outcome]:
        pieces = asked.named[-6:]
        names = self.catalog.names
        allowed = frozenset(scope)
        options = []
        for piece in pieces:
            near = [(piece, n, c) for n, c in piece.names if names[n].division >= 0 or not allowed.isdisjoint(names[n].where)]
            options.append(near[:60] or [(piece, n, c) for n, c in piece.names[:3]])
        for combination in itertools.islice(itertools.product(*options), 128):
            shards = allowed
            for _, number, _ in combination:
                name = names[number]
                if name.division >= 0:
                    shards = frozenset(n for n in shards if name.division in self.shard_lines[n] or self._crosses(n, (name.division,)))
            yield from self._combination(asked, combination, shards)

    def _combination(self, asked: Asked, combination: tuple[tuple[Named, int, float], ...], shards: frozenset[int]) -> Iterator[Outcome]:
        names = self.catalog.names
        by_level: dict[str, int] = {}
        for _, number, _ in combination:
            by_level[names[number].level] = number
        cost = sum(c for _, _, c in combination)
        for level in (ENTITY, "place", "road", "community", "township"):
            if level not in by_level:
                continue
            for shard in sorted(shards & names[by_level[level]].where.keys()):
                yield self._in_shard(asked, combination, by_level, level, shard, cost)
            if level in (ENTITY, "place") or (level == "road"):
                break

    def _in_shard(
        self, asked: Asked, combination: tuple[tuple[Named, int, float], ...], by_level: dict[str, int], main: str, number: int, cost: float
    ) -> Outcome:
        """Narrow the rows of the main name by the other names and then by the numbers."""
        shard = self.catalog.shards[number]
        names = self.catalog.names
        rows = names[by_level[main]].where[number][1]
        out = Outcome(cost, number, rows, main if main != ENTITY else "place", combination)
        for level in ("road", "township", "community"):
            if level == main or level not in by_level:
                continue
            local = names[by_level[level]].where.get(number, (-2, None))[0]
            kept = rows[shard.ids[level][rows] == local]
            if not len(kept):
                blank = rows[shard.ids[level][rows] < 0]
                if len(blank):
                    kept = blank
                else:
                    out.conflict = level, names[by_level[level]].text
                    out.cost += 1.0
                    continue
            rows = kept
        town = self._township(asked.reading)
        if town is not None and "township" not in by_level:
            rows = self._in_township(shard, rows, town, out)
        return self._by_numbers(asked, shard, rows, out)

    def _township(self, reading: Reading) -> int | None:
        if len(reading.candidates) == 1 and self.table.levels[reading.candidates[0]] == 4:
            return reading.candidates[0]
        return None

    def _in_township(self, shard: Shard, rows: NDArray[np.int32], town: int, out: Outcome) -> NDArray[np.int32]:
        number = self.catalog.find("township", self.table.keys[town])
        local = self.catalog.names[number].where.get(out.shard, (-2, rows))[0] if number is not None else -2
        column = shard.ids["township"][rows]
        kept: NDArray[np.int32] = rows[(column == local) | (column < 0)]
        if len(kept):
            return kept
        out.conflict = "township", self.table.names[town]
        out.cost += 1.0
        return rows

    def _by_numbers(self, asked: Asked, shard: Shard, rows: NDArray[np.int32], out: Outcome) -> Outcome:
        coarser: list[str] = []
        for level in NUMBER_LEVELS:
            given = asked.numbers.get(level)
            if given is None:
                continue
            column = shard.numbers[level][rows]
            kept = rows[column == number_code(given.value)]
            if len(kept):
                rows, out.level = kept, level if level != "door" or out.level != "place" else "place"
            elif column.any():
                out.missing = level, given.value
                break
            else:
                coarser.append(level)
                out.cost += 0.3
        if out.missing is None and (len(rows) > 1 or out.level == "road"):
            rows, out.extra = plainest(shard, rows, out.level)
        out.rows, out.coarser = rows, tuple(coarser)
        return out

    def _choose(self, asked: Asked, outcomes: list[Outcome], division: int | None, unknown: re.Match[str] | None) -> Found:
        outcomes.sort(key=lambda o: (round(o.cost, 4), o.missing is not None, o.extra))
        best = outcomes[0]
        hits = [o for o in outcomes if o.missing is None]
        if best.missing is not None and (not hits or hits[0].cost > best.cost + TIE):
            level, value = best.missing
            return Found(asked, [], "SY-A018", {"value": value, "level": level, "parent": self._parent(best)}, division, best)
        best = hits[0]
        if best.conflict is not None:
            _, text = best.conflict
            return Found(asked, [], "SY-A013", {"value": self._parent(best), "parent": text}, division)
        rest = "".join(asked.rest)
        if unknown and len(rest) > 2:
            return Found(asked, [], "SY-A014", {"value": unknown.group()}, division)
        torn = self._torn(asked, best)
        if torn is not None:
            return Found(asked, [], "SY-A017", {"value": rest + asked.key[torn.start : torn.end]}, division)
        road = ROAD_LIKE.search(rest)
        named = any(self.catalog.names[number].level == "road" for _, number, _ in best.names)
        if road and len(road.group()) > 2 and not named and not self._is_garbled(road.group(), asked, best):
            return Found(asked, [], "SY-A017", {"value": road.group()}, division)
        if best.level in ("community", None, "township") and (len(rest) > 1 or asked.numbers):
            return self._nothing(asked, division, unknown)
        if asked.unknown and self._contradicts(asked, best):
            return Found(asked, [], "SY-A017", {"value": asked.unknown}, division)
        written = as_written(best)
        equal = [o for o in hits if o.cost <= best.cost + TIE and o.extra <= best.extra and as_written(o) >= written]
        distinct = self._distinct(equal)
        if len(distinct) > 1:
            return Found(asked, distinct, "SY-A016", {"value": asked.key, "count": len(distinct)}, division)
        return Found(asked, distinct, None, {}, division)

    def _torn(self, asked: Asked, best: Outcome) -> Named | None:
        """Return a piece that is part of a longer, unknown name: 工商大学 in 工商大学桐庐校区, 南路公交站 in 下沙南路公交站."""
        rest = sum(len(text) for text in asked.rest)
        places = [piece for piece, number, _ in best.names if self.catalog.names[number].level == "place"]
        if places and BRANCH.search("".join(asked.rest)):  # 第二人民医院五常分院 is a different place from the hospital
            return places[-1]
        for piece, number, cost in best.names:
            if cost < 0.3 or (cost < 0.5 and self.catalog.names[number].level != "place"):
                continue
            behind = rest > 1 and any(at >= piece.end for at in asked.torn)
            if (cost >= 0.5 and not asked.torn.isdisjoint(piece[:2])) or (rest > 1 and piece.start in asked.torn) or behind:
                return piece
            if piece in places and len(places) > 1:
                return piece
        return None

    def _is_garbled(self, road: str, asked: Asked, best: Outcome) -> bool:
        """Return whether an unknown road differs by at most one character from the road of the place found at its door."""
        shard = self.catalog.shards[best.shard]
        local = int(shard.ids["road"][best.rows[0]])
        if local < 0 or best.cost > 0.0 or "door" not in asked.numbers or "door" in best.coarser:
            return False
        key = str(shard.names["key"][local])
        wrong = [(a, b) for a, b in zip(road, key, strict=False) if a != b]
        return len(road) == len(key) and len(wrong) == 1 and not set(wrong[0]) & TYPED

    def _contradicts(self, asked: Asked, best: Outcome) -> bool:
        """Return whether the door has a place with the unknown thing's name but another number (第3小学 when 第20小学 is requested)."""
        stem, door = ORDINAL.sub("#", asked.unknown), asked.numbers.get("door")
        names = (self.catalog.names[number] for _, number, _ in best.names)
        rows = next((name.where[best.shard][1] for name in names if name.level == "road" and best.shard in name.where), None)
        if "#" not in stem or door is None or rows is None:
            return False
        shard = self.catalog.shards[best.shard]
        places = np.unique(shard.ids["place"][rows[shard.numbers["door"][rows] == number_code(door.value)]])
        keys = [str(shard.names["key"][int(i)]) for i in places if i >= 0]
        return any(ORDINAL.sub("#", key).endswith(stem) and not key.endswith(asked.unknown) for key in keys)

    def _distinct(self, outcomes: list[Outcome]) -> list[Outcome]:
        """Split the outcomes into one for each row that remains equally good."""
        seen: dict[tuple[int, int], Outcome] = {}
        for o in outcomes:
            rows = o.rows if o.extra == 0 else o.rows[:1]
            for row in rows[:50].tolist():
                seen.setdefault(
                    (o.shard, row),
                    Outcome(o.cost, o.shard, np.array([row], dtype=np.int32), o.level, o.names, extra=o.extra, coarser=o.coarser),
                )
        return list(seen.values())

    def _parent(self, outcome: Outcome) -> str:
        return "".join(self.catalog.names[number].text for _, number, _ in outcome.names)

    def _nothing(self, asked: Asked, division: int | None, unknown: re.Match[str] | None) -> Found:
        rest = "".join(asked.rest)
        strange = [piece for piece in asked.named if all(self.catalog.names[n].level in ("road", "place", ENTITY) for n, _ in piece.names)]
        if strange and not unknown:
            parent = self._shown(asked.reading) if asked.reading.candidates else ""
            return Found(asked, [], "SY-A013", {"value": asked.key[strange[0].start : strange[0].end], "parent": parent}, division)
        if unknown and (asked.reading.hits or len(rest) > len(unknown.group())):
            return Found(asked, [], "SY-A014", {"value": unknown.group()}, division)
        if not rest and not asked.numbers and (division is not None or asked.named):
            return self._area(asked, division)
        road = ROAD_LIKE.search(rest)
        if road or ((asked.reading.hits or asked.named) and rest):
            return Found(asked, [], "SY-A017", {"value": road.group() if road else rest}, division)
        return Found(asked, [], "SY-A012", {"value": asked.key}, division)

    def _area(self, asked: Asked, division: int | None) -> Found:
        """Answer a text that names divisions only."""
        rows = [self.catalog.names[number].division for piece in asked.named for number, _ in piece.names[:1]]
        deepest = max([r for r in [division, *rows] if r is not None and r >= 0], key=lambda r: self.table.levels[r], default=None)
        if deepest is None:
            return Found(asked, [], "SY-A012", {"value": asked.key})
        level = LEVEL_NAMES[self.table.levels[deepest]]
        area = self.areas.get(self.table.codes[deepest])
        if area is None:
            return Found(asked, [], None, {}, deepest)
        return Found(asked, [Outcome(0.0, area[0], np.array([area[1]], dtype=np.int32), level)], None, {}, deepest)
