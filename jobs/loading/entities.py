"""What a batch changes in an entity table: its new and changed rows, what has ended, and what was matched."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sanyu.lake.commit import Entities, Write
from schemas.model import Contract

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from jobs.loading.frames import Screening
    from sanyu.lake.write import DeltaWriter
    from transforms.stamp.versions import Instants


def changed_entities(
    writer: DeltaWriter, contract: Contract, screening: Screening, write: Write, instants: Instants, *, full: bool, count: int
) -> tuple[Entities, DataFrame | None]:
    """Return what the good rows of a batch (`count` of them) change in an entity table, and the links that matching found."""
    from jobs.loading.frames import table_rows
    from transforms.stamp.identify import identify
    from transforms.stamp.versions import FEW_ROWS, changed_keys, look

    rows = table_rows(screening, contract)
    at = writer.version(contract.path)
    if at is None:
        return Entities(rows, count, instants), None
    live = writer.live(contract, write.source_name)
    known = look(rows, live, at) if count <= FEW_ROWS else None
    versions = live if known is None else known.versions
    # Most rows of an edition are those of the one before: what is equal goes no further than a comparison of keys and hashes.
    keys = changed_keys(rows, versions, count).localCheckpoint()
    changed = keys.count()
    fresh = rows.join(keys, "source_key", "left_semi") if changed else None
    found = identify(contract, fresh, screening.keys, live, versions, instants.edition_at, full=full, count=changed)
    entities = Entities(found.rows, changed, instants, ended=found.ended if full else None, known=known, same=count - changed)
    return entities, found.links
