"""Run a tool of the shelf on a table of the lake: its result, the patterns in it, and the run itself become rows of `mart`.

An analysis is a tool with its parameters on a table under a condition; its digest names the rows that it has in the result table
(`source_name`), and a rerun replaces them. The same analysis of the same version of the table is recognised before anything is computed.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from jobs.load import Loading
from sanyu.lake.deliveries import sequence
from schemas.registry import find_contract
from schemas.stamp import STAMP
from transforms.mining.frames import IN_PROCESS_ROWS, Way, frame_kind, noted
from transforms.mining.tool import Tool, find_tool

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from schemas.model import Contract

RUN, PATTERN = "mart.mining__run", "mart.mining__pattern"
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
    """What a run did; `state` is `computed` or `unchanged` (the result was there)."""

    tool: str
    table: str
    result_table: str
    source_name: str
    state: str
    way: str = ""
    rows_in: int = 0
    rows_out: int = 0
    patterns: int = 0
    seconds: float = 0.0
    metrics: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def run(loading: Loading, analysis: Analysis) -> MineReport:
    """Mine a table and write result, patterns and run; SY-N001 to SY-N003 and what the tool and the reader raise."""
    from sanyu.lake.write import Write

    tool = find_tool(analysis.tool)
    parsed = tool.parsed(analysis.parameters)
    contract = find_contract(tool.result, loading.contracts)
    table = loading.lake.table(analysis.table)
    read_at = table.version
    name = analysis.source_name(tool, parsed)
    batch = hashlib.sha256(f"{name}@{read_at}".encode()).hexdigest()[:12]
    number = sequence(loading.lake.store, name, batch)
    writer = loading.lake.writer(loading.spark())
    write = Write(name, batch, loading.run_id, number, contract.version)
    if writer.committed(contract.path, write):
        return MineReport(tool.name, analysis.table, contract.name, name, "unchanged")
    loading.progress(f"mine {tool.name}: {analysis.table}")
    asked = {**{p.name: p.default for p in tool.parameters}, **parsed}
    frame, rows_in, limit = _read(table, asked, tool, analysis.where, read_at)
    started = time.monotonic()
    with noted() as notes:
        result = tool.function(frame, **parsed)
        rows = _as_arrow(result) if frame_kind(result) != "spark" else result
        seconds = time.monotonic() - started
    facts = {"tool_name": tool.name, "input_table": analysis.table, "value_name": str(parsed.get("value") or "")}
    made = _Writing(loading, write, facts)
    count = rows.num_rows if isinstance(rows, pa.Table) else rows.count()
    patterns = made.patterns(rows, contract, tool.grain == "rows")
    way = str(notes.pop("way", Way.IN_PROCESS))
    metrics = {k: v for k, v in notes.items() if isinstance(v, int | float | str | bool) or v is None}
    metrics["in_process_limit"] = limit
    report = MineReport(
        tool.name, analysis.table, contract.name, name, "computed", way, rows_in, count, patterns, round(seconds, 3), metrics
    )
    made.run(report, tool, parsed, {"table": analysis.table, "version": read_at, "where": analysis.where})
    made.result(contract, rows, tool.grain == "rows")  # last: a run that died before it is made again
    return report


def _read(table: Any, asked: Mapping[str, Any], tool: Tool, where: str | None, read_at: int) -> tuple[Any, int, int]:
    """Return the rows as pandas, or as a Spark frame where there are too many, their number, and the number from which Spark takes over."""
    count, limit = table.count(where=where, version=read_at), in_process_limit(tool)
    columns = needed_columns(tool, asked, table.columns)
    if count >= limit:
        return table.to_spark(columns, where=where, version=read_at), count, limit
    return table.to_arrow(columns, where=where, version=read_at).to_pandas(), count, limit


def needed_columns(tool: Tool, asked: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    """Return the columns that a tool is given: id, place, those its parameters name, and for a result by rows the rows' stamp."""
    named = {name.strip() for value in asked.values() if isinstance(value, str) for name in value.split(",")}
    kept = {*PLACE, *named, *({f.name for f in STAMP} if tool.grain == "rows" else ())}
    return [name for name in known if name in kept]


def in_process_limit(tool: Tool, memory_bytes: int | None = None) -> int:
    """Return the number of rows from which a table is mined by Spark: what a quarter of the machine's memory holds, 1 to 5 million.

    One process on NumPy needs no shuffle and no copy of halos, so that it is the faster way as long as the rows fit.
    """
    memory = memory_bytes or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(max(memory // 4 // ROW_BYTES[tool.grain == "rows"], IN_PROCESS_ROWS), MOST_IN_PROCESS_ROWS)


def _as_arrow(frame: Any) -> pa.Table:
    if frame_kind(frame) == "geopandas":
        frame = frame.to_crs("EPSG:4490").to_wkb(flavor="iso").rename(columns={frame.geometry.name: "geom"})
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


@dataclass(frozen=True)
class _Writing:
    """The rows of one run on their way into `mart`."""

    loading: Loading
    write: Any
    facts: dict[str, str]

    def result(self, contract: Contract, rows: Any, is_of_input: bool) -> None:
        """Write the result's table."""
        self._commit(contract, rows, "entity_id" if is_of_input else None)

    def patterns(self, rows: Any, contract: Contract, is_of_input: bool) -> int:
        """Write what the result found, if it names patterns, and return how many."""
        from transforms.mining.found import found_rows

        found = found_rows(rows)
        if found is None:
            return 0
        facts = {**self.facts, "result_table": contract.name}
        return self._commit(find_contract(PATTERN), found, "entity_id" if is_of_input else None, facts)

    def run(self, report: MineReport, tool: Tool, parsed: Mapping[str, Any], read: Mapping[str, Any]) -> None:
        """Write the row of the run itself."""
        defaults = {p.name: p.default for p in tool.parameters}
        seed = parsed.get("seed", defaults.get("seed"))
        evidence = f"{tool.title}: {tool.docs}; {report.rows_in} rows of {read['table']} at version {read['version']}"
        row = {
            **self.facts,
            "mining_run_id": self.loading.run_id,
            "tool_version": f"{tool.name} {tool.version}, sanyu {version('sanyu')}",
            "parameters": json.dumps({**defaults, **parsed}, sort_keys=True, default=str, ensure_ascii=False),
            "inputs": json.dumps([dict(read)], sort_keys=True, ensure_ascii=False),
            "result_table": report.result_table,
            "result_source": report.source_name,
            "metrics": json.dumps(report.metrics, sort_keys=True, ensure_ascii=False, default=float),
            "evidence": evidence if seed is None else f"{evidence}; seed {seed}",
            "way": report.way,
            "row_count": report.rows_in,
            "result_count": report.rows_out,
            "seconds": report.seconds,
        }
        # Runs of one analysis are all kept: each is a source of its own.
        own = replace(self.write, source_name=f"{self.write.source_name}_{self.loading.run_id}")
        replace(self, write=own)._commit(find_contract(RUN), pa.table({k: [v] for k, v in row.items()}), None)

    def _commit(self, contract: Contract, rows: Any, key: str | None, facts: dict[str, str] | None = None) -> int:
        from jobs.mined import stamped

        spark = self.loading.spark()
        wanted = {c.name for c in contract.columns} | {f.name for f in STAMP} | {"geom"}
        frame: DataFrame = spark.createDataFrame(rows) if isinstance(rows, pa.Table) else rows
        frame = frame.select(*(f"`{c}`" for c in frame.columns if c in wanted))
        ready = stamped(frame, contract, self.write, self.loading.recorded_at, self.facts if facts is None else facts, key).persist()
        try:
            count = ready.count()
            outcome = self.loading.lake.writer(spark).commit_facts(contract, ready, self.write, count=count)
        finally:
            ready.unpersist()
        return outcome.loaded + outcome.unchanged
