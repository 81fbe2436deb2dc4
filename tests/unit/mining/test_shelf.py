"""Every tool of the shelf is whole: a contract, a page, a title in both languages, parameters that its columns name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sanyu import mining
from schemas.registry import contracts
from transforms.mining.shelf.tool import tools

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", list(tools()))
def test_a_tool_has_contract_page_titles_and_a_public_name(name: str) -> None:
    tool = tools()[name]
    assert tool.result in contracts()
    page = (ROOT / tool.docs).read_text("utf-8")
    assert "Worked" in page or "worked" in page
    assert re.search("[一-鿿]", tool.title_zh)
    assert getattr(mining, name) is tool.function
    assert set(tool.columns) <= {p.name for p in tool.parameters}


def test_the_shelf_s_page_links_all_pages_and_no_other() -> None:
    folder = ROOT / "docs" / "mining"
    linked = set(re.findall(r"\]\(([a-z0-9-]+\.md)\)", (folder / "README.md").read_text("utf-8")))
    assert linked == {path.name for path in folder.glob("*.md")} - {"README.md"}
