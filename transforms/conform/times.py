"""Texts that name a day or an instant, read by fixed forms: what a text means depends on neither the day, the machine nor a session.

The forms stand in docs/sources.md, section "Times". A text in any other form is no time; nothing is completed from today's date.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

FIRST_YEAR: Final = 1000
LAST_YEAR: Final = 2200
EPOCHS: Final = {"epoch_s": 1_000_000, "epoch_ms": 1_000}
FORMS: Final = "2020-01-02, 20200102, 2020/1/2, 2020年1月2日, 2020-01, 202001 or 2020"
INSTANT_FORMS: Final = "2020-01-02T09:30:00+08:00, 2020-01-02 09:30, 20200102093000, 2020年1月2日 上午9时30分, or a date"

Local = tuple[dt.datetime, int | None]  # a time of day as written, and the seconds east of UTC where a zone is written, too
Reader = Callable[[str], Local | None]

_WIDE = str.maketrans("０１２３４５６７８９：－／．＋", "0123456789:-/.+")
_ZONE = r"(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)?"
_CLOCK = r"(?P<hour>\d{1,2})(?::(?P<minute>\d{2})(?::(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?)?"
_CHINESE = r"(?P<hour>\d{1,2})[时時点](?:(?P<minute>\d{1,2})分(?:(?P<second>\d{1,2})秒)?)?"
_DATES = (
    r"(?P<year>\d{4})(?:(?P<sign>[-/])(?P<month>\d{1,2})(?:(?P=sign)(?P<day>\d{1,2}))?)?",
    r"(?P<year>\d{4})\.(?P<month>\d{1,2})\.(?P<day>\d{1,2})",
    r"(?P<year>\d{4})年(?:(?P<month>\d{1,2})月(?:(?P<day>\d{1,2})[日号])?)?",
    r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})?",
)
_BASIC = (
    r"(?P<year>\d{4})(?P<month>\d{2})(?P<day>\d{2})T?(?P<hour>\d{2})(?P<minute>\d{2})(?:(?P<second>\d{2})(?:[.,](?P<fraction>\d{1,9}))?)?"
)
_PATTERNS: Final = tuple(
    re.compile(text, re.ASCII)
    for text in (
        *_DATES,
        *(rf"{date}(?:T|\s+){_CLOCK}\s*{_ZONE}" for date in _DATES),
        *(rf"{date}(?:T|\s+)(?P<half>上午|下午)?\s*{_CLOCK}" for date in _DATES),
        *(rf"{date}\s+{_CLOCK}\s*(?P<half>[AaPp][Mm])" for date in _DATES),
        *(rf"{date}\s*(?P<half>上午|下午)?\s*{_CHINESE}" for date in _DATES),
        _BASIC + _ZONE,
    )
)
_PLAIN: Final = r"^[12]\d{3}-\d\d-\d\d([T ]\d\d:\d\d:\d\d(\.\d{1,6})?)?$"  # what nearly all sources write, read by Arrow
_LETTERS: Final = {
    "y": r"(?P<year>\d{4})",
    "u": r"(?P<year>\d{4})",
    "M": r"(?P<month>\d{1,2})",
    "d": r"(?P<day>\d{1,2})",
    "H": r"(?P<hour>\d{1,2})",
    "h": r"(?P<hour>\d{1,2})",
    "m": r"(?P<minute>\d{1,2})",
    "s": r"(?P<second>\d{1,2})",
    "S": r"(?P<fraction>\d{1,9})",
    "a": r"(?P<half>[AaPp][Mm]|上午|下午)",
    "X": r"(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)",
    "x": r"(?P<zone>[+-]\d{2}(?::?\d{2})?)",
    "Z": r"(?P<zone>[+-]\d{2}(?::?\d{2})?)",
}


def read_instants(texts: pa.Array, zone: str, time_format: str | None = None) -> pa.TimestampArray:
    """Return UTC instants in microseconds, null for texts that name none.

    A zone in a text is obeyed; a text without one is in `zone` (`+08:00` or an IANA name). `time_format` is a pattern of `reader`.
    """
    local, offset = _read(texts, time_format)
    assumed = in_utc(local, zone)
    if offset is None:
        return assumed
    moved = pc.subtract(local.cast(pa.int64()), pc.multiply(offset, 1_000_000)).cast(pa.timestamp("us"))
    return pc.coalesce(moved.cast(pa.timestamp("us", "UTC")), assumed)


def read_dates(texts: pa.Array, time_format: str | None = None) -> pa.Date32Array:
    """Return the days that texts name, null for texts that name none; of a time of day, the day as it is written."""
    local, _ = _read(texts, time_format)
    return local.cast(pa.date32(), safe=False)


@lru_cache(maxsize=64)
def reader(time_format: str) -> Reader:
    """Return what reads texts of one pattern: letters as in Spark (`yyyy MM dd HH hh mm ss SSS a XXX`), `epoch_s` or `epoch_ms`.

    Raises ValueError where a letter has no meaning here, a year has two digits, or the pattern names no year.
    """
    if time_format in EPOCHS:
        return _epoch_reader(EPOCHS[time_format])
    pattern, at = "", 0
    for token in re.finditer(r"'([^']*)'|([A-Za-z])\2*|[^A-Za-z']", time_format):
        letter = token[2]
        if token.start() != at:
            raise ValueError("a quote that does not close")
        at = token.end()
        if letter is None:
            pattern += re.escape("'" if token[0] == "''" else token[1] if token[0].startswith("'") else token[0])
        elif letter not in _LETTERS:
            raise ValueError(f"the letter {letter}")
        elif letter in "yu" and len(token[0]) != 4:
            raise ValueError(f"{token[0]}: years have four digits (yyyy)")
        else:
            exact = letter in "MdHhms" and len(token[0]) > 1
            pattern += _LETTERS[letter].replace(r"\d{1,2}", r"\d{2}") if exact else _LETTERS[letter]
    if at != len(time_format):
        raise ValueError("a quote that does not close")
    if "<year>" not in pattern:
        raise ValueError("no year (yyyy)")
    try:
        compiled = re.compile(pattern, re.ASCII)
    except re.error as error:
        raise ValueError(f"a part given twice ({error})") from error
    return lambda text: _matched(compiled, text)


def is_time_text(text: str) -> bool:
    """Tell whether a text names a day or an instant in one of the accepted forms."""
    return _by_form(text.strip()) is not None


def _epoch_reader(factor: int) -> Reader:
    def read(text: str) -> Local | None:
        if not re.fullmatch(r"-?\d{1,15}(\.\d+)?", text, re.ASCII):
            return None
        whole, _, fraction = text.partition(".")
        micros = int(whole) * factor
        micros += (-1 if text.startswith("-") else 1) * int(int(fraction or "0") * factor // 10 ** len(fraction))
        try:
            found = dt.datetime(1970, 1, 1) + dt.timedelta(microseconds=micros)
        except OverflowError:
            return None
        return (found, 0) if FIRST_YEAR <= found.year <= LAST_YEAR else None

    return read


def _read(texts: pa.Array, time_format: str | None) -> tuple[pa.TimestampArray, pa.Int64Array | None]:
    """Return the times as written, without zone, and the seconds east of UTC that they name, None if none does."""
    if time_format is None and (quick := _plain(texts)) is not None:
        return quick, None
    read = reader(time_format) if time_format is not None else _by_form
    coded = texts.dictionary_encode()
    found = [None if text is None else read(text.translate(_WIDE).strip()) for text in coded.dictionary.to_pylist()]
    local = pa.array([None if one is None else one[0] for one in found], pa.timestamp("us"))
    offset = pa.array([None if one is None else one[1] for one in found], pa.int64())
    return local.take(coded.indices), None if offset.null_count == len(offset) else offset.take(coded.indices)


def _plain(texts: pa.Array) -> pa.TimestampArray | None:
    """Return the times where all texts have the usual form; None if one has not, or names a day that is none."""
    if not pc.all(pc.match_substring_regex(texts, _PLAIN), min_count=0).as_py():
        return None
    try:
        found = texts.cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return None
    latest = pc.max(found).as_py()
    return found if latest is None or latest.year <= LAST_YEAR else None


def _by_form(text: str) -> Local | None:
    for pattern in _PATTERNS:
        if (found := _matched(pattern, text)) is not None:
            return found
    return None


def _matched(pattern: re.Pattern[str], text: str) -> Local | None:
    """Return the time of a text that has the pattern as a whole; None where it has not, or the parts make no time."""
    found = pattern.fullmatch(text)
    if found is None:
        return None
    part = {name: value for name, value in found.groupdict().items() if value is not None}
    year, month, day = (int(part.get(name, "1")) for name in ("year", "month", "day"))
    hour, minute, second = (int(part.get(name, "0")) for name in ("hour", "minute", "second"))
    if half := part.get("half"):
        if not 1 <= hour <= 12:
            return None
        hour = hour % 12 + (12 if half in ("下午", "PM", "pm", "Pm", "pM") else 0)
    micros = int(part.get("fraction", "0").ljust(6, "0")[:6])
    later = dt.timedelta(0)
    if hour == 24 and not (minute or second or micros):  # midnight at the end of a day
        hour, later = 0, dt.timedelta(days=1)
    elif second == 60 and minute == 59:  # a leap second: the clock of the lake has none
        second, micros, later = 59, 0, dt.timedelta(seconds=1)
    offset = _offset(part.get("zone"))
    try:
        local = dt.datetime(year, month, day, hour, minute, second, micros) + later
    except (ValueError, OverflowError):
        return None
    if not FIRST_YEAR <= year <= LAST_YEAR or (offset is not None and abs(offset) > 18 * 3600):
        return None
    return local, offset


def _offset(zone: str | None) -> int | None:
    """Return the seconds east of UTC of `Z`, `+08`, `+0800` or `+08:00`."""
    if zone is None:
        return None
    if zone == "Z":
        return 0
    digits = zone[1:].replace(":", "").ljust(4, "0")
    return (-1 if zone[0] == "-" else 1) * (int(digits[:2]) * 3600 + int(digits[2:]) * 60)


def in_utc(local: pa.TimestampArray, zone: str) -> pa.TimestampArray:
    """Return the instants of times in a zone; a time that a clock shows twice is the first, one that it skips is as late after."""
    utc = pa.timestamp("us", "UTC")
    fixed = _offset(zone) if re.fullmatch(r"Z|[+-]\d{2}:?\d{2}", zone) else 0 if zone == "UTC" else None
    if fixed is not None:
        return pc.subtract(local.cast(pa.int64()), fixed * 1_000_000).cast(pa.timestamp("us")).cast(utc)
    try:
        return pc.assume_timezone(local, zone, ambiguous="earliest", nonexistent="raise").cast(utc)
    except pa.ArrowInvalid:
        coded = local.dictionary_encode()
        info = ZoneInfo(zone)
        instants = [None if one is None else one.replace(tzinfo=info).astimezone(dt.UTC) for one in coded.dictionary.to_pylist()]
        return pa.array(instants, utc).take(coded.indices)
