"""A lake in its second and later events: killed at every step, resumed, put back, evolved, released twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jobs.context import Loading
from jobs.loading import load
from jobs.loading.quarantine import release_rows
from jobs.verify import verified
from sanyu import crash
from sanyu.lake import Lake
from sanyu.lake.restore import restore
from schemas.fields import EMPLOYEE_COUNT
from schemas.messages import SanyuError
from schemas.model import Column, History
from schemas.registry import contracts
from tests.spark.shops import FIRST, PLACE, City, source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Renamed, renumbered and moved, ended, new; one row that is rejected.
PLENTY = [f"{n},店{n},餐饮,120.2,30.2{n},1" for n in range(10, 30)]
SECOND = [
    "1,张三大酒楼,餐饮,120.10,30.20,1",
    FIRST[1],
    "33,第三小学,教育,120.1201,30.22,1",
    "9,新银行,金融,120.15,30.25,1",
    "8,无类,美容,120.1,30.2,1",
]
LATER = source(delivery={"edition_at": "2025-07-01"})
OF_A_RUN = ("recorded_at", "closed_at", "superseded_at")
STEPS = ("raw.committed", "quarantine.committed", "write.ready", "write.committed", "write.bridged", "write.accounted")


@pytest.fixture
def city(tmp_path: Path, spark: SparkSession) -> City:
    return City(tmp_path, spark)


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    crash.disarm()


def content(lake: Lake, table: str = PLACE) -> list[tuple[Any, ...]]:
    """Return all rows of a table with their stamps, but for when a run recorded what; whether it did counts."""
    rows = lake.table(table).to_arrow(history=True).to_pylist()
    told = [{k: v is not None if k in OF_A_RUN else str(v) for k, v in row.items() if k != "run_id"} for row in rows]
    return sorted(tuple(sorted(row.items())) for row in told)


def figures(lake: Lake) -> list[tuple[Any, ...]]:
    names = ("batch_id", "step", "rows_in", "rows_loaded", "rows_unchanged", "rows_quarantined", "rows_closed", "status")
    return sorted(tuple(row[n] for n in names) for row in lake.table("raw.ops__ledger").to_arrow().to_pylist())


def is_sound(city: City) -> bool:
    found, _ = verified(city.lake, contracts())
    assert found == []
    return True


def copied(city: City, to: Path) -> City:
    """Return a city whose lake and data are copies of this one's."""
    to.mkdir()
    other = City(to, city._spark)
    shutil.copytree(city.lake.url, other.lake.url)
    shutil.copytree(city.data, other.data, dirs_exist_ok=True)
    other.runs = city.runs
    return other


def test_a_second_edition_that_dies_at_any_step_is_finished_as_if_it_had_not(city: City, tmp_path: Path) -> None:
    city.deliver(*PLENTY, *FIRST)
    city.load()
    city.deliver(*PLENTY, *SECOND)
    whole = copied(city, tmp_path / "whole")
    report = whole.load(LATER)
    assert (report.targets[0].loaded, report.targets[0].quarantined, report.targets[0].closed) == (3, 1, 1)
    for step in STEPS:
        died = copied(city, tmp_path / step)
        crash.arm(step)
        with pytest.raises(crash.Crash, match=step):
            died.load(LATER)
        again = died.load(LATER)
        assert again.targets == () or again.targets[0].loaded == 3, step
        for table in (PLACE, "quarantine.basemap__place", "raw.basemap__shops", "raw.ops__bridge"):
            assert content(died.lake, table) == content(whole.lake, table), (step, table)
        assert figures(died.lake) == figures(whole.lake), step
        assert is_sound(died)
        assert not died.load(LATER).is_new


def test_rows_of_two_batches_are_released_by_one_decision(city: City) -> None:
    city.deliver(*PLENTY, *FIRST, "6,海外,餐饮,122.0,30.2,1")
    city.load()
    city.deliver(*PLENTY, *FIRST, "7,远岛,餐饮,122.1,30.2,1")
    city.load(source(delivery={"edition_at": "2025-02-01", "snapshot": "partial"}))
    done = release_rows(city.loading(), {"shops": source()}, PLACE, "extent", "islands of the city")
    assert done["released"] == 2
    assert {"海外", "远岛"} <= city.names()
    assert city.lake.table("quarantine.basemap__place").count(where="released_at is null") == 0
    assert is_sound(city)


def test_a_release_that_died_is_finished_and_needs_no_source_of_today(city: City) -> None:
    city.deliver(*PLENTY, *FIRST, "6,海外,餐饮,122.0,30.2,1")
    city.load()
    crash.arm("release.committed")
    with pytest.raises(crash.Crash):
        release_rows(city.loading(), {"shops": source()}, PLACE, "extent", "an island")
    renamed = source(source={"name": "stores"})
    done = release_rows(city.loading(), {"stores": renamed}, PLACE, "extent", "an island")
    assert done["released"] == 1
    assert city.lake.table(PLACE).count(where="name = '海外'") == 1
    assert city.lake.table("quarantine.basemap__place").count(where="released_at is null") == 0


def test_a_released_row_of_a_known_key_is_a_version_of_its_entity(city: City) -> None:
    city.deliver(*PLENTY, *FIRST)
    city.load()
    (before,) = city.lake.table(PLACE).to_arrow(["entity_id"], where="source_key = '4'").to_pylist()
    city.deliver(*PLENTY, *FIRST[:3], "4,湖滨银行,金融,122.0,30.23,1")
    city.load(LATER)
    assert release_rows(city.loading(), {"shops": LATER}, PLACE, "extent", "it has moved")["released"] == 1
    (after,) = city.lake.table(PLACE).to_arrow(["entity_id", "bbox"], where="source_key = '4'").to_pylist()
    assert (after["entity_id"], after["bbox"]["xmin"]) == (before["entity_id"], 122.0)
    assert is_sound(city)


@pytest.mark.parametrize("history", [History.APPEND, History.FACT])
def test_facts_keep_their_rows_through_deliveries_and_releases(city: City, history: History) -> None:
    place = contracts()[PLACE].model_copy(update={"history": history})

    def loading() -> Loading:
        return replace(city.loading(), contracts=contracts() | {PLACE: place})

    city.deliver(*PLENTY, *FIRST, "6,海外,餐饮,122.0,30.2,1")
    load.run(loading(), source())
    city.deliver("5,第五店,餐饮,120.16,30.25,1", *(PLENTY + FIRST if history is History.FACT else []))
    assert load.run(loading(), LATER).targets[0].loaded == (25 if history is History.FACT else 1)
    assert city.lake.table(PLACE).count() == 25
    for _ in range(2):
        if city.lake.table("quarantine.basemap__place").count(where="released_at is null"):
            release_rows(loading(), {"shops": LATER}, PLACE, "extent", "an island")
    assert city.lake.table(PLACE).count() == 26
    assert city.lake.table(PLACE).count(where="name = '海外'") == 1


def test_a_contract_with_a_new_column_takes_the_table_along(city: City) -> None:
    city.deliver(*PLENTY, *FIRST)
    city.load()
    place = contracts()[PLACE]
    wider = place.model_copy(update={"version": place.version + 1, "columns": (*place.columns, Column(field=EMPLOYEE_COUNT))})
    into = source().into[0]
    more = source().model_copy(update={"into": (into.model_copy(update={"columns": into.columns | {"employee_count": "`楼层`"}}),)})
    report = load.run(replace(city.loading(), contracts=contracts() | {PLACE: wider}), more)
    assert report.is_ok
    assert city.lake.table(PLACE).count(where="employee_count = 1") == 24
    assert [r["step"] for r in city.lake.table("raw.ops__ledger").to_arrow().to_pylist()].count("evolve") == 1


def test_a_full_delivery_that_lacks_nearly_everything_is_held_until_a_person_accepts_it(city: City) -> None:
    city.deliver(*PLENTY)
    city.load()
    city.deliver(PLENTY[0])
    report = city.load(LATER)
    assert (report.is_ok, report.targets[0].status, report.targets[0].held, report.targets[0].closed) == (False, "held", 1, 0)
    assert "19 of 20 rows would end, 95%" in report.targets[0].why
    assert len(city.names()) == 20
    assert city.load(LATER).targets[0].status == "held"
    assert load.accept(city.loading(), LATER, "the market was closed").is_ok
    assert len(city.names()) == 1
    assert not city.load(LATER).is_new
    with pytest.raises(SanyuError, match="SY-L058"):
        load.accept(city.loading(), LATER, "again")
    assert is_sound(city)


def test_a_full_delivery_that_lacks_one_file_is_held(city: City) -> None:
    city.deliver(*PLENTY)
    city.deliver("1,张三面馆,餐饮,120.10,30.20,1", name="sheet.csv")
    (city.data / "broken.csv").write_bytes(b"")
    city.load()
    (city.data / "broken.csv").unlink()
    assert not city.load(source(delivery={"edition_at": "2025-06-01"})).targets[0].held, "what could not be read is not missed"
    (city.data / "sheet.csv").unlink()
    (held,) = city.load(LATER).targets
    assert (held.status, len(city.names())) == ("held", 21)
    assert "sheet.csv is missing" in held.why
    allowed = source(delivery={"edition_at": "2025-07-01", "fewer_files": True})
    assert city.load(allowed).targets[0].closed == 1


@pytest.mark.parametrize("loss", ["deleted", "restored", "emptied"])
def test_a_table_that_lost_deliveries_gets_them_again(city: City, tmp_path: Path, loss: str) -> None:
    city.deliver(*PLENTY, *FIRST)
    first = city.load()
    city.deliver(*PLENTY, *SECOND)
    city.load(LATER)
    whole = copied(city, tmp_path / "whole")
    if loss == "deleted":
        city.lake.store.delete(contracts()[PLACE].path)
    elif loss == "restored":
        loading = city.loading()
        told = {"run_id": loading.run_id, "recorded_at": loading.recorded_at, "note": "drill"}
        done = restore(city.lake, PLACE, first.targets[0].version or 0, **told, spark=loading.spark)
        assert done.out == (("shops", 2),)
    else:
        log = Path(city.lake.url) / contracts()[PLACE].path / "_delta_log"
        max(log.glob("*.json")).write_bytes(b"")
    found, _ = verified(city.lake, contracts())
    assert {f.check for f in found} & {"ledger", "log"}
    assert city.load(LATER).is_new
    assert content(city.lake) == content(whole.lake)
    recorded = [
        c.lake.table(PLACE).to_arrow(["stamp_id", "recorded_at"], history=True).sort_by("stamp_id").to_pylist() for c in (city, whole)
    ]
    assert recorded[0] == recorded[1]
    assert not city.load(LATER).is_new
    assert is_sound(city)


def test_an_edition_after_the_list_of_deliveries_was_lost_is_loaded(city: City) -> None:
    city.deliver(*PLENTY, *FIRST)
    city.load()
    city.lake.store.delete("landing/shops/deliveries")
    city.deliver(*PLENTY, *SECOND)
    assert city.load(LATER).targets[0].loaded == 3
    assert is_sound(city)


def test_one_flipped_bit_is_found(city: City) -> None:
    city.deliver(*PLENTY, *FIRST)
    city.load()
    assert is_sound(city)
    (part,) = (Path(city.lake.url) / contracts()[PLACE].path).glob("part-*.parquet")
    data = bytearray(part.read_bytes())
    data[len(data) // 2] ^= 1
    part.write_bytes(data)
    found, _ = verified(city.lake, contracts())
    assert [(f.where, f.check) for f in found] == [(PLACE, "sums")]
