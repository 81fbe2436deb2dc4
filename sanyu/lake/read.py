"""Read the tables of a lake as GeoPandas, Arrow, DuckDB or Spark: the same rows from each, and only Spark needs a JVM.

Which rows: by default the current ones (`valid_to_at` and `superseded_at` empty, where the table has them). `at=` gives the rows valid at
that instant, as believed now; a date or time without a zone is Beijing time (+08:00). `at="all"` or `history=True` gives every row.
`version=` reads the table as it was at that Delta version, and the rest applies to that. `bbox=` is a window
`(xmin, ymin, xmax, ymax)` in degrees, EPSG:4490: rows whose geometry meets it, borders included; with `exact=False` rows whose bounds do,
which saves reading the geometry. `where=` is one condition in DuckDB's SQL (translated for Spark). Rows come in no particular order.
"""

from __future__ import annotations

import contextlib
import difflib
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sanyu.lake.ledger import Ledger
from sanyu.lake.query import BBox, Instant, Query, for_spark
from sanyu.lake.store import LocalStore, Store, open_store
from sanyu.settings import Settings
from schemas.messages import SanyuError

if TYPE_CHECKING:
    import duckdb
    import pandas as pd
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

    from sanyu.lake.commit import Account, Entities, Facts, Outcome, Write
    from sanyu.lake.write import DeltaWriter
    from sanyu.lake.writer import TableWriter
    from schemas.model import Contract

LAYERS = ("raw", "core", "mart", "quarantine")
CRS = "EPSG:4490"


def table_key(name: str) -> str:
    """Return the folder of a table in its lake: `core.basemap__building` → `core/basemap/building`; a name of another form as it is."""
    layer, _, rest = name.partition(".")
    domain, _, entity = rest.partition("__")
    return f"{layer}/{domain}/{entity}" if layer in LAYERS and domain and entity else name


@dataclass(frozen=True)
class TableInfo:
    """A table that is in the lake: `rows` are the current ones, `version` is Delta's, `path` is what Spark opens."""

    name: str
    rows: int | None
    version: int
    path: str


class Lake:
    """A lake at a folder or `s3a://bucket/prefix`; opening it reads nothing."""

    def __init__(self, url: str | Path | None = None, settings: Settings | None = None) -> None:
        self.settings = settings or Settings.load(lake=None if url is None else _lake_url(url))
        self.store: Store = open_store(self.settings.lake if url is None else url, self.settings)
        self._guard = threading.Lock()

    @property
    def url(self) -> str:
        return self.store.url

    def __repr__(self) -> str:
        return f"Lake({self.url!r})"

    @cached_property
    def duckdb(self) -> duckdb.DuckDBPyConnection:
        """The connection behind `to_duckdb`: relations of one lake can be joined, and `lake.duckdb.sql(…)` asks anything else."""
        from sanyu.lake import duck

        connection: duckdb.DuckDBPyConnection = duck.connect(self.store)
        return connection

    @cached_property
    def ledger(self) -> Ledger:
        """What happened to each batch and file."""
        return Ledger(self.store)

    def write(
        self,
        contract: Contract,
        rows: Entities | Facts,
        write: Write,
        account: Account,
        spark: Callable[[], SparkSession] | None = None,
    ) -> Outcome:
        """Bring rows into a core or mart table, once, and account for them in ledger and bridge: see `sanyu.lake.writer`."""
        return self._table_writer(spark).write(contract, rows, write, account)

    def recover(self, contract: Contract, write: Write) -> Outcome | None:
        """Finish a write that an earlier run has committed, and return its outcome; None where it is not committed."""
        return self._table_writer(None).recover(contract, write)

    def writer(self, spark: SparkSession) -> DeltaWriter:
        """Return the engine that keeps raw rows and quarantine in a Spark session."""
        from sanyu.lake.write import DeltaWriter

        return DeltaWriter(spark, self.store)

    def needs_spark(self, contract: Contract) -> bool:
        """Tell whether facts can be written to a table by Spark only: it was made with deletion vectors."""
        from sanyu.lake.log import TableLog

        return TableLog(self.store, contract.path).has_deletion_vectors

    def _table_writer(self, spark: Callable[[], SparkSession] | None) -> TableWriter:
        from sanyu.lake.writer import TableWriter

        return TableWriter(self.store, self.ledger, spark)

    def names(self) -> list[str]:
        """Return the names of the tables that are there, sorted by layer, then name."""
        found = []
        for layer in LAYERS:
            for domain in self.store.folders(layer):
                entities = self.store.folders(f"{layer}/{domain}")
                found += [f"{layer}.{domain}__{e}" for e in entities if self.store.exists(f"{layer}/{domain}/{e}/_delta_log")]
        return found

    def tables(self, *, rows: bool = True) -> list[TableInfo]:
        """Return what is in the lake; with `rows=False` nothing is counted, which is quicker on an object store."""
        opened = [self.table(name) for name in self.names()]
        return [TableInfo(t.name, t.count() if rows else None, t.version, t.path) for t in opened]

    def table(self, name: str) -> Table:
        """Return a table by name; SY-L004 with the nearest name where there is none."""
        if not self.store.exists(f"{table_key(name)}/_delta_log"):
            names = self.names()
            near = [n for n in names if n.endswith(f"__{name}")] or difflib.get_close_matches(name, names, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise SanyuError("SY-L004", table=name, path=self.url, hint=hint)
        return Table(self, name)


class Table:
    """A Delta table of a lake. It holds no snapshot: each call reads the newest version, unless `version=` is given."""

    def __init__(self, lake: Lake, name: str) -> None:
        self.lake = lake
        self.name = name
        self._key = table_key(name)

    def __repr__(self) -> str:
        return f"Table({self.name!r}, {self.lake.url!r})"

    @property
    def path(self) -> str:
        """The address that Spark opens."""
        return self.lake.store.uri(self._key)

    @property
    def _uri(self) -> str:
        return self.lake.store.uri(self._key, "s3")

    @property
    def version(self) -> int:
        """The newest Delta version."""
        return int(self._delta().version())

    @property
    def schema(self) -> pa.Schema:
        """Names and Arrow types of the columns, as the readers give them."""
        return self._arrow(f"SELECT * FROM {self._scan(None)} LIMIT 0").schema

    @property
    def columns(self) -> tuple[str, ...]:
        return tuple(self.schema.names)

    def history(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the commits, newest first, as Delta records them: version, timestamp (ms), operation, parameters, metrics."""
        return list(self._delta().history(limit))

    def count(
        self,
        *,
        where: str | None = None,
        bbox: Sequence[float] | None = None,
        at: Instant | None = None,
        version: int | None = None,
        exact: bool = True,
        history: bool = False,
    ) -> int:
        """Return the number of rows that the readers would give."""
        query = Query(None, where, bbox, at, version, exact, history)
        if bbox is not None and exact:
            return int(self._exact(query, ()).num_rows)
        condition = query.condition(self.name, self._columns(version))
        return int(self._arrow(f"SELECT count(*) FROM {self._scan(version)} WHERE {condition or 'true'}")[0][0].as_py())

    def to_arrow(
        self,
        columns: Sequence[str] | None = None,
        *,
        where: str | None = None,
        bbox: Sequence[float] | None = None,
        at: Instant | None = None,
        version: int | None = None,
        exact: bool = True,
        history: bool = False,
    ) -> pa.Table:
        """Return the rows as an Arrow table; `geom` is ISO WKB, EPSG:4490."""
        query = Query(columns, where, bbox, at, version, exact, history)
        return self._exact(query, query.selected(self.name, self._columns(version)))

    def of_entities(
        self, ids: pa.Array, columns: Sequence[str] | None = None, *, where: str | None = None, version: int | None = None
    ) -> pa.Table:
        """Return the current rows with these `entity_id`s as an Arrow table; many ids cost no more than a look at that one column."""
        import pyarrow as pa

        from sanyu.lake import duck

        query = Query(columns, where, version=version)
        known = self._columns(version)
        names = ", ".join(map(duck.identifier, query.selected(self.name, known)))
        condition = f"entity_id IN (SELECT id FROM wanted) AND ({query.condition(self.name, known) or 'true'})"
        with self._explained(), self.lake._guard:
            cursor = self.lake.duckdb.cursor()
        with self._explained(), contextlib.closing(cursor):
            cursor.register("wanted", pa.table({"id": ids}))
            return cursor.sql(f"SELECT {names} FROM {self._scan(version)} WHERE {condition}").to_arrow_table()

    def to_geopandas(
        self,
        columns: Sequence[str] | None = None,
        *,
        where: str | None = None,
        bbox: Sequence[float] | None = None,
        at: Instant | None = None,
        version: int | None = None,
        exact: bool = True,
        history: bool = False,
    ) -> pd.DataFrame:
        """Return the rows as a GeoDataFrame in EPSG:4490 (a plain DataFrame where `geom` is not among the columns).

        Whole numbers and booleans keep their type beside missing values (pandas' nullable types); `bbox` is left out unless it is named.
        """
        query = Query(columns, where, bbox, at, version, exact, history)
        names = query.selected(self.name, self._columns(version))
        if columns is None:
            names = tuple(n for n in names if n != "bbox")
        from sanyu.lake.frames import to_frame

        return to_frame(self._exact(query, names), CRS if not self.name.startswith(("raw.", "quarantine.")) else None)

    def to_duckdb(
        self,
        columns: Sequence[str] | None = None,
        *,
        where: str | None = None,
        bbox: Sequence[float] | None = None,
        at: Instant | None = None,
        version: int | None = None,
        exact: bool = True,
        history: bool = False,
    ) -> duckdb.DuckDBPyRelation:
        """Return a lazy relation on `lake.duckdb`, with the spatial extension loaded.

        `geom` stays WKB, because that is what all other readers of the relation take. As GEOMETRY:
        `relation.project("* REPLACE (ST_GeomFromWKB(geom) AS geom)")`.
        """
        from sanyu.lake import duck

        query = Query(columns, where, bbox, at, version, exact, history)
        known = self._columns(version)
        names = ", ".join(map(duck.identifier, query.selected(self.name, known)))
        condition = query.condition(self.name, known) or "true"
        window = query.window()
        with self._explained(), self.lake._guard:
            duck.load(self.lake.duckdb, "spatial")
            if window is not None and exact and "geom" in known:
                condition += f" AND ST_Intersects(ST_GeomFromWKB(geom), ST_MakeEnvelope({', '.join(map(repr, window))}))"
            return self.lake.duckdb.sql(f"SELECT {names} FROM {self._scan(version)} WHERE {condition}")

    def to_spark(
        self,
        columns: Sequence[str] | None = None,
        *,
        where: str | None = None,
        bbox: Sequence[float] | None = None,
        at: Instant | None = None,
        version: int | None = None,
        exact: bool = True,
        history: bool = False,
    ) -> DataFrame:
        """Return the rows as a Spark frame, starting Spark where it doesn't run; `geom` is WKB: `ST_GeomFromWKB(geom)` for Sedona."""
        from sanyu.session import spark_session

        query = Query(columns, where, bbox, at, version, exact, history)
        known = self._columns(version)
        names = query.selected(self.name, known)
        condition = query.condition(self.name, known)
        reader = spark_session(self.lake.settings).read.format("delta")
        frame = (reader if version is None else reader.option("versionAsOf", version)).load(self.path)
        if condition:
            frame = frame.where(for_spark(condition))
        window = query.window()
        if window is not None and exact and "geom" in known:
            frame = frame.where(f"ST_Intersects(ST_GeomFromWKB(geom), ST_PolygonFromEnvelope({', '.join(f'{v!r}D' for v in window)}))")
        return frame.select(*(f"`{n}`" for n in names))

    def bbox_files(self, bbox: Sequence[float], *, version: int | None = None) -> tuple[int, int]:
        """Return how many data files a window touches, judged by their statistics, and how many there are."""
        import pyarrow as pa

        from sanyu.lake.frames import files_touched

        window = Query(bbox=bbox).window()
        assert window is not None
        return files_touched(pa.table(self._delta(version).get_add_actions(flatten=True)), window)

    def _delta(self, version: int | None = None) -> Any:
        from deltalake import DeltaTable

        return DeltaTable(self._uri, version=version, storage_options=self.lake.store.storage_options() or None)

    def _scan(self, version: int | None) -> str:
        from sanyu.lake import duck

        return duck.scan(self._uri, version)

    def _columns(self, version: int | None) -> tuple[str, ...]:
        """Return the columns at a version; SY-L010 where there is no such version."""
        if version is not None:
            last = self.version
            if not 0 <= version <= last:
                raise SanyuError("SY-L010", table=self.name, version=version, first=0, last=last)
        return tuple(self._arrow(f"SELECT * FROM {self._scan(version)} LIMIT 0").schema.names)

    def _arrow(self, sql: str) -> pa.Table:
        with self._explained(), self.lake._guard:
            cursor = self.lake.duckdb.cursor()
        with self._explained(), contextlib.closing(cursor):
            return cursor.sql(sql).to_arrow_table()

    def _exact(self, query: Query, names: tuple[str, ...]) -> pa.Table:
        """Read the named columns; for an exact window the geometry is read beside them, tested, and dropped again."""
        from sanyu.lake import duck

        known = self._columns(query.version)
        condition = query.condition(self.name, known) or "true"
        window: BBox | None = query.window() if query.exact and "geom" in known else None
        extra = () if window is None else tuple(n for n in ("bbox", "geom") if n not in names)
        read = ", ".join(map(duck.identifier, (*names, *extra)))
        rows = self._arrow(f"SELECT {read} FROM {self._scan(query.version)} WHERE {condition}")
        if window is None:
            return rows
        from sanyu.lake.frames import meeting

        return meeting(rows, window).select(names)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what DuckDB raises about the table or the condition into SY-L011."""
        import duckdb

        try:
            yield
        except duckdb.Error as error:
            raise SanyuError("SY-L011", table=self.name, detail=str(error).splitlines()[0]) from error


def open_lake(url: str | Path | None = None, **settings: Any) -> Lake:
    """Return the lake at an address, by default the settings' own; SY-L001 where it should be a folder and there is none."""
    lake = Lake(None, Settings.load(**settings, **({} if url is None else {"lake": _lake_url(url)})))
    if isinstance(lake.store, LocalStore) and not lake.store.root.is_dir():
        raise SanyuError("SY-L001", path=lake.url)
    return lake


def _lake_url(url: str | Path) -> str:
    text = str(url)
    return "s3a://" + text.removeprefix("s3://") if text.startswith("s3://") else text
