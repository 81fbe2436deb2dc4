"""One writer per table: a record in the lake, changed only by compare-and-swap, with a fencing token that only grows.

Delta does not exclude two processes on a local disk, and on S3 it is safe for one driver only; so each writer holds the table's lease and
asks `held.check()` right before every commit. A holder that was paused past its time finds there that another has taken over.

No two clocks are compared. A holder changes its record every third of `ttl_s`; one who waits takes the table over once its own monotonic
clock has seen the same record stand unchanged for the holder's `ttl_s`. A holder that has left says so in the record.
On a local lake an operating-system lock is held beside the record, which needs no clock at all: there a paused holder keeps the table
until it goes on or dies, and a record that stands there beside a free lock is nobody's.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from sanyu.lake.store import Blob, Store, flocked
from sanyu.processes import machine
from sanyu.processes import started as started_at
from schemas.messages import SanyuError

FOLDER = "_lease"
_TTL_S = 60.0


@dataclass(frozen=True)
class Record:
    """Who holds a table. `claim` is unique to one acquisition, `beat` grows with each renewal, `released` says that the holder has left.

    `machine` is the space in which `pid` means something; `started` keeps a recycled pid from being taken for the holder. `since_at`
    (seconds since the epoch, by the holder's clock) is for people only.
    """

    token: int
    table: str
    owner: str
    host: str
    machine: str
    pid: int
    started: str | None
    claim: str
    since_at: float
    ttl_s: float
    beat: int = 0
    released: bool = False

    def encoded(self) -> bytes:
        return json.dumps(asdict(self)).encode()


_RECORD = TypeAdapter(Record)


class Held:
    """A lease that this process holds; `token` is higher than that of every holder before."""

    def __init__(self, store: Store, record: Record) -> None:
        self._store = store
        self._record = record
        self._guard = threading.Lock()

    @property
    def table(self) -> str:
        return self._record.table

    @property
    def token(self) -> int:
        return self._record.token

    def check(self) -> None:
        """Read the record back and renew it; SY-L003 where the lease has been taken over or cannot be renewed.

        To be called right before each commit. What it leaves open is the time between this call and the commit, which the full `ttl_s`
        given here must cover; a renewal that itself took longer than that is done again.
        """
        with self._guard:
            took_s = self._record.ttl_s
            while took_s >= self._record.ttl_s:
                began = time.monotonic()
                self._renew()
                took_s = time.monotonic() - began

    def _renew(self) -> None:
        key = _key(self._record.table)
        mine = replace(self._record, beat=self._record.beat + 1)
        blob = self._store.read(key)
        found = None if blob is None else _decoded(blob.data)
        if blob is None or found is None or found.claim != self._record.claim:
            raise SanyuError("SY-L003", table=self.table, owner=self._record.owner, token=self.token, now=_whose(found))
        # Nobody has taken over so far, and the swap below fails if one does so now.
        if not self._store.replace_if(key, mine.encoded(), blob.etag) and self._store.get(key) != mine.encoded():
            raise SanyuError("SY-L003", table=self.table, owner=self._record.owner, token=self.token, now="another process")
        self._record = mine

    def _release(self) -> None:
        """Leave the record behind, marked as released, because it carries the token that the next holder must exceed."""
        with self._guard:
            key = _key(self._record.table)
            blob = self._store.read(key)
            found = None if blob is None else _decoded(blob.data)
            if blob is not None and found is not None and found.claim == self._record.claim:
                self._store.replace_if(key, replace(self._record, released=True).encoded(), blob.etag)


class _Watch:
    """What one who waits has seen of a lease's record, by the own monotonic clock."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._etag: str | None = None
        self._since_s = 0.0
        self.alive = False
        """Whether the holder is known to live: its record has changed while it was watched, or its process runs on this machine."""

    def is_over(self, blob: Blob, record: Record | None) -> bool:
        """Tell whether the lease may be taken over: left, its process on this machine is gone, or unchanged for its whole time."""
        now_s = self._monotonic()
        if blob.etag != self._etag:
            self.alive = self._etag is not None
            self._etag, self._since_s = blob.etag, now_s
        if record is not None and record.machine == machine():
            if _is_gone(record):
                return True
            self.alive = True
        if record is not None and record.released:
            return True
        return now_s - self._since_s >= (_TTL_S if record is None else record.ttl_s)


@contextlib.contextmanager
def lease(
    store: Store,
    table: str,
    owner: str,
    *,
    ttl_s: float = _TTL_S,
    wait_s: float = 0.0,
    poll_s: float = 0.5,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[Held]:
    """Hold the table for the time of the block; a thread renews the record every third of `ttl_s`.

    Taken over only when the other has left, its process on this machine is dead, or its record has not changed for its `ttl_s`. Waits up to
    `wait_s` for that, then raises SY-L002, which says who holds the table and since when. Of a holder on another machine it takes up to a
    third of its `ttl_s` more to see that it lives, and all of it to see that it doesn't; that time is always waited.
    """
    deadline = time.monotonic() + wait_s
    with contextlib.ExitStack() as stack:
        lock = store.host_lock(f"{FOLDER}/{table}")
        if lock is not None:
            stack.enter_context(_locked(lock, store=store, table=table, owner=owner, deadline=deadline, poll_s=poll_s))
        watch = None if lock is not None else _Watch(monotonic)
        held = _acquired(store, table, owner, ttl_s=ttl_s, deadline=deadline, poll_s=poll_s, watch=watch)
        stack.callback(held._release)
        stack.enter_context(_heartbeat(held, ttl_s))
        yield held


def is_abandoned(record: Record) -> bool:
    """Tell whether a lease was not given back by a process of this machine that is gone; the next one to ask takes it over."""
    return not record.released and record.machine == machine() and _is_gone(record)


def holder(store: Store, table: str) -> Record | None:
    """Return the last record of a table's lease, whether it has run out or not."""
    blob = store.read(_key(table))
    return None if blob is None else _decoded(blob.data)


@contextlib.contextmanager
def _locked(path: Path, *, store: Store, table: str, owner: str, deadline: float, poll_s: float) -> Iterator[None]:
    while True:
        with flocked(path, wait=False) as got:
            if got:
                yield
                return
        _wait_or_refuse(holder(store, table), table, owner, deadline, poll_s)


def _acquired(store: Store, table: str, owner: str, *, ttl_s: float, deadline: float, poll_s: float, watch: _Watch | None) -> Held:
    """Take the lease; without a watch the caller holds the lock that excludes all others."""
    key = _key(table)
    while True:
        blob = store.read(key)
        before = None if blob is None else _decoded(blob.data)
        if blob is None or watch is None or watch.is_over(blob, before):
            mine = _claim(table, owner, ttl_s, _last_token(blob) + 1)
            data = mine.encoded()
            won = store.put_if_absent(key, data) if blob is None else store.replace_if(key, data, blob.etag)
            after = store.read(key)
            # A retried request may have been refused by its own first try: what stands there decides.
            if after is not None and (won or after.data == data):
                found = _decoded(after.data)
                if found is not None and found.claim == mine.claim:
                    return Held(store, mine)
            before = None if after is None else _decoded(after.data)
            _wait_or_refuse(before, table, owner, deadline, poll_s)
        elif watch.alive:
            _wait_or_refuse(before, table, owner, deadline, poll_s)
        else:
            time.sleep(poll_s)


def _claim(table: str, owner: str, ttl_s: float, token: int) -> Record:
    return Record(
        token=token,
        table=table,
        owner=owner,
        host=socket.gethostname(),
        machine=machine(),
        pid=os.getpid(),
        started=started_at(os.getpid()),
        claim=uuid.uuid4().hex,
        since_at=time.time(),
        ttl_s=ttl_s,
    )


def _last_token(blob: Blob | None) -> int:
    """Return the token of a record, also of one that is damaged, as far as the number is still there."""
    found = None if blob is None else re.search(rb'"token": *(\d{1,18})', blob.data)
    return int(found[1]) if found else 0


def _is_gone(record: Record) -> bool:
    """Tell whether the process of a record of this machine no longer runs."""
    started = started_at(record.pid)
    return started is None or (record.started is not None and started != record.started)


def _wait_or_refuse(found: Record | None, table: str, owner: str, deadline: float, poll_s: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise SanyuError("SY-L002", table=table, owner=owner, holder=_whose(found), path=_key(table))
    time.sleep(min(poll_s, left))


@contextlib.contextmanager
def _heartbeat(held: Held, ttl_s: float) -> Iterator[None]:
    stop = threading.Event()

    def beat() -> None:
        while not stop.wait(ttl_s / 3):
            # A lost lease ends the beat; a store that doesn't answer is asked again. Either way `check` tells the writer.
            try:
                held.check()
            except SanyuError as error:
                if error.code == "SY-L003":
                    return

    thread = threading.Thread(target=beat, name=f"lease {held.table}", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _key(table: str) -> str:
    return f"{FOLDER}/{table}.json"


def _decoded(data: bytes) -> Record | None:
    """Return the record; None for what is none: a damaged file is watched for a whole `ttl_s`, then taken over."""
    try:
        return _RECORD.validate_json(data)
    except ValidationError:
        return None


def _whose(record: Record | None) -> str:
    if record is None:
        return "another process"
    since = datetime.fromtimestamp(record.since_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{record.owner} (process {record.pid} on {record.host}, since {since})"
