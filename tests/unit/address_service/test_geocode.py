"""Which rows the geocoding job asks for, and which tables; what it writes with Spark stands in tests/spark."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import shapely
from deltalake import write_deltalake

import sanyu
from jobs import gazetteer, geocode
from jobs.load import Loading
from quality.arrow import arrow_schema
from sanyu.address import engine as engine_module
from schemas.registry import contracts, find_contract

FIRM, ADDRESS = "core.thematic__legal_person", "core.basemap__address"


def _put(lake: sanyu.Lake | Path, name: str, rows: list[dict[str, Any]], columns: list[str]) -> None:
    contract = find_contract(name)
    schema = arrow_schema(contract)
    table = pa.Table.from_pylist(rows, pa.schema([schema.field(column) for column in columns])).replace_schema_metadata(None)
    root = lake if isinstance(lake, Path) else Path(lake.url)
    write_deltalake(str(root / contract.path), table, mode="overwrite")


def _doors(lake: sanyu.Lake | Path, numbers: range) -> None:
    rows = [
        {
            "entity_id": f"D{n}",
            "address_text": f"解放东路{n}号",
            "road_name": "解放东路",
            "door_number": f"{n}号",
            "division_code": "390102001001",
        }
        | {"geom": shapely.to_wkb(shapely.Point(120 + n / 1000, 30.1))}
        for n in numbers
    ]
    _put(lake, ADDRESS, rows, list(rows[0]))


def _firms(lake: sanyu.Lake | Path, **texts: str) -> None:
    rows = [{"entity_id": entity, "address_text": text, "geom": None, "name": entity} for entity, text in texts.items()]
    _put(lake, FIRM, rows, ["entity_id", "address_text", "geom", "name"])


def _write(job: Any, name: str, target: str, rows: list[dict[str, Any]]) -> None:
    contract = find_contract(target)
    _put(job.loading.lake, target, rows, [*(c.name for c in contract.columns), *(("geom",) if contract.geometry else ())])


@pytest.fixture
def loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loading:
    monkeypatch.setattr(engine_module, "national_divisions", lambda folder: None)
    monkeypatch.setattr(gazetteer, "national_divisions", lambda folder: None)
    monkeypatch.setattr(geocode._Job, "_write", _write)
    _doors(tmp_path, range(1, 10))
    _firms(tmp_path, F1="解放东路1号", F2="解放东路99号")
    lake = sanyu.open(tmp_path)
    gazetteer.run(lake)

    def no_spark() -> Any:
        raise AssertionError("Spark was asked for")

    return Loading(lake, dict(contracts()), Path(), "run", "2026-01-01T00:00:00+00:00", no_spark)


def _found(loading: Loading, table: str) -> dict[str, Any]:
    column = "found_entity_id" if table == geocode.MATCH else "match_reason_code"
    return {row["input_entity_id"]: row[column] for row in loading.lake.table(table).to_arrow().to_pylist()}


def test_a_rerun_asks_for_nothing(loading: Loading) -> None:
    (first,) = geocode.run(loading)
    (again,) = geocode.run(loading)
    assert (first.asked, first.state, again.asked, again.kept, again.state) == (2, "written", 0, 2, "unchanged")
    assert _found(loading, geocode.MATCH) == {"F1": "D1", "F2": None} and _found(loading, geocode.REVIEW) == {"F2": "SY-A018"}


def test_only_new_and_changed_rows_are_asked_for_and_gone_ones_leave(loading: Loading) -> None:
    geocode.run(loading)
    _firms(loading.lake, F2="解放东路99号", F3="解放东路3号")
    (report,) = geocode.run(loading)
    assert (report.asked, report.kept) == (1, 1)
    assert _found(loading, geocode.MATCH) == {"F2": None, "F3": "D3"} and set(_found(loading, geocode.REVIEW)) == {"F2"}
    _firms(loading.lake, F2="解放东路2号", F3="解放东路3号")
    (report,) = geocode.run(loading)
    assert (report.asked, report.kept, _found(loading, geocode.REVIEW)) == (1, 1, {})


def test_a_row_that_only_went_away_is_taken_out_too(loading: Loading) -> None:
    geocode.run(loading)
    _firms(loading.lake, F1="解放东路1号")
    (report,) = geocode.run(loading)
    assert (report.asked, report.state) == (0, "written")
    assert _found(loading, geocode.MATCH) == {"F1": "D1"} and _found(loading, geocode.REVIEW) == {}


def test_another_gazetteer_asks_for_all_rows_again(loading: Loading) -> None:
    geocode.run(loading)
    _doors(loading.lake, range(1, 100))
    gazetteer.run(loading.lake)
    (report,) = geocode.run(loading)
    assert (report.asked, report.kept) == (2, 0) and _found(loading, geocode.MATCH) == {"F1": "D1", "F2": "D99"}


def test_an_alias_that_was_added_asks_again_for_rows_without_an_answer(loading: Loading) -> None:
    _firms(loading.lake, F1="解放东路1号", F2="老城墙路2号")
    geocode.run(loading)
    assert set(_found(loading, geocode.REVIEW)) == {"F2"}
    loading.lake.addresses().add_alias("老城墙路", element="解放东路", level="road", kind="former")
    (report,) = geocode.run(loading)
    assert (report.asked, report.kept, _found(loading, geocode.REVIEW)) == (1, 1, {})
    assert _found(loading, geocode.MATCH) == {"F1": "D1", "F2": "D2"}
    assert geocode.run(loading)[0].state == "unchanged"


def test_tables_with_an_address_and_perhaps_no_geometry_ask_for_it() -> None:
    asking = {name for name, contract in contracts().items() if geocode.asks(contract)}
    assert {"core.thematic__legal_person", "core.thematic__permit"} <= asking
    assert not {"core.basemap__address", "core.basemap__place", "core.thematic__population", geocode.MATCH} & asking


def test_another_table_is_refused_with_those_that_are_geocoded(loading: Loading) -> None:
    with pytest.raises(sanyu.SanyuError, match=r"SY-A081.*legal_person"):
        geocode.run(loading, ("core.basemap__place",))
