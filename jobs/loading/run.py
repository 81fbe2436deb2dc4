"""Load several sources one after the other in one Spark session; a source that fails as a whole does not stop the others.

While Spark loads one source, the next is landed: its files are copied and parsed by child processes, which need no Spark.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from jobs.context import Loading
from jobs.loading import load
from jobs.loading.report import SourceReport
from sanyu.landing.landing import Landed
from schemas.messages import SanyuError
from schemas.source import Source


def load_all(loading: Loading, sources: Sequence[Source], *, all_new: bool = False) -> list[SourceReport]:
    """Load the sources in the order given and return a report for each.

    With `all_new` they are known to have something new: Spark starts at once, while the first is landed.
    """
    reports = []
    for source, landed in _landed(loading, sources, warm_up=all_new):
        started = time.monotonic()
        try:
            reports.append(load.run(loading, source, landed))
        except SanyuError as error:
            reports.append(SourceReport.failed(source, str(error), time.monotonic() - started))
    return reports


def _landed(loading: Loading, sources: Sequence[Source], *, warm_up: bool) -> Iterator[tuple[Source, Callable[[], Landed]]]:
    """Give each source with what waits for its landing; the one after it is landed meanwhile, and none further ahead."""
    with ThreadPoolExecutor(1, thread_name_prefix="landing") as pool:
        ahead: list[Future[Landed]] = [pool.submit(load.landed, loading, source) for source in sources[:1]]
        try:
            if warm_up and sources:
                with contextlib.suppress(SanyuError):  # each source will tell
                    loading.spark()
            for number, source in enumerate(sources):
                landing = ahead.pop()
                ahead += [pool.submit(load.landed, loading, after) for after in sources[number + 1 : number + 2]]
                yield source, landing.result
        finally:
            pool.shutdown(cancel_futures=True)
