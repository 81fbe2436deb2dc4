"""How much of a table a delivery may end before a person has to agree.

A full delivery ends what it no longer holds. A delivery that holds a twentieth of the rows, or lacks one sheet of thirty, is more often a
broken export than a vanished city, so it is held: the table stays as it is, the report and the ledger say `held`, and `sanyu accept`
loads it by decision.
"""

from __future__ import annotations

from sanyu.lake.commit import Limit
from sanyu.lake.deliveries import deliveries
from sanyu.lake.store import Store
from sanyu.landing.landing import Landed, landed_batch
from schemas.messages import SanyuError
from schemas.model import Contract
from schemas.source import Source

LEAST_ROWS = 5  # fewer may always end


def limit_of(contract: Contract, source: Source) -> Limit:
    """Return the limit of a source's deliveries into a table: the source's own, else the contract's."""
    own = source.delivery.max_ended
    return Limit(contract.thresholds.ended if own is None else own, LEAST_ROWS, source.name)


def require_files(store: Store, source: Source, landed: Landed, table: str, closed: int) -> None:
    """Raise SY-L056 where a full delivery has fewer files than the one before, and with them would end `closed` rows."""
    if source.delivery.fewer_files or source.delivery.snapshot != "full":
        return
    earlier = [batch for batch in deliveries(store, source.name) if batch and batch != landed.batch_id]
    if not earlier:
        return
    # A file that could not be read brought nothing that its absence could end.
    before = {f.name for f in landed_batch(store, source.name, earlier[-1]).files if not f.error_code}
    now = {f.name for f in landed.files}
    if missing := sorted(before - now) if len(now) < len(before) else []:
        why = f"{missing[0]} is missing, {len(now)} of {len(before)} files are there, and {closed:,} rows would end"
        raise SanyuError("SY-L056", table=table, source=source.name, why=why)
