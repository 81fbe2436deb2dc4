"""Load several sources one after the other in one Spark session; a source that fails as a whole does not stop the others."""

from __future__ import annotations

import time
from collections.abc import Sequence

from jobs import load
from jobs.load import Loading
from jobs.report import SourceReport
from schemas.messages import SanyuError
from schemas.source import Source


def load_all(loading: Loading, sources: Sequence[Source]) -> list[SourceReport]:
    """Load the sources in the order given and return a report for each."""
    reports = []
    for source in sources:
        started = time.monotonic()
        try:
            reports.append(load.run(loading, source))
        except SanyuError as error:
            reports.append(SourceReport.failed(source, str(error), time.monotonic() - started))
    return reports
