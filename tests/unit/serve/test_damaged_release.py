"""Damaged pointers and manifests of releases: told, repaired, and no obstacle to the next publication."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import write_deltalake

from cli.app import main
from quality.arrow import arrow_schema
from sanyu.lake import Lake
from sanyu.serve import current, publish, release, releases, verify
from sanyu.serve.release import POINTER, repair_pointer
from schemas.messages import SanyuError
from schemas.model import AttributeStamp, Column, Contract, DType, FieldDef
from schemas.source import Source

FIRM = Contract(
    name="core.thematic__firm",
    title_zh="企业",
    grain="One firm",
    description="Firms",
    columns=(Column(field=FieldDef(name="name", dtype=DType.STRING, title_zh="名称", description="Name")),),
    attribute=AttributeStamp(theme_code="vegetation"),
)
SOURCES = {
    "survey": Source.model_validate(
        {
            "source": {"name": "survey", "title": "Survey", "domain": "thematic", "licence": "CC BY 4.0", "attribution": "© Survey"},
            "read": {"path": "*.csv"},
            "into": [{"contract": "core.thematic__firm", "columns": {"name": "name"}}],
        }
    )
}
DAMAGE = {
    "empty": lambda data: b"",
    "cut off": lambda data: data[: len(data) // 2],
    "blank": lambda data: b"\0" * len(data),
    "other JSON": lambda data: b"[1, 2]",
    "no text": lambda data: b"\xff\xfe\xfa",
    "null": lambda data: b"null",
}


def add(lake: Lake, *keys: str) -> None:
    schema = arrow_schema(FIRM)
    rows = [
        dict.fromkeys(schema.names)
        | {"entity_id": key, "stamp_id": key, "source_name": "survey", "source_key": key, "name": key, "security_label": "public"}
        | {"valid_from_at": datetime(2026, 1, 1, tzinfo=UTC), "recorded_at": datetime(2026, 1, 1, tzinfo=UTC)}
        for key in keys
    ]
    write_deltalake(
        lake.store.uri(FIRM.path), pa.Table.from_pylist(rows, schema=pa.schema([f.with_nullable(True) for f in schema])), mode="append"
    )


@pytest.fixture
def lake(tmp_lake: Path) -> Lake:
    lake = Lake(tmp_lake)
    add(lake, "a", "b")
    return lake


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_pointer_is_told_with_its_repair(lake: Lake, damage: str) -> None:
    publish(lake, [FIRM], SOURCES)
    lake.store.put(POINTER, DAMAGE[damage](lake.store.get(POINTER)))
    with pytest.raises(SanyuError, match=r"SY-L060: .*/release/current.json is damaged: .*sanyu repair release"):
        current(lake)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_pointer_is_written_anew_by_the_next_publication_of_the_same_and_of_other_rows(lake: Lake, damage: str) -> None:
    first = publish(lake, [FIRM], SOURCES)
    lake.store.put(POINTER, DAMAGE[damage](lake.store.get(POINTER)))
    assert publish(lake, [FIRM], SOURCES).release_id == first.release_id
    assert current(lake) == first.model_copy(update={"changed": False})
    lake.store.put(POINTER, DAMAGE[damage](lake.store.get(POINTER)))
    add(lake, "c")
    second = publish(lake, [FIRM], SOURCES)
    assert second.release_id != first.release_id
    assert current(lake) == second.model_copy(update={"changed": False})


@pytest.mark.parametrize("damage", DAMAGE)
def test_repair_names_the_newest_complete_release(lake: Lake, damage: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = publish(lake, [FIRM], SOURCES, release_id="b-first")
    add(lake, "c")
    second = publish(lake, [FIRM], SOURCES, release_id="a-second")
    lake.store.put(POINTER, DAMAGE[damage](lake.store.get(POINTER)))
    monkeypatch.chdir(tmp_path)
    main(["--lake", lake.url, "repair", "release"])
    found = current(lake)
    assert found is not None
    assert found.release_id == "a-second"
    assert repair_pointer(lake) is None
    # a newer release that is not whole is not named
    lake.store.delete(f"{second.tables[0].path}/{second.tables[0].files[0].name}")
    lake.store.delete(POINTER)
    named = repair_pointer(lake)
    assert named is not None
    assert named.release_id == first.release_id


def test_without_any_complete_release_repair_says_so(lake: Lake) -> None:
    lake.store.put(POINTER, b"")
    with pytest.raises(SanyuError, match="SY-P008"):
        repair_pointer(lake)


def test_a_lake_that_never_published_needs_no_repair(lake: Lake) -> None:
    assert repair_pointer(lake) is None


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_manifest_is_told_and_that_release_is_published_again(lake: Lake, damage: str) -> None:
    made = publish(lake, [FIRM], SOURCES)
    key = f"{made.path}/manifest.json"
    lake.store.put(key, DAMAGE[damage](lake.store.get(key)))
    with pytest.raises(SanyuError, match=rf"SY-P005: release {made.release_id}: manifest.json"):
        current(lake)
    again = publish(lake, [FIRM], SOURCES)
    assert (again.release_id, again.changed) == (made.release_id, True)
    assert current(lake) == again.model_copy(update={"changed": False})
    assert verify(lake, again.model_copy(update={"changed": False})) == []


def test_a_damaged_manifest_of_an_older_release_does_not_hinder_the_next_and_keeps_its_files(lake: Lake) -> None:
    first = publish(lake, [FIRM], SOURCES)
    lake.store.put(f"{first.path}/manifest.json", b"")
    add(lake, "c")
    second = publish(lake, [FIRM], SOURCES)
    assert set(releases(lake)) == {first.release_id, second.release_id}
    assert lake.store.exists(f"{first.tables[0].path}/{first.tables[0].files[0].name}")
    with pytest.raises(SanyuError, match="SY-P005"):
        release(lake, first.release_id)
