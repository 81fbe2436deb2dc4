"""Digests of rows: of their own content alone, and of all of it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import pytest

from transforms.stamp.digest import row_digests

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
COLUMNS: list[tuple[pa.DataType, list[Any]]] = [
    (pa.string(), ["a", "", "a" * 40, "a" * 32, None, "路"]),
    (pa.binary(), [b"a", b"", b"a" * 40, b"a" * 255, None, b"a\0"]),
    (pa.float64(), [1.0, 0.0, -1.0, 0.1, None, float("inf")]),
    (pa.int64(), [1, 0, -1, 2**40, None, 7]),
    (pa.int32(), [1, 0, -1, 2**30, None, 7]),
    (pa.bool_(), [True, False, None]),
    (pa.date32(), [dt.date(2026, 1, 1), dt.date(2026, 1, 2), None]),
    (pa.timestamp("us", "UTC"), [AT, AT + dt.timedelta(microseconds=1), None]),
    (pa.list_(pa.string()), [["a", "b"], ["a,b"], ["b", "a"], [], None]),
    (pa.map_(pa.string(), pa.string()), [[("a", "b")], [("a", "")], [], None]),
    (pa.struct([("x", pa.float64())]), [{"x": 1.0}, {"x": None}, None]),
]


@pytest.mark.parametrize(("kind", "values"), COLUMNS)
def test_different_values_have_different_digests(kind: pa.DataType, values: list[Any]) -> None:
    assert len(set(row_digests([pa.array(values, kind)]).to_pylist())) == len(values)


@pytest.mark.parametrize(("kind", "values"), COLUMNS)
def test_a_row_s_digest_does_not_depend_on_the_others(kind: pa.DataType, values: list[Any]) -> None:
    assert row_digests([pa.array([], kind)]).to_pylist() == []
    together = row_digests([pa.array(values, kind)]).to_pylist()
    assert together == [row_digests([pa.array([value], kind)])[0].as_py() for value in values]
    assert together[1:] == row_digests([pa.array(values, kind).slice(1)]).to_pylist()


def test_columns_are_told_apart() -> None:
    one, two = pa.array(["a", "ab"]), pa.array(["bc", "c"])
    assert len(set(row_digests([one, two]).to_pylist())) == 2
    assert row_digests([one, two]) != row_digests([two, one])


def test_no_columns_are_an_error() -> None:
    with pytest.raises(ValueError, match="no columns"):
        row_digests([])
