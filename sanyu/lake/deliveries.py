"""The order in which a source delivered its batches; the numbers are the Delta transaction versions of the source's writes.

Each number is one small file, `landing/<source>/deliveries/000001.json`, made by whoever is first to take it: processes that take numbers
at once get different ones. Where the files are lost, the numbers that ledger and tables know are not given again.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from sanyu.lake.store import Store
from schemas.messages import SanyuError

_TRIES = 1_000


def sequence(store: Store, source_name: str, batch_id: str, known: Callable[[], dict[int, str]] = dict) -> int:
    """Return the number of this delivery, counted from 1.

    The batch delivered last keeps its number, so that a rerun repeats it; an older batch delivered again gets a new number, because it
    brings back what a later one had changed. `known` tells number → batch of deliveries that are in the lake; it is asked only where no
    delivery is noted, and what it tells is noted.
    """
    for _ in range(_TRIES):
        numbered = _numbered(store, source_name)
        if not numbered and (found := known()):
            for number, batch in found.items():
                _take(store, source_name, number, batch)
            continue
        last = max(numbered, default=0)
        if numbered.get(last) == batch_id:
            return last
        if _take(store, source_name, last + 1, batch_id):
            return last + 1
    raise SanyuError("SY-L055", source=source_name)


def deliveries(store: Store, source_name: str) -> tuple[str, ...]:
    """Return the batch ids of a source in order of delivery; `""` for a number whose file is lost."""
    numbered = _numbered(store, source_name)
    return tuple(numbered.get(number, "") for number in range(1, max(numbered, default=0) + 1))


def note(store: Store, source_name: str, number: int, batch_id: str) -> bool:
    """Note the batch of a number that the lake knows and whose file is lost or damaged; False where it is noted already."""
    if _numbered(store, source_name).get(number):
        return False
    store.put(_key(source_name, number), json.dumps({"batch_id": batch_id}).encode())
    return True


def _take(store: Store, source_name: str, number: int, batch_id: str) -> bool:
    return store.put_if_absent(_key(source_name, number), json.dumps({"batch_id": batch_id}).encode())


def _key(source_name: str, number: int) -> str:
    return f"landing/{source_name}/deliveries/{number:06d}.json"


def _numbered(store: Store, source_name: str) -> dict[int, str]:
    """Return number → batch; a damaged file keeps its number, so that this is not given twice."""
    found = _of_one_file(store, source_name)
    for key in store.keys(f"landing/{source_name}/deliveries"):
        stem = key.rpartition("/")[2].removesuffix(".json")
        if stem.isdigit():
            found[int(stem)] = _batch(store.get(key))
    return found


def _batch(data: bytes | None) -> str:
    try:
        return str(json.loads(data or b"{}").get("batch_id", ""))
    except ValueError:
        return ""


def _of_one_file(store: Store, source_name: str) -> dict[int, str]:
    """Return what a lake of version 0.1 kept in one file; a damaged one counts as lost."""
    try:
        return dict(enumerate(json.loads(store.get(f"landing/{source_name}/deliveries.json") or b"[]"), start=1))
    except ValueError:
        return {}
