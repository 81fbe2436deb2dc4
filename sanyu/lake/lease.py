"""One writer per table: a record in the lake, changed only by compare-and-swap, with a fencing token that only grows.

Delta does not exclude two processes on a local disk, and on S3 it is safe for one driver only; so each writer holds the table's lease and
asks `held.check()` right before every commit. A holder that was paused past its time finds there that another has taken over.
On a local lake an operating-system lock is held beside the record, which needs no clock: there a paused holder keeps the table until it
goes on or dies.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from sanyu.lake.store import Store, flocked
from schemas.messages import SanyuError

FOLDER = "_lease"


@dataclass(frozen=True)
class Record:
    """Who holds a table. `since_at` and `expires_at` are seconds since the epoch; `claim` is unique to one acquisition.

    `machine` is the space in which `pid` means something; `started` keeps a recycled pid from being taken for the holder.
    """

    table: str
    owner: str
    host: str
    machine: str
    pid: int
    started: str | None
    claim: str
    token: int
    since_at: float
    expires_at: float

    def encoded(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True).encode()


class Held:
    """A lease that this process holds; `token` is higher than that of every holder before."""

    def __init__(self, store: Store, record: Record, ttl_s: float, clock: Callable[[], float]) -> None:
        self._store = store
        self._record = record
        self._ttl_s = ttl_s
        self._clock = clock
        self._guard = threading.Lock()

    @property
    def table(self) -> str:
        return self._record.table

    @property
    def token(self) -> int:
        return self._record.token

    def check(self) -> None:
        """Read the record back and renew it; SY-L003 where the lease has been taken over or has run out and cannot be renewed.

        To be called right before each commit. What it leaves open is the time between this call and the commit, which the full `ttl_s`
        given here must cover.
        """
        self._renew()

    def _renew(self) -> None:
        with self._guard:
            key = _key(self._record.table)
            now = self._clock()
            mine = replace(self._record, expires_at=now + self._ttl_s)
            blob = self._store.read(key)
            found = None if blob is None else _decoded(blob.data)
            if blob is None or found is None or found.claim != self._record.claim:
                raise SanyuError("SY-L003", table=self.table, owner=self._record.owner, token=self.token, now=_whose(found))
            # Expired but still ours in the store: nobody has taken over, and the swap below fails if one does so now.
            if not self._store.replace_if(key, mine.encoded(), blob.etag) and self._store.get(key) != mine.encoded():
                raise SanyuError("SY-L003", table=self.table, owner=self._record.owner, token=self.token, now="another process")
            self._record = mine

    def _release(self) -> None:
        """Leave the record behind, run out, because it carries the token that the next holder must exceed."""
        with self._guard:
            key = _key(self._record.table)
            blob = self._store.read(key)
            found = None if blob is None else _decoded(blob.data)
            if blob is not None and found is not None and found.claim == self._record.claim:
                self._store.replace_if(key, replace(self._record, expires_at=0.0).encoded(), blob.etag)


@contextlib.contextmanager
def lease(
    store: Store,
    table: str,
    owner: str,
    *,
    ttl_s: float = 60.0,
    wait_s: float = 0.0,
    poll_s: float = 0.5,
    clock: Callable[[], float] = time.time,
) -> Iterator[Held]:
    """Hold the table for the time of the block; a thread renews the record every third of `ttl_s`.

    Taken over only when the other's time has run out or, on this host, its process is dead. Waits up to `wait_s` for that, then raises
    SY-L002, which says who holds the table and since when.
    """
    deadline = time.monotonic() + wait_s
    with contextlib.ExitStack() as stack:
        lock = store.host_lock(f"{FOLDER}/{table}")
        if lock is not None:
            stack.enter_context(_locked(lock, store=store, table=table, owner=owner, deadline=deadline, poll_s=poll_s))
        held = _acquired(store, table, owner, ttl_s=ttl_s, deadline=deadline, poll_s=poll_s, clock=clock)
        stack.callback(held._release)
        stack.enter_context(_heartbeat(held, ttl_s))
        yield held


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


def _acquired(store: Store, table: str, owner: str, *, ttl_s: float, deadline: float, poll_s: float, clock: Callable[[], float]) -> Held:
    key = _key(table)
    while True:
        blob = store.read(key)
        before = None if blob is None else _decoded(blob.data)
        if before is None or _is_over(before, clock()):
            now = clock()
            mine = Record(
                table=table,
                owner=owner,
                host=socket.gethostname(),
                machine=_machine(),
                pid=os.getpid(),
                started=_started(os.getpid()),
                claim=uuid.uuid4().hex,
                token=(before.token if before else 0) + 1,
                since_at=now,
                expires_at=now + ttl_s,
            )
            data = mine.encoded()
            won = store.put_if_absent(key, data) if blob is None else store.replace_if(key, data, blob.etag)
            after = store.read(key)
            # A retried request may have been refused by its own first try: what stands there decides.
            if after is not None and (won or after.data == data):
                found = _decoded(after.data)
                if found is not None and found.claim == mine.claim:
                    return Held(store, mine, ttl_s, clock)
            before = None if after is None else _decoded(after.data)
        _wait_or_refuse(before, table, owner, deadline, poll_s)


def _is_over(record: Record, now: float) -> bool:
    """Tell whether the lease may be taken over: its time has run out, or its process on this host is gone."""
    if record.expires_at <= now:
        return True
    if record.machine != _machine():
        return False
    started = _started(record.pid)
    return started is None or (record.started is not None and started != record.started)


@functools.cache
def _machine() -> str:
    """Return what tells one space of process ids from another: containers may share a host's name, but not its ids."""
    try:
        return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return socket.gethostname()


def _started(pid: int) -> str | None:
    """Return a process's start time (Linux: ticks since boot), `?` where the kernel doesn't tell, None if it is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    try:
        fields = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except OSError:
        return "?"
    return None if fields[0] == b"Z" else fields[19].decode()


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
    """Return the record, or None for what is none (a damaged file is taken over like an absent one)."""
    try:
        return Record(**json.loads(data))
    except (ValueError, TypeError):
        return None


def _whose(record: Record | None) -> str:
    if record is None:
        return "another process"
    since = datetime.fromtimestamp(record.since_at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{record.owner} (process {record.pid} on {record.host}, since {since})"
