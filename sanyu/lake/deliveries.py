"""The order in which a source delivered its batches; its numbers are the Delta transaction versions of the source's writes."""

from __future__ import annotations

import json

from sanyu.lake.store import Store


def sequence(store: Store, source_name: str, batch_id: str) -> int:
    """Return the number of this delivery, counted from 1.

    The batch delivered last keeps its number, so that a rerun repeats it; an older batch delivered again gets a new number, because it
    brings back what a later one had changed. Call under the source's lease.
    """
    key = f"landing/{source_name}/deliveries.json"
    batches = deliveries(store, source_name)
    if not batches or batches[-1] != batch_id:
        batches = (*batches, batch_id)
        store.put(key, json.dumps(batches, indent=1).encode())
    return len(batches)


def deliveries(store: Store, source_name: str) -> tuple[str, ...]:
    """Return the batch ids of a source in order of delivery."""
    text = store.get(f"landing/{source_name}/deliveries.json")
    return tuple(json.loads(text)) if text else ()
