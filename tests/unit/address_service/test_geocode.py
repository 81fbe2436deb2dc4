"""Which rows the geocoding job asks for, which tables, and how secret its answers are; what it writes with Spark stands in tests/spark."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import shapely
from deltalake import write_deltalake

import sanyu
from jobs import gazetteer, geocode
from jobs.context import Loading
from quality.arrow import arrow_schema
from sanyu.address import engine as engine_module
from sanyu.address import lakeindex
from sanyu.serve.publish import plan
from schemas.model import SecurityLabel, SpaceStamp
from schemas.registry import contracts, find_contract

FIRM, ADDRESS = "core.thematic__legal_person", "core.basemap__address"


def _put(lake: sanyu.Lake | Path, name: str, rows: list[dict[str, Any]], columns: list[str]) -> None:
    contract = find_contract(name)
    schema = arrow_schema(contract)
    fields = [schema.field(column) for column in (*columns, "security_label")]
    table = pa.Table.from_pylist([{"security_label": "public"} | row for row in rows], pa.schema(fields)).replace_schema_metadata(None)
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


def _firms(lake: sanyu.Lake | Path, label: str = "public", **texts: str) -> None:
    rows = [{"entity_id": entity, "address_text": text, "geom": None, "name": entity} for entity, text in texts.items()]
    rows[-1]["security_label"] = label
    _put(lake, FIRM, rows, ["entity_id", "address_text", "geom", "name"])


@pytest.fixture
def loading(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Loading:
    monkeypatch.setattr(engine_module, "national_divisions", lambda folder: None)
    monkeypatch.setattr(gazetteer, "national_divisions", lambda folder: None)
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
    lakeindex.open_engine(loading.lake).add_alias("老城墙路", element="解放东路", level="road", kind="former")
    (report,) = geocode.run(loading)
    assert (report.asked, report.kept, _found(loading, geocode.REVIEW)) == (1, 1, {})
    assert _found(loading, geocode.MATCH) == {"F1": "D1", "F2": "D2"}
    assert geocode.run(loading)[0].state == "unchanged"


def test_the_log_says_how_many_rows_were_matched_and_where(loading: Loading) -> None:
    told: list[str] = []
    (first,) = geocode.run(replace(loading, progress=told.append))
    (again,) = geocode.run(replace(loading, progress=told.append))
    assert (first.matched_by, again.matched_by) == ("process", None)
    assert told == [f"geocode {FIRM}: 2 of 2 rows, in this process", f"geocode {FIRM}: 0 of 2 rows"]


def test_many_rows_are_left_to_spark(loading: Loading) -> None:
    with pytest.raises(AssertionError, match="Spark was asked for"):
        geocode.run(loading, spark_rows=2)


def test_review_has_what_a_tied_row_could_be(loading: Loading) -> None:
    _firms(loading.lake, F1="解放东路1号", F2="中山路1号")
    rows = [
        {"entity_id": f"S{n}", "address_text": f"中山路1号{n}", "road_name": "中山路", "door_number": "1号", "division_code": code}
        | {"geom": shapely.to_wkb(shapely.Point(120, 30 + n))}
        for n, code in enumerate(("390102001001", "390103001001"))
    ]
    _put(loading.lake, ADDRESS, rows, list(rows[0]))
    gazetteer.run(loading.lake)
    geocode.run(loading)
    review = {row["input_entity_id"]: row for row in loading.lake.table(geocode.REVIEW).to_arrow().to_pylist()}
    assert json.loads(review["F2"]["candidates"]) == ["中山路1号0", "中山路1号1"] and review["F2"]["match_status_code"] == "T"
    assert json.loads(review["F1"]["candidates"]) == []


def test_a_table_is_geocoded_when_its_contract_says_so_by_the_column_that_it_names(loading: Loading, tmp_path: Path) -> None:
    asking = {name for name, contract in contracts().items() if geocode.asks(contract)}
    assert asking == {"core.thematic__legal_person", "core.thematic__permit"}
    silent = find_contract(FIRM).model_copy(update={"space": SpaceStamp()})
    assert not geocode.asks(silent) and geocode.run(replace(loading, contracts={FIRM: silent})) == []
    by_name = find_contract(FIRM).model_copy(update={"space": SpaceStamp(geocode="name")})
    rows = [{"entity_id": "F1", "address_text": "无", "geom": None, "name": "解放东路7号"}]
    _put(loading.lake, FIRM, rows, ["entity_id", "address_text", "geom", "name"])
    geocode.run(replace(loading, contracts={FIRM: by_name}))
    assert _found(loading, geocode.MATCH) == {"F1": "D7"}


def test_another_table_is_refused_with_those_that_are_geocoded(loading: Loading) -> None:
    with pytest.raises(sanyu.SanyuError, match=r"SY-A081.*legal_person"):
        geocode.run(loading, ("core.basemap__place",))


def _labels(loading: Loading) -> set[str]:
    return {label for t in (geocode.MATCH, geocode.REVIEW) for label in loading.lake.table(t).to_arrow(["security_label"])[0].to_pylist()}


def _published(loading: Loading) -> list[tuple[int, int]]:
    tables = [find_contract(name) for name in (geocode.MATCH, geocode.REVIEW)]
    return [(table.rows, table.withheld) for table in plan(loading.lake, tables, SecurityLabel.PUBLIC, {})]


def test_answers_are_as_secret_as_the_most_secret_row_that_was_asked_for(loading: Loading) -> None:
    geocode.run(loading)
    assert _labels(loading) == {"public"}
    _firms(loading.lake, F1="解放东路1号", F2="解放东路99号", label="restricted")
    (report,) = geocode.run(loading)
    assert (report.asked, report.state, _labels(loading)) == (0, "written", {"restricted"})
    assert _published(loading) == [(0, 2), (0, 1)]
    assert geocode.run(loading)[0].state == "unchanged"
    _firms(loading.lake, F1="解放东路1号", F2="解放东路99号")
    assert (geocode.run(loading)[0].state, _labels(loading)) == ("written", {"public"})


def test_answers_of_a_secret_table_are_secret_though_its_rows_were_loaded_as_public(loading: Loading) -> None:
    geocode.run(loading)
    secret = find_contract(FIRM).model_copy(update={"security_label": SecurityLabel.SECRET})
    geocode.run(replace(loading, contracts={**loading.contracts, FIRM: secret}))
    assert (_labels(loading), _published(loading)) == ({"secret"}, [(0, 2), (0, 1)])


def test_answers_are_as_secret_as_the_addresses_that_the_index_was_made_of(loading: Loading) -> None:
    secret = find_contract(ADDRESS).model_copy(update={"security_label": SecurityLabel.INTERNAL})
    geocode.run(replace(loading, contracts={**loading.contracts, ADDRESS: secret}))
    assert _labels(loading) == {"internal"}
