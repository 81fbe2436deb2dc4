"""The environment's messages: every code that the code raises is in the catalogue, with both languages."""

from __future__ import annotations

import re
from pathlib import Path

from schemas.messages import catalogue

ROOT = Path(__file__).parents[3]


def test_raised_codes_are_in_the_catalogue_and_all_are_raised() -> None:
    text = "".join(path.read_text("utf-8") for room in ("cli", "demo", "jobs", "sanyu") for path in (ROOT / room).rglob("*.py"))
    raised = set(re.findall(r'"(SY-E\d{3})"', text))
    listed = {code for code in catalogue() if code.startswith("SY-E")}
    assert raised == listed
    assert len(listed) > 10
