"""Load several sources one after the other in one Spark session; a source that fails as a whole does not stop the others.

While Spark loads one source, the next is landed: its files are copied and parsed by child processes, which need no Spark. Only what leaves
nothing to go on with stops all of them: an interrupt, and a JVM that has ended.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from jobs.context import Loading
from jobs.loading import load
from jobs.loading.report import SourceReport
from sanyu.landing.landing import Landed
from sanyu.session import lost_jvm
from schemas.messages import SanyuError
from schemas.source import Source


@dataclass(frozen=True)
class Listener:
    """Who is told when a source is landed, and when it is loaded or has failed."""

    landed: Callable[[Source, Landed], None] = field(default=lambda source, landed: None)
    reported: Callable[[Source, SourceReport], None] = field(default=lambda source, report: None)


def load_all(loading: Loading, sources: Sequence[Source], *, all_new: bool = False, listener: Listener | None = None) -> list[SourceReport]:
    """Load the sources in the order given and return a report for each; SY-J003 where Spark's JVM has ended.

    With `all_new` they are known to have something new: Spark starts at once, while the first is landed.
    """
    told = listener or Listener()
    reports = []
    for source, landing in _landed(loading, sources, warm_up=all_new):
        report = _loaded(loading, source, landing, told)
        told.reported(source, report)
        reports.append(report)
    return reports


def _loaded(loading: Loading, source: Source, landing: Callable[[], Landed], told: Listener) -> SourceReport:
    """Load one source; whatever it raises is its own failure, as long as Spark works."""

    def landed() -> Landed:
        found = landing()
        told.landed(source, found)
        return found

    started = time.monotonic()
    try:
        return load.run(loading, source, landed)
    except Exception as error:
        lost = lost_jvm()
        if lost is not None:
            raise SanyuError("SY-J003", run=loading.run_id, source=source.name, detail=lost) from error
        return SourceReport.failed(source, error, time.monotonic() - started)


def _landed(loading: Loading, sources: Sequence[Source], *, warm_up: bool) -> Iterator[tuple[Source, Callable[[], Landed]]]:
    """Give each source with what waits for its landing; the one after it is landed meanwhile, and none further ahead."""
    pool = ThreadPoolExecutor(1, thread_name_prefix="landing")
    try:
        ahead: list[Future[Landed]] = [pool.submit(load.landed, loading, source) for source in sources[:1]]
        if warm_up and sources:
            with contextlib.suppress(Exception):  # each source will tell
                loading.spark()
        for number, source in enumerate(sources):
            landing = ahead.pop()
            ahead += [pool.submit(load.landed, loading, after) for after in sources[number + 1 : number + 2]]
            yield source, landing.result
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # an interrupt does not wait for a large file
