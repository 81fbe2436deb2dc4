"""Turn a contract into row checks, all in one pass: each failed check adds an entry to `errors` (rejected) or `warnings` (kept)."""

from __future__ import annotations

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from schemas.codes import code_list
from schemas.model import Column, Contract, DType
from schemas.rejection import error_sql, errors_sql, sql_text

NUMBERS = (DType.INTEGER, DType.LONG, DType.DOUBLE)


def check_sql(contract: Contract, level: str = "error", waived: tuple[str, ...] = ()) -> list[tuple[str, str]]:
    """Return SQL per check: the condition that is true for a bad row, and its error struct. `waived` checks are left out."""
    found: list[tuple[str, str, str]] = []
    if level == "error":
        found.append(("key", "source_key is null", error_sql("source_key", "key", "SY-Q009")))
        for column in contract.columns:
            found += _column_checks(column, contract)
    for check in contract.checks:
        if check.level == level:
            error = error_sql(check.field, check.name, "SY-Q008", check.field, detail=check.message, detail_zh=check.message_zh)
            found.append((check.name, f"not coalesce(({check.expression}), true)", error))
    return [(condition, error) for name, condition, error in found if name not in waived]


def screened(frame: DataFrame, contract: Contract, waived: tuple[str, ...] = ()) -> DataFrame:
    """Add the results of the checks to `errors` and `warnings`; `frame` has the `errors` of earlier steps.

    A waived check (a released row) is skipped, and errors of that name from earlier steps are removed.
    """
    kept = f"filter(errors, e -> e.check not in ({', '.join(map(sql_text, waived))}))" if waived else "errors"
    return frame.withColumn("errors", F.expr(f"concat({kept}, {errors_sql(check_sql(contract, 'error', waived))})")).withColumn(
        "warnings", F.expr(errors_sql(check_sql(contract, "warning", waived)))
    )


def _column_checks(column: Column, contract: Contract) -> list[tuple[str, str, str]]:
    name, field = column.name, column.field
    checks: list[tuple[str, str, str]] = []
    if column.required:
        # An unreadable value has already been reported; reporting it as missing as well would mislead the user.
        checks.append(
            ("required", f"{name} is null and not exists(errors, e -> e.field = '{name}')", error_sql(name, "required", "SY-Q003"))
        )
    if field.dtype in NUMBERS and (field.minimum is not None or field.maximum is not None):
        low, high = field.minimum, field.maximum
        beyond = " or ".join([*([f"{name} < {low!r}D"] if low is not None else []), *([f"{name} > {high!r}D"] if high is not None else [])])
        shown = {"minimum": "-∞" if low is None else f"{low:g}", "maximum": "∞" if high is None else f"{high:g}"}
        checks.append(("range", beyond, error_sql(name, "range", "SY-Q004", name, **shown)))
    if field.pattern:
        pattern = sql_text(field.pattern)
        checks.append(("pattern", f"not {name} rlike {pattern}", error_sql(name, "pattern", "SY-Q005", name, pattern=field.pattern)))
    listed = contract.attribute.class_list if name == contract.attribute.class_code else field.code_list
    if listed:
        codes = ", ".join(map(sql_text, sorted(code_list(listed).codes())))
        checks.append(("code", f"cast({name} as string) not in ({codes})", error_sql(name, "code", "SY-Q002", name, code_list=listed)))
    return checks
