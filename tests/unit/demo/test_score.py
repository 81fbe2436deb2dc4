"""The score, on a lake of literal rows: each measure passes where the lake is right and falls where it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
import shapely

from demo.events import TABLE
from demo.score import score
from demo.view import TABLES
from schemas.messages import SanyuError

BUILDING, ROAD = "core.basemap__building", "core.basemap__road_segment"
FIRST, SECOND = "2025-06-30T12:00:00+08:00", "2025-12-31T12:00:00+08:00"
COLUMNS: dict[str, list[str]] = {
    "rejects": ["source", "contract", "file", "row_number", "key", "reason", "codes"],
    "duplicates": ["source", "contract", "file", "row_number", "key", "twin", "kind", "lon", "lat"],
    "files": ["source", "file", "reason", "codes"],
    "counts": ["source", "contract", "rows_in", "rejected", "duplicates", "loaded"],
    "identities": ["contract", "source", "kind", "edit", "key_1", "lon_1", "lat_1", "key_2", "lon_2", "lat_2"],
    "divisions": ["contract", "source", "key", "lon", "lat", "division_code"],
    "coordinates": ["contract", "source", "key", "lon", "lat"],
    "edges": ["source", "key_1", "key_2"],
    "hot_spots": ["kind", "x_m", "y_m", "radius_m"],
}


class FakeTable:
    def __init__(self, frames: dict[str | None, pd.DataFrame]) -> None:
        self.frames = frames

    def to_arrow(self, columns: list[str] | None = None, *, where: str | None = None, at: str | None = None) -> pa.Table:
        frame = self.frames[at]
        return pa.Table.from_pylist([{c: row[c] for c in columns or frame.columns} for row in frame.to_dict("records")])


class FakeLake:
    def __init__(self, tables: dict[str, dict[str | None, pd.DataFrame]]) -> None:
        self.tables = tables

    def names(self) -> list[str]:
        return list(self.tables)

    def table(self, name: str) -> FakeTable:
        return FakeTable(self.tables[name])


def _truth(folder: Path, edition: int, **tables: list[tuple[Any, ...]]) -> Path:
    for name in TABLES:
        pd.DataFrame(tables.get(name, []), columns=COLUMNS[name]).to_parquet(folder / f"{name}.parquet")
    editions = {"1": "2025-06-30T00:00:00+08:00", "2": "2025-12-31T00:00:00+08:00"}
    (folder / "edition.json").write_text(json.dumps({"edition": edition, "editions": editions}))
    return folder


def _core(*rows: tuple[str | None, str, str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "source_name": "s", "source_key": key, "entity_id": entity, "division_code": division,
                "bbox": {"xmin": lon, "xmax": lon, "ymin": lat, "ymax": lat},
            }
            for key, entity, division, lon, lat in rows
        ]
    )  # fmt: skip


def _quarantine(*rows: tuple[str, str, int, str, str | None]) -> dict[str | None, pd.DataFrame]:
    columns = ["source_name", "batch_id", "file_name", "row_number", "errors", "recorded_at"]
    values = [("s", batch, file, row, [{"code": code, "value": value}], batch) for batch, file, row, code, value in rows]
    return {None: pd.DataFrame(values, columns=columns)}


REJECTS = [
    ("s", BUILDING, "building/a.geojson", 3, "X1", "bow_tie", "SY-C112"),
    ("s", BUILDING, "building/a.geojson", 5, "X2", "ragged_line", "SY-R050"),
]
COUNTS = [("s", BUILDING, 4, 2, 0, 2)]


def test_bad_row_counts_as_found_by_file_and_row(tmp_path: Path) -> None:
    truth = _truth(tmp_path, 1, rejects=REJECTS, counts=COUNTS)
    lake = FakeLake(
        {
            BUILDING: {FIRST: _core(("A", "e1", "", 0, 0), ("B", "e2", "", 0, 0))},
            "quarantine.basemap__building": _quarantine(
                ("20250629-aa", "b/a.geojson", 3, "SY-C112", None),
                ("20250629-aa", "b/a.geojson", 5, "SY-Q007", "SY-R050 {}"),
            ),
        }
    )
    found = score(lake, truth)
    assert [found.measure(n).value for n in ("rejects_recall", "rejects_reason", "rejects_precision", "rows_loaded")] == [1, 1, 1, 1]
    assert found.passed


def test_good_row_in_quarantine_costs_precision_and_missed_row_recall(tmp_path: Path) -> None:
    truth = _truth(tmp_path, 1, rejects=REJECTS, counts=COUNTS)
    rows = (("20250629-aa", "a.geojson", 3, "SY-Q001", "x"), ("20250629-aa", "a.geojson", 4, "SY-Q001", "x"))
    lake = FakeLake({BUILDING: {FIRST: _core(("A", "e1", "", 0, 0))}, "quarantine.basemap__building": _quarantine(*rows)})
    found = score(lake, truth)
    assert [found.measure(n).value for n in ("rejects_recall", "rejects_reason", "rejects_precision")] == [0.5, 0.0, 0.5]
    assert found.missed["key"].tolist() == ["X2"]
    assert found.surplus["row_number"].tolist() == [4]
    assert not found.passed


def test_quarantine_of_a_later_edition_is_not_counted(tmp_path: Path) -> None:
    truth = _truth(tmp_path, 1, rejects=REJECTS[:1], counts=COUNTS)
    rows = (("20250629-aa", "a.geojson", 3, "SY-C112", None), ("20251230-bb", "a.geojson", 9, "SY-C112", None))
    lake = FakeLake({BUILDING: {FIRST: _core(("A", "e1", "", 0, 0))}, "quarantine.basemap__building": _quarantine(*rows)})
    assert score(lake, truth).measure("rejects_precision").value == 1


IDENTITIES = [
    (BUILDING, "s", "same", "renumbered", "A", 120.9, 30.2, "A9", 120.9, 30.2),
    (BUILDING, "s", "same", "moved", None, 120.8, 30.2, None, 120.8, 30.2),
    (BUILDING, "s", "new", "", None, None, None, "N", 120.7, 30.2),
]


def _two_editions(second: pd.DataFrame) -> FakeLake:
    return FakeLake({BUILDING: {FIRST: _core(("A", "e1", "", 120.9, 30.2), ("#1", "e2", "", 120.8, 30.2)), SECOND: second}})


def test_identity_is_kept_by_key_and_by_place(tmp_path: Path) -> None:
    truth = _truth(tmp_path, 2, identities=IDENTITIES)
    lake = _two_editions(_core(("A9", "e1", "", 120.9, 30.2), ("#2", "e2", "", 120.8, 30.2), ("N", "e3", "", 120.7, 30.2)))
    found = score(lake, truth)
    assert (found.measure("identities_kept").found, found.measure("identities_kept").expected) == (2, 2)
    assert found.measure("false_merges").passed


def test_renumbered_row_that_the_lake_keeps_under_its_old_key_is_found_by_place(tmp_path: Path) -> None:
    truth = _truth(tmp_path, 2, identities=IDENTITIES[:1])
    assert score(_two_editions(_core(("A", "e1", "", 120.9, 30.2))), truth).measure("identities_kept").value == 1


def test_new_thing_under_an_old_identity_is_a_false_merge(tmp_path: Path) -> None:
    truth = _truth(tmp_path, 2, identities=IDENTITIES)
    lake = _two_editions(_core(("A9", "e7", "", 120.9, 30.2), ("#2", "e2", "", 120.8, 30.2), ("N", "e1", "", 120.7, 30.2)))
    found = score(lake, truth)
    assert found.measure("identities_kept").value == 0.5
    assert found.measure("false_merges").found == 1
    assert found.measure("false_merges").passed is False


def test_two_things_under_one_identity_are_false_merges(tmp_path: Path) -> None:
    truth = _truth(tmp_path, 1, identities=IDENTITIES[:2])
    lake = FakeLake({BUILDING: {FIRST: _core(("A", "e1", "", 120.9, 30.2), ("#1", "e1", "", 120.8, 30.2))}})
    assert score(lake, truth).measure("false_merges").found == 2


def test_near_duplicate_is_merged_if_one_row_stands_at_its_place(tmp_path: Path) -> None:
    near = [("s", BUILDING, "t", 1, "T1", "A", "near", 120.9, 30.2), ("s", BUILDING, "t", 2, "B", None, "exact", None, None)]
    truth = _truth(tmp_path, 1, duplicates=near)
    merged = _core(("A", "e1", "", 120.9000001, 30.2), ("B", "e2", "", 120.8, 30.2))
    twice = _core(("A", "e1", "", 120.9000001, 30.2), ("T1", "e3", "", 120.9, 30.2), ("B", "e2", "", 120.8, 30.2))
    assert score(FakeLake({BUILDING: {FIRST: merged}}), truth).measure("duplicates").found == 2
    assert score(FakeLake({BUILDING: {FIRST: twice}}), truth).measure("duplicates").found == 1


def test_coordinates_and_divisions_are_held_against_the_truth(tmp_path: Path) -> None:
    truth = _truth(
        tmp_path, 1, coordinates=[(BUILDING, "s", "A", 120.9, 30.2)], divisions=[(BUILDING, "s", "A", 120.9, 30.2, "390102001001")]
    )
    right = FakeLake({BUILDING: {FIRST: _core(("A", "e1", "390102001001", 120.9, 30.2))}})
    shifted = FakeLake({BUILDING: {FIRST: _core(("A", "e1", "390102001002", 120.9, 30.20001))}})
    assert score(right, truth).measure("coordinates_error").passed
    assert score(shifted, truth).measure("coordinates_error").value == pytest.approx(1.1132)
    assert [score(lake, truth).measure("divisions").found for lake in (right, shifted)] == [1, 0]


def test_edge_is_closed_where_both_ends_are_one_point(tmp_path: Path) -> None:
    truth = _truth(tmp_path, 1, edges=[("demo_road", "1", "2")])

    def lake(x: float) -> FakeLake:
        lines = [shapely.LineString([(0, 0), (1, 0)]), shapely.LineString([(x, 0), (2, 0)])]
        return FakeLake({ROAD: {None: pd.DataFrame({"source_key": ["1", "2"], "geom": shapely.to_wkb(lines)})}})

    assert [score(lake(x), truth).measure("edges").found for x in (1.0, 1.00001)] == [1, 0]


def test_empty_lake_passes_nothing(tmp_path: Path) -> None:
    truth = _truth(tmp_path, 1, rejects=REJECTS, counts=COUNTS)
    found = score(FakeLake({}), truth)
    assert not found.passed
    assert found.measure("rejects_recall").value == 0


def test_what_the_truth_does_not_tell_of_is_not_listed(tmp_path: Path) -> None:
    truth = _truth(tmp_path, 1, rejects=REJECTS, counts=COUNTS, identities=IDENTITIES[:1])
    found = score(_two_editions(_core()), truth)
    listed = [row[0] for row in found.rows("en")]
    assert listed == [
        *("bad rows found", "… for the right reason", "rejected rows that were bad", "tables with the right row count", "false merges")
    ]
    assert len(found.rows("zh")) == len(listed)
    assert found.to_dict()["measures"]["identities_kept"] == {"found": 0, "expected": 0, "value": 0.0, "applies": False, "passed": None}


def test_measure_that_finds_nothing_to_measure_has_failed(tmp_path: Path) -> None:
    found = score(FakeLake({}), _truth(tmp_path, 1, rejects=REJECTS, identities=IDENTITIES[:1]))
    verdicts = {row[0]: row[3:] for row in found.rows("en")}
    assert verdicts["rejected rows that were bad"] == ("– (≥ 99.0%)", "FAILED")
    assert verdicts["false merges"] == ("– (≤ 0.1%)", "FAILED")


def test_hot_spots_are_scored_once_they_were_sought(tmp_path: Path) -> None:
    truth = _truth(tmp_path, 1, hot_spots=[("New", 0.0, 0.0, 3000.0)])
    run = {"result_source": "run", "recorded_at": "2026"}
    cells = pd.DataFrame({"category_name": ["Sporadic Hot Spot"], "geom": [shapely.to_wkb(shapely.box(120, 30, 120.001, 30.001))]})
    sought = FakeLake({TABLE: {None: cells}, "mart.mining__run": {None: pd.DataFrame([run])}})
    assert score(FakeLake({}), truth).rows("en") == []
    assert [row[4] for row in score(sought, truth).rows("en")] == ["FAILED", "FAILED"]
    assert [row[4] for row in score(FakeLake({}), truth, mined=True).rows("en")] == ["FAILED", "FAILED"]


def test_folder_without_truth_is_named(tmp_path: Path) -> None:
    with pytest.raises(SanyuError) as caught:
        score(FakeLake({}), tmp_path)
    assert caught.value.code == "SY-M003"
