"""Reads the administrative divisions (行政区划) at the start of an address: short names, missing levels, former names, contradictions.

Names are tried longest first; a hit must lie below the previous one, so that 鼓楼区 alone stays ambiguous between its cities but
福州市鼓楼区 does not. A short name (西湖 for 西湖区) counts only if it is not the beginning of a road or place (西湖路, 西湖公园).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

from transforms.address.text import key_of

LEVEL_NAMES = ("", "province", "city", "district", "township", "community")
KEPT_DIGITS = (0, 2, 4, 6, 9, 12)
PLACEHOLDERS = frozenset(("市辖区", "县", "省直辖县级行政区划", "自治区直辖县级行政区划"))
FULL, SHORT, FORMER = 0, 1, 2

_PEOPLES = (
    "蒙古族|回族|藏族|维吾尔族?|苗族|彝族|壮族|布依族|朝鲜族|满族|侗族|瑶族|白族|土家族|哈尼族|哈萨克族?|傣族|黎族|傈僳族|佤族|畲族|高山族|拉祜族|水族|东乡族|"
    "纳西族|景颇族|柯尔克孜族?|土族|达斡尔族|仫佬族|羌族|布朗族|撒拉族|毛南族|仡佬族|锡伯族?|阿昌族|普米族|塔吉克族?|怒族|鄂温克族|德昂族|保安族|裕固族|独龙族|"
    "鄂伦春族?|门巴族|珞巴族|基诺族|各族|蒙古"
)
_AUTONOMOUS = re.compile(f"^(?P<stem>.{{2,}}?)(?:{_PEOPLES})+自治(?P<kind>州|县|旗|区)$")
_TAILS = {1: "特别行政区|自治区|省|市", 2: "市|地区|盟|自治州", 3: "自治县|自治旗|新区|区|县|市|旗|林区|特区"}
_ROADS = "(?:路|街|大道|大街|巷|弄|胡同|里弄|高速|公路|道)"
_PLACES = "(?:广场|大厦|中心|公园|学院|大学|医院|小区|花园|国际|新村|饭店|酒店|银行|中学|小学)"
_WORDS = "[门桥山湖寺庙河江海镇乡村店站港洲里园苑城湾塔楼府宫岛社]"
_NO_SHORT_BEFORE = re.compile(f".?.?{_ROADS}|{_WORDS}|.{{0,2}}{_PLACES}")
_NO_SHORT_CITY_BEFORE = re.compile(f"[东西南北中]?[一二三四0-9]?{_ROADS}|[门桥湾]|{_PLACES}")


@dataclass(frozen=True)
class FormerName:
    """A name that a division had until `valid_to`; `successors` are 12-digit codes, the one that took over most first."""

    name: str
    level: int
    successors: tuple[str, ...]
    valid_from: date | None
    valid_to: date

    def holds_on(self, day: date) -> bool:
        """Return whether the division had the name on a day."""
        return (self.valid_from is None or self.valid_from <= day) and day < self.valid_to


class Hit(NamedTuple):
    """A division name at `[start, end)` of the key; `division` is its row, `kind` FULL, SHORT or FORMER."""

    division: int
    start: int
    end: int
    kind: int


class Reading(NamedTuple):
    """The result of reading the start of an address: rows still possible, hits in order, where the rest begins, and any contradiction."""

    candidates: tuple[int, ...]
    hits: tuple[Hit, ...]
    end: int
    conflict: Hit | None


class DivisionTable:
    """Divisions by 12-digit code, with parents and all their names.

    Rows are (code, level, name), from provinces to townships (communities are names of the gazetteer). The first row of a code is kept.
    """

    def __init__(self, rows: Iterable[tuple[str, int, str]], former: Sequence[FormerName] = ()) -> None:
        unique = {(code, level): name for code, level, name in reversed([*rows])}
        listed = sorted(unique, key=lambda pair: (pair[1], pair[0]))
        self.codes = [code for code, _ in listed]
        self.levels = [level for _, level in listed]
        self.names = [unique[pair] for pair in listed]
        self.keys = [key_of(name) for name in self.names]
        self.row = {pair: i for i, pair in enumerate(listed)}
        self.by_code: dict[str, int] = {}
        for i, code in enumerate(self.codes):
            self.by_code.setdefault(code, i)
        self.parents = [self._parent(code, level) for code, level in listed]
        self.lines = [self._line(i) for i in range(len(listed))]
        self.above = [frozenset(line) for line in self.lines]
        self.hidden = [name in PLACEHOLDERS for name in self.names]
        self._names: dict[str, list[tuple[int, int]]] = {}
        self._lengths: dict[str, tuple[int, ...]] = {}
        self._towns: dict[int, tuple[dict[str, int], dict[str, tuple[int, ...]]]] = {}
        self._children: dict[int, list[int]] = {}
        for i, parent in enumerate(self.parents):
            self._children.setdefault(parent, []).append(i)
        self._former = tuple(former)
        self._index(former)

    def at(self, day: date) -> DivisionTable:
        """Return the table with only those former names that were valid on a day."""
        gone: dict[str, set[int]] = {}
        for entry in sorted(self._former, key=lambda entry: entry.holds_on(day)):
            rows = {self.by_code[code] for code in entry.successors if code in self.by_code}
            known = gone.setdefault(key_of(entry.name), set())
            gone[key_of(entry.name)] = known - rows if entry.holds_on(day) else known | rows
        view = copy.copy(self)
        kept = {
            name: [pair for pair in rows if pair[1] != FORMER or pair[0] not in gone.get(name, ())] for name, rows in self._names.items()
        }
        view._names = {name: rows for name, rows in kept.items() if rows}
        view._lengths = _lengths(view._names)
        return view

    def _parent(self, code: str, level: int) -> int:
        for above in range(level - 1, 0, -1):
            found = self.row.get((code[: KEPT_DIGITS[above]].ljust(12, "0"), above))
            if found is not None:
                return found
        return -1

    def _line(self, i: int) -> tuple[int, ...]:
        line = [i]
        while self.parents[line[-1]] >= 0:
            line.append(self.parents[line[-1]])
        return tuple(reversed(line))

    def _index(self, former: Sequence[FormerName]) -> None:
        for i, (key, level) in enumerate(zip(self.keys, self.levels, strict=True)):
            if level > 3 or self.hidden[i]:
                continue
            self._names.setdefault(key, []).append((i, FULL))
            for short in short_names(key, level):
                self._names.setdefault(short, []).append((i, SHORT))
        for entry in former:
            rows = [self.by_code[code] for code in entry.successors if code in self.by_code]
            known = self._names.setdefault(key_of(entry.name), [])
            known += [(row, FORMER) for row in rows if all(row != i for i, _ in known)]
        self._names = {name: rows for name, rows in self._names.items() if rows}
        self._lengths = _lengths(self._names)

    def line(self, i: int) -> dict[str, int]:
        """Return row by level name from the province down to a division, without placeholders."""
        return {LEVEL_NAMES[self.levels[k]]: k for k in self.lines[i] if not self.hidden[k]}

    def full_name(self, i: int) -> str:
        """Return the names from the province down, none twice in a row (东莞市 is city and county)."""
        parts = [self.names[k] for k in self.lines[i] if not self.hidden[k]]
        return "".join(name for k, name in enumerate(parts) if k == 0 or name != parts[k - 1])

    def read(self, key: str, start: int = 0) -> Reading:
        """Read the divisions from `start` of a key until the first gap."""
        at, hits, candidates = start, [], ()  # type: tuple[int, list[Hit], tuple[int, ...]]
        conflict: Hit | None = None
        size = len(key)
        while at < size - 1:
            if key[at] in "- ":
                at += 1
                continue
            found, end, kind, conflict = self._next(key, at, candidates)
            if not found:
                break
            if found is not candidates:
                candidates = found
                hits.append(Hit(found[0], at, end, kind))
            at = end
            if self.levels[candidates[0]] == 4 and len(candidates) == 1:
                break
        return Reading(candidates, tuple(hits), at, conflict)

    def find(self, key: str, *, reach: int = 12) -> Reading:
        """Read the divisions at the start, or after a few characters of noise."""
        reading = self.read(key)
        if reading.candidates or reading.conflict:
            return reading
        for at in range(1, min(len(key) - 2, reach)):
            for length in _fitting(self._lengths, key, at):
                if any(kind == FULL and self.levels[i] < 4 for i, kind in self._names.get(key[at : at + length], ())):
                    return self.read(key, at)
        return reading

    def _next(self, key: str, at: int, candidates: tuple[int, ...]) -> tuple[tuple[int, ...], int, int, Hit | None]:
        conflict: Hit | None = None
        for length in _fitting(self._lengths, key, at):
            rows = self._names.get(key[at : at + length])
            if rows is None:
                continue
            end = at + length
            usable = [(i, kind) for i, kind in rows if kind != SHORT or self._may_be_short(key, end, i)]
            if not usable:
                continue
            if not candidates:
                return self._narrow(usable), end, min(kind for _, kind in usable), None
            below = [(i, kind) for i, kind in usable if not self.above[i].isdisjoint(candidates)]
            if conflict is not None and all(kind == SHORT for _, kind in below):
                below = []  # 浙江省临海新城: the full name contradicts, and its beginning is not the short name of 临海市
            if below:
                fresh = [(i, kind) for i, kind in below if i not in candidates]
                if not fresh and len(candidates) > 1:
                    fresh = below  # 玉树玉树市: the second name decides which of the two nested namesakes is meant
                return (self._narrow(fresh) if fresh else candidates), end, below[0][1], None
            if any(key[at : at + length] == self.keys[k] for c in candidates for k in self.lines[c]):
                return candidates, end, FULL, None
            strong = [i for i, kind in usable if kind == FULL and length > 2]
            if strong and conflict is None:
                conflict = Hit(strong[0], at, end, FULL)
        towns = self._town(key, at, candidates)
        if towns[0]:
            return *towns, FULL, None
        return (), at, FULL, conflict

    def _may_be_short(self, key: str, end: int, i: int) -> bool:
        guard = _NO_SHORT_BEFORE if self.levels[i] == 3 else _NO_SHORT_CITY_BEFORE
        return guard.match(key, end) is None or self._goes_on(key, end, i)

    def _goes_on(self, key: str, at: int, above: int) -> bool:
        """Tell whether a full name of a division below another one stands at a place of the key."""
        for length in _fitting(self._lengths, key, at):
            for i, kind in self._names.get(key[at : at + length], ()):
                if kind == FULL and above in self.above[i] and i != above:
                    return True
        return False

    def _narrow(self, rows: list[tuple[int, int]]) -> tuple[int, ...]:
        """Keep the strongest kind; among short names of nested divisions (吉林) both remain possible."""
        best = min(kind for _, kind in rows)
        return tuple(dict.fromkeys(i for i, kind in rows if kind == best))

    def _town(self, key: str, at: int, candidates: tuple[int, ...]) -> tuple[tuple[int, ...], int]:
        found: list[tuple[int, int]] = []
        for c in candidates:
            if self.levels[c] not in (2, 3):
                continue
            names, lengths = self._towns_of(c)
            for length in _fitting(lengths, key, at):
                row = names.get(key[at : at + length])
                if row is not None:
                    found.append((length, row))
                    break
        if not found:
            return (), at
        longest = max(length for length, _ in found)
        return tuple(dict.fromkeys(row for length, row in found if length == longest and row >= 0)), at + longest

    def _towns_of(self, i: int) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
        if i not in self._towns:
            below = self._children.get(i, [])
            rows = [t for d in below for t in ([d] if self.levels[d] == 4 else self._children.get(d, [])) if self.levels[t] == 4]
            names: dict[str, int] = {}
            for row in rows:
                if len(self.keys[row]) > 1:
                    names[self.keys[row]] = -1 if self.keys[row] in names else row  # ambiguous if met twice in a city
            names = {name: row for name, row in names.items() if row >= 0}
            self._towns[i] = names, _lengths(names)
        return self._towns[i]

    def settle(self, reading: Reading, home: frozenset[int] = frozenset()) -> int | None:
        """Return the one division of a reading, None if it is ambiguous; rows in `home` are preferred if several are possible."""
        rows = reading.candidates
        if len(rows) > 1:
            near = [i for i in rows if i in home]
            rows = tuple(near) or rows
        if len(rows) > 1:
            top = min(self.levels[i] for i in rows)
            rows = tuple(i for i in rows if self.levels[i] == top)
        return rows[0] if len(rows) == 1 else None


def short_names(key: str, level: int) -> list[str]:
    """Return the short name of a division: without its type and ethnic groups (恩施土家族苗族自治州 → 恩施州, 恩施)."""
    found = _AUTONOMOUS.match(key)
    if found:
        stem = found["stem"]
        return [stem + found["kind"], stem] if level > 1 else [stem]
    if level == 1 and key.startswith("内蒙古"):
        return ["内蒙古", "内蒙"]
    stem = re.sub(f"(?:{_TAILS[level]})$", "", key)
    out = [stem] if 2 <= len(stem) < len(key) else []
    if level == 3 and key.endswith("新区") and len(key) > 3:
        out.append(key[:-1] if len(key) == 4 else key[:-2])
    return list(dict.fromkeys(out))


def _fitting(lengths: Mapping[str, Sequence[int]], key: str, at: int) -> list[int]:
    """Return the lengths of names that may begin at a place of a key and end within it."""
    return [length for length in lengths.get(key[at : at + 2], ()) if at + length <= len(key)]


def _lengths(names: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Return the lengths of names by their first two characters, longest first."""
    lengths: dict[str, set[int]] = {}
    for name in names:
        lengths.setdefault(name[:2], set()).add(len(name))
    return {head: tuple(sorted(found, reverse=True)) for head, found in lengths.items()}
