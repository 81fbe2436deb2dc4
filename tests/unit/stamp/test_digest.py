"""Digests of rows: of their own content alone, of all of it, and of what it says, not of how it is stored."""

from __future__ import annotations

import datetime as dt
import struct
from hashlib import md5
from typing import Any

import pyarrow as pa
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from transforms.stamp.digest import row_hashes

AT = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
TAGS = pa.map_(pa.string(), pa.string())
COLUMNS: list[tuple[pa.DataType, list[Any]]] = [
    (pa.string(), ["a", "", "a" * 40, "a" * 32, None, "路", "\0", "a\x1fb"]),
    (pa.binary(), [b"a", b"", b"a" * 40, b"a" * 255, None, b"a\0"]),
    (pa.float64(), [1.0, 0.0, -1.0, 0.1, None, float("inf"), float("nan")]),
    (pa.int64(), [1, 0, -1, 2**40, None, 7, 2**53, 2**53 + 1, 2**53 + 2, -(2**63), 2**63 - 1]),
    (pa.int32(), [1, 0, -1, 2**30, None, 7]),
    (pa.bool_(), [True, False, None]),
    (pa.date32(), [dt.date(2026, 1, 1), dt.date(2026, 1, 2), None]),
    (pa.timestamp("us", "UTC"), [AT, AT + dt.timedelta(microseconds=1), None]),
    (pa.list_(pa.string()), [["a", "b"], ["a,b"], ["b", "a"], [], [None], [""], None]),
    (pa.map_(pa.string(), pa.string()), [[("a", "b")], [("a", "")], [("a", None)], [("a", "b"), ("b", "")], [], None]),
]


def hashes(column: pa.Array, name: str = "a") -> list[str]:
    return list(row_hashes({name: column}).to_pylist())


@pytest.mark.parametrize(("kind", "values"), COLUMNS)
def test_different_values_have_different_digests(kind: pa.DataType, values: list[Any]) -> None:
    assert len(set(hashes(pa.array(values, kind)))) == len(values)


@pytest.mark.parametrize(("kind", "values"), COLUMNS)
def test_a_digest_is_of_its_row_alone(kind: pa.DataType, values: list[Any]) -> None:
    assert hashes(pa.array([], kind)) == []
    together = hashes(pa.array(values, kind))
    assert together == [hashes(pa.array([value], kind))[0] for value in values]
    assert together[1:] == hashes(pa.array(values, kind).slice(1))
    assert together == hashes(pa.chunked_array([pa.array(values[:2], kind), pa.array(values[2:], kind)]))  # type: ignore[arg-type]


def test_the_digest_is_the_md5_that_its_module_describes() -> None:
    """A changed digest would make every row of every lake a new version: change `VERSION` with it."""
    rows = {
        "name": pa.array(["路 ", None]),
        "height_m": pa.array([5, None]),
        "geom": pa.array([shapely.to_wkb(shapely.Point(1, -0.0)), None]),
    }
    place = b"P\0" + struct.pack("<qqq", 1, 10**9, 0)
    content = b"geom\0g" + struct.pack("<q", len(place)) + place + b"height_m\0n" + struct.pack("<d", 5.0)
    content += b"name\0s" + struct.pack("<q", 3) + "路".encode()
    assert row_hashes(rows).to_pylist() == [f"v2:{md5(content).hexdigest()}", f"v2:{md5(b'').hexdigest()}"]


def test_columns_count_by_name_and_not_by_place() -> None:
    one, two = pa.array(["a", "b"]), pa.array(["b", "a"])
    assert row_hashes({"x": one, "y": two}) == row_hashes({"y": two, "x": one})
    assert row_hashes({"x": one, "y": two}) != row_hashes({"x": two, "y": one})


def test_a_column_that_a_contract_gains_leaves_the_digests_of_rows_without_a_value() -> None:
    before = row_hashes({"x": pa.array(["a", None])})
    assert row_hashes({"x": pa.array(["a", None]), "y": pa.nulls(2, pa.float64()), "z": pa.nulls(2)}) == before


def test_a_value_is_not_taken_for_that_of_another_column() -> None:
    both = {"x": pa.array(["a", None, "a\0s"]), "xy": pa.array([None, "a", None])}
    assert len(set(row_hashes(both).to_pylist())) == 3


@pytest.mark.parametrize(
    ("left", "right"),
    [
        (pa.array([5], pa.int32()), pa.array([5.0])),
        (pa.array([-0.0]), pa.array([0], pa.int64())),
        (pa.array([float("nan")]), pa.array([struct.unpack("<d", b"\x01\0\0\0\0\0\xf8\xff")[0]])),
        (pa.array(["e\u0301"]), pa.array(["\u00e9"])),
        (pa.array(["人民路\u3000\t"]), pa.array([" 人民路"])),
        (pa.array(["a"], pa.large_string()), pa.array(["a"]).dictionary_encode()),
        (pa.array([AT], pa.timestamp("s", "UTC")), pa.array([AT], pa.timestamp("ns", "Asia/Shanghai"))),
        (pa.array([[("b", "1"), ("a", None)]], TAGS), pa.array([[("a", None), ("b", "1")]], TAGS)),
        (pa.array([b"x"]), pa.array([b"x"], pa.large_binary())),
    ],
)
def test_what_says_the_same_has_one_digest(left: pa.Array, right: pa.Array) -> None:
    assert hashes(left) == hashes(right)


def test_yes_and_one_are_not_the_same() -> None:
    assert hashes(pa.array([True])) != hashes(pa.array([1]))


def test_a_digest_needs_columns_of_types_that_contracts_have() -> None:
    with pytest.raises(ValueError, match="no columns"):
        row_hashes({})
    with pytest.raises(TypeError, match="column a"):
        hashes(pa.array([{"x": 1.0}]))
    with pytest.raises(TypeError, match="items"):
        hashes(pa.array([[1]]))


ROWS = st.lists(
    st.tuples(
        st.none() | st.text(max_size=40),
        st.none() | st.floats(),
        st.none() | st.integers(-(2**63), 2**63 - 1),
        st.none() | st.datetimes(dt.datetime(1500, 1, 1), dt.datetime(2200, 1, 1)),
        st.none() | st.lists(st.none() | st.text(max_size=3), max_size=3),
        st.none() | st.dictionaries(st.text(max_size=3), st.none() | st.text(max_size=3), max_size=3),
    ),
    min_size=1,
    max_size=12,
)


def columns(rows: list[tuple[Any, ...]]) -> dict[str, pa.Array]:
    kinds = (pa.string(), pa.float64(), pa.int64(), pa.timestamp("us", "UTC"), pa.list_(pa.string()), pa.map_(pa.string(), pa.string()))
    sides = list(zip(*rows, strict=True))
    sides[5] = tuple(None if value is None else list(value.items()) for value in sides[5])
    return {name: pa.array(side, kind) for name, side, kind in zip("abcdef", sides, kinds, strict=True)}


@given(ROWS, st.integers(1, 5))
def test_batches_and_engines_give_the_same_digests(rows: list[tuple[Any, ...]], size: int) -> None:
    given_columns = columns(rows)
    whole = row_hashes(given_columns).to_pylist()
    cut = [row_hashes({n: c.slice(at, size) for n, c in given_columns.items()}).to_pylist() for at in range(0, len(rows), size)]
    assert [one for part in cut for one in part] == whole
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transforms.stamp.digest._FEW", 0)  # DuckDB's MD5 in place of Python's
        assert row_hashes(given_columns).to_pylist() == whole
