"""Finds every name of a gazetteer in a text, exactly or with one fault, without segmenting the text first.

Names are hashed by a polynomial over their characters (exact) and over their syllables, whole and with each syllable left out (deletion
neighbourhood, after Mor & Fraenkel 1982): a piece of text and a name that differ by a homophone, or by one dropped, added, swapped or
replaced character, share at least one hash. Each such hit is then weighed by `fault_cost`. Tables are sorted hashes with a directory over
their top bits, so they can be memory-mapped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numba
import numpy as np
from numpy.typing import NDArray

from transforms.address.looks import looks
from transforms.address.phonetic import sounds

MAX_NAME = 24
MIN_FAULTY = 3  # a name of two characters with one fault could be any other name
NO = 9.0  # a cost that rules out any name
_BASE = np.uint64(0x9E3779B97F4A7C15)

U64 = NDArray[np.uint64]
I32 = NDArray[np.int32]


@dataclass(frozen=True)
class HashTable:
    """Sorted `hashes` with `refs` into the entries; `starts[h >> shift]` is where a hash's bucket begins."""

    hashes: U64
    refs: I32
    starts: I32
    shift: int

    @classmethod
    def of(cls, hashes: U64, refs: I32) -> HashTable:
        """Sort the pairs and build the directory."""
        order = np.lexsort((refs, hashes))
        hashes, refs = hashes[order], refs[order]
        if len(hashes):
            fresh = np.concatenate(([True], (hashes[1:] != hashes[:-1]) | (refs[1:] != refs[:-1])))
            hashes, refs = hashes[fresh], refs[fresh]
        bits = max(4, int(np.ceil(np.log2(max(len(hashes), 2)))))
        shift = 64 - bits
        starts = np.searchsorted(hashes >> np.uint64(shift), np.arange((1 << bits) + 1, dtype=np.uint64)).astype(np.int32)
        return cls(hashes, refs, starts, shift)


@dataclass(frozen=True)
class Lexicon:
    """All entries (spellings) of names: characters end to end in `chars` from `offsets`, and their two hash tables."""

    chars: NDArray[np.uint16]
    offsets: I32
    exact: HashTable
    faulty: HashTable

    @classmethod
    def of(cls, spellings: list[str], *, faulty: list[bool] | None = None) -> Lexicon:
        """Index the spellings (keys of `transforms.address.text`); only those marked in `faulty` (default all) are found with faults."""
        chars, offsets = codes_of_many(spellings)
        heard = sounds().first[chars]
        marks = np.array([len(s) >= MIN_FAULTY for s in spellings], dtype=np.bool_)
        if faulty is not None:
            marks &= np.array(faulty, dtype=np.bool_)
        exact = np.zeros(len(spellings), dtype=np.uint64)
        lengths = np.diff(offsets)
        room = int((lengths[marks] + 1).sum())
        hashes, refs = np.zeros(room, dtype=np.uint64), np.zeros(room, dtype=np.int32)
        _hash_names(chars.astype(np.int32), heard, offsets, marks, exact, hashes, refs)
        kept = (lengths >= 2) & (lengths <= MAX_NAME)
        return cls(chars, offsets, HashTable.of(exact[kept], np.flatnonzero(kept).astype(np.int32)), HashTable.of(hashes, refs))

    def exact_hits(self, codes: NDArray[np.uint16]) -> NDArray[np.int32]:
        """Return (start, end, entry) of every spelling that occurs in the text exactly."""
        out = np.empty((512, 3), dtype=np.int32)
        t = self.exact
        n = _scan_exact(codes, t.hashes, t.refs, t.starts, np.uint64(t.shift), self.chars, self.offsets, out)
        return out[:n]

    def faulty_hits(self, codes: NDArray[np.uint16], begin: int = 0) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Return (start, end, entry) and cost of every spelling that occurs from `begin` on with a tolerable fault, including exact
        ones."""
        s = sounds()
        out, cost = np.empty((1024, 3), dtype=np.int32), np.empty(1024, dtype=np.float32)
        t = self.faulty
        n = _scan_faulty(
            codes,
            begin,
            s.first,
            s.second,
            s.typed,
            _look_tables(),
            t.hashes,
            t.refs,
            t.starts,
            np.uint64(t.shift),
            self.chars,
            self.offsets,
            out,
            cost,
        )
        return out[:n], cost[:n]


def _look_tables() -> tuple[I32, NDArray[np.uint8], I32, NDArray[np.uint8]]:
    tables = looks()
    return tables.number, tables.strokes, tables.count, tables.corners


def codes_of(text: str) -> NDArray[np.uint16]:
    """Return the UTF-16 units of a text; characters beyond the basic plane are removed by `text.key_of`."""
    return np.frombuffer(text.encode("utf-16-le", "replace"), dtype=np.uint16)


def codes_of_many(texts: list[str]) -> tuple[NDArray[np.uint16], I32]:
    """Return the units of all texts end to end and their n + 1 offsets."""
    offsets = np.zeros(len(texts) + 1, dtype=np.int32)
    np.cumsum([len(t) for t in texts], out=offsets[1:])
    return codes_of("".join(texts)), offsets


@numba.njit(cache=True)
def _mix(h):  # type: ignore[no-untyped-def]
    h ^= h >> np.uint64(32)
    h *= np.uint64(0xD6E8FEB86659FD93)
    h ^= h >> np.uint64(32)
    return h


@numba.njit(cache=True)
def _prefix(values, prefix, powers):  # type: ignore[no-untyped-def]
    prefix[0] = np.uint64(0)
    powers[0] = np.uint64(1)
    for i in range(len(values)):
        prefix[i + 1] = prefix[i] * _BASE + np.uint64(values[i] + 1)
        powers[i + 1] = powers[i] * _BASE


@numba.njit(cache=True)
def _hash_names(chars, heard, offsets, marks, exact, hashes, refs):  # type: ignore[no-untyped-def]
    prefix, powers = np.zeros(512, dtype=np.uint64), np.zeros(512, dtype=np.uint64)
    at = 0
    for e in range(len(offsets) - 1):
        a, b = offsets[e], offsets[e + 1]
        n = min(b - a, 500)
        _prefix(chars[a : a + n], prefix, powers)
        exact[e] = _mix(prefix[n])
        if not marks[e]:
            continue
        _prefix(heard[a : a + n], prefix, powers)
        hashes[at], refs[at] = _mix(prefix[n]), e
        at += 1
        for k in range(b - a):
            j = min(k, n - 1)
            hashes[at] = _mix(prefix[j] * powers[n - j - 1] + prefix[n] - prefix[j + 1] * powers[n - j - 1])
            refs[at] = e
            at += 1


@numba.njit(cache=True)
def _scan_exact(codes, hashes, refs, starts, shift, chars, offsets, out):  # type: ignore[no-untyped-def]
    n = len(codes)
    prefix, powers = np.zeros(n + 1, dtype=np.uint64), np.zeros(n + 1, dtype=np.uint64)
    _prefix(codes.astype(np.int32), prefix, powers)
    found = 0
    for i in range(n - 1):
        for j in range(i + 2, min(n, i + 24) + 1):
            h = _mix(prefix[j] - prefix[i] * powers[j - i])
            bucket = h >> shift
            for p in range(starts[bucket], starts[bucket + 1]):
                if hashes[p] != h or found == len(out):
                    continue
                e = refs[p]
                if offsets[e + 1] - offsets[e] != j - i:
                    continue
                same = True
                for k in range(j - i):
                    if chars[offsets[e] + k] != codes[i + k]:
                        same = False
                        break
                if same:
                    out[found, 0], out[found, 1], out[found, 2] = i, j, e
                    found += 1
    return found


@numba.njit(cache=True)
def _replace_cost(asked, named, first, second, typed, looks):  # type: ignore[no-untyped-def]
    """Return the cost of reading `asked` where the name has `named`."""
    if asked == named:
        return 0.0
    if typed[asked] and (typed[named] or asked < 128):
        return 9.0
    if typed[named] and named < 128:
        return 9.0
    a, b = first[asked], first[named]
    heard = a == b or (second[asked] >= 0 and second[asked] == b) or (second[named] >= 0 and second[named] == a)
    if heard:
        return 0.3 if typed[asked] or typed[named] else 0.2
    seen = _look_cost(asked, named, looks)
    return seen + (0.15 if typed[asked] or typed[named] else 0.0) if seen < 0.9 else 9.0 if typed[asked] or typed[named] else 0.9


@numba.njit(cache=True)
def _look_cost(asked, named, looks):  # type: ignore[no-untyped-def]
    """Return 0.25 to 0.45 for characters that look alike, else 0.9, based on the edit distance of their strokes and common corners."""
    number, strokes, count, corners = looks
    a, b = number[asked], number[named]
    if a < 0 or b < 0:
        return 0.9
    same = 0
    for k in range(4):
        same += corners[a, k] == corners[b, k]
    n, m = count[a], count[b]
    longest = max(n, m)
    if abs(n - m) > 0.6 * longest:
        return 0.9
    row = np.arange(m + 1)
    for i in range(n):
        diagonal = row[0]
        row[0] = i + 1
        for j in range(m):
            above = row[j + 1]
            row[j + 1] = min(diagonal + (strokes[a, i] != strokes[b, j]), above + 1, row[j] + 1)
            diagonal = above
    alike = 1.0 - row[m] / longest
    if alike >= 0.7 or 0.6 * alike + 0.1 * same >= 0.65 or (row[m] <= 2 and alike >= 0.5):
        return 0.25
    if alike >= 0.6 and same >= 2:
        return 0.35
    return 0.45 if alike >= 0.4 and same >= 3 else 0.9


@numba.njit(cache=True)
def fault_cost(asked, named, first, second, typed, looks):  # type: ignore[no-untyped-def]
    """Return the lowest cost of faults that turn `named` into `asked` (optimal string alignment over code points); 9 and up is refused."""
    n, m = len(asked), len(named)
    cost = np.full((n + 1, m + 1), 9.0, dtype=np.float32)
    cost[0, 0] = 0.0
    for i in range(n + 1):
        for j in range(max(0, i - 2), min(m, i + 2) + 1):
            best = cost[i, j]
            if i and j:
                best = min(best, cost[i - 1, j - 1] + _replace_cost(asked[i - 1], named[j - 1], first, second, typed, looks))
            if j:  # a character of the name is missing
                c = named[j - 1]
                repeated = j > 1 and named[j - 2] == c and c >= 128
                best = min(best, cost[i, j - 1] + (0.2 if repeated else 9.0 if c < 128 else 0.9 if typed[c] else 0.6))
            if i:  # the text has one more
                c = asked[i - 1]
                repeated = c >= 128 and ((i > 1 and asked[i - 2] == c) or (i < n and asked[i] == c))
                best = min(best, cost[i - 1, j] + (0.2 if repeated else 9.0 if typed[c] else 0.6))
            swapped = i > 1 and j > 1 and asked[i - 1] == named[j - 2] and asked[i - 2] == named[j - 1]
            if swapped and asked[i - 1] != asked[i - 2] and asked[i - 1] >= 128 and asked[i - 2] >= 128:
                best = min(best, cost[i - 2, j - 2] + 0.3)
            cost[i, j] = best
    return cost[n, m]


@numba.njit(cache=True)
def allowance(length):  # type: ignore[no-untyped-def]
    """Return the highest cost at which a name of this length is still accepted."""
    return 0.65 if length <= 3 else 0.7 if length == 4 else 0.95


@numba.njit(cache=True)
def _scan_faulty(codes, start, first, second, typed, looks, hashes, refs, starts, shift, chars, offsets, out, costs):  # type: ignore[no-untyped-def]
    n = len(codes)
    heard = first[codes]
    prefix, powers = np.zeros(n + 1, dtype=np.uint64), np.zeros(n + 1, dtype=np.uint64)
    _prefix(heard, prefix, powers)
    found = 0
    for i in range(start, n - 1):
        for j in range(i + 2, min(n, i + 24) + 1):
            begin = found
            for k in range(i - 1, j):
                if k < i:
                    h = prefix[j] - prefix[i] * powers[j - i]
                else:
                    if j - i < 3:
                        break
                    head = prefix[k] - prefix[i] * powers[k - i]
                    h = head * powers[j - k - 1] + prefix[j] - prefix[k + 1] * powers[j - k - 1]
                h = _mix(h)
                bucket = h >> shift
                for p in range(starts[bucket], starts[bucket + 1]):
                    if hashes[p] != h or found == len(out):
                        continue
                    e = refs[p]
                    size = offsets[e + 1] - offsets[e]
                    if abs(size - (j - i)) > 1:
                        continue
                    seen = False
                    for q in range(begin, found):
                        if out[q, 2] == e:
                            seen = True
                            break
                    if seen:
                        continue
                    c = fault_cost(codes[i:j], chars[offsets[e] : offsets[e + 1]], first, second, typed, looks)
                    if c <= allowance(size):
                        out[found, 0], out[found, 1], out[found, 2] = i, j, e
                        costs[found] = c
                        found += 1
    return found
