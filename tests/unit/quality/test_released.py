"""A gate leaves out what a person released, and nothing else."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import pandas as pd

from schemas.basemap.building import CONTRACT as BUILDING
from schemas.fields import fields_of

with warnings.catch_warnings():
    warnings.filterwarnings("ignore", r"module 'sre_\w+' is deprecated")  # Great Expectations 1.24 imports them
    from quality.gx import gate


def row(number: int, **values: Any) -> dict[str, Any]:
    then = pd.Timestamp("2026-01-01", tz="UTC")
    known = {"entity_id": f"e{number}", "stamp_id": f"s{number}", "source_name": "survey", "source_key": str(number)}
    known |= {"valid_from_at": then, "recorded_at": then, "security_label": "public", "batch_id": "b", "geom": b"\x01"}
    return dict.fromkeys(f.name for f in fields_of(BUILDING)) | known | {"row_hash": f"h{number}", "class_code": "residential"} | values


ROWS = [row(1, height_m=12.0), row(2, height_m=-3.0), row(3, class_code="odd", height_m=5.0)]


def test_released_contents_pass_for_their_own_field_only(tmp_path: Path) -> None:
    frame = pd.DataFrame(ROWS)
    strict = gate(BUILDING, frame, tmp_path, "strict")
    assert [(f.code, f.column) for f in strict.failed] == [("SY-Q106", "class_code"), ("SY-Q107", "height_m")]
    lenient = gate(BUILDING, frame, tmp_path, "lenient", {"height_m": ("h2",), "class_code": ("h3",)})
    assert lenient.failed == ()
    assert "h2" in lenient.page.read_text("utf-8"), "the page names what was left out"
    other = gate(BUILDING, frame, tmp_path, "other", {"height_m": ("h3",), "class_code": ("h2", "h3")})
    assert [(f.code, f.count, f.examples) for f in other.failed] == [("SY-Q107", 1, ("-3.0",))]
