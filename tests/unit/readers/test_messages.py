"""The codes of the readers."""

from __future__ import annotations

import re
from pathlib import Path

import sanyu.readers
from schemas.messages import catalogue


def test_each_code_is_used_and_each_used_code_is_in_the_catalogue():
    readers = Path(sanyu.readers.__file__).parent
    source = "".join(path.read_text("utf-8") for path in (*readers.glob("*.py"), readers.parent / "landing/queried.py"))
    used = set(re.findall(r"SY-R\d{3}", source))
    known = {code for code in catalogue() if code.startswith("SY-R")}
    assert used == known
