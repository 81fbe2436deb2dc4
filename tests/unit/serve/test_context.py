"""What the commands share: a lake is mined without sources, and sources are asked for by what loads them."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.context import Context
from schemas.messages import SanyuError


def test_a_job_that_reads_the_lake_alone_needs_no_city(tmp_path: Path) -> None:
    context = Context({"lake": str(tmp_path / "lake"), "sources_dir": str(tmp_path)})
    assert context.loading(lambda text: None).extent is None
    with pytest.raises(SanyuError, match="SY-D004"):
        context.source("shops")


def test_a_city_s_extent_goes_into_its_jobs(tmp_path: Path) -> None:
    (tmp_path / "city.toml").write_text(
        'name = "a"\ntitle = "A"\ntitle_zh = "甲"\nextent = [120.0, 30.0, 121.0, 31.0]\nmetric_crs = "EPSG:4549"\n'
    )
    context = Context({"lake": str(tmp_path / "lake"), "sources_dir": str(tmp_path)})
    assert context.loading(lambda text: None).extent == (120.0, 30.0, 121.0, 31.0)
