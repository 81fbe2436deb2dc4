"""What a write to a table is, whoever makes it: its identity, what it tells the ledger, and what became of the rows.

A commit carries all of it in its `userMetadata`, so that a run which died after the commit is finished by the next one, and the ledger
and the bridge can be made again from the tables (`sanyu repair ledger`).
"""

from __future__ import annotations

import base64
import json
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sanyu.lake.ledger import LedgerRow
from schemas.messages import SanyuError

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame

    from transforms.stamp.versions import Instants, Known

TARGET_FILE_BYTES = 24 << 20
Link = Mapping[str, str | float | None]


@dataclass(frozen=True)
class Write:
    """One write to one table: who writes, what, and its number in the order of the source's deliveries."""

    source_name: str
    batch_id: str
    run_id: str
    sequence: int
    contract_version: int = 1
    release: str = ""  # of quarantined rows that a person released: a digest of them; a write of its own beside the delivery's
    replaces: tuple[str, ...] = ()  # batches of an appended table that held the same files and give way to this one

    def app_id(self, restored: int = 0) -> str:
        """Return the application id of the Delta transaction, whose version is `sequence`.

        Delta keeps transaction numbers through a RESTORE that takes the rows away. Writes after one therefore count under an id of their
        own, which has the version of the RESTORE.
        """
        one = f"sanyu/{self.source_name}" + (f"/release/{self.batch_id}/{self.release}" if self.release else "")
        return f"{one}@{restored}" if restored else one

    def is_of(self, noted: Mapping[str, Any]) -> bool:
        """Tell whether a commit's metadata are those of this write, by whichever run."""
        mine = (self.source_name, self.batch_id, self.sequence, self.release)
        return mine == tuple(noted.get(name, "") for name in ("source_name", "batch_id", "sequence", "release"))


@dataclass(frozen=True)
class Outcome:
    """What a write did: rows given to it by what became of them, rows of the table by what was done to them, and the version after it.

    `loaded` brought a new version, `unchanged` said what the table knew; `closed` ended because a full delivery lacks them; `inserted`,
    `ended`, `superseded` and `rekeyed` count the table's rows. `is_recovered` where an earlier run had committed it.
    """

    loaded: int = 0
    unchanged: int = 0
    closed: int = 0
    version: int | None = None
    inserted: int = 0
    ended: int = 0
    superseded: int = 0
    rekeyed: int = 0
    is_recovered: bool = False
    row: LedgerRow | None = None

    @property
    def counts(self) -> dict[str, int]:
        names = ("loaded", "unchanged", "closed", "inserted", "ended", "superseded", "rekeyed")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Account:
    """What the ledger is told of a write beside what the writer counts itself; `links` go to the bridge."""

    step: str
    recorded_at: str
    rows_in: int
    quarantined: int = 0
    duplicate: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    status: str = "ok"
    detail: Mapping[str, Any] = field(default_factory=dict)
    links: Sequence[Link] = ()
    started: float = field(default_factory=time.monotonic)

    def ledger_row(self, write: Write, table: str, outcome: Outcome) -> LedgerRow:
        """Return the row for `raw.ops__ledger`."""
        return LedgerRow(
            run_id=write.run_id,
            recorded_at=self.recorded_at,
            step=self.step,
            source_name=write.source_name,
            batch_id=write.batch_id,
            table_name=table,
            rows_in=self.rows_in,
            rows_loaded=outcome.loaded,
            rows_unchanged=outcome.unchanged,
            rows_quarantined=self.quarantined,
            rows_duplicate=self.duplicate,
            rows_closed=outcome.closed,
            reasons=json.dumps(dict(self.reasons), ensure_ascii=False, sort_keys=True),
            delta_version=outcome.version,
            seconds=round(time.monotonic() - self.started, 3),
            status=self.status,
            detail=json.dumps({"sequence": write.sequence, **self.detail}, ensure_ascii=False, sort_keys=True),
        )


@dataclass(frozen=True)
class Entities:
    """Rows of a bitemporal table, one per entity, that are not as the table has them, and what a full delivery ends.

    `rows` have all table fields (None: there are none), `count` is their number and `same` that of the rows that are as the table has
    them. `ended` (column `stamp_id`) are open versions that a full delivery no longer holds. `known` saves another look at the table.
    """

    rows: DataFrame | None
    count: int
    instants: Instants
    ended: DataFrame | None = None
    known: Known | None = None
    same: int = 0


@dataclass(frozen=True)
class Limit:
    """How much of what a source has in a table a delivery may end without a decision: at most a share, or fewer than `least` rows."""

    share: float
    least: int
    source: str

    def check(self, table: str, closed: int, before: int) -> None:
        """Raise SY-L056 where `closed` of `before` open rows are more than that."""
        if closed >= self.least and closed > self.share * before:
            why = f"{closed:,} of {before:,} rows would end, {closed / before:.0%}; the limit is {self.share:.0%}"
            raise SanyuError("SY-L056", table=table, source=self.source, why=why)


@dataclass(frozen=True)
class Facts:
    """Rows that stand for a source's own in the partitions that they name, or, of an appended table, are added to it.

    With `sparing` only the rows under keys whose content differs are written, where these are few: the others keep their batch. With
    `keys` the rows stand for these `source_key`s only, and what the source has under others stays.
    """

    rows: pa.Table | Parts | DataFrame
    count: int
    sparing: bool = False
    keys: pa.Array | None = None
    limit: Limit | None = None


@dataclass(frozen=True)
class Seal:
    """Makes the `userMetadata` of a commit once its counts are known."""

    write: Write
    account: Account
    table: str
    evolved: Mapping[str, Any] = field(default_factory=dict)

    def metadata(self, outcome: Outcome) -> str:
        """Return the JSON that the commit carries: the write, its counts, its row of the ledger and its links of the bridge."""
        row = asdict(self.account.ledger_row(self.write, self.table, outcome))
        noted = {**asdict(self.write), "table": self.table, "counts": outcome.counts, "ledger": row, "evolved": dict(self.evolved)}
        if self.account.links:
            noted["links"] = _packed([dict(link) for link in self.account.links])
        return json.dumps({k: v for k, v in noted.items() if v not in ((), {}, "")}, ensure_ascii=False, sort_keys=True)


def recovered(noted: Mapping[str, Any], version: int) -> tuple[Outcome, list[dict[str, Any]]]:
    """Return what a commit says of itself: the outcome with its row of the ledger, and the links of the bridge.

    Commits of versions before 0.2 carry no counts; they give an outcome without a row.
    """
    counts = noted.get("counts")
    if counts is None or "ledger" not in noted:
        return Outcome(version=version, is_recovered=True), []
    row = replace(LedgerRow(**noted["ledger"]), delta_version=version)
    return Outcome(**counts, version=version, is_recovered=True, row=row), _unpacked(noted.get("links"))


def _packed(links: list[dict[str, Any]]) -> str:
    """Return links as text that a commit can carry: a thousand take some 20 KB."""
    return base64.b85encode(zlib.compress(json.dumps(links, ensure_ascii=False).encode(), 9)).decode()


def _unpacked(text: str | None) -> list[dict[str, Any]]:
    if not text:
        return []
    links: list[dict[str, Any]] = json.loads(zlib.decompress(base64.b85decode(text)))
    return links


@dataclass(frozen=True)
class Parts:
    """Rows that are made part by part, while those before are written: `make` makes them anew each time, in the table's layout."""

    schema: pa.Schema
    num_rows: int
    make: Callable[[], Iterator[pa.Table]]

    def table(self) -> pa.Table:
        """Return all rows."""
        import pyarrow as pa

        return pa.concat_tables(self.make())

    def to_reader(self) -> pa.RecordBatchReader:
        """Return the rows as they are made."""
        import pyarrow as pa

        return pa.RecordBatchReader.from_batches(self.schema, (batch for part in self.make() for batch in part.to_batches()))
