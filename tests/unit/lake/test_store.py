"""The small files of a lake in a folder: whole or not there, and one winner where several write."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sanyu.lake.store import LocalStore, flocked, open_store


@pytest.fixture
def store(tmp_lake: Path) -> LocalStore:
    return LocalStore(tmp_lake)


def test_what_was_put_is_read_back_and_absence_is_none(store: LocalStore) -> None:
    store.put("landing/roads/a/manifest.json", b"one")
    store.put("landing/roads/a/manifest.json", b"two")
    assert store.get("landing/roads/a/manifest.json") == b"two"
    assert store.get("landing/roads/b/manifest.json") is None
    assert store.get("landing/roads") is None


def test_of_many_who_put_if_absent_at_once_exactly_one_wins_and_its_content_stays(store: LocalStore) -> None:
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.put_if_absent("x/one.json", str(n).encode() * 1000), range(24)))
    assert won.count(True) == 1
    assert store.get("x/one.json") == str(won.index(True)).encode() * 1000


def test_of_many_who_replace_the_same_content_at_once_exactly_one_wins(store: LocalStore) -> None:
    store.put("x/one.json", b"start")
    blob = store.read("x/one.json")
    assert blob is not None
    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(lambda n: store.replace_if("x/one.json", str(n).encode(), blob.etag), range(24)))
    assert won.count(True) == 1
    assert store.get("x/one.json") == str(won.index(True)).encode()


def test_replace_if_refuses_what_is_gone(store: LocalStore) -> None:
    assert not store.replace_if("x/none.json", b"new", "any")
    assert store.get("x/none.json") is None


def test_listing_shows_files_by_key_and_neither_locks_nor_unfinished_writes(store: LocalStore) -> None:
    store.put("core/basemap/road/_delta_log/0.json", b"{}")
    store.put("core/thematic/firm/_delta_log/0.json", b"{}")
    assert store.replace_if("core/thematic/firm/_delta_log/0.json", b"{ }", store.read("core/thematic/firm/_delta_log/0.json").etag)  # type: ignore[union-attr]
    (store.root / "core" / ".part-0.tmp").write_bytes(b"half")
    assert store.keys("core") == ["core/basemap/road/_delta_log/0.json", "core/thematic/firm/_delta_log/0.json"]
    assert store.folders("core") == ["basemap", "thematic"]
    assert store.folders("mart") == []


def test_delete_takes_a_folder_with_all_below_it_and_nothing_beside_it(store: LocalStore) -> None:
    for key in ("a/b/1", "a/b/c/2", "a/bb/3"):
        store.put(key, b"x")
    store.delete("a/b")
    store.delete("a/b")
    assert store.keys() == ["a/bb/3"]


@pytest.mark.parametrize("key", ["../outside", "/etc/passwd", "a/../../b", "", ".hidden", "a/.hidden"])
def test_keys_that_leave_the_lake_are_refused(store: LocalStore, key: str) -> None:
    with pytest.raises(ValueError, match="not a key"):
        store.put(key, b"x")


def test_upload_brings_a_copy_in_that_later_edits_do_not_reach(store: LocalStore, tmp_path: Path) -> None:
    file = tmp_path / "roads.shp"
    file.write_bytes(b"as delivered")
    store.upload(file, "landing/roads/roads.shp")
    file.write_bytes(b"edited in place")
    assert store.local("landing/roads/roads.shp").read_bytes() == b"as delivered"
    with pytest.raises(FileNotFoundError):
        store.local("landing/roads/none.shp")


def test_a_lock_is_not_given_twice_and_comes_back(tmp_path: Path) -> None:
    with flocked(tmp_path / "l", wait=False) as first, flocked(tmp_path / "l", wait=False) as second:
        assert (first, second) == (True, False)
    with flocked(tmp_path / "l", wait=False) as again:
        assert again


def test_a_folder_lake_has_its_absolute_path_as_every_address(tmp_lake: Path) -> None:
    store = open_store(f"file://{tmp_lake}")
    assert {store.uri("core/x", s) for s in ("s3a", "s3", "path")} == {str(tmp_lake / "core/x")}  # type: ignore[arg-type]
    assert store.storage_options() == {}
