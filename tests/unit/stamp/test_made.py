"""The stamp of rows in one process: of each row alone, whatever the batches and the order of columns; and what it is made of."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from quality.arrow import arrow_schema
from schemas.model import AttributeStamp, Column, Contract, DType, FieldDef, Geometry, GeometryKind, SpaceStamp, TimeStamp
from transforms.stamp.made import Placed, Stamping, stamped_columns

RECORDED, EDITION = "2026-01-02T03:04:05+00:00", "2025-06-01T00:00:00+00:00"
KINDS = {
    "label": (DType.STRING, pa.string()),
    "use": (DType.STRING, pa.string()),
    "area_m2": (DType.DOUBLE, pa.float64()),
    "serial": (DType.LONG, pa.int64()),
    "opened_on": (DType.DATE, pa.date32()),
    "seen_at": (DType.TIMESTAMP, pa.timestamp("us", "UTC")),
    "names": (DType.STRINGS, pa.list_(pa.string())),
}


def contract(**more: Any) -> Contract:
    fields = (FieldDef(name=name, dtype=dtype, title_zh="字段", description="a field") for name, (dtype, _) in KINDS.items())
    given_parts: dict[str, Any] = {
        "time": TimeStamp(valid_from="opened_on", observed="seen_at"),
        "space": SpaceStamp(division="none"),
        "attribute": AttributeStamp(theme_code="settlement", class_code="use"),
        "geometry": Geometry(kind=GeometryKind.ANY, required=False),
    }
    columns = tuple(Column(field=field) for field in fields)
    described = {"title_zh": "试", "grain": "One row", "description": "Rows"}
    return Contract(name="mart.thematic__probe", columns=columns, **described, **(given_parts | more))


def stamped(
    columns: dict[str, pa.Array], count: int, made: Contract | None = None, label: str = "public", placed: Placed | None = None
) -> pa.Table:
    chosen = made or contract()
    schema = arrow_schema(chosen).remove_metadata()
    given_columns = columns | {"source_name": pa.array(["probe"] * count)}
    return pa.table(stamped_columns(given_columns, count, Stamping(chosen, schema, "b", RECORDED, EDITION, label), placed), schema)


ORDINATE = st.integers(-80_000, 80_000).map(lambda n: n / 1000)
GEOMETRIES = st.none() | st.one_of(
    st.builds(shapely.Point, ORDINATE, ORDINATE),
    st.builds(lambda x, y: shapely.box(x, y, x + 0.01, y + 0.01), ORDINATE, ORDINATE),
    st.builds(lambda x, y: shapely.LineString([(x, y), (x + 0.01, y), (x, y + 0.01)]), ORDINATE, ORDINATE),
)
ROWS = st.lists(
    st.tuples(
        st.none() | st.text(max_size=8),
        st.none() | st.sampled_from(["01", "02"]),
        st.none() | st.floats(),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.dates(dt.date(1500, 1, 1), dt.date(2200, 1, 1)),
        st.none() | st.datetimes(dt.datetime(1500, 1, 1), dt.datetime(2200, 1, 1)),
        st.none() | st.lists(st.none() | st.text(max_size=3), max_size=3),
        GEOMETRIES,
    ),
    min_size=1,
    max_size=9,
)


@given(ROWS, st.integers(1, 4))
def test_a_stamp_is_of_its_row_alone(rows: list[tuple[Any, ...]], size: int) -> None:
    sides = list(zip(*rows, strict=True))
    columns = {name: pa.array(side, kind) for side, (name, (_, kind)) in zip(sides, KINDS.items(), strict=False)}
    geoms = np.array(sides[-1], dtype=object)
    columns["geom"] = pa.array(shapely.to_wkb(geoms), pa.binary())
    whole = stamped(columns, len(rows))
    parts = [stamped({n: c.slice(at, size) for n, c in columns.items()}, len(rows[at : at + size])) for at in range(0, len(rows), size)]
    same_rows = pa.concat_tables(parts)
    backwards = stamped(dict(reversed(columns.items())), len(rows))
    parsed = stamped(columns, len(rows), placed=Placed(geoms, shapely.bounds(geoms)))
    for other in (same_rows, backwards, parsed):
        for name in set(whole.column_names) - {"area_m2"}:  # NaN is not equal to itself
            assert other[name].to_pylist() == whole[name].to_pylist(), name


ROW = {"label": pa.array(["a"]), "serial": pa.array([7]), "use": pa.array(["01"])}


def test_time_follows_from_the_columns_that_the_contract_names() -> None:
    day = pa.array([dt.date(2020, 1, 2)])
    row = stamped(ROW | {"opened_on": day, "seen_at": pa.array([dt.datetime(2020, 1, 3)], pa.timestamp("ns"))}, 1).to_pylist()[0]
    assert row["valid_from_at"] == dt.datetime(2020, 1, 1, 16, tzinfo=dt.UTC)
    assert row["observed_at"] == dt.datetime(2020, 1, 3, tzinfo=dt.UTC)
    assert (row["time_code"], row["closed_at"]) == ("20200102", None)
    ended = stamped(ROW | {"opened_on": day}, 1, contract(time=TimeStamp(valid_to="opened_on"))).to_pylist()[0]
    assert (ended["valid_from_at"].isoformat(), ended["closed_at"].isoformat()) == (EDITION, RECORDED)


@pytest.mark.parametrize(
    ("serial", "expected"), [(2020, "2019-12-31T16:00:00+00:00"), (0, EDITION), (10_000, EDITION), (None, EDITION)]
)  # fmt: skip
def test_a_year_begins_in_beijing(serial: int | None, expected: str) -> None:
    by_year = contract(time=TimeStamp(valid_from="serial", code="year"))
    made = stamped({"serial": pa.array([serial], pa.int64())}, 1, by_year).to_pylist()[0]
    assert made["valid_from_at"].isoformat() == expected


def test_class_and_key_follow_from_the_contract() -> None:
    keyed = contract(key=("label", "serial"))
    rows = {"label": pa.array(["a", None, "a"]), "serial": pa.array([7, 7, None]), "use": pa.array(["01"] * 3)}
    made = stamped(rows, 3, keyed)
    assert made["source_key"].to_pylist() == ["a|7", "|7", "a|"]
    assert made["class_code"].to_pylist() == ["01"] * 3
    assert stamped(ROW, 1)["source_key"].to_pylist() == stamped(ROW, 1)["row_hash"].to_pylist()


def test_a_row_that_is_more_secret_than_its_contract_is_another_row() -> None:
    usual, secret = stamped(ROW, 1), stamped(ROW, 1, label="secret")
    assert secret["security_label"].to_pylist() == ["secret"]
    assert usual["row_hash"] != secret["row_hash"]
    assert stamped(ROW, 1)["stamp_id"] == usual["stamp_id"]


def test_what_is_found_elsewhere_is_not_content() -> None:
    """The digest is of the contract's columns and the geometry, not of where and when the lake got them."""
    later = stamped(ROW | {"cell": pa.array([5]), "valid_from_at": pa.array([dt.datetime(2001, 1, 1)])}, 1, contract(time=TimeStamp()))
    assert later["row_hash"] == stamped(ROW, 1)["row_hash"]
    assert later["stamp_id"] != stamped(ROW, 1)["stamp_id"]
    assert later["cell"].to_pylist() == [5]
