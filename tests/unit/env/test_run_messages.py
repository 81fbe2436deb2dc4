"""The messages of runs: every code that the code raises is in the catalogue, and none is there in vain."""

from __future__ import annotations

import re
from pathlib import Path

from schemas.messages import catalogue

ROOT = Path(__file__).parents[3]


def test_codes_of_runs_are_raised_and_described() -> None:
    text = "".join(path.read_text("utf-8") for room in ("cli", "jobs", "sanyu") for path in (ROOT / room).rglob("*.py"))
    raised = set(re.findall(r'"(SY-J\d{3})"', text))
    assert raised == {code for code in catalogue() if code.startswith("SY-J")}
    assert len(raised) == 6
