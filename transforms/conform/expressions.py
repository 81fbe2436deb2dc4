"""What an expression of a source may not do: depend on the day or the session, or let Spark guess what time a text means.

Spark completes `12:30` from today's date wherever a text is taken for a time: by a cast, by `to_date` without a format, and unseen by
`year` or by a comparison with a date. Texts become times by the rules of `transforms.conform.times`, or by a format that the expression
names.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sqlglot import exp

from schemas.messages import SanyuError
from transforms.conform.times import is_time_text

_UNSTEADY: Final = (
    *(exp.CurrentDate, exp.CurrentTime, exp.CurrentTimestamp, exp.CurrentDatetime, exp.CurrentTimezone, exp.Localtimestamp),
    *(exp.Rand, exp.Randn, exp.Uuid, exp.Shuffle, exp.StrToUnix, exp.UnixToStr, exp.CurrentUser),
)
_UNSTEADY_NAMES: Final = frozenset(
    [
        "now",
        "curdate",
        "unix_timestamp",
        "to_unix_timestamp",
        "from_unixtime",
        "timestamp_seconds",
        "timestamp_millis",
        "timestamp_micros",
        "input_file_name",
        "monotonically_increasing_id",
        "spark_partition_id",
        "user",
        "session_user",
    ]
)
_TEMPORAL: Final = frozenset(
    (exp.DType.DATE, exp.DType.TIMESTAMP, exp.DType.TIMESTAMPTZ, exp.DType.TIMESTAMPNTZ, exp.DType.TIMESTAMPLTZ, exp.DType.DATETIME)
)
_FORMATTED: Final = frozenset(["try_to_timestamp", "try_to_date", "to_timestamp_ltz", "to_timestamp_ntz"])
_MADE: Final = frozenset(["make_date", "make_timestamp", "make_timestamp_ntz", "make_timestamp_ltz", "date_from_unix_date"])
_CASTS: Final = (exp.Cast, exp.TryCast)
_OF_TIME: Final = (
    exp.TsOrDsToDate,
    exp.TimeStrToTime,
    exp.TsOrDsAdd,
    exp.TimestampTrunc,
    exp.DateTrunc,
    exp.AddMonths,
    exp.LastDay,
    exp.NextDay,
)
_FROM_TIME: Final = (exp.Hour, exp.Minute, exp.Second, exp.Quarter, exp.MonthsBetween, exp.Extract)
_COMPARED: Final = (exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.Between, exp.In, exp.NullSafeEQ)


def check_steady(tree: exp.Expr, source: str, where: str) -> None:
    """Raise SY-D016 for what depends on the day or the session, SY-D017 for a text that Spark would have to guess a time from."""
    for node in tree.walk():
        name = _name(node)
        if isinstance(node, _UNSTEADY) or (isinstance(node, exp.Anonymous) and name in _UNSTEADY_NAMES):
            raise SanyuError("SY-D016", source=source, where=where, name=node.sql(dialect="spark"))
        for part in _wanted(node):
            if not _is_time(part):
                raise SanyuError("SY-D017", source=source, where=where, name=node.sql(dialect="spark"))


def _name(node: exp.Expr) -> str:
    return str(node.this).lower() if isinstance(node, exp.Anonymous) else ""


def _wanted(node: exp.Expr) -> Iterator[exp.Expr]:
    """Return the parts of a node that Spark takes for a time."""
    if isinstance(node, _CASTS):
        if node.to.this in _TEMPORAL:
            yield node.this
    elif isinstance(node, exp.TsOrDsToDate | exp.StrToTime) and node.args.get("format") is not None:
        if not _has_year(node.args["format"]):
            yield node.this
    elif isinstance(node, _OF_TIME):
        yield node.this
    elif isinstance(node, _FROM_TIME):
        yield node.expression if isinstance(node, exp.Extract) else node.this
        if isinstance(node, exp.MonthsBetween):
            yield node.expression
    elif isinstance(node, exp.Anonymous) and _name(node) in _FORMATTED | {"date_part", "datepart"}:
        if not _is_time(node):
            yield node.expressions[-1]
    elif isinstance(node, exp.Add | exp.Sub) and isinstance(node.expression, exp.Interval):
        yield node.this
    elif isinstance(node, _COMPARED):
        sides = [side for side in (node.this, *(value for key, value in node.args.items() if key in ("expression", "low", "high"))) if side]
        sides += node.expressions if isinstance(node, exp.In) else []
        if any(_is_time(side) and not isinstance(side, exp.Literal) for side in sides):
            yield from sides


def _is_time(node: exp.Expr) -> bool:
    """Tell whether a node is a time, or a literal that names one in a form that all read alike."""
    if isinstance(node, exp.Literal):
        return bool(node.is_string) and is_time_text(str(node.this))
    if isinstance(node, exp.Null):
        return True
    if isinstance(node, exp.Paren):
        return _is_time(node.this)
    if isinstance(node, exp.Coalesce):
        return all(map(_is_time, (node.this, *node.expressions)))
    if isinstance(node, exp.TsOrDsToDate | exp.StrToTime) and node.args.get("format") is not None:
        return _has_year(node.args["format"])
    if isinstance(node, _CASTS):
        return node.to.this in _TEMPORAL and _is_time(node.this)
    if isinstance(node, exp.Anonymous):
        name, given = _name(node), node.expressions
        return name in _MADE or (name in _FORMATTED and len(given) == 2 and _has_year(given[1]))
    if isinstance(node, exp.Add | exp.Sub):
        return isinstance(node.expression, exp.Interval) and _is_time(node.this)
    return isinstance(node, (*_OF_TIME, exp.AtTimeZone)) and _is_time(node.this)


def _has_year(pattern: exp.Expr) -> bool:
    """Tell whether a format is a literal with a year of four digits: of Spark's letters, or as the parser has translated them."""
    text = str(pattern.this) if isinstance(pattern, exp.Literal) else ""
    return "%Y" in text or "yyyy" in text
