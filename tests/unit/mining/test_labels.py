"""A result is as secret as the most secret of its inputs, on the first run and on later ones, and no publication takes it below that."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import shapely
from deltalake import write_deltalake

from jobs.context import Loading
from jobs.mining.analysis import Analysis, MineReport, run
from quality.arrow import arrow_schema
from sanyu.lake import Lake
from sanyu.serve.publish import plan
from schemas.model import SecurityLabel
from schemas.registry import contracts, find_contract

PLACE, ROAD = "core.basemap__place", "core.basemap__road_segment"
CELLS, RUN, PATTERN = "mart.mining__cell_count", "mart.mining__run", "mart.mining__pattern"
THEN = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
COUNT = Analysis("cell_count", PLACE, {"size_m": "500"})
CLUSTERS = Analysis("dbscan", PLACE, {"eps_m": "300", "min_points": "3"})


def put(lake: Lake, name: str, geoms: list[shapely.Geometry], labels: list[str | None]) -> None:
    """Write the current rows of a core table as one version."""
    schema = arrow_schema(find_contract(name)).remove_metadata()
    rows = []
    for n, (geom, label) in enumerate(zip(geoms, labels, strict=True)):
        xmin, ymin, xmax, ymax = geom.bounds
        row: dict[str, Any] = {f.name: None for f in schema} | {"entity_id": f"e{n}", "stamp_id": f"s{n}", "source_name": "survey"}
        row |= {"source_key": str(n), "valid_from_at": THEN, "recorded_at": THEN, "cell": n, "security_label": label, "row_hash": f"h{n}"}
        rows.append(row | {"bbox": {"xmin": xmin, "ymin": ymin, "xmax": xmax, "ymax": ymax}, "geom": shapely.to_wkb(geom)})
    write_deltalake(lake.store.uri(find_contract(name).path, scheme="path"), pa.Table.from_pylist(rows, schema), mode="overwrite")


POINTS = [shapely.Point(120.1 + n / 1000, 30.1) for n in range(8)]


def points(lake: Lake, *labels: str | None) -> None:
    put(lake, PLACE, POINTS, [*labels, *["public"] * (len(POINTS) - len(labels))])


@pytest.fixture
def loading(tmp_path: Path) -> Loading:
    lake = Lake(tmp_path)
    points(lake)

    def no_spark() -> Any:
        raise AssertionError("Spark was asked for")

    return Loading(lake, dict(contracts()), tmp_path, "run", "2026-01-01T00:00:00+00:00", no_spark)


def mined(loading: Loading, analysis: Analysis, number: int, **secret: SecurityLabel) -> MineReport:
    known = {
        n: c.model_copy(update={"security_label": secret[c.entity]}) if c.entity in secret else c for n, c in loading.contracts.items()
    }
    recorded = f"2026-01-{number + 1:02d}T00:00:00+00:00"
    return run(replace(loading, contracts=known, run_id=f"run-{number}", recorded_at=recorded), analysis)


def labels(loading: Loading, table: str, where: str | None = None) -> set[str]:
    return set(loading.lake.table(table).to_arrow(["security_label"], where=where)["security_label"].to_pylist())


@pytest.mark.parametrize("label", ["internal", "restricted", "secret", None])
def test_one_secret_row_makes_result_patterns_and_run_secret(loading: Loading, label: str | None) -> None:
    points(loading.lake, "public", label)
    report = mined(loading, CLUSTERS, 1)
    tables = [report.result_table, PATTERN, RUN]
    assert [labels(loading, table) for table in tables] == [{label or "secret"}] * 3
    assert all(t.rows == 0 < t.withheld for t in plan(loading.lake, map(find_contract, tables), SecurityLabel.PUBLIC, {}))
    edition = SecurityLabel(label or "secret")
    assert all(t.rows > 0 == t.withheld for t in plan(loading.lake, map(find_contract, tables), edition, {}))


def test_a_secret_row_that_the_question_leaves_out_is_no_input(loading: Loading) -> None:
    points(loading.lake, "secret")
    mined(loading, replace(COUNT, where="entity_id <> 'e0'"), 1)
    assert labels(loading, CELLS) == {"public"}


def test_a_contract_that_has_become_secret_makes_results_of_before_secret(loading: Loading) -> None:
    assert mined(loading, COUNT, 1).state == "computed"
    assert mined(loading, COUNT, 2).state == "unchanged"
    later = mined(loading, COUNT, 3, place=SecurityLabel.SECRET)
    assert (later.state, later.because) == ("computed", "the security label of what it reads has changed")
    assert labels(loading, CELLS) == {"secret"}
    assert mined(loading, COUNT, 4, place=SecurityLabel.SECRET).state == "unchanged"
    mined(loading, COUNT, 5)
    assert labels(loading, CELLS) == {"public"}


def test_a_second_table_counts_too(loading: Loading) -> None:
    put(loading.lake, ROAD, [shapely.LineString([(120.1, 30.1), (120.11, 30.1)])], ["restricted"])
    report = mined(loading, Analysis("network_kde", PLACE, {"bandwidth_m": "200"}), 1)
    assert labels(loading, report.result_table) == {"restricted"}


def test_what_is_mined_from_a_result_is_as_secret_as_that(loading: Loading) -> None:
    points(loading.lake, "internal")
    mined(loading, COUNT, 1)
    report = mined(loading, Analysis("kmeans", CELLS, {"k": "2"}), 2)
    assert labels(loading, report.result_table) == {"internal"}
    table = loading.lake.table(CELLS).to_arrow(["geom", "cell", "grid_code", "bbox"])
    assert table.num_rows and not any(column.null_count for column in table.columns), "what was found is placed by its geometry"
