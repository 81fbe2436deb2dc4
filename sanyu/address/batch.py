"""Match a whole file or table: every input row is returned exactly once, in order, together with its result.

Rows are processed in chunks, so memory does not grow with the file. Results are written to a temporary file that replaces the target when
all rows are done, so an interruption leaves nothing half written. With `workers`, chunks are matched by that many processes: forks of this
one that share its engine or, if other threads are running (a notebook, a service), new ones that each load the engine from its folder.
"""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import signal
import tempfile
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from sanyu.address.engine import AddressEngine
from sanyu.address.formats import RESULT, query_of, result_table
from sanyu.address.store import index_state
from sanyu.address.tablefiles import Rows, Writer, writer_of
from schemas.messages import SanyuError
from transforms.address.model import LEVELS

CHUNK_ROWS = 5000
Columns = str | Mapping[str, str]
MOST_CANDIDATES = 5
_inherited: list[AddressEngine] = []
_engines: dict[str, tuple[tuple[int, ...], AddressEngine]] = {}


@dataclass(frozen=True)
class BatchReport:
    """The result of a batch: `statuses` counts M, T and U, `codes` counts the reasons of rows without an answer."""

    rows: int
    statuses: dict[str, int]
    codes: dict[str, int]
    seconds: float
    outputs: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        return {**self.__dict__, "outputs": list(self.outputs)}


@dataclass(frozen=True)
class Options:
    """How rows are matched: `context` and `at` as in `AddressEngine.match`, processes, rows per chunk; `writers` for further suffixes."""

    context: str | None = None
    at: date | None = None
    workers: int = 1
    chunk_rows: int = CHUNK_ROWS
    progress: Callable[[int], None] = field(default=lambda rows: None)
    writers: Mapping[str, Callable[[Path, str], Writer]] = field(default_factory=dict)


def run(engine: AddressEngine, rows: Rows, columns: Columns, outputs: Sequence[Path], options: Options | None = None) -> BatchReport:
    """Match the rows and write each output by its suffix; SY-A070 for a missing column, SY-A071, SY-A072 for outputs."""
    chosen = options or Options()
    started = time.monotonic()
    check_columns(rows, columns)
    prefix = free_prefix(rows.names)
    statuses: Counter[str] = Counter()
    codes: Counter[str] = Counter()
    count = 0
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(writer_of(path, prefix, chosen.writers)) for path in outputs]
        for chunk, result in matched_chunks(engine, rows.chunks(chosen.chunk_rows), columns, prefix, chosen):
            joined = joined_table(chunk, result)
            for writer in writers:
                writer.write(joined)
            statuses.update(result[f"{prefix}status"].to_pylist())
            codes.update(code for code in result[f"{prefix}code"].to_pylist() if code)
            count += chunk.num_rows
            chosen.progress(count)
        for writer in writers:
            writer.finish()
    seconds = round(time.monotonic() - started, 3)
    return BatchReport(count, dict(statuses), dict(codes.most_common()), seconds, tuple(str(path) for path in outputs))


def matched_chunks(
    engine: AddressEngine, chunks: Iterable[pa.Table], columns: Columns, prefix: str, options: Options
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield each chunk with its result table, in order."""
    if options.workers <= 1:
        for chunk in chunks:
            yield chunk, matched_table(engine, chunk, columns, prefix, options.context, options.at)
        return
    with _workers(engine, options) as (pool, folder):
        waiting: deque[tuple[pa.Table, Future[pa.Table]]] = deque()
        for chunk in chunks:
            asked = chunk.select(_read(columns))
            waiting.append((chunk, pool.submit(_in_worker, folder, asked, columns, prefix, options.context, options.at)))
            if len(waiting) > 2 * options.workers:
                done, future = waiting.popleft()
                yield done, future.result()
        for done, future in waiting:
            yield done, future.result()


def matched_table(
    engine: AddressEngine, chunk: pa.Table, columns: Columns, prefix: str, context: str | None = None, at: date | None = None
) -> pa.Table:
    """Return the result table of a chunk: one row each, in order."""
    if isinstance(columns, str):
        queries: list[Any] = [None if value is None else str(value) for value in chunk[columns].to_pylist()]
    else:
        queries = [query_of(row, columns) for row in chunk.select(_read(columns)).to_pylist()]
    return result_table(engine.match_many(queries, context=context, limit=MOST_CANDIDATES, at=at), prefix)


def check_columns(rows: Rows, columns: Columns) -> None:
    """Raise SY-A070 for a missing column or an unknown level."""
    for name in _read(columns):
        if name not in rows.names:
            raise SanyuError("SY-A070", source=rows.title, column=name, known=", ".join(rows.names))
    for level in () if isinstance(columns, str) else columns:
        if level not in LEVELS:
            raise SanyuError("SY-A078", field=level, reason=", ".join(LEVELS))


def free_prefix(names: Sequence[str]) -> str:
    """Return a prefix with which no result column has the name of an input column."""
    prefix, number = "match_", 1
    while any(prefix + name in names for name in RESULT.names):
        number += 1
        prefix = f"match{number}_"
    return prefix


def joined_table(chunk: pa.Table, result: pa.Table) -> pa.Table:
    """Return the input's columns together with the result's."""
    for name in result.column_names:
        chunk = chunk.append_column(name, result[name])
    return chunk


def _read(columns: Columns) -> list[str]:
    return [columns] if isinstance(columns, str) else list(columns.values())


@contextlib.contextmanager
def _saved(engine: AddressEngine) -> Iterator[str]:
    """Yield the folder from which workers load the engine; an engine without a folder is saved for them."""
    maker, arguments = engine.__reduce__()
    if len(arguments) == 1:
        yield str(arguments[0])
        return
    with tempfile.TemporaryDirectory(prefix="sanyu-address-") as folder:
        maker(*arguments).save(folder)
        yield folder


@contextlib.contextmanager
def _workers(engine: AddressEngine, options: Options) -> Iterator[tuple[ProcessPoolExecutor, str | None]]:
    """Yield the processes and the folder from which they load the engine, None if they are forks that already have it.

    A fork inherits the locks of all threads but only one thread to release them, so it is not used while other threads run. A cancelled
    batch waits only for the chunks in progress.
    """
    if threading.active_count() > 1 or "fork" not in multiprocessing.get_all_start_methods():
        with _saved(engine) as folder:
            pool = ProcessPoolExecutor(
                options.workers, multiprocessing.get_context("spawn"), signal.signal, (signal.SIGINT, signal.SIG_IGN)
            )
            try:
                yield pool, folder
            finally:
                pool.shutdown(cancel_futures=True)
        return
    engine.prepare(options.at)
    pool = ProcessPoolExecutor(options.workers, multiprocessing.get_context("fork"), _take, (engine,))
    gc.collect()
    gc.freeze()  # garbage collection in a worker would touch, and so copy, every shared page
    try:
        yield pool, None
    finally:
        pool.shutdown(cancel_futures=True)
        gc.unfreeze()


def _take(engine: AddressEngine) -> None:
    """Keep the engine of the parent process of this fork."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _inherited.append(engine)


def _in_worker(folder: str | None, chunk: pa.Table, columns: Columns, prefix: str, context: str | None, at: date | None) -> pa.Table:
    engine = _inherited[-1] if folder is None else engine_at(folder)
    return matched_table(engine, chunk, columns, prefix, context, at)


def engine_at(folder: str) -> AddressEngine:
    """Return the engine of a folder, loaded once per process, and again if the folder was rebuilt or an alias was added."""
    state = index_state(Path(folder))
    if _engines.get(folder, (None,))[0] != state:
        _engines[folder] = state, AddressEngine.load(folder)
    return _engines[folder][1]
