"""A delivery is one batch by its content, parsed once; what is wrong with a file stays with that file."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sanyu.lake import Lake
from sanyu.lake.ledger import Ledger
from sanyu.lake.store import LocalStore
from sanyu.landing import landing, parsed
from sanyu.landing.landing import Landed, fingerprint, land
from schemas.messages import SanyuError
from schemas.model import AttributeStamp, Contract
from schemas.source import Source

PLACE = "core.basemap__place"


def contract(version: int = 1) -> dict[str, Contract]:
    stamp = AttributeStamp(theme_code="place")
    return {
        PLACE: Contract(name=PLACE, version=version, title_zh="地点", grain="A place", description="", columns=(), attribute=stamp),
    }


def source(name: str = "places", edition: str | None = "2026-01-01", **read: Any) -> Source:
    return Source.model_validate(
        {
            "source": {"name": name, "title": "Places", "domain": "basemap", "licence": "none", "attribution": "none"},
            "read": {"path": "tiles/*.csv", "format": "csv", "x": "lon", "y": "lat"} | read,
            "delivery": {"edition_at": edition},
            "into": [{"contract": PLACE, "columns": {"place_name": "name"}}],
        }
    )


@pytest.fixture
def data(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    (root / "tiles").mkdir(parents=True)
    (root / "tiles/a.csv").write_text("lon,lat,name\n120.1,30.1,西湖\n120.2,30.2,灵隐\n")
    (root / "tiles/b.csv").write_text("lon,lat,name\n120.3,30.3,钱塘\n")
    return root


@pytest.fixture
def store(tmp_lake: Path) -> LocalStore:
    return LocalStore(tmp_lake)


def rows(landed: Landed) -> list[str]:
    return [dict(a)["name"] for p in landed.parts for a in pq.read_table(p.uri)["attributes"].to_pylist()]


def test_files_are_copied_parsed_and_told_in_the_manifest(store: LocalStore, data: Path) -> None:
    landed = land(store, source(), data, contract())
    assert landed.is_new
    assert rows(landed) == ["西湖", "灵隐", "钱塘"]
    assert (landed.row_count, landed.columns, landed.failed_files) == (3, ("lon", "lat", "name"), ())
    assert landed.edition_at == "2025-12-31T16:00:00.000000+00:00"
    assert landed.batch_id.startswith("20251231-")
    folder = f"landing/places/{landed.batch_id}"
    assert store.get(f"{folder}/files/tiles/a.csv") == (data / "tiles/a.csv").read_bytes()
    manifest = json.loads(store.get(f"{folder}/manifest.json") or b"")
    assert [f["name"] for f in manifest["files"]] == ["tiles/a.csv", "tiles/b.csv"]


def test_the_same_files_are_the_same_batch_and_are_not_touched_again(
    store: LocalStore, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = land(store, source(), data, contract())
    monkeypatch.setattr(landing, "parse", lambda *a: pytest.fail("parsed again"))
    again = land(store, source(), data, contract())
    assert not again.is_new
    assert (again.batch_id, again.parts, again.columns, again.row_count) == (first.batch_id, first.parts, first.columns, first.row_count)


def test_a_batch_keeps_its_id_and_edition_when_only_modification_times_change(store: LocalStore, data: Path) -> None:
    for name in ("a", "b"):
        os.utime(data / f"tiles/{name}.csv", (1_700_000_000, 1_700_000_000))
    first = land(store, source(edition=None), data, contract())
    assert first.edition_at == "2023-11-14T22:13:20.000000+00:00"
    os.utime(data / "tiles/a.csv", (1_800_000_000, 1_800_000_000))
    again = fingerprint(store, source(edition=None), data, contract())
    assert (again.batch_id, again.edition_at) == (first.batch_id, first.edition_at)


def test_content_definition_and_contract_version_each_make_another_batch(store: LocalStore, data: Path) -> None:
    ids = [fingerprint(store, source(), data, contract()).batch_id]
    ids.append(fingerprint(store, source(), data, contract(version=2)).batch_id)
    ids.append(fingerprint(store, source(encoding="gbk"), data, contract()).batch_id)
    (data / "tiles/b.csv").write_text("lon,lat,name\n120.3,30.3,运河\n")
    ids.append(fingerprint(store, source(), data, contract()).batch_id)
    assert len(set(ids)) == 4
    assert store.keys() == []


def test_a_bad_file_is_recorded_and_the_rest_is_landed(store: LocalStore, data: Path) -> None:
    (data / "tiles/c.csv").write_bytes(b"")
    landed = land(store, source(), data, contract())
    assert landed.failed_files == ("tiles/c.csv",)
    assert landed.row_count == 3
    records = landed.file_rows("r1", "2026-01-02T00:00:00+00:00")
    assert [(r.status, r.code, r.row_count) for r in records] == [("ok", None, 2), ("ok", None, 1), ("failed", "SY-R002", 0)]
    assert records[2].message is not None
    assert "c.csv" in records[2].message
    assert "空文件" in (records[2].message_zh or "")
    assert [(r.encoding, r.crs) for r in records] == [("utf-8", None), ("utf-8", None), (None, None)]
    (warned,) = json.loads(records[0].warnings)
    assert (warned["code"], "a.csv" in warned["message"]) == ("SY-R081", True)
    assert "未声明坐标参考系" in warned["message_zh"]
    Ledger(store).append_files(records)
    kept = Lake(store.root).table("raw.ops__file").to_arrow(columns=["file_name", "encoding", "warnings", "message_zh"]).to_pylist()
    assert {r["file_name"]: r["encoding"] for r in kept} == {"tiles/a.csv": "utf-8", "tiles/b.csv": "utf-8", "tiles/c.csv": None}
    assert land(store, source(), data, contract()).failed_files == ("tiles/c.csv",)


def test_sources_that_read_the_same_files_alike_share_the_parts(store: LocalStore, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = land(store, source("shops"), data, contract())
    monkeypatch.setattr(landing, "parse", lambda *a: pytest.fail("parsed again"))
    other = land(store, source("parks"), data, contract())
    assert [p.uri for p in other.parts] == [p.uri for p in first.parts]
    assert other.batch_id != first.batch_id


def test_other_options_make_other_parts(store: LocalStore, data: Path) -> None:
    first = land(store, source("shops"), data, contract())
    other = land(store, source("parks", x=None, y=None), data, contract())
    assert not {p.uri for p in other.parts} & {p.uri for p in first.parts}


def test_a_crash_before_the_manifest_leaves_no_batch_and_the_next_run_makes_it(
    store: LocalStore, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(landing, "parse", crash)
        with pytest.raises(KeyboardInterrupt):
            land(store, source(), data, contract())
    assert not [k for k in store.keys("landing") if k.endswith("manifest.json")]
    assert land(store, source(), data, contract()).row_count == 3


def test_parts_that_are_gone_are_made_again(store: LocalStore, data: Path) -> None:
    first = land(store, source(), data, contract())
    store.delete(landing.PARSED)
    again = land(store, source(), data, contract())
    assert again.batch_id == first.batch_id
    assert rows(again) == ["西湖", "灵隐", "钱塘"]


def test_a_hash_is_remembered_by_size_and_time_and_a_wrong_one_is_found_on_landing(store: LocalStore, data: Path) -> None:
    file = data / "tiles/a.csv"
    os.utime(file, (1_700_000_000, 1_700_000_000))
    land(store, source(), data, contract())
    file.write_text(file.read_text().replace("西", "东"))
    os.utime(file, (1_700_000_000, 1_700_000_000))
    (data / "tiles/b.csv").write_text("lon,lat,name\n120.3,30.3,运河\n")
    with pytest.raises(SanyuError, match=r"SY-L033: tiles/a\.csv"):
        land(store, source(), data, contract())
    assert rows(land(store, source(), data, contract())) == ["东湖", "灵隐", "运河"]


def test_columns_that_changed_since_the_delivery_before_are_told(store: LocalStore, data: Path) -> None:
    first = land(store, source(), data, contract())
    assert first.drift == ()
    store.put("landing/places/deliveries.json", json.dumps([first.batch_id]).encode())
    for name in ("a", "b"):
        (data / f"tiles/{name}.csv").write_text("lon,lat,names,floors\n120.1,30.1,x,2\n")
    second = land(store, source(), data, contract())
    assert [d.split(". ")[0] for d in second.drift] == [
        "places: column name seems to be renamed to names",
        "places: new column floors (text)",
    ]


@pytest.mark.parametrize(
    ("pattern", "code", "told"),
    [("tiles/*.shp", "SY-L031", "tiles/*.shp"), ("../data/tiles/*.csv", "SY-L032", "../data"), ("/etc/*", "SY-L032", "/etc")],
)
def test_a_pattern_that_matches_nothing_or_leads_out_is_named(store: LocalStore, data: Path, pattern: str, code: str, told: str) -> None:
    with pytest.raises(SanyuError) as refused:
        land(store, source(path=pattern), data, contract())
    assert refused.value.code == code
    assert told in refused.value.message("en")


def test_an_edition_that_is_no_time_is_refused(store: LocalStore, data: Path) -> None:
    with pytest.raises(SanyuError, match="SY-L035"):
        fingerprint(store, source(edition="spring 2026"), data, contract())


def test_the_parts_of_a_shapefile_are_one_file_and_each_counts(store: LocalStore, data: Path) -> None:
    for suffix in ("shp", "shx", "dbf"):
        (data / f"roads.{suffix}").write_bytes(suffix.encode())
    shapes = source(path="*.shp", format="shapefile", x=None, y=None)
    before = fingerprint(store, shapes, data, contract())
    assert [n for n, _ in before.files[0].members] == ["roads.shp", "roads.shx", "roads.dbf"]
    (data / "roads.dbf").write_bytes(b"edited")
    assert fingerprint(store, shapes, data, contract()).batch_id != before.batch_id


def test_parts_that_no_manifest_names_are_dropped_a_day_after_their_last_use(store: LocalStore, data: Path) -> None:
    kept = land(store, source("shops"), data, contract())
    lost = land(store, source("parks", delimiter=";", x=None, y=None), data, contract())
    (store.root / "landing/_parsed/.parse-crashed").mkdir()
    store.delete(f"landing/parks/{lost.batch_id}")
    later = dt.datetime.now(dt.UTC) + parsed.KEPT_UNUSED
    assert parsed.clean(store, later - dt.timedelta(minutes=5)) == []
    dropped = parsed.clean(store, later + dt.timedelta(minutes=5))
    assert len(dropped) == 2
    assert not any(store.exists(f.parsed or "") for f in lost.files)
    assert all(Path(p.uri).is_file() for p in kept.parts)
    assert sorted(p.name for p in (store.root / "landing/_parsed").iterdir()) == store.folders("landing/_parsed")
    assert not land(store, source("shops"), data, contract()).is_new


def test_parts_used_again_stay_and_a_landing_cleans_up(store: LocalStore, data: Path) -> None:
    first = land(store, source("shops"), data, contract())
    store.delete(f"landing/shops/{first.batch_id}")
    two_days = 2 * 86_400
    for key in store.keys("landing/_parsed"):
        os.utime(store.root / key, (time.time() - two_days, time.time() - two_days))
    (data / "tiles/b.csv").write_text("lon,lat,name\n120.3,30.3,新\n")
    second = land(store, source("parks"), data, contract())
    names = {f.parsed.rsplit("/", 1)[1] for f in second.files if f.parsed}
    assert set(store.folders("landing/_parsed")) == names
    assert {f.parsed for f in first.files} & {f.parsed for f in second.files}


DAMAGE = [b"", b"{", b"\0" * 40, b"[1]", b"null", b"\xff\xfe", b'{"files": 3}', b'{"a": [1, 2]}']


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_hashes_only_cost_hashing_again(store: LocalStore, data: Path, damage: bytes) -> None:
    for path in data.rglob("*.csv"):
        os.utime(path, (1e9, 1e9))
    first = land(store, source(), data, contract())
    kept = store.get("landing/places/hashes.json")
    store.put("landing/places/hashes.json", damage)
    again = land(store, source(), data, contract())
    assert (again.batch_id, again.is_new) == (first.batch_id, False)
    assert store.get("landing/places/hashes.json") == kept


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_batch_with_a_damaged_manifest_lands_again_as_the_same_batch(store: LocalStore, data: Path, damage: bytes) -> None:
    first = land(store, source(), data, contract())
    key = f"landing/places/{first.batch_id}/manifest.json"
    kept = store.get(key)
    store.put(key, damage)
    with pytest.raises(SanyuError, match=rf"SY-L060: .*{key} is damaged: .*sanyu run places"):
        landing.landed_batch(store, source().name, first.batch_id)
    again = land(store, source(), data, contract())
    assert (again.batch_id, again.is_new) == (first.batch_id, True)
    assert store.get(key) == kept
    assert rows(again) == rows(first)


@pytest.mark.parametrize("damage", DAMAGE)
def test_parts_with_a_damaged_record_are_parsed_again(store: LocalStore, data: Path, damage: bytes) -> None:
    first = land(store, source(), data, contract())
    records = [key for key in store.keys("landing/_parsed") if key.endswith("/parsed.json")]
    for key in records:
        store.put(key, damage)
    other = land(store, source(name="others"), data, contract())
    assert rows(other) == rows(first)
    assert all(json.loads(store.get(key) or b"")["parts"] for key in records)


def test_as_long_as_a_manifest_is_damaged_no_parts_are_dropped(store: LocalStore, data: Path) -> None:
    first = land(store, source(), data, contract())
    later = dt.datetime.now(dt.UTC) + dt.timedelta(days=3)
    store.put(f"landing/places/{first.batch_id}/manifest.json", b"{")
    assert parsed.clean(store, later) == []
    store.delete(f"landing/places/{first.batch_id}")
    assert len(parsed.clean(store, later)) == 2


def test_a_damaged_manifest_of_the_delivery_before_hides_the_drift_but_stops_nothing(store: LocalStore, data: Path) -> None:
    first = land(store, source(), data, contract())
    store.put("landing/places/deliveries.json", json.dumps([first.batch_id]).encode())
    store.put(f"landing/places/{first.batch_id}/manifest.json", b"")
    (data / "tiles/a.csv").write_text("lon,lat,title\n120.1,30.1,西湖\n")
    assert land(store, source(), data, contract()).drift == ()


ROAD = "core.basemap__road_segment"


def with_roads() -> tuple[Source, dict[str, Contract]]:
    """Return the definition with a further table, and the contracts of both."""
    first = source()
    road = contract()[PLACE].model_copy(update={"name": ROAD})
    more = first.model_dump(mode="json", exclude_unset=True)
    more["into"] = [*more["into"], {"contract": ROAD, "columns": {"name": "name"}}]
    return Source.model_validate(more), {**contract(), ROAD: road}


def delivered(store: LocalStore, landed: Landed) -> None:
    store.put("landing/places/deliveries.json", json.dumps([landed.batch_id]).encode())


def test_titles_terms_and_schedules_leave_a_delivery_the_batch_that_it_is(store: LocalStore, data: Path) -> None:
    first = land(store, source(), data, contract())
    other = source().model_dump(mode="json", exclude_unset=True)
    other["source"] |= {"title": "Shops", "licence": "CC0-1.0", "publisher": "Office"}
    other["delivery"] |= {"schedule": "@daily"}
    again = land(store, Source.model_validate(other), data, contract())
    assert (again.batch_id, again.is_new) == (first.batch_id, False)


def test_a_further_table_leaves_the_last_delivery_the_batch_that_it_is(store: LocalStore, data: Path) -> None:
    first = land(store, source(), data, contract())
    delivered(store, first)
    more, both = with_roads()
    assert fingerprint(store, more, data, both).batch_id == first.batch_id
    again = land(store, more, data, both)
    assert (again.batch_id, again.is_new) == (first.batch_id, False)
    (data / "tiles/a.csv").write_text("lon,lat,name\n120.1,30.1,西湖\n")
    assert land(store, more, data, both).batch_id != first.batch_id


def test_a_changed_mapping_or_contract_is_a_new_batch_also_with_a_further_table(store: LocalStore, data: Path) -> None:
    first = land(store, source(), data, contract())
    delivered(store, first)
    more, both = with_roads()
    changed = more.model_dump(mode="json", exclude_unset=True)
    changed["into"][0]["columns"]["place_name"] = "upper(name)"
    assert land(store, Source.model_validate(changed), data, both).batch_id != first.batch_id
    both[PLACE] = both[PLACE].model_copy(update={"version": 2})
    assert land(store, more, data, both).batch_id != first.batch_id


def test_a_batch_that_version_0_1_landed_is_recognised(store: LocalStore, data: Path) -> None:
    landed = land(store, source(), data, contract())
    files = sorted(file.sha256 for file in landed.files)
    content = json.dumps([files, source().former_fingerprint, {PLACE: 1}], sort_keys=True)
    former = f"20251231-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    (store.root / "landing/places" / landed.batch_id).rename(store.root / "landing/places" / former)
    again = land(store, source(), data, contract())
    assert (again.batch_id, again.is_new) == (former, False)
