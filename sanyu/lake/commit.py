"""What a write to a table is, whoever makes it: its number in the order of the source's deliveries, and what became of the rows."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

TARGET_FILE_BYTES = 24 << 20


@dataclass(frozen=True)
class Write:
    """One write to one table: who writes, what, and its number in the order of the source's deliveries."""

    source_name: str
    batch_id: str
    run_id: str
    sequence: int
    contract_version: int = 1
    release: str = ""  # set for quarantined rows that a person released: a write of its own beside the delivery's

    @property
    def app_id(self) -> str:
        return f"sanyu/{self.source_name}{f'/release/{self.release}' if self.release else ''}"

    @property
    def metadata(self) -> str:
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Outcome:
    """What a write did: rows by what became of them, and the Delta version after it (the one before, if nothing changed)."""

    loaded: int = 0
    unchanged: int = 0
    closed: int = 0
    version: int | None = None


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
