"""From the texts of a source to typed values: one rule for each type, wherever the rows are.

Numbers are written as in `-12`, `3.5`, `.5` or `1.2e3`, with ASCII or full-width digits. There are no thousands separators, no underscores,
no NaN and no infinity, and what is too large for the type is no number of it. Times: `transforms.conform.times`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from schemas.model import DType
from transforms.conform.times import FORMS, INSTANT_FORMS, read_dates, read_instants

YES: Final = ("yes", "true", "t", "1", "y", "是", "有", "-1")
NO: Final = ("no", "false", "f", "0", "n", "否", "无")
# What a text is not that rejects its row, in English and Chinese.
WANTED: Final = {
    DType.INTEGER: ("a whole number such as -12 or 1200, without separators", "整数（如 -12、1200，不含千分位）"),
    DType.LONG: ("a whole number such as -12 or 1200, without separators", "整数（如 -12、1200，不含千分位）"),
    DType.DOUBLE: ("a finite number such as -12.5 or 1.2e3, without separators", "有限数值（如 -12.5、1.2e3，不含千分位）"),
    DType.BOOLEAN: ("yes or no", "是/否"),
    DType.DATE: (f"a date such as {FORMS}", f"日期（如 {FORMS.replace(' or ', '、')}）"),
    DType.TIMESTAMP: (f"a time such as {INSTANT_FORMS}", f"时间（如 {INSTANT_FORMS.replace(', or a date', '，或日期')}）"),
}
_NUMBER = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$"
_SHORT = r"^-?[0-9]{1,18}$"
_WIDE = str.maketrans("０１２３４５６７８９．－＋", "0123456789.-+")
_BOUNDS = {DType.INTEGER: 2**31, DType.LONG: 2**63}
_ARROW = {DType.INTEGER: pa.int32(), DType.LONG: pa.int64()}


@dataclass(frozen=True)
class Reading:
    """How the texts of one column are read: codes, a default, a factor to the contract's unit, the pattern and zone of times.

    `code_list` is named in the error of a value that `codes` lack; without a `default` such a value rejects its row.
    """

    name: str
    dtype: DType
    codes: tuple[tuple[str, str], ...] = ()
    default: str | None = None
    factor: float | None = None
    time_format: str | None = None
    zone: str = "+08:00"
    code_list: str = "codes"


def read_column(texts: pa.Array, reading: Reading) -> tuple[pa.Array, pa.BooleanArray]:
    """Return the values of texts, and which texts are there and have none. Texts are trimmed; blank ones are missing."""
    given = trimmed(texts)
    meant = given
    if reading.codes:
        keys, values = (pa.array(side, pa.string()) for side in zip(*reading.codes, strict=True))
        meant = values.take(pc.index_in(given, value_set=keys))
    if reading.default is not None:
        meant = pc.fill_null(meant, reading.default)
    values = _values(meant, reading)
    return values, pc.and_(given.is_valid(), values.is_null())


def trimmed(texts: pa.Array) -> pa.StringArray:
    """Return texts without blanks at their ends, null where nothing is left."""
    plain = pc.utf8_trim(texts.cast(pa.string()), " ")
    return pc.if_else(pc.equal(plain, ""), pa.scalar(None, pa.string()), plain)


def _values(texts: pa.StringArray, reading: Reading) -> pa.Array:
    match reading.dtype:
        case DType.DOUBLE:
            numbers = read_doubles(texts)
            return numbers if reading.factor is None else pc.multiply(numbers, reading.factor)
        case DType.INTEGER | DType.LONG:
            return read_integers(texts, reading.dtype)
        case DType.BOOLEAN:
            lower = pc.utf8_lower(texts)
            is_yes = pc.is_in(lower, value_set=pa.array(YES))
            known = pc.or_(is_yes, pc.is_in(lower, value_set=pa.array(NO)))
            return pc.if_else(known, is_yes, pa.scalar(None, pa.bool_()))
        case DType.DATE:
            return read_dates(texts, reading.time_format)
        case DType.TIMESTAMP:
            return read_instants(texts, reading.zone, reading.time_format)
    return texts


def read_doubles(texts: pa.StringArray) -> pa.DoubleArray:
    """Return finite numbers, null for texts that are none."""
    plain = _only(_narrow(texts), _NUMBER)
    signless = pc.replace_substring_regex(plain, pattern=r"^\+", replacement="")
    numbers = signless.cast(pa.float64())
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))


def read_integers(texts: pa.StringArray, dtype: DType) -> pa.Array:
    """Return whole numbers, also such as `5.0` and `1e3`; null for texts that are none or too large for the type."""
    bound, kind = _BOUNDS[dtype], _ARROW[dtype]
    narrow = _narrow(texts)
    if pc.all(pc.match_substring_regex(narrow, _SHORT), min_count=0).as_py():
        numbers = narrow.cast(pa.int64())
        if dtype is DType.LONG:
            return numbers
        fits = pc.and_(pc.less(numbers, bound), pc.greater_equal(numbers, -bound))
        return pc.if_else(fits, numbers, pa.scalar(None, pa.int64())).cast(kind)
    coded = _only(narrow, _NUMBER).dictionary_encode()
    return pa.array([_whole(text, bound) for text in coded.dictionary.to_pylist()], kind).take(coded.indices)


def _whole(text: str | None, bound: int) -> int | None:
    from decimal import Decimal

    if text is None:
        return None
    number = Decimal(text)
    if number.adjusted() > 20 or number != number.to_integral_value():
        return None
    return int(number) if -bound <= number < bound else None


def _narrow(texts: pa.StringArray) -> pa.StringArray:
    """Return texts with ASCII digits, signs and points in place of full-width ones."""
    if pc.all(pc.string_is_ascii(texts), min_count=0).as_py():
        return texts
    coded = texts.dictionary_encode()
    narrow = [None if text is None else text.translate(_WIDE) for text in coded.dictionary.to_pylist()]
    return pa.array(narrow, pa.string()).take(coded.indices)


def _only(texts: pa.StringArray, pattern: str) -> pa.StringArray:
    return pc.if_else(pc.match_substring_regex(texts, pattern), texts, pa.scalar(None, pa.string()))
