"""Check a lake: its tables, and the release that readers take."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sanyu.lake import Lake
from sanyu.lake.verify import Finding, verify
from sanyu.serve.release import current
from sanyu.serve.release import verify as release_problems
from schemas.messages import SanyuError
from schemas.model import Contract


def verified(
    lake: Lake,
    contracts: Mapping[str, Contract],
    tables: tuple[str, ...] = (),
    *,
    quick: bool = False,
    progress: Callable[[str], None] = lambda text: None,
) -> tuple[list[Finding], int]:
    """Return what is wrong, and how many tables were looked at; the release is checked with the whole lake only."""
    found = verify(lake, contracts, tables, quick=quick, progress=progress)
    if not tables:
        progress("verify release")
        found += _release(lake)
    return found, len(tables) or len(lake.names())


def _release(lake: Lake) -> list[Finding]:
    try:
        named = current(lake)
        problems = [] if named is None else release_problems(lake, named)
    except SanyuError as error:
        return [Finding("release/current.json", "release", str(error), "sanyu repair release")]
    return [Finding(str(p.params["file"]), "release", str(p.params["what"]), "sanyu publish makes the release again") for p in problems]
