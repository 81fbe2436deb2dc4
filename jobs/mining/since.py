"""What an analysis knows of its last run, what has changed in its table since, and how its result is brought up to date.

A run counts as done when its row is in `mart.mining__run`: that row is written last. Beside it the run leaves under
`mining/<analysis>/<batch>.parquet` what its tool asked to keep, for the next one.
"""

from __future__ import annotations

import io
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sanyu.lake import Lake
from sanyu.lake.changes import Changes, committed_sequence
from sanyu.lake.deliveries import deliveries
from schemas.model import Contract
from schemas.registry import find_contract
from schemas.stamp import OBSERVED_AT
from transforms.mining.shelf.tool import Tool
from transforms.mining.shelf.update import Change, Updated, Window

RUN = "mart.mining__run"
PATTERN = "mart.mining__pattern"
KEPT_TIMES = (OBSERVED_AT.name, "valid_from_at")  # of the input's rows, in a result by rows
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Last:
    """The last run of an analysis that came to its end: its batch, and the table and version that it read.

    `beside` are identifier and version of the other tables that it read.
    """

    batch_id: str
    table_id: str
    version: int
    beside: tuple[tuple[str, int], ...] = ()


def last_run(lake: Lake, contract: Contract, name: str) -> Last | None:
    """Return the last run of an analysis; None where there is none, or where a later one died after it had written."""
    if not {RUN, contract.name} <= set(lake.names()):
        return None
    rows = lake.table(RUN).to_arrow(["inputs", "batch_id", "recorded_at"], where=f"result_source = '{name}'").sort_by("recorded_at")
    if not rows.num_rows:
        return None
    newest = rows.slice(rows.num_rows - 1).to_pylist()[0]
    read, *others = json.loads(newest["inputs"])
    order = deliveries(lake.store, name)
    at = max((n for n, batch in enumerate(order, start=1) if batch == newest["batch_id"]), default=0)
    if "table_id" not in read or committed_sequence(lake.table(contract.name), name) > at:
        return None
    return Last(newest["batch_id"], read["table_id"], read["version"], tuple((o["table_id"], o["version"]) for o in others))


def kept_key(name: str, batch_id: str) -> str:
    """Return where a run leaves what its tool keeps."""
    return f"mining/{name}/{batch_id}.parquet"


def keep(lake: Lake, name: str, batch_id: str, kept: pa.Table | None) -> None:
    """Write what a run leaves for the next one."""
    if kept is not None:
        out = io.BytesIO()
        pq.write_table(kept, out, compression="zstd")
        lake.store.put(kept_key(name, batch_id), out.getvalue())


def _kept(lake: Lake, name: str, batch_id: str) -> pa.Table | None:
    """Return what a run has left; None where it left nothing, or the file is damaged."""
    left = lake.store.get(kept_key(name, batch_id))
    try:
        return pq.read_table(io.BytesIO(left)) if left else None
    except pa.ArrowException:
        return None


def forget_others(lake: Lake, name: str, batch_id: str) -> None:
    """Remove what earlier runs left."""
    for key in lake.store.keys(f"mining/{name}"):
        if key != kept_key(name, batch_id):
            lake.store.delete(key)


@dataclass(frozen=True)
class Question:
    """The rows that an analysis reads: of a table at a version, under a condition, in the columns that its tool is given."""

    table: Any
    version: int
    where: str | None
    columns: tuple[str, ...]

    def bounds(self, time: str | None) -> tuple[int, Window, tuple[datetime, datetime] | None] | None:
        """Return the number of rows, the bounds of their places and of their times; None where the table does not tell."""
        fields = self.table.schema
        if "bbox" not in fields.names:
            return None
        timed = time in fields.names and pa.types.is_timestamp(fields.field(time).type) and fields.field(time).type.tz is not None
        names = ["bbox", *([str(time)] if timed else [])]
        ends = [f"{end}((bbox.{axis}min + bbox.{axis}max) / 2)" for end in ("min", "max") for axis in "xy"]
        ends += [f'{end}(epoch_us("{time}"))' for end in ("min", "max")] if timed else []
        row = self.table.to_duckdb(names, where=self.where, version=self.version).aggregate(", ".join(["count(*)", *ends])).fetchone()
        if row is None or any(value is None for value in row):
            return None
        period = (_EPOCH + timedelta(microseconds=row[5]), _EPOCH + timedelta(microseconds=row[6])) if timed else None
        return int(row[0]), row[1:5], period

    def without(self, names: Collection[str]) -> Question:
        """Return the question for fewer columns."""
        return replace(self, columns=tuple(name for name in self.columns if name not in names))

    def of_entities(self, ids: pa.Array, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows with these `entity_id`s."""
        names = self.columns if columns is None else columns
        found: pa.Table = self.table.of_entities(ids, names, where=self.where, version=self.version)
        return found

    def near(self, windows: Sequence[Window]) -> Any:
        """Return the rows whose bounds meet one of the windows."""
        boxes = " OR ".join(
            f"(bbox.xmin <= {east!r} AND bbox.xmax >= {west!r} AND bbox.ymin <= {north!r} AND bbox.ymax >= {south!r})"
            for west, south, east, north in windows
        )
        where = f"({boxes})" + (f" AND ({self.where})" if self.where else "")
        return self.table.to_arrow(self.columns, where=where, version=self.version).to_pandas()


def updated(
    lake: Lake, tool: Tool, asked: Mapping[str, Any], question: Question, last: Last, changes: Changes | None, result: tuple[Contract, str]
) -> tuple[Updated, int] | str:
    """Return the result brought up to date and the number of rows that it stands for; as a text, why only a whole run can give it.

    `result` names the contract and the `source_name` of the rows of the last run.
    """
    contract, name = result
    if tool.update is None:
        return f"{tool.name} has no incremental way"
    if changes is None:
        return f"the change feed does not reach back to version {last.version}"
    bounds = question.bounds(asked.get("time"))
    if bounds is None:
        return "the table has no bounds, or no rows"
    count, extent, period = bounds
    kept = _kept(lake, name, last.batch_id)
    if tool.grain == "rows" and asked.get("time", OBSERVED_AT.name) not in KEPT_TIMES:
        return f"the result does not keep {asked['time']}, of which its patterns tell the period"
    if tool.grain == "rows" and any(map(lake.needs_spark, (contract, find_contract(PATTERN)))):
        return "Spark has made the result"
    every = [c.name for c in contract.columns] + (["geom"] if contract.geometry else [])

    def before(columns: Sequence[str] | None) -> pa.Table:
        return lake.table(contract.name).to_arrow(every if columns is None else columns, where=f"source_name = '{name}'")

    removed, added = (side.select(question.columns).to_pandas() for side in (changes.removed, changes.added))
    change = Change(removed, added, extent, period, question.near, lambda ids: question.of_entities(ids).to_pandas(), kept, before)
    found = tool.update(change, asked)
    return found if isinstance(found, str) else (found, count)
