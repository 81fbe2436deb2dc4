"""The names of all shards in one lexicon, with aliases: what a spelling can mean and on which rows it occurs."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from transforms.address.divisions import LEVEL_NAMES, DivisionTable, short_names
from transforms.address.index import DIVISION_LEVELS, Shard, spellings
from transforms.address.lattice import Named, grouped, ranked
from transforms.address.scan import MAX_NAME, Lexicon, codes_of
from transforms.address.text import key_of

ENTITY = "entity"


class Alias(NamedTuple):
    """Another name of an entity (`entity_id`) or of an element (`element`, its `level` if two levels share a name); dates `[from,
    to)`."""

    alias: str
    entity_id: str | None = None
    element: str | None = None
    level: str | None = None
    kind: str | None = None
    valid_from: date | None = None
    valid_to: date | None = None

    def holds_on(self, day: date) -> bool:
        """Return whether the name was, or is, in use on a day."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day < self.valid_to)


@dataclass
class Name:
    """One name: its level, key and text; `where[shard]` is (number in the shard, rows); `division` is a row of the division table."""

    level: str
    key: str
    text: str
    where: dict[int, tuple[int, NDArray[np.int32]]] = field(default_factory=dict)
    division: int = -1


@dataclass(frozen=True)
class _Part:
    """A lexicon with, per entry, the names it can mean and their costs."""

    keys: list[str]
    lexicon: Lexicon
    names_of: list[tuple[tuple[int, float], ...]]  # cheapest first; more expensive ones only within SPREAD of the cheapest
    long: dict[str, list[tuple[int, float]]]  # too long for the scan: only found as the whole text


class Catalog:
    """Names of the shards, home divisions and aliases. Aliases may be added while others read, because parts are replaced as a whole."""

    def __init__(self, shards: Sequence[Shard], divisions: DivisionTable, home: frozenset[int], aliases: Iterable[Alias] = ()) -> None:
        self.shards = tuple(shards)
        self.divisions = divisions
        self.names: list[Name] = []
        self._by_key: dict[tuple[str, str], int] = {}
        self.alias_of: dict[tuple[str, int], tuple[Alias, ...]] = {}
        for number, shard in enumerate(self.shards):
            self._add_shard(number, shard)
        for row in sorted(home):
            level = LEVEL_NAMES[divisions.levels[row]]
            if level in DIVISION_LEVELS and not divisions.hidden[row]:
                self._name(level, divisions.keys[row], divisions.names[row]).division = row
        self.unknown_aliases: list[Alias] = []
        entries = self._own_spellings()
        aliases = list(aliases)
        known = self._entities([alias.entity_id for alias in aliases if alias.entity_id is not None])
        for alias in aliases:
            targets = self._targets(alias, known)
            if targets:
                self._spell(entries, alias, targets)
            else:
                self.unknown_aliases.append(alias)
        self._main = _part(entries)
        self._added: dict[str, dict[int, float]] = {}
        self._delta: _Part | None = None

    def _add_shard(self, number: int, shard: Shard) -> None:
        columns = [shard.names[c].to_pylist() for c in ("level", "key", "name", "start", "count")]
        for local, (level, key, text, start, count) in enumerate(zip(*columns, strict=True)):
            self._name(level, key, text).where[number] = local, shard.postings[start : start + count]

    def _name(self, level: str, key: str, text: str) -> Name:
        number = self._by_key.setdefault((level, key), len(self.names))
        if number == len(self.names):
            self.names.append(Name(level, key, text))
        return self.names[number]

    def _own_spellings(self) -> dict[str, dict[int, float]]:
        entries: dict[str, dict[int, float]] = {}
        homes = [name.key for name in self.names if name.level == "district" and len(name.key) > 2]
        above = [(n.key, n.key[:-1]) for n in self.names if n.level in ("province", "city") and n.division >= 0 and n.key[-1] in "省市"]
        for number, name in enumerate(self.names):
            for spelling, cost in spellings(name.level, name.text, name.key):
                known = entries.setdefault(spelling, {})
                known[number] = min(cost, known.get(number, 9.0))
            head = next((d for d in homes if name.level == "place" and name.key.startswith(d)), None)
            if head is not None and len(name.key) > len(head) + 1:
                entries.setdefault(head[:-1] + name.key[len(head) :], {}).setdefault(number, 0.1)
            if name.level == "place":
                for spelling, cost in _headed(name.key, above):
                    entries.setdefault(spelling, {}).setdefault(number, cost)
            if name.division >= 0:
                for short in short_names(name.key, self.divisions.levels[name.division]):
                    entries.setdefault(short, {}).setdefault(number, 0.3)
        return entries

    def find(self, level: str, key: str) -> int | None:
        """Return the number of a name by level and key."""
        return self._by_key.get((level, key))

    def entity(self, entity_id: str) -> tuple[int, int] | None:
        """Return (shard, row) of an entity."""
        return self._entities([entity_id]).get(entity_id)

    def _entities(self, wanted: Sequence[str]) -> dict[str, tuple[int, int]]:
        """Return (shard, row) of the entities in the shards, in one pass over their columns."""
        out: dict[str, tuple[int, int]] = {}
        ids = _strings(sorted(set(wanted)))
        for number, shard in enumerate(self.shards if len(ids) else ()):
            found = pc.index_in(shard.rows["entity_id"], ids).combine_chunks()
            for row in pc.indices_nonzero(found.is_valid()).to_pylist():
                out.setdefault(ids[found[row].as_py()].as_py(), (number, row))
        return out

    def add(self, alias: Alias) -> bool:
        """Add an alias for the next look-up; False if its target is unknown."""
        targets = self._targets(alias, self._entities([alias.entity_id] if alias.entity_id is not None else []))
        if not targets:
            return False
        added = {key: dict(known) for key, known in self._added.items()}
        self._spell(added, alias, targets)
        self._delta, self._added = _part(added), added
        return True

    def _targets(self, alias: Alias, known: dict[str, tuple[int, int]]) -> list[int]:
        if alias.entity_id is not None:
            found = known.get(alias.entity_id)
            if found is None:
                return []
            shard, row = found
            number = self._by_key.setdefault((ENTITY, alias.entity_id), len(self.names))
            if number == len(self.names):
                text = str(self.shards[shard].rows["standard"][row].as_py() or alias.alias)
                self.names.append(Name(ENTITY, alias.entity_id, text, {shard: (-1, np.array([row], dtype=np.int32))}))
            return [number]
        key = key_of(alias.element or "")
        levels = (alias.level,) if alias.level else ("place", "road", "community", "township", "district", "city", "province")
        return [self._by_key[level, key] for level in levels if (level, key) in self._by_key]

    def _spell(self, entries: dict[str, dict[int, float]], alias: Alias, targets: list[int]) -> None:
        key = key_of(alias.alias)
        for number in targets:
            entries.setdefault(key, {})[number] = 0.0
            self.alias_of[key, number] = (*self.alias_of.get((key, number), ()), alias)

    def at(self, day: date) -> Catalog:
        """Return the catalogue with only those aliases that are valid on a day."""
        gone = {pair for pair, aliases in list(self.alias_of.items()) if not any(alias.holds_on(day) for alias in aliases)}
        view = copy.copy(self)
        view._main = _without(self._main, gone)
        view._delta = None if self._delta is None else _without(self._delta, gone)
        return view

    def exact(self, key: str) -> list[Named]:
        """Return the names that occur in a key exactly."""
        codes = codes_of(key)
        found: list[Named] = []
        for part in (self._main, self._delta):
            if part is not None:
                hits = part.lexicon.exact_hits(codes).tolist()
                found += [Named(start, end, names) for start, end, entry in hits if (names := part.names_of[entry])]
                if key in part.long:
                    found.append(Named(0, len(key), tuple(part.long[key])))
        return found

    def faulty(self, key: str, begin: int = 0) -> list[Named]:
        """Return the names that occur in a key from `begin` on with a tolerable fault."""
        codes = codes_of(key)
        found: list[Named] = []
        for part in (self._main, self._delta):
            if part is not None:
                hits, costs = part.lexicon.faulty_hits(codes, begin)
                found += grouped(hits, costs, part.names_of)
        return found


def _strings(texts: list[str]) -> pa.LargeStringArray:
    """Return the texts as an array; `pyarrow.array` would import pandas, a quarter of a second at every start."""
    coded = [text.encode() for text in texts]
    offsets = np.cumsum([0, *(len(text) for text in coded)], dtype=np.int64)
    return pa.LargeStringArray.from_buffers(len(coded), pa.py_buffer(offsets), pa.py_buffer(b"".join(coded)))


def _headed(key: str, heads: list[tuple[str, str]]) -> list[tuple[str, float]]:
    """Return a place's name without the leading province or city, or with an omitted 省 or 市 added, and the costs.

    The remainder must be a name by itself: 杭州市夏衍中学 is 夏衍中学, but 杭州市第二中学 is not just any 第二中学.
    """
    found = []
    for full, short in heads:
        if key.startswith(full):
            rest = key[len(full) :]
            if len(rest) >= 4 and not rest.startswith(("第", *"0123456789")):
                found.append((rest, 0.3))
        elif key.startswith(short) and len(key) > len(short) + 2:
            found.append((full + key[len(short) :], 0.1))
    return found


def _without(part: _Part, gone: set[tuple[str, int]]) -> _Part:
    """Return a part without these (spelling, name) pairs."""
    touched = {key for key, _ in gone}
    names_of = [
        tuple(pair for pair in names if (key, pair[0]) not in gone) if key in touched else names
        for key, names in zip(part.keys, part.names_of, strict=True)
    ]
    long = {key: kept for key, names in part.long.items() if (kept := [pair for pair in names if (key, pair[0]) not in gone])}
    return replace(part, names_of=names_of, long=long)


def _part(entries: dict[str, dict[int, float]]) -> _Part:
    keys = [key for key in entries if len(key) > 1]
    faulty = [min(entries[key].values()) < 0.3 for key in keys]
    long = {key: sorted(entries[key].items()) for key in keys if len(key) > MAX_NAME}
    return _Part(keys, Lexicon.of(keys, faulty=faulty), [ranked(entries[key]) for key in keys], long)
