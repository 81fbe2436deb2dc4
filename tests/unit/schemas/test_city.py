"""The definitions of a city: one that is wrong is told by its file and field, and stops no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobs.context import Context
from schemas.city import read_sources
from schemas.messages import SanyuError
from schemas.registry import contracts

CITY = 'name = "c"\ntitle = "City"\ntitle_zh = "城"\nextent = [119.0, 29.0, 121.0, 31.0]\nmetric_crs = "EPSG:4549"\n'
SOURCE = """
[source]
name = "{name}"
title = "T"
domain = "basemap"
licence = "CC0-1.0"
attribution = "nobody"
[read]
path = "{name}.csv"
[[into]]
contract = "{contract}"
[into.columns]
name = "name"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "city.toml").write_text(CITY, "utf-8")
    put(tmp_path, "areas", "core.basemap__division")
    put(tmp_path, "a_shop", "core.basemap__place")
    return tmp_path


def put(folder: Path, name: str, contract: str, file: str | None = None) -> None:
    (folder / f"{file or name}.toml").write_text(SOURCE.format(name=name, contract=contract), "utf-8")


def test_divisions_come_first(folder: Path) -> None:
    assert list(read_sources(folder, contracts()).usable) == ["areas", "a_shop"]


def test_a_wrong_definition_leaves_the_others_usable(folder: Path) -> None:
    put(folder, "typo", "core.basemap__plaice")
    put(folder, "a_shop", "core.basemap__place", file="twice")
    (folder / "broken.toml").write_text("[source\n", "utf-8")
    (folder / "unknown.toml").write_text(SOURCE.format(name="unknown", contract="core.basemap__place") + "[speed]\n", "utf-8")
    found = read_sources(folder, contracts())
    assert list(found.usable) == ["areas", "a_shop"]
    assert {name: error.code for name, error in found.unusable.items()} == {
        "broken": "SY-D001",
        "twice": "SY-D003",
        "typo": "SY-D002",
        "unknown": "SY-D002",
    }
    assert "typo.toml: field into.0.contract" in str(found.unusable["typo"])
    assert "the nearest is 'core.basemap__place'" in str(found.unusable["typo"])
    assert "broken.toml" in str(found.unusable["broken"])


def test_a_context_gives_the_usable_and_tells_what_is_wrong_with_the_one_asked_for(folder: Path) -> None:
    put(folder, "typo", "core.basemap__plaice")
    context = Context({"sources_dir": str(folder)})
    assert context.source("a_shop").name == "a_shop"
    with pytest.raises(SanyuError, match=r"SY-D002: typo\.toml"):
        context.source("typo")
    with pytest.raises(SanyuError, match=r"SY-D005.*the nearest is 'a_shop'"):
        context.source("a_shops")
