"""The dry run of a source: what would be read and how, with the files that a run would leave out named and the rest planned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cli.app import main

CITY = 'name = "c"\ntitle = "City"\ntitle_zh = "城"\nextent = [119, 29, 121, 31]\nmetric_crs = "EPSG:4549"\n'
SOURCE = """
[source]
name = "shops"
title = "Shops"
domain = "basemap"
licence = "CC0-1.0"
attribution = "none"
[read]
path = "shops/*"
x = "lon"
y = "lat"
crs = "EPSG:4490"
[[into]]
contract = "core.basemap__place"
key = "id"
[into.columns]
name = "name"
class_code = "kind"
"""
SHOPS = "id,name,kind,lon,lat\n1,面馆,01,120.1,30.1\n2,书店,02,120.2,30.2\n"


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    (tmp_path / "city").mkdir()
    (tmp_path / "city/city.toml").write_text(CITY, "utf-8")
    (tmp_path / "city/shops.toml").write_text(SOURCE, "utf-8")
    (tmp_path / "data/shops").mkdir(parents=True)
    (tmp_path / "data/shops/east.csv").write_text(SHOPS, "utf-8")
    return ["--sources", str(tmp_path / "city"), "--lake", str(tmp_path / "lake"), "--data", str(tmp_path / "data")]


def test_a_file_of_unknown_format_is_named_and_the_rest_is_planned(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data/shops/notes.bin").write_bytes(b"\x00\x01\x02")
    (tmp_path / "data/shops/broken.geojson").write_text('{"type": "FeatureCollection", "features": [', "utf-8")
    main([*options, "plan", "shops", "--json"])
    planned = json.loads(capsys.readouterr().out)
    assert [(name, kind, rows) for name, _, kind, rows in planned["files"]] == [("shops/east.csv", "csv", "2")]
    assert [(name, message[:7]) for name, message in planned["rejected"]] == [
        ("shops/notes.bin", "SY-L034"),
        ("shops/broken.geojson", "SY-R021"),
    ]
    assert planned["targets"][0]["table"] == "core.basemap__place"
    main([*options, "plan", "shops"])
    said = capsys.readouterr().out
    assert "✗ shops/notes.bin, left out: SY-L034" in " ".join(said.split())
    assert "east.csv" in said
    assert not (tmp_path / "lake").exists()


def test_a_source_of_which_no_file_can_be_read_fails_as_its_run_would(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "data/shops/east.csv").write_bytes(b"\x00\x01\x02")
    with pytest.raises(SystemExit) as left:
        main([*options, "plan", "shops"])
    assert left.value.code == 3
    assert "✗ shops/east.csv, left out: SY-L034" in " ".join(capsys.readouterr().out.split())
