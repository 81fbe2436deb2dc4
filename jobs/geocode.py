"""Geocode the tables whose contract asks for it: rows with an address and no geometry get their match, what has none goes to review.

A contract asks by `SpaceStamp(geocode="address_text")`, the column that holds the address. A row's match holds as long as its address and
the gazetteer do, so that a rerun matches only rows that are new or changed; an alias that was added to the index asks again for those
without an answer. Few rows are matched in this process, many on Spark's workers, each with the index loaded when its first rows come; the
answers are the same. Where there is nothing to ask, Spark is not started.
"""

from __future__ import annotations

import functools
import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from jobs.context import Loading
from jobs.labels import is_labelled, label_of, label_of_tables
from quality.arrow import arrow_schema
from sanyu.address import lakeindex
from sanyu.address.batch import joined_table, matched_table
from sanyu.address.store import read_aliases
from sanyu.lake.deliveries import sequence
from schemas.messages import SanyuError
from schemas.model import Contract, SecurityLabel, highest
from schemas.registry import find_contract

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sanyu.address.engine import AddressEngine

MATCH, REVIEW = "mart.basemap__address_match", "mart.basemap__address_review"
SPARK_ROWS = 20_000  # from here on the start of the workers is worth it: a row costs a third of a millisecond
ROWS_A_TASK = 50_000
_KEY = ("input_entity_id", "address_text")
# Columns of the two tables by what `formats.RESULT` calls them under `match_`.
_ANSWER = {
    "match_status_code": "match_status",
    "match_score": "match_score",
    "standard_text": "match_standard",
    "division_code": "match_division_code",
    "match_precision": "match_precision",
    "lon": "match_lon",
    "lat": "match_lat",
    "found_entity_id": "match_entity_id",
    "match_reason_code": "match_code",
    "match_reasons": "match_reasons",
    "match_reason_text": "match_message",
    "match_reason_text_zh": "match_message_zh",
    "candidates": "match_candidates",
    "geom": "match_geom",
}


@dataclass(frozen=True)
class GeocodeReport:
    """What became of one table: `asked` rows were matched now, `kept` had their match; `state` is `unchanged` or `written`.

    `matched_by` is `process` or `spark`, None where no row was asked for.
    """

    table: str
    rows: int
    asked: int
    kept: int
    matched: int
    tied: int
    unmatched: int
    seconds: float
    state: str
    matched_by: str | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def asks(contract: Contract) -> bool:
    """Tell whether rows of the table are to be geocoded."""
    return contract.space.geocode is not None


def run(loading: Loading, tables: tuple[str, ...] = (), *, spark_rows: int = SPARK_ROWS) -> list[GeocodeReport]:
    """Geocode the named tables, or all that ask for it; SY-A073 without an index, SY-A081 for a table that is not geocoded.

    Tables with at least `spark_rows` rows to ask for are matched by Spark's workers.
    """
    asking = [contract.name for contract in loading.contracts.values() if asks(contract)]
    for name in tables:
        if name not in asking:
            raise SanyuError("SY-A081", table=name, known=", ".join(asking))
    info = lakeindex.current(loading.lake.store)
    if info is None:
        raise SanyuError("SY-A073", path=loading.lake.url)
    present = set(loading.lake.names())
    added = len(read_aliases(lakeindex.index_folder(loading.lake.store, info.index_id))) - info.own_aliases
    label = label_of_tables(loading.lake, info.versions, loading.contracts)
    job = _Job(loading, info.index_id, f"{info.index_id}+{added}" if added else info.index_id, spark_rows, label)
    return [job.table(name) for name in tables or asking if name in present]


@dataclass
class _Job:
    loading: Loading
    index_id: str
    gazetteer_code: str
    spark_rows: int
    index_label: SecurityLabel  # of the rows that the index was made of, because a match tells their places

    def table(self, name: str) -> GeocodeReport:
        """Bring the matches of one table up to date."""
        started = time.monotonic()
        rows = self._rows(name)
        kept = {target: self._kept(name, target) for target in (MATCH, REVIEW)}
        found = {target: pc.index_in(_keys(rows), value_set=_keys(table)) for target, table in kept.items()}
        is_known = pc.is_valid(found[MATCH])
        fresh = rows.filter(pc.invert(is_known))
        still = {target: kept[target].take(found[target].filter(is_known).drop_null()) for target in kept}
        label = self._label(name)
        source = _source_name(name)
        is_still = all(is_labelled(self.loading.lake, find_contract(target), source, label) for target in (MATCH, REVIEW))
        is_changed = fresh.num_rows > 0 or still[MATCH].num_rows != kept[MATCH].num_rows or not is_still
        way = None if not fresh.num_rows else "spark" if fresh.num_rows >= self.spark_rows else "process"
        told = {"spark": ", by Spark's workers", "process": ", in this process", None: ""}[way]
        self.loading.progress(f"geocode {name}: {fresh.num_rows:,} of {rows.num_rows:,} rows{told}")
        counts = Counter(still[MATCH]["match_status_code"].to_pylist())
        if is_changed:
            secret = "" if label is SecurityLabel.PUBLIC else f" {label}"
            batch = _digest(rows, self.gazetteer_code + secret)
            made = self._by_spark if way == "spark" else self._in_process
            counts += made(name, fresh, still, (batch, label))
        seconds = round(time.monotonic() - started, 3)
        sizes = rows.num_rows, fresh.num_rows, still[MATCH].num_rows
        state = "written" if is_changed else "unchanged"
        return GeocodeReport(name, *sizes, counts["M"], counts["T"], counts["U"], seconds, state, way)

    def _rows(self, name: str) -> pa.Table:
        """Return input_entity_id and address_text of the rows to be geocoded, in order."""
        column = str(self.loading.contracts[name].space.geocode)
        table = self.loading.lake.table(name).to_arrow(["entity_id", column], where=f"geom IS NULL AND {column} IS NOT NULL")
        return table.rename_columns(list(_KEY)).cast(pa.schema([(key, pa.string()) for key in _KEY])).sort_by(_KEY[0]).combine_chunks()

    def _label(self, name: str) -> SecurityLabel:
        """Return the highest label of what the matches of a table are made from."""
        column = str(self.loading.contracts[name].space.geocode)
        where = f"geom IS NULL AND {column} IS NOT NULL"
        return highest((self.index_label, label_of(self.loading.lake.table(name), self.loading.contracts, where=where)))

    def _kept(self, name: str, target: str) -> pa.Table:
        """Return the rows of a target that still hold: made by the same index, and without an answer only by the same aliases."""
        schema = _schema(target)
        if target not in self.loading.lake.names():
            return schema.empty_table()
        same = f"gazetteer_code = '{self.gazetteer_code}' OR (match_status_code = 'M' AND gazetteer_code LIKE '{self.index_id}%')"
        found = self.loading.lake.table(target).to_arrow(schema.names, where=f"input_table = '{name}' AND ({same})")
        return found.select(schema.names).cast(schema).combine_chunks()

    def _in_process(self, name: str, fresh: pa.Table, still: dict[str, pa.Table], told: tuple[str, SecurityLabel]) -> Counter[str]:
        """Match the rows here and write both tables; return what became of the fresh ones."""
        answers = answered(lakeindex.open_engine(self.loading.lake), fresh) if fresh.num_rows else None
        for target in (REVIEW, MATCH):  # the matches last: a run that died before them is made again
            made = [] if answers is None else [target_rows(answers, target, name, self.gazetteer_code)]
            table = pa.concat_tables([still[target], *made]).sort_by(_KEY[0])
            self._write(name, target, table, table.num_rows, *told)
        return Counter(() if answers is None else answers["match_status"].to_pylist())

    def _by_spark(self, name: str, fresh: pa.Table, still: dict[str, pa.Table], told: tuple[str, SecurityLabel]) -> Counter[str]:
        """Match the rows on Spark's workers and write both tables; return what became of the fresh ones."""
        from sanyu.address.spark import matched

        lake = self.loading.lake
        spark = self.loading.spark()
        index = functools.partial(lakeindex.folder_at, lake.url, lake.settings, self.index_id)
        parts = max(spark.sparkContext.defaultParallelism, fresh.num_rows // ROWS_A_TASK)
        answers = matched(spark.createDataFrame(fresh).repartition(parts), "address_text", index).persist()
        try:
            counts = Counter({row["match_status"]: row["count"] for row in answers.groupBy("match_status").count().collect()})
            for target in (REVIEW, MATCH):
                made = answers.mapInArrow(_shaper(target, name, self.gazetteer_code), _ddl(target))
                count = still[target].num_rows + (fresh.num_rows if target == MATCH else counts["T"] + counts["U"])
                self._write(name, target, spark.createDataFrame(still[target]).unionByName(made), count, *told)
        finally:
            answers.unpersist()
        return counts

    def _write(self, name: str, target: str, rows: pa.Table | DataFrame, count: int, batch: str, label: SecurityLabel) -> None:
        from jobs.results import commit
        from sanyu.lake.commit import Write

        contract = find_contract(target)
        lake = self.loading.lake
        if not count and target not in lake.names():
            return
        source = _source_name(name)
        write = Write(source, batch, self.loading.run_id, sequence(lake.store, f"{source}_{contract.entity}", batch), contract.version)
        commit(self.loading, contract, rows, write, label=label, step="geocode")


def _source_name(table: str) -> str:
    return f"geocode_{table.replace('.', '_')}"


def answered(engine: AddressEngine, rows: pa.Table) -> pa.Table:
    """Return the rows (input_entity_id, address_text) with the columns of `formats.RESULT` under `match_`."""
    return joined_table(rows, matched_table(engine, rows, "address_text", "match_"))


def target_rows(answers: pa.Table, target: str, table: str, gazetteer_code: str) -> pa.Table:
    """Return the rows of the match or of the review table that answers (see `answered`) to rows of `table` make."""
    if target == REVIEW:
        answers = answers.filter(pc.not_equal(answers["match_status"], "M"))
    told = {"input_table": table, "gazetteer_code": gazetteer_code}
    columns: list[Any] = []
    for column in _schema(target):
        if column.name in told:
            columns.append(pa.array(np.full(answers.num_rows, told[column.name]), column.type))
        else:
            values = answers[_ANSWER.get(column.name, column.name)]
            columns.append(pc.fill_null(values, "[]") if column.name == "candidates" else values)
    return pa.table(columns, _schema(target))


def _shaper(target: str, table: str, gazetteer_code: str) -> Callable[[Iterable[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def shaped(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield from target_rows(pa.Table.from_batches([batch]), target, table, gazetteer_code).combine_chunks().to_batches()

    return shaped


def _schema(target: str) -> pa.Schema:
    """Return the columns of a target that this job fills."""
    contract = find_contract(target)
    full = arrow_schema(contract)
    names = [*(c.name for c in contract.columns), *(("geom",) if contract.geometry else ())]
    return pa.schema([full.field(name).remove_metadata() for name in names])


def _ddl(target: str) -> str:
    from pyspark.sql.pandas.types import from_arrow_schema

    return ", ".join(f"`{field.name}` {field.dataType.simpleString()}" for field in from_arrow_schema(_schema(target)))


def _keys(rows: pa.Table) -> pa.ChunkedArray:
    return pc.binary_join_element_wise(*(rows[key] for key in _KEY), "\x1f")


def _digest(rows: pa.Table, gazetteer_code: str) -> str:
    """Return what the answers follow from: the rows and the gazetteer."""
    with pa.ipc.new_stream(sink := pa.BufferOutputStream(), rows.schema) as writer:
        writer.write_table(rows)
    return hashlib.sha256(sink.getvalue().to_pybytes() + gazetteer_code.encode()).hexdigest()[:12]
