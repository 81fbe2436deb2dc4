"""The address engine: one object that is built from a gazetteer or loaded from a folder, and asked about texts."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc

from sanyu.address import store
from sanyu.address.gazetteer import alias_rows, own_divisions, prepared
from sanyu.address.national import division_folder, former_names, national_divisions
from schemas.messages import SanyuError
from transforms.address.answer import answer, refusal
from transforms.address.catalog import Alias, Catalog
from transforms.address.divisions import DivisionTable
from transforms.address.index import Shard, shard_of, shards_of
from transforms.address.matcher import Matcher
from transforms.address.model import LEVELS, Match, Parsed
from transforms.address.parsing import parsed
from transforms.address.text import MAX_LENGTH, key_of

Fields = Mapping[str, object]


class AddressEngine:
    """Matches, parses and compares addresses against a gazetteer; without one it reads divisions only.

    Threads may share an engine. It pickles by its folder where it was saved or loaded, else whole.
    """

    def __init__(
        self, shards: Sequence[Shard], divisions: Sequence[tuple[str, int, str]], aliases: Sequence[Alias], path: Path | None
    ) -> None:
        national = national_divisions(division_folder())
        self.has_national = national is not None
        rows = list(divisions)
        if national is not None:
            columns = (national[c].to_pylist() for c in ("division_code", "division_level", "name"))
            rows += list(zip(*columns, strict=True))
        self._table = DivisionTable(rows, former_names())
        codes = {shard.code for shard in shards}
        home = {row for code in codes if (row := self._table.by_code.get(code.ljust(12, "0"))) is not None}
        home |= {self._table.by_code[code] for code, _, _ in divisions}
        self._home = frozenset(k for row in home for k in self._table.lines[row])
        self._own = tuple(divisions)
        self._aliases = list(aliases)
        self._path = path
        self._lock = threading.Lock()
        self._catalog = Catalog(shards, self._table, self._home, aliases)
        self._matcher = Matcher(self._catalog, self._table, self._home)

    @classmethod
    def build(cls, table: Any = None, *, aliases: Any = None, element_aliases: Any = None, divisions: Any = None) -> AddressEngine:
        """Build an engine from a gazetteer: a frame, an Arrow table, or the path of a CSV or Parquet file; no table knows divisions only.

        Columns as in core.basemap__address (standard text or elements, lon, lat or geom as WKB, CGCS2000 degrees). `aliases`: alias,
        entity_id, kind, valid_from_on, valid_to_on; `element_aliases`: element, level, alias, kind, valid_from_on, valid_to_on;
        `divisions`: division_code, division_level, name. SY-A004 where columns are missing.
        """
        known = alias_rows(aliases) + alias_rows(element_aliases)
        if table is None:
            return cls((), own_divisions(None, divisions), known, None)
        rows, own = prepared(table, divisions)
        return cls(tuple(shards_of(rows)), own, known, None)

    @classmethod
    def load(cls, path: str | Path) -> AddressEngine:
        """Open a saved engine; its shards are memory-mapped. SY-A005 where the folder holds none."""
        folder = Path(path)
        meta = store.read_meta(folder)
        shards = tuple(store.load_shard(folder / "shards", code) for code in meta["shards"])
        return cls(shards, [(str(c), int(level), str(n)) for c, level, n in meta["divisions"]], store.read_aliases(folder), folder)

    def save(self, path: str | Path) -> None:
        """Write the engine into a folder, which it then belongs to."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        for shard in self._catalog.shards:
            store.save_shard(folder / "shards", shard)
        (folder / "aliases.jsonl").unlink(missing_ok=True)
        for alias in self._aliases:
            store.append_alias(folder, alias)
        store.write_meta(folder, [s.code for s in self._catalog.shards], divisions=self._own)
        self._path = folder

    def rebuild(self, district: str, table: Any) -> AddressEngine:
        """Return an engine with one district (6-digit code) made anew from its rows; on disk only that district's folder is written."""
        rows, own = prepared(table, None)
        mine = rows.filter(pc.equal(pc.utf8_slice_codeunits(rows["division_code"], 0, 6), district))
        shards = [s for s in self._catalog.shards if s.code != district]
        fresh = shard_of(district, mine)
        merged = list(dict.fromkeys([*self._own, *own]))
        if self._path is not None:
            store.save_shard(self._path / "shards", fresh)
            store.write_meta(self._path, [*(s.code for s in shards), district], divisions=merged)
        return AddressEngine(sorted([*shards, fresh], key=lambda s: s.code), merged, self._aliases, self._path)

    def match(
        self,
        text: str | Fields,
        *,
        context: str | None = None,
        near: tuple[float, float] | None = None,
        limit: int = 5,
    ) -> Match:
        """Find the place that an address means: one string, or its fields by level.

        `context` is a division (name or 12-digit code) that holds where the text leaves it open, `near` a (lon, lat) in degrees that
        decides between equals, `limit` cuts the candidates. Bad input is an answer with a code, never an exception.
        """
        query = text if isinstance(text, str) else joined(text)
        if len(query) > MAX_LENGTH:
            return refusal(query[:MAX_LENGTH], "SY-A011", length=len(query), limit=MAX_LENGTH, value=query[:20] + "…")
        key = key_of(query)
        if not key.strip(" -#"):
            return refusal(query, "SY-A010", value=query)
        found = self._matcher.find(key, self._context(context))
        return answer(self._matcher, query, found, near, limit)

    def match_many(self, texts: Iterable[str | Fields | None], *, context: str | None = None, limit: int = 5) -> list[Match]:
        """Match every text in order; None is an empty address. Equal texts are matched once."""
        seen: dict[str, Match] = {}
        out: list[Match] = []
        for text in texts:
            query = "" if text is None else text if isinstance(text, str) else joined(text)
            known = seen.get(query)
            if known is None:
                known = seen[query] = self.match(query, context=context, limit=limit)
            out.append(known)
        return out

    def parse(self, text: str) -> Parsed:
        """Cut a text into its elements with offsets, as far as the gazetteer and the rules know them."""
        return parsed(self._matcher, text)

    def add_alias(
        self,
        alias: str,
        *,
        entity_id: str | None = None,
        element: str | None = None,
        level: str | None = None,
        kind: str | None = None,
        valid_from: Any = None,
        valid_to: Any = None,
    ) -> None:
        """Add another name of an entity or of an element; the next call knows it, and so does the next load. SY-A006: no such target."""
        entry = Alias(alias, entity_id, element, level, kind, valid_from, valid_to)
        with self._lock:
            if not self._catalog.add(entry):
                raise SanyuError("SY-A006", alias=alias, target=entity_id or element or "")
            self._aliases.append(entry)
            if self._path is not None:
                store.append_alias(self._path, entry)

    def _context(self, context: str | None) -> int | None:
        if context is None:
            return None
        row = self._table.by_code.get(context.ljust(12, "0")) if context.isdigit() else None
        return row if row is not None else self._table.settle(self._table.find(key_of(context)), self._home)

    def __reduce__(self) -> tuple[Any, ...]:
        if self._path is not None:
            return AddressEngine.load, (self._path,)
        return AddressEngine, (self._catalog.shards, self._own, self._aliases, None)


def joined(fields: Fields) -> str:
    """Return fields by level (`road` or `road_name`, `door_number` …) as one address, from the province down."""
    known = {str(k).removesuffix("_name").removesuffix("_number"): v for k, v in fields.items() if v is not None and str(v).strip()}
    if "name" in known:
        known.setdefault("place", known["name"])
    whole = known.get("address_text") or known.get("standard") or known.get("address")
    if whole and not any(level in known for level in LEVELS):
        return str(whole)
    return "".join(_with_unit(level, str(known[level])) for level in LEVELS if level in known)


def _with_unit(level: str, value: str) -> str:
    unit = {"door": "号", "building": "幢", "unit": "单元", "floor": "层", "room": "室"}.get(level)
    return value + unit if unit and value[-1:].isascii() and value[-1:].isalnum() else value
