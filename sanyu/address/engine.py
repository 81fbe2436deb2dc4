"""The address engine: one object, built from a gazetteer or loaded from a folder, that answers queries."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from sanyu.address import store
from sanyu.address.gazetteer import alias_rows, arrow_of, own_divisions, prepared
from sanyu.address.national import division_folder, former_names, national_divisions
from schemas.messages import SanyuError
from transforms.address.answer import answer, refusal, with_grid_codes
from transforms.address.catalog import Alias, Catalog
from transforms.address.compare import Sameness, compare
from transforms.address.divisions import DivisionTable
from transforms.address.extracting import Extract, extracts
from transforms.address.index import Shard, shard_of, shards_of
from transforms.address.latin import LatinIndex
from transforms.address.listing import by_hyphen, by_list
from transforms.address.matcher import Matcher
from transforms.address.model import LEVELS, Match, Parsed, Status
from transforms.address.parsing import parsed
from transforms.address.reverse import ReverseIndex
from transforms.address.spatial import by_crossing, by_interpolation, by_offset
from transforms.address.text import MAX_LENGTH, is_mostly_latin, key_of

Fields = Mapping[str, object]
_DATES_KEPT = 32
_BLANK = " \t\r\n\u3000\u200b\ufeff,，。.、;；:：()（）"


class AddressEngine:
    """Matches, parses and compares addresses against a gazetteer; without one it reads divisions only.

    Threads may share an engine. It is pickled by its folder if it was saved or loaded, otherwise as a whole.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        divisions: Sequence[tuple[str, int, str]],
        aliases: Sequence[Alias],
        path: Path | None,
        polygons: pa.Table | None = None,
    ) -> None:
        national = national_divisions(division_folder())
        self.has_national = national is not None
        self._table = _division_table(divisions, national)
        codes = {shard.code for shard in shards}
        home = {row for code in codes if (row := self._table.by_code.get(code.ljust(12, "0"))) is not None}
        home |= {self._table.by_code[code] for code, _, _ in divisions}
        self._home = frozenset(k for row in home for k in self._table.lines[row])
        self._own = tuple(divisions)
        self._aliases = list(aliases)
        self._path = path
        self._polygons = polygons
        self._lock = threading.Lock()
        self._catalog = Catalog(shards, self._table, self._home, aliases)
        self._matcher = Matcher(self._catalog, self._table, self._home)
        self._dated: dict[date, Matcher] = {}

    @classmethod
    def build(cls, table: Any = None, *, aliases: Any = None, element_aliases: Any = None, divisions: Any = None) -> AddressEngine:
        """Build an engine from a gazetteer: a frame, an Arrow table, or the path of a CSV or Parquet file; without one, from divisions
        only.

        Columns as in core.basemap__address (standard text or elements, lon, lat or geom as WKB, CGCS2000 degrees). `aliases`: alias,
        entity_id, kind, valid_from_on, valid_to_on; `element_aliases`: element, level, alias, kind, valid_from_on, valid_to_on;
        `divisions`: division_code, division_level, name. SY-A004 if columns are missing.
        """
        known = alias_rows(aliases) + alias_rows(element_aliases)
        if table is None:
            return cls((), own_divisions(None, divisions), known, None)
        rows, own = prepared(table, divisions, _division_table)
        polygons = None if divisions is None else arrow_of(divisions)
        return cls(tuple(shards_of(rows)), own, known, None, polygons if polygons is not None and "geom" in polygons.column_names else None)

    @classmethod
    def load(cls, path: str | Path) -> AddressEngine:
        """Open a saved engine; its shards are memory-mapped. SY-A005 if the folder has none."""
        folder = Path(path)
        meta = store.read_meta(folder)
        shards = tuple(store.load_shard(folder / "shards", code) for code in meta["shards"])
        polygons = pq.ParquetFile(folder / "divisions.parquet").read() if (folder / "divisions.parquet").exists() else None
        return cls(
            shards, [(str(c), int(level), str(n)) for c, level, n in meta["divisions"]], store.read_aliases(folder), folder, polygons
        )

    def save(self, path: str | Path) -> None:
        """Write the engine into a folder, which then belongs to it."""
        folder = Path(path)
        folder.mkdir(parents=True, exist_ok=True)
        for shard in self._catalog.shards:
            store.save_shard(folder / "shards", shard)
        (folder / "aliases.jsonl").unlink(missing_ok=True)
        for alias in self._aliases:
            store.append_alias(folder, alias)
        if self._polygons is not None:
            pq.write_table(self._polygons, folder / "divisions.parquet", compression="zstd")
        store.write_meta(folder, [s.code for s in self._catalog.shards], divisions=self._own)
        self._path = folder

    def rebuild(self, district: str, table: Any) -> AddressEngine:
        """Return an engine with one district (6-digit code) rebuilt from its rows; on disk, only that district's folder is written."""
        rows, own = prepared(table, None, lambda _: self._table)
        mine = rows.filter(pc.equal(pc.utf8_slice_codeunits(rows["division_code"], 0, 6), district))
        shards = [s for s in self._catalog.shards if s.code != district]
        fresh = shard_of(district, mine)
        merged = list(dict.fromkeys([*self._own, *own]))
        if self._path is not None:
            store.save_shard(self._path / "shards", fresh)
            store.write_meta(self._path, [*(s.code for s in shards), district], divisions=merged)
        return AddressEngine(sorted([*shards, fresh], key=lambda s: s.code), merged, self._aliases, self._path, self._polygons)

    def match(
        self,
        text: str | Fields,
        *,
        context: str | None = None,
        near: tuple[float, float] | None = None,
        limit: int = 5,
        at: date | None = None,
    ) -> Match:
        """Find the place of an address: one string, or its fields by level.

        `context` is a division (name or 12-digit code) assumed where the text names none, `near` a (lon, lat) in degrees used to
        choose between equally good matches, `limit` limits the candidates. `at` uses only the aliases and former names valid on that day;
        without it those of all times are used. Bad input gives a result with a code, never an exception.
        """
        return with_grid_codes([self._match(text, self._context(context), near, limit, self._matcher_at(at))])[0]

    def _matcher_at(self, at: date | None) -> Matcher:
        if at is None:
            return self._matcher
        with self._lock:
            if at not in self._dated:
                if len(self._dated) == _DATES_KEPT:
                    self._dated.clear()
                self._dated[at] = self._matcher.at(at)
            return self._dated[at]

    def _match(self, text: str | Fields, context: int | None, near: tuple[float, float] | None, limit: int, matcher: Matcher) -> Match:
        query = text if isinstance(text, str) else joined(text)
        if len(query) > MAX_LENGTH:
            return refusal(query[:MAX_LENGTH], "SY-A011", length=len(query), limit=MAX_LENGTH, value=query[:20] + "…")
        key = key_of(query)
        if not key.strip(" -#"):
            return refusal(query, "SY-A012" if query.strip(_BLANK) else "SY-A010", value=query)

        def again(part: str) -> Match:
            return self._match(part, context, near, limit, matcher)

        told = by_offset(query, again) or by_crossing(matcher, query)
        if told is not None and told.code != "SY-A017":
            return told
        if (listed := by_list(query, again)) is not None:
            return listed
        latin = self._latin.match(query) if is_mostly_latin(query) and self._latin is not None else None
        if latin is not None and latin.status is Status.MATCHED:
            return replace(latin, query=query)
        found = matcher.find(key, context)
        if told is not None and (found.code is not None or found.asked.rest or not found.outcomes):
            return told
        if found.code is not None and latin is not None:
            return replace(latin, query=query)
        between = by_interpolation(matcher, query, found) or by_hyphen(query, again) if found.failed is not None else None
        return between or answer(matcher, query, found, near, limit)

    def match_many(
        self, texts: Iterable[str | Fields | None], *, context: str | None = None, limit: int = 5, at: date | None = None
    ) -> list[Match]:
        """Match every text in order; None is an empty address. Equal texts are matched once."""
        queries = ["" if text is None else text if isinstance(text, str) else joined(text) for text in texts]
        numbers = {query: i for i, query in enumerate(dict.fromkeys(queries))}
        area, matcher = self._context(context), self._matcher_at(at)
        matches = with_grid_codes([self._match(query, area, None, limit, matcher) for query in numbers])
        return [matches[numbers[query]] for query in queries]

    def prepare(self, at: date | None = None) -> None:
        """Build now what the first queries would build, so that processes forked from this one share it."""
        for shard in self._catalog.shards:
            shard.prepare()
        _ = self._latin
        self._matcher_at(at).ask(key_of("预热预热预热"), faulty=True)
        self.match("预热", at=at)

    def reverse(self, lon: Any, lat: Any, *, crs: str = "EPSG:4490", at: date | None = None) -> Any:
        """Return division chain, nearest street and nearest address of a point; arrays give an Arrow table, see `ReverseIndex.query`.

        `crs` is the datum of the coordinates (EPSG code, GCJ-02, BD-09), `at` the day of the divisions.
        """
        return self._reverse_index.query(lon, lat, crs=crs, at=at)

    @cached_property
    def _latin(self) -> LatinIndex | None:
        """Return the index of Latin-script streets, None if the gazetteer's roads are not in Latin script."""
        texts = [
            name
            for shard in self._catalog.shards
            for name in shard.names.filter(pc.equal(shard.names["level"], "road"))["name"].to_pylist()
        ]
        if not texts or sum(is_mostly_latin(text) for text in texts) * 2 < len(texts):
            return None
        wanted = ["entity_id", "kind", "road", "door", "lon", "lat", "geom"]
        rows = pa.concat_tables([shard.rows.select(wanted) for shard in self._catalog.shards])
        return LatinIndex.build(rows.rename_columns(["entity_id", "kind", "road_name", "door_number", "lon", "lat", "geom"]))

    @cached_property
    def _reverse_index(self) -> ReverseIndex:
        wanted = ["entity_id", "standard", "kind", "road", "lon", "lat", "geom"]
        empty = pa.table({name: pa.array([], pa.float64() if name in ("lon", "lat") else pa.large_string()) for name in wanted})
        shards = self._catalog.shards
        rows = pa.concat_tables([shard.rows.select(wanted) for shard in shards]) if shards else empty
        points = rows.rename_columns(["entity_id", "address_text", "kind", "name", "lon", "lat", "geom"])
        roads = points.filter(pc.and_(pc.equal(points["kind"], "road"), pc.is_valid(points["geom"])))
        kinds = (
            ["entity_id", "address_text", "kind", "lon", "lat"]
            if pc.any(pc.is_valid(points["kind"])).as_py()
            else ["entity_id", "address_text", "lon", "lat"]
        )
        return ReverseIndex.build(
            points.select(kinds), roads.select(["entity_id", "name", "geom"]) if roads.num_rows else None, self._polygons
        )

    def road_lines(self) -> pa.Table:
        """Return name and geom (ISO WKB, EPSG:4490) of the gazetteer's roads."""
        roads = [shard.rows.filter(pc.equal(shard.rows["kind"], "road")) for shard in self._catalog.shards]
        named = [rows.filter(pc.is_valid(rows["geom"])).select(["road", "geom"]) for rows in roads]
        empty = pa.schema([("road", pa.large_string()), ("geom", pa.large_binary())]).empty_table()
        return pa.concat_tables([empty, *named]).rename_columns(["name", "geom"])

    def same(self, first: str, second: str) -> Sameness:
        """Compare two texts: the same address, one part of the other (`partial`) or different, with a reason per element."""
        return compare(self._matcher, first, second)

    def extract(self, text: str) -> list[Extract]:
        """Return the toponyms and addresses in running text with their offsets, each with its match.

        Each of several numbers listed after one name (建设西路28、30号) is a separate result, matched by its whole address.
        """
        found = extracts(self._matcher, text)
        matches = self.match_many(asked for _, _, asked in found)
        return [Extract(text[a:b], a, b, match) for (a, b, _), match in zip(found, matches, strict=True)]

    def division_codes(self, texts: Iterable[str]) -> list[str | None]:
        """Return the 12-digit code of the deepest division named at the start of each text, None if there is none or several."""
        table, home = self._table, self._home
        settled = [table.settle(table.find(key_of(text)), home) for text in texts]
        return [None if row is None else table.codes[row] for row in settled]

    def parse(self, text: str) -> Parsed:
        """Split a text into its elements with offsets, as far as the gazetteer and the rules know them."""
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
        """Add another name of an entity or of an element; it is used from the next call and the next load on. SY-A006: no such target."""
        entry = Alias(alias, entity_id, element, level, kind, valid_from, valid_to)
        with self._lock:
            if not self._catalog.add(entry):
                raise SanyuError("SY-A006", alias=alias, target=entity_id or element or "")
            self._dated.clear()
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
        return AddressEngine, (self._catalog.shards, self._own, self._aliases, None, self._polygons)


def _division_table(own: Sequence[tuple[str, int, str]], national: pa.Table | None = None) -> DivisionTable:
    """Return the gazetteer's own divisions and the national ones as one table."""
    national = national_divisions(division_folder()) if national is None else national
    columns = () if national is None else (national[c].to_pylist() for c in ("division_code", "division_level", "name"))
    return DivisionTable([*own, *zip(*columns, strict=True)], former_names())


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
