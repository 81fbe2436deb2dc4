"""The picture of the rooms shows what import-linter checks, and the documents that the README promises are there."""

from __future__ import annotations

import itertools
import re
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[3]
PICTURE = re.search(r"```mermaid\n(.*?)```", (PROJECT / "docs/architecture.md").read_text("utf-8"), re.DOTALL)


def layers() -> list[set[str]]:
    """Return the rooms of each layer from the top, as import-linter is told them."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (contract,) = [one for one in settings["contracts"] if one["type"] == "layers"]
    return [{room.strip() for room in layer.split("|")} for layer in contract["layers"]]


def test_the_picture_has_the_rooms_of_the_import_rules() -> None:
    assert PICTURE is not None
    named = dict(re.findall(r'(\w+)\["([\w.]+) — ', PICTURE[1]))
    assert set(named.values()) == {room for layer in layers() for room in layer}
    assert all(key == room.replace(".", "_") for key, room in named.items())


def test_its_arrows_lead_from_each_layer_to_the_next() -> None:
    assert PICTURE is not None
    arrows: dict[str, set[str]] = {}
    for line in PICTURE[1].splitlines():
        groups = [{part.strip() for part in group.split("&")} for group in line.split("-->")]
        for above, below in itertools.pairwise(groups):
            for room in above:
                arrows.setdefault(room, set()).update(below)
    found = [{room.replace(".", "_") for room in layer} for layer in layers()]
    want = {room: below for above, below in itertools.pairwise(found) for room in above}
    assert arrows == want


def test_every_package_of_the_project_is_a_room_or_told() -> None:
    packages = {path.parent.name for path in PROJECT.glob("*/__init__.py")} - {"tests", "bench"}
    assert packages == {room for layer in layers() for room in layer if "." not in room} | {"sanyu"}


@pytest.mark.parametrize(
    "page", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/stability.md", "docs/architecture.md", "docs/sources.md"]
)
def test_links_between_the_documents_lead_somewhere(page: str) -> None:
    text = (PROJECT / page).read_text("utf-8")
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]
    assert [link for link in links if link and not ((PROJECT / page).parent / link).exists()] == []


def test_the_licence_is_whole() -> None:
    text = (PROJECT / "LICENSE").read_text("utf-8")
    assert "Version 2.0, January 2004" in text
    assert "END OF TERMS AND CONDITIONS" in text
