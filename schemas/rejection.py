"""The structure of an error on a row, shared by all steps that can reject one, as Spark SQL text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from schemas.messages import render

ERROR_TYPE = "struct<field:string,check:string,code:string,value:string,message:string,message_zh:string>"
ERRORS_TYPE = f"array<{ERROR_TYPE}>"
NO_ERRORS = f"cast(array() as {ERRORS_TYPE})"

_SLOT = "\x00"


def sql_text(text: str) -> str:
    """Return a Spark SQL string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def error_sql(field: str, check: str, code: str, value: str = "null", **params: Any) -> str:
    """Return the SQL of one error struct; `value` is the SQL of the offending value, inserted into the message at run time."""
    shown = f"coalesce(cast({value} as string), 'null')"
    return (
        f"named_struct('field', {sql_text(field)}, 'check', {sql_text(check)}, 'code', {sql_text(code)}, 'value', cast({value} as string), "
        f"'message', {_spliced(render(code, {**params, 'field': field, 'value': _Slot()}, 'en'), shown)}, "
        f"'message_zh', {_spliced(render(code, {**params, 'field': field, 'value': _Slot()}, 'zh'), shown)})"
    )


def errors_sql(found: Sequence[tuple[str, str]]) -> str:
    """Return the SQL of the array of errors whose condition is true, from pairs `(condition, error struct)`; null counts as false.

    Spark interprets everything below array functions with a lambda instead of compiling it. Conditions are therefore evaluated
    outside, where they are compiled, and only rows with an error pay for the array.
    """
    if not found:
        return NO_ERRORS
    any_of = " or ".join(f"({condition})" for condition, _ in found)
    listed = ", ".join(f"if({condition}, {error}, null)" for condition, error in found)
    return f"if({any_of}, filter(array({listed}), e -> e is not null), {NO_ERRORS})"


def error_row(field: str, check: str, code: str, value: str | None, **params: Any) -> dict[str, str | None]:
    """Return the same error as a Python row, for steps that work on Arrow batches."""
    named = {**params, "field": field, "value": value}
    return {
        "field": field,
        "check": check,
        "code": code,
        "value": value,
        "message": render(code, named, "en"),
        "message_zh": render(code, named, "zh"),
    }


class _Slot:
    """Stands in for the value while a message is rendered once for a whole column."""

    def __format__(self, spec: str) -> str:
        return _SLOT

    def __repr__(self) -> str:
        return f"'{_SLOT}'"

    __str__ = __repr__


def _spliced(template: str, value: str) -> str:
    parts = [sql_text(part) for part in template.split(_SLOT)]
    return f"concat({f', {value}, '.join(parts)})" if len(parts) > 1 else parts[0]
