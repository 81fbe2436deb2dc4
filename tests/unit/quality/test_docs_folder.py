"""What is made on this machine of lakes in object stores: each lake has a folder of its own."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from jobs.gate import docs_folder
from sanyu.lake.store import LocalStore


def loading(store: Any) -> Any:
    return SimpleNamespace(lake=SimpleNamespace(store=store))


def test_two_lakes_used_from_one_folder_keep_their_data_docs_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    urls = ("s3a://bucket/one", "s3a://bucket/two", "s3a://bucket/one/two", "s3a://bucket-one", "s3a://b/" + "x" * 300)
    folders = [docs_folder(loading(SimpleNamespace(url=url))) for url in urls]
    assert len(set(folders)) == len(urls)
    assert not any(a != b and a.is_relative_to(b) for a in folders for b in folders)
    assert all(f.is_relative_to(tmp_path / ".sanyu") and f.name == "quality" for f in folders)
    assert folders[0] == docs_folder(loading(SimpleNamespace(url=urls[0])))


def test_a_lake_on_disk_holds_its_data_docs_itself(tmp_path: Path) -> None:
    assert docs_folder(loading(LocalStore(tmp_path / "lake"))) == tmp_path / "lake" / "quality"
