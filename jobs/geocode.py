"""Geocode the tables whose contract asks for it: rows with an address and no geometry get their match, what has none goes to review.

A contract asks by having `address_text` beside a geometry that may be missing. A row's match holds as long as its address and the gazetteer
do, so that a rerun matches only rows that are new or changed; an alias that was added to the index asks again for those without an answer.
Where there is nothing to ask, Spark is not started: it writes, the matching is done in this process.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.ipc

from jobs.load import Loading
from sanyu.address import lakeindex
from sanyu.address.formats import geometry, reasons_json
from sanyu.address.store import read_aliases
from sanyu.lake.deliveries import sequence
from schemas.messages import SanyuError
from schemas.model import Contract
from schemas.registry import find_contract

if TYPE_CHECKING:
    from sanyu.address.engine import AddressEngine
    from transforms.address.model import Match

MATCH, REVIEW = "mart.basemap__address_match", "mart.basemap__address_review"


@dataclass(frozen=True)
class GeocodeReport:
    """What became of one table: `asked` rows were matched now, `kept` had their match; `state` is `unchanged` or `written`."""

    table: str
    rows: int
    asked: int
    kept: int
    matched: int
    tied: int
    unmatched: int
    seconds: float
    state: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def asks(contract: Contract) -> bool:
    """Tell whether rows of the table are to be geocoded: they have an address, and their geometry may be missing."""
    known = {column.name for column in contract.columns}
    own = contract.geometry is not None and not contract.geometry.required
    return contract.layer == "core" and own and "address_text" in known and not contract.name.startswith("core.basemap__")


def run(loading: Loading, tables: tuple[str, ...] = ()) -> list[GeocodeReport]:
    """Geocode the named tables, or all that ask for it; SY-A073 without an index, SY-A081 for a table that is not geocoded."""
    asking = [contract.name for contract in loading.contracts.values() if asks(contract)]
    for name in tables:
        if name not in asking:
            raise SanyuError("SY-A081", table=name, known=", ".join(asking))
    info = lakeindex.current(loading.lake.store)
    if info is None:
        raise SanyuError("SY-A073", path=loading.lake.url)
    present = set(loading.lake.names())
    added = len(read_aliases(lakeindex.index_folder(loading.lake.store, info.index_id))) - info.own_aliases
    job = _Job(loading, info.index_id, f"{info.index_id}+{added}" if added else info.index_id)
    return [job.table(name) for name in tables or asking if name in present]


@dataclass
class _Job:
    loading: Loading
    index_id: str
    gazetteer_code: str
    _engine: AddressEngine | None = None

    @property
    def engine(self) -> AddressEngine:
        if self._engine is None:
            self._engine = self.loading.lake.addresses()
        return self._engine

    def table(self, name: str) -> GeocodeReport:
        """Bring the matches of one table up to date."""
        started = time.monotonic()
        rows = self.loading.lake.table(name).to_arrow(["entity_id", "address_text"], where="geom IS NULL AND address_text IS NOT NULL")
        rows = rows.sort_by("entity_id")
        kept = self._kept(name)
        known = {(r["input_entity_id"], r["address_text"]): r for r in kept[0]}
        pairs = list(zip(rows["entity_id"].to_pylist(), rows["address_text"].to_pylist(), strict=True))
        fresh = [pair for pair in pairs if pair not in known]
        still = [known[pair] for pair in pairs if pair in known]
        self.loading.progress(f"geocode {name}: {len(fresh):,} of {len(pairs):,} rows")
        matches = self.engine.match_many([text for _, text in fresh]) if fresh else []
        made = [match_row(name, entity, text, m, self.gazetteer_code) for (entity, text), m in zip(fresh, matches, strict=True)]
        found = sorted([*still, *made], key=lambda row: str(row["input_entity_id"]))
        changed = bool(fresh) or len(still) != len(kept[0])
        if changed:
            waiting = {pair for pair in pairs if pair in known}
            old = [r for r in kept[1] if (r["input_entity_id"], r["address_text"]) in waiting]
            new = [review_row(row, m) for row, m in zip(made, matches, strict=True) if row["match_status_code"] != "M"]
            self._write(name, REVIEW, [*old, *new])
            self._write(name, MATCH, found)  # last: a run that died before it is made again
        counts = Counter(row["match_status_code"] for row in found)
        seconds = round(time.monotonic() - started, 3)
        state = "written" if changed else "unchanged"
        return GeocodeReport(name, len(pairs), len(fresh), len(still), counts["M"], counts["T"], counts["U"], seconds, state)

    def _kept(self, name: str) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        """Return the rows of match and review that still hold: made by the same index, and without an answer only by the same aliases."""
        present = set(self.loading.lake.names())
        same = f"gazetteer_code = '{self.gazetteer_code}' OR (match_status_code = 'M' AND gazetteer_code LIKE '{self.index_id}%')"
        condition = f"input_table = '{name}' AND ({same})"
        out = []
        for table in (MATCH, REVIEW):
            columns = [*(c.name for c in find_contract(table).columns), *(("geom",) if table == MATCH else ())]
            there = table in present
            out.append(self.loading.lake.table(table).to_arrow(columns, where=condition).to_pylist() if there else [])
        return out[0], out[1]

    def _write(self, name: str, target: str, rows: list[dict[str, Any]]) -> None:
        from jobs.mined import stamped
        from quality.arrow import arrow_schema
        from sanyu.lake.write import Write

        contract = find_contract(target)
        store = self.loading.lake.store
        if not rows and target not in self.loading.lake.names():
            return
        wanted = [*(c.name for c in contract.columns), *(("geom",) if contract.geometry else ())]
        full = arrow_schema(contract)
        schema = pa.schema([full.field(column) for column in wanted])
        table = pa.Table.from_pylist([{c: row.get(c) for c in wanted} for row in rows], schema).replace_schema_metadata(None)
        source = f"geocode_{name.replace('.', '_')}"
        batch = _batch(table)
        write = Write(source, batch, self.loading.run_id, sequence(store, f"{source}_{contract.entity}", batch), contract.version)
        spark = self.loading.spark()
        ready = stamped(spark.createDataFrame(table), contract, write, self.loading.recorded_at, {}, None).persist()
        try:
            self.loading.lake.writer(spark).commit_facts(contract, ready, write, count=table.num_rows)
        finally:
            ready.unpersist()


def match_row(table: str, entity: str, text: str, match: Match, gazetteer_code: str) -> dict[str, Any]:
    """Return the row of `mart.basemap__address_match` for one input row."""
    import shapely

    shape = geometry(match)
    return {
        "input_table": table,
        "input_entity_id": entity,
        "address_text": text,
        "match_status_code": str(match.status),
        "match_score": match.score,
        "standard_text": match.standard,
        "division_code": match.division_code,
        "match_precision": match.precision,
        "lon": match.lon,
        "lat": match.lat,
        "found_entity_id": match.entity_id,
        "match_reason_code": match.code,
        "match_reasons": reasons_json(match),
        "gazetteer_code": gazetteer_code,
        "geom": None if shape is None else shapely.to_wkb(shape, flavor="iso"),
    }


def review_row(row: Mapping[str, Any], match: Match) -> dict[str, Any]:
    """Return the row of `mart.basemap__address_review` for a match row without an answer."""
    kept = ("input_table", "input_entity_id", "address_text", "match_status_code", "match_reason_code", "gazetteer_code")
    return {name: row[name] for name in kept} | {
        "match_reason_text": match.message,
        "match_reason_text_zh": match.message_zh,
        "candidates": json.dumps([c.standard for c in match.candidates], ensure_ascii=False),
    }


def _batch(table: pa.Table) -> str:
    with pa.ipc.new_stream(sink := pa.BufferOutputStream(), table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return hashlib.sha256(sink.getvalue()).hexdigest()[:12]
