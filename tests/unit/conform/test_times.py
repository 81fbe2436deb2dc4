"""Texts of days, instants and numbers: the accepted forms, and nothing completed from today, a session or a guess."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterator

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.model import DType
from transforms.conform.times import read_dates, read_instants, reader
from transforms.conform.typed import Reading, read_column, read_doubles, read_integers

NO_TIMES = (
    *("12:30", "T12:30", "12:30:00+08:00", "now", "today", "2020-02-30", "2020-13-01", "202013", "20-01-02", "1/2/2020", "0001-01-01"),
    *("2201-01-01", "0999-12-31", "2020-1-2-3", "2020-W01-1", "2020-01-02 25:00", "2020-01-02 24:00:01", "2020-01-02 10:00:60", "2020.5"),
    *(
        "2020-01-02 13:00 PM",
        "2020年1月2日 上午0时",
        "2020-01-02T09:30+19:00",
        "2020-01-02Z",
        "1577928600",
        "43832",
        "2020-01-02 09:30 CST",
    ),
)


@pytest.fixture(params=["UTC", "America/New_York", "Asia/Shanghai"], autouse=True)
def machine_zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run each test with the clock of the machine in several zones."""
    monkeypatch.setenv("TZ", request.param)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def texts(*values: str | None) -> pa.Array:
    return pa.array(values, pa.string())


def instants(*values: str, zone: str = "+08:00", time_format: str | None = None) -> list[str | None]:
    found = read_instants(texts(*values), zone, time_format).to_pylist()
    return [None if one is None else one.isoformat().removesuffix("+00:00") for one in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(
            (text, "2020-01-02")
            for text in ("2020-01-02", "20200102", "2020/1/2", "2020.1.2", "2020-1-2", "2020年1月2日", "２０２０年１月２日")
        ),
        *((text, "2020-03-01") for text in ("202003", "2020-03", "2020/3", "2020年3月")),
        *((text, "2020-01-01") for text in ("2020", "2020年", "2019-12-31T24:00:00")),
        *((text, "2020-01-02") for text in ("2020-01-02T23:30:00Z", "2020-01-02 23:30:00.123456789", "20200102233000")),
    ],
)
def test_a_day_is_read_in_each_form(text: str, expected: str) -> None:
    assert read_dates(texts(text, None)).to_pylist() == [dt.date.fromisoformat(expected), None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, "2020-01-02T01:30:00") for text in ("2020-01-02 09:30", "2020-01-02T09:30:00", "2020/1/2 9:30:00", "20200102T0930")),
        *((text, "2020-01-02T01:30:00") for text in ("20200102093000", "2020年1月2日 上午9时30分", "2020年1月2日9时30分")),
        *((text, "2020-01-02T09:30:00") for text in ("2020-01-02T09:30Z", "2020-01-02 17:30+08", "2020-01-02T04:00:00-0530")),
        ("20200102T093000Z", "2020-01-02T09:30:00"),
        ("2020-01-02 9:30 AM", "2020-01-02T01:30:00"),
        ("2020年1月2日 下午3时", "2020-01-02T07:00:00"),
        ("2020年1月2日 下午12时5分", "2020-01-02T04:05:00"),
        ("2020-01-02 12:05 am", "2020-01-01T16:05:00"),
        ("2020-01-02 24:00:00", "2020-01-02T16:00:00"),
        ("2016-12-31T23:59:60Z", "2017-01-01T00:00:00"),
        ("2020-01-02 09:30:00,5", "2020-01-02T01:30:00.500000"),
        ("2020-01-02", "2020-01-01T16:00:00"),
        ("202001", "2019-12-31T16:00:00"),
    ],
)
def test_an_instant_is_read_in_each_form(text: str, expected: str) -> None:
    assert instants(text) == [expected]
    assert instants("2021-05-05 00:00:00", text) == ["2021-05-04T16:00:00", expected]


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_names_no_day_is_refused(text: str) -> None:
    assert instants(text, "2020-01-02") == [None, "2020-01-01T16:00:00"]
    assert read_dates(texts(text)).to_pylist() == [None]


def test_a_time_that_a_zone_shows_twice_or_never_has_one_meaning() -> None:
    assert instants("2020-11-01 01:30", "2020-03-08 02:30", zone="America/New_York") == ["2020-11-01T05:30:00", "2020-03-08T07:30:00"]
    assert instants("1988-06-01 00:00:00", zone="Asia/Shanghai") == ["1988-05-31T15:00:00"]


@pytest.mark.parametrize(
    ("time_format", "text", "expected"),
    [
        ("MM/dd/yyyy hh:mm:ss a", "01/02/2020 09:30:00 PM", "2020-01-02T13:30:00"),
        ("yyyy'年第'M'月'", "2020年第3月", "2020-02-29T16:00:00"),
        ("dd.MM.yyyy", "02.01.2020", "2020-01-01T16:00:00"),
        ("yyyy-MM-dd'T'HH:mm:ssXXX", "2020-01-02T09:30:00Z", "2020-01-02T09:30:00"),
        ("epoch_s", "1577928600", "2020-01-02T01:30:00"),
        ("epoch_ms", "1577928600123", "2020-01-02T01:30:00.123000"),
        ("epoch_s", "-1.5", "1969-12-31T23:59:58.500000"),
    ],
)
def test_a_format_reads_what_it_says_and_nothing_else(time_format: str, text: str, expected: str) -> None:
    assert instants(text, "2020-01-02 x", "", time_format=time_format) == [expected, None, None]


@pytest.mark.parametrize("time_format", ["HH:mm", "yy-MM-dd", "yyyy-QQ", "yyyy'x", "yyyy yyyy", "MM-dd"])
def test_a_format_that_leaves_something_to_guess_is_refused(time_format: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        reader(time_format)


@given(st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(2200, 12, 31)))
@settings(deadline=None)
def test_iso_texts_are_read_as_python_writes_them(moment: dt.datetime) -> None:
    found = read_instants(texts(moment.isoformat(), moment.isoformat(" ") + "Z", "bad"), "UTC").to_pylist()
    assert found == [moment.replace(tzinfo=dt.UTC)] * 2 + [None]


def test_no_clock_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Unasked(dt.datetime):
        @classmethod
        def now(cls, tz: dt.tzinfo | None = None) -> Unasked:
            raise AssertionError("the clock was asked")

        utcnow = today = now

    monkeypatch.setattr(dt, "datetime", Unasked)
    found = read_instants(texts("12:30", "2020-01-02 12:30", "2020年1月2日"), "+08:00")
    assert found.cast(pa.int64()).to_pylist() == [None, 1577939400000000, 1577894400000000]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *(
            (text, None)
            for text in ("12_0.5", "1e400", "NaN", "Infinity", "-inf", "1,234.5", "5d", "0x1p3", "1e", "--5", "五", "1 234", "٥")
        ),
        *((text, 12.5) for text in ("12.5", "+12.5", "１２．５", "1.25e1", "012.5")),
        (".5", 0.5),
        ("5.", 5.0),
        ("-1e-400", -0.0),
    ],
)
def test_numbers(text: str, expected: float | None) -> None:
    assert read_doubles(texts(text, "1", None)).to_pylist() == [expected, 1.0, None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((text, None) for text in ("5.5", "1_0", "1,000", "1e30", "9223372036854775808", "", "1e9999", "0x10")),
        *((text, 5) for text in ("5", "5.0", "+5", "５", "05", "0.5e1", "500e-2")),
        ("9223372036854775807", 2**63 - 1),
        ("-9223372036854775808.0", -(2**63)),
        ("9007199254740993.0", 2**53 + 1),
    ],
)
def test_whole_numbers(text: str, expected: int | None) -> None:
    assert read_integers(texts(text, "1", None), DType.LONG).to_pylist() == [expected, 1, None]


def test_a_number_that_is_too_large_for_its_type_is_none() -> None:
    assert read_integers(texts("2147483647", "-2147483648", "2147483648"), DType.INTEGER).to_pylist() == [2**31 - 1, -(2**31), None]


def test_codes_defaults_and_blanks() -> None:
    coded = Reading("use", DType.STRING, codes=(("住宅", "01"), ("商业", "02")))
    values, bad = read_column(texts(" 住宅 ", "工业", "  ", None), coded)
    assert (values.to_pylist(), bad.to_pylist()) == (["01", None, None, None], [False, True, False, False])
    values, bad = read_column(texts("住宅", "工业", None), Reading("use", DType.STRING, codes=coded.codes, default="99"))
    assert (values.to_pylist(), bad.to_pylist()) == (["01", "99", "99"], [False] * 3)


def test_yes_and_no() -> None:
    values, bad = read_column(texts("Yes", "否", "-1", "maybe", None), Reading("is_open", DType.BOOLEAN))
    assert (values.to_pylist(), bad.to_pylist()) == ([True, False, True, None, None], [False, False, False, True, False])
