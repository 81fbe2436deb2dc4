"""Run a tool of the shelf on a table of the lake: its result, the patterns in it, and the run itself become rows of `mart`.

An analysis is a tool with its parameters on a table under a condition; its digest names the rows that it has in the result table
(`source_name`), and a rerun replaces what of them has changed. A table that is as it was at the last run is recognised before anything is
computed; where it has changed, a tool that can computes only what the change touches.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from jobs.context import Loading
from jobs.labels import is_labelled, label_of
from jobs.mining.since import KEPT_TIMES, PATTERN, RUN, Question, forget_others, keep, last_run, updated
from sanyu.lake.changes import changed_rows, table_id
from sanyu.lake.deliveries import sequence
from sanyu.lake.duck import text
from schemas.model import SecurityLabel, highest
from schemas.registry import find_contract
from schemas.stamp import OBSERVED_AT, STAMP
from transforms.mining.found import found_rows
from transforms.mining.shelf.frames import IN_PROCESS_ROWS, Way, frame_kind, noted
from transforms.mining.shelf.tool import Tool, find_tool
from transforms.mining.shelf.update import Updated
from transforms.space.wkb import point_coordinates

if TYPE_CHECKING:
    from sanyu.lake.commit import Write
    from schemas.model import Contract

PLACE = ("entity_id", "geom", "lon", "lat", "x_m", "y_m")
MOST_IN_PROCESS_ROWS = 5_000_000
# Measured on the demo city's events in pandas, with the copies that a tool makes: id and place alone, and with the whole stamp.
ROW_BYTES = {False: 500, True: 2_000}


@dataclass(frozen=True)
class Analysis:
    """What is asked for: a tool by name, a table, parameters as given, and a condition in DuckDB's SQL."""

    tool: str
    table: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    where: str | None = None

    def source_name(self, tool: Tool, parsed: Mapping[str, Any]) -> str:
        """Return the name under which the analysis has its rows: the same question, the same name."""
        asked = json.dumps([tool.name, tool.version, self.table, self.where, dict(sorted(parsed.items()))], sort_keys=True, default=str)
        return f"mine_{tool.name}_{hashlib.sha256(asked.encode()).hexdigest()[:12]}"


@dataclass(frozen=True)
class MineReport:
    """What a run did; `state` is `computed`, `updated` (only what a change touches was computed again) or `unchanged` (nothing was).

    `recomputed` of `recomputable` `unit`s were computed, `because` says why all were; `rows_written` are rows that were not there as they
    are.
    """

    tool: str
    table: str
    result_table: str
    source_name: str
    state: str
    way: str = ""
    rows_in: int = 0
    rows_out: int = 0
    rows_written: int = 0
    patterns: int = 0
    seconds: float = 0.0
    changed_rows: int = 0
    recomputed: int = 0
    recomputable: int = 0
    unit: str = "rows"
    because: str = ""
    metrics: dict[str, Any] = field(default_factory=dict)

    @property
    def scope(self) -> str:
        """Return how much was computed, in words."""
        if self.state == "unchanged":
            return "nothing"
        share = f"{self.recomputed:,} of {self.recomputable:,} {self.unit}"
        return f"{share} ({self.because})" if self.because else share

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "scope": self.scope}


def run(loading: Loading, analysis: Analysis) -> MineReport:
    """Mine a table and write result, patterns and run; SY-N001 to SY-N003 and what the tool and the reader raise.

    Where the table, or what of it the question reads, is as at the last run, nothing is done and Spark is not started. Tables that the tool
    takes as a second frame are read whole, in their current rows; a new version of one is a new run.
    """
    from sanyu.lake.commit import Write

    tool = find_tool(analysis.tool)
    parsed = tool.parsed(analysis.parameters)
    asked = {**{p.name: p.default for p in tool.parameters}, **parsed}
    contract = find_contract(tool.result, loading.contracts)
    table = loading.lake.table(analysis.table)
    identity, name = table_id(table), analysis.source_name(tool, parsed)
    columns = tuple(needed_columns(tool, asked, table.columns))
    question = Question(table, table.version, analysis.where, columns)
    second = {parameter: _second(loading.lake.table(str(asked[parameter]))) for parameter in tool.tables}
    beside = tuple((table_id(q.table), q.version) for q in second.values())
    label = highest(label_of(q.table, loading.contracts, where=q.where, version=q.version) for q in (question, *second.values()))
    is_still = is_labelled(loading.lake, contract, name, label)
    last = last_run(loading.lake, contract, name)
    changes = None
    if last is not None and is_still and last.table_id == identity and last.beside == beside:
        if last.version == question.version:
            return MineReport(tool.name, analysis.table, contract.name, name, "unchanged")
        changes = changed_rows(table, last.version, question.version, columns, where=analysis.where)
        if changes is not None and not changes:
            return MineReport(tool.name, analysis.table, contract.name, name, "unchanged")
    loading.progress(f"mine {tool.name}: {analysis.table}")
    started = time.monotonic()
    found: tuple[Updated, int] | str = "first run"
    if last is not None and last.beside != beside:
        found = "another table that it reads has changed"
    elif last is not None and not is_still:
        found = "the security label of what it reads has changed"
    elif last is not None:
        found = updated(loading.lake, tool, asked, question.without(_handed_on(tool, asked)), last, changes, (contract, name))
    made = (
        _Made.whole(question, tool, (parsed, asked), found, second)
        if isinstance(found, str)
        else _Made.renewed(question, tool, asked, *found)
    )
    made = replace(made, seconds=round(time.monotonic() - started, 3), changed=len(changes) if changes is not None else 0)
    versions = "".join(f"@{identifier}@{number}" for identifier, number in ((identity, question.version), *beside))
    secret = "" if label is SecurityLabel.PUBLIC else f"@{label}"
    batch = hashlib.sha256(f"{name}{versions}{secret}".encode()).hexdigest()[:12]
    number = sequence(loading.lake.store, name, batch)
    write = Write(name, batch, loading.run_id, number, contract.version)
    facts = {"tool_name": tool.name, "input_table": analysis.table, "value_name": str(parsed.get("value") or "")}
    read = {"table": analysis.table, "table_id": identity, "version": question.version, "where": analysis.where}
    others = tuple({"table": q.table.name, "table_id": i, "version": v} for q, (i, v) in zip(second.values(), beside, strict=True))
    return _Writing(loading, write, facts, label, others).all(made, tool, contract, parsed, read)


def _second(table: Any) -> Question:
    """Return the question for a second frame: ids and places of all current rows."""
    return Question(table, table.version, None, tuple(name for name in table.columns if name in PLACE))


@dataclass(frozen=True)
class _Made:
    """What a run made: the rows (Arrow or Spark), how, of how many rows of input, and how much of it was computed."""

    rows: Any
    way: str
    rows_in: int
    metrics: dict[str, Any]
    recomputed: int
    whole_count: int
    unit: str = "rows"
    because: str = ""
    kept: pa.Table | None = None
    keys: pa.Array | None = None  # of the rows that `rows` stand for, where they are not all
    touched: pa.Array | None = None  # the clusters that these rows were in or are in
    seconds: float = 0.0
    changed: int = 0

    @classmethod
    def whole(
        cls,
        question: Question,
        tool: Tool,
        parameters: tuple[Mapping[str, Any], Mapping[str, Any]],
        because: str,
        second: Mapping[str, Question],
    ) -> _Made:
        """Run the tool over all rows; `parameters` are those that were given, and all with their defaults, `second` its other frames."""
        parsed, asked = parameters
        frame, beside, count, limit = _read(question, tool, asked)
        with noted() as notes:
            frames = {name: q.table.to_arrow(q.columns, version=q.version).to_pandas() for name, q in second.items()}
            result = tool.function(frame, **{**parsed, **frames})
            rows = _as_arrow(result, beside) if frame_kind(result) != "spark" else result
        way, kept = str(notes.pop("way", Way.IN_PROCESS)), notes.pop("kept", None)
        metrics = {k: v for k, v in notes.items() if isinstance(v, int | float | str | bool) or v is None}
        metrics["in_process_limit"] = limit
        left = kept.to_arrow() if kept is not None and tool.update is not None else None
        return cls(rows, way, count, metrics, count, count, because=because, kept=left)

    @classmethod
    def renewed(cls, question: Question, tool: Tool, asked: Mapping[str, Any], found: Updated, count: int) -> _Made:
        """Take a result that was brought up to date."""
        rows = found.result
        if not isinstance(rows, pa.Table):
            names = [n for n in question.columns if n in _handed_on(tool, asked) | {"entity_id", "geom"}]
            rows = _as_arrow(rows, question.of_entities(pa.array(rows["entity_id"]), names))
        told = (count, dict(found.facts), found.recomputed, found.whole, found.unit)
        return cls(rows, Way.IN_PROCESS, *told, kept=found.kept, keys=found.keys, touched=found.touched)


def _read(question: Question, tool: Tool, asked: Mapping[str, Any]) -> tuple[Any, pa.Table | None, int, int]:
    """Return the rows, what of them is to stand beside the result, their number, and the number from which Spark takes over.

    The rows are pandas, or a Spark frame where there are too many. Of a result by rows the tool is not given what it only hands on: the
    stamp and the geometry go around it.
    """
    table, given = question.table, {"where": question.where, "version": question.version}
    count, limit = table.count(**given), in_process_limit(tool)
    if count >= limit:
        return table.to_spark(question.columns, **given), None, count, limit
    rows = table.to_arrow(question.columns, **given)
    stamp = _handed_on(tool, asked)
    frame = _placed(rows.select([name for name in rows.column_names if name not in stamp]), asked).to_pandas()
    beside = rows.select([n for n in rows.column_names if n in stamp | {"entity_id", "geom"}]) if tool.grain == "rows" else None
    return frame, beside, count, limit


def _placed(rows: pa.Table, asked: Mapping[str, Any]) -> pa.Table:
    """Return points by `lon`, `lat` in place of `geom`, which costs a frame of pandas less; other geometries as they are."""
    place = point_coordinates(rows["geom"]) if "geom" in rows.column_names and not _named(asked) & set(PLACE) else None
    if place is None:
        return rows
    others = rows.select([name for name in rows.column_names if name not in ("geom", "lon", "lat")])
    return others.append_column("lon", pa.array(place[0])).append_column("lat", pa.array(place[1]))


def _handed_on(tool: Tool, asked: Mapping[str, Any]) -> set[str]:
    """Return the columns that a tool whose result is by rows isn't given, because it would only hand them on: the stamp but the place."""
    return {f.name for f in STAMP} - {*PLACE, *_named(asked)} if tool.grain == "rows" else set()


def needed_columns(tool: Tool, asked: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    """Return the columns that a tool is given: id, place, those its parameters name, and for a result by rows the rows' stamp."""
    kept = {*PLACE, *_named(asked), *({f.name for f in STAMP} if tool.grain == "rows" else ())}
    return [name for name in known if name in kept]


def _named(asked: Mapping[str, Any]) -> set[str]:
    """Return what the texts among the parameters could name."""
    return {name.strip() for value in asked.values() if isinstance(value, str) for name in value.split(",")}


def in_process_limit(tool: Tool, memory_bytes: int | None = None) -> int:
    """Return the number of rows from which a table is mined by Spark: what a quarter of the machine's memory holds, 1 to 5 million.

    One process on NumPy needs no shuffle and no copy of halos, so that it is the faster way as long as the rows fit.
    """
    memory = memory_bytes or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(max(memory // 4 // ROW_BYTES[tool.grain == "rows"], IN_PROCESS_ROWS), MOST_IN_PROCESS_ROWS)


def _as_arrow(frame: Any, beside: pa.Table | None = None) -> pa.Table:
    """Return a pandas result as Arrow, with what stands beside it: the columns of the input's rows that it doesn't have, by `entity_id`."""
    if frame_kind(frame) == "geopandas":
        frame = frame.to_crs("EPSG:4490").to_wkb(flavor="iso").rename(columns={frame.geometry.name: "geom"})
    if beside is None:
        return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)
    rows = pa.Table.from_pandas(frame.drop(columns="geom", errors="ignore"), preserve_index=False).replace_schema_metadata(None)
    handed = beside.select([name for name in beside.column_names if name not in rows.column_names])
    if not rows["entity_id"].equals(beside["entity_id"]):
        handed = handed.take(pc.index_in(rows["entity_id"].combine_chunks(), value_set=beside["entity_id"].combine_chunks()))
    for name in handed.column_names:
        rows = rows.append_column(name, handed[name])
    return rows


@dataclass(frozen=True)
class _Writing:
    """The rows of one run on their way into `mart`."""

    loading: Loading
    write: Write
    facts: dict[str, str]
    label: SecurityLabel  # of all that it is made of
    others: tuple[dict[str, Any], ...] = ()

    def all(self, made: _Made, tool: Tool, contract: Contract, parsed: Mapping[str, Any], read: Mapping[str, Any]) -> MineReport:
        """Write result, patterns, what is kept, and last the run, whose row says that the others are there."""
        key = "entity_id" if tool.grain == "rows" else None
        time = parsed.get("time", next((p.default for p in tool.parameters if p.name == "time"), None))
        with ThreadPoolExecutor(1) as pool:  # what is worth knowing is found while the result is written
            ahead = pool.submit(found_rows, made.rows, time or OBSERVED_AT.name) if made.keys is None else None
            count, written = self._commit(contract, made.rows, key, keys=made.keys)
        if ahead is None:
            count, found = made.rows_in, found_rows(self._members(contract, made.touched), time or OBSERVED_AT.name)
        else:
            found = ahead.result()
        patterns = self._patterns(found, contract, made.touched)
        name, batch = self.write.source_name, self.write.batch_id
        keep(self.loading.lake, name, batch, made.kept)
        report = MineReport(
            tool=tool.name,
            table=str(read["table"]),
            result_table=contract.name,
            source_name=name,
            state="updated" if made.changed and not made.because else "computed",
            way=made.way,
            rows_in=made.rows_in,
            rows_out=count,
            rows_written=written,
            patterns=patterns,
            seconds=made.seconds,
            changed_rows=made.changed,
            recomputed=made.recomputed,
            recomputable=made.whole_count,
            unit=made.unit,
            because=made.because,
            metrics=made.metrics,
        )
        self._run(report, tool, parsed, read)
        forget_others(self.loading.lake, name, batch)
        return report

    def _members(self, contract: Contract, clusters: Any) -> pa.Table:
        """Return the rows of some clusters as they are in the table now."""
        names = [c.name for c in contract.columns] + ["entity_id", "geom", *KEPT_TIMES]
        where = f"source_name = '{self.write.source_name}' AND cluster_id IN ({', '.join(map(text, clusters.to_pylist())) or 'NULL'})"
        return self.loading.lake.table(contract.name).to_arrow(names, where=where)

    def _patterns(self, found: Any, contract: Contract, keys: pa.Array | None) -> int:
        """Write what the result found, if it names patterns, all of it or what stands for some keys, and return how many there are."""
        if found is None:
            return 0
        facts, pattern = {**self.facts, "result_table": contract.name}, find_contract(PATTERN)
        if keys is None:
            return self._commit(pattern, found, None, facts)[0]
        if len(keys):
            self._commit(pattern, found, None, facts, keys)
        return int(self.loading.lake.table(PATTERN).count(where=f"source_name = '{self.write.source_name}'"))

    def _run(self, report: MineReport, tool: Tool, parsed: Mapping[str, Any], read: Mapping[str, Any]) -> None:
        """Write the row of the run itself."""
        defaults = {p.name: p.default for p in tool.parameters}
        seed = parsed.get("seed", defaults.get("seed"))
        evidence = f"{tool.title}: {tool.docs}; {report.rows_in} rows of {read['table']} at version {read['version']}"
        evidence += "".join(f"; with {other['table']} at version {other['version']}" for other in self.others)
        scope = {"changed_rows": report.changed_rows, "recomputed": report.scope, "rows_written": report.rows_written}
        row = {
            **self.facts,
            "mining_run_id": self.loading.run_id,
            "tool_version": f"{tool.name} {tool.version}, sanyu {version('sanyu')}",
            "parameters": json.dumps({**defaults, **parsed}, sort_keys=True, default=str, ensure_ascii=False),
            "inputs": json.dumps([dict(read), *self.others], sort_keys=True, ensure_ascii=False),
            "result_table": report.result_table,
            "result_source": report.source_name,
            "metrics": json.dumps({**report.metrics, **scope}, sort_keys=True, ensure_ascii=False, default=float),
            "evidence": evidence if seed is None else f"{evidence}; seed {seed}",
            "way": report.way,
            "row_count": report.rows_in,
            "result_count": report.rows_out,
            "seconds": report.seconds,
        }
        # Runs of one analysis are all kept: each is a source of its own.
        own = replace(self.write, source_name=f"{self.write.source_name}_{self.loading.run_id}")
        replace(self, write=own)._commit(find_contract(RUN), pa.table({k: [v] for k, v in row.items()}), None)

    def _commit(
        self, contract: Contract, rows: Any, key: str | None, facts: dict[str, str] | None = None, keys: pa.Array | None = None
    ) -> tuple[int, int]:
        """Write the rows and return how many there are, and how many of them were not in the table as they are."""
        from jobs.results import commit

        told = self.facts if facts is None else facts
        count, outcome = commit(self.loading, contract, rows, self.write, told, key, label=self.label, sparing=True, keys=keys)
        return count, outcome.loaded
