"""From raw rows to the columns of a contract: what a source definition says, as Spark SQL text.

The mapping is planned without Spark: every expression is parsed, the raw names in it are held against the columns that the files
have, and targets against the contract, so that a wrong definition is refused before anything runs and `sanyu plan` can show the statements.
Raw fields are the original texts, trimmed, with blank as missing; a value that cannot become the column's type rejects the row (SY-Q001)
or, for coded columns, names the missing code (SY-Q002).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

import sqlglot
from sqlglot import exp

from schemas.kinds import Files
from schemas.messages import SanyuError
from schemas.model import Column, Contract, DType
from schemas.rejection import error_sql, errors_sql, sql_text
from schemas.source import ColumnFrom, Into, Source

RAW_COLUMNS = ("source_name", "batch_id", "file_name", "row_number", "feature_id", "attributes", "crs", "error_code", "error_params")
OWN_NAMES = (*RAW_COLUMNS, "raw_geom", "tags")
OSM_FORMATS = ("overpass", "osm_pbf")

# Factors to the unit on the right; a well-known unit that is missing here is one line.
UNITS: dict[tuple[str, str], float] = {
    ("ft", "m"): 0.3048,
    ("km", "m"): 1000.0,
    ("cm", "m"): 0.01,
    ("mi", "m"): 1609.344,
    ("mph", "km/h"): 1.609344,
    ("knot", "km/h"): 1.852,
    ("m/s", "km/h"): 3.6,
    ("ft2", "m2"): 0.09290304,
    ("ha", "m2"): 10_000.0,
    ("km2", "m2"): 1_000_000.0,
    ("mu", "m2"): 10_000.0 / 15.0,
    ("万元", "元"): 10_000.0,
    ("亿元", "元"): 100_000_000.0,
    ("万元", "CNY"): 10_000.0,
    ("亿元", "CNY"): 100_000_000.0,
    ("万人", "person"): 10_000.0,
}
NAIVE_FORMATS = ("yyyyMMdd", "yyyy/M/d", "yyyy年M月d日", "yyyy/M/d H:mm:ss", "yyyyMMddHHmmss")
HSTORE = r'"((?:[^"\\\\]|\\\\.)*)"=>"((?:[^"\\\\]|\\\\.)*)"'
WANTED = {
    DType.INTEGER: ("a whole number", "整数"),
    DType.LONG: ("a whole number", "整数"),
    DType.DOUBLE: ("a finite number", "有限数值"),
    DType.BOOLEAN: ("yes or no", "是/否"),
    DType.DATE: ("a date", "日期"),
    DType.TIMESTAMP: ("a time", "时间"),
}


@dataclass(frozen=True)
class Mapping:
    """The planned statements of one `[[into]]`: three `selectExpr` lists applied one after the other, and the row filter."""

    contract: Contract
    fields: tuple[str, ...]
    where: str | None
    values: tuple[str, ...]
    typed: tuple[str, ...]
    order_by: str | None


def plan_mapping(source: Source, into: Into, contract: Contract, known: Iterable[str]) -> Mapping:
    """Plan how raw rows become rows of the contract.

    `known` are the attribute names that the files of the batch have. Raises SY-D010 (a raw name is not in the files), SY-D011 (a required
    column is not filled), SY-D012 (no such column), SY-D013 (not an expression), SY-D014 (unit).
    """
    into = _with_quoted_names(into)
    rules = into.rules
    _check_targets(source, contract, rules)
    wanted = {"key": into.key, "where": into.where, "order_by": into.order_by, **{f"columns.{n}": r.expr for n, r in rules.items()}}
    referenced = _referenced(source, {where: text for where, text in wanted.items() if text}, tuple(known))
    fields = [*RAW_COLUMNS, "geom as raw_geom", *(_field(name) for name in referenced)]
    if source.read.tags:
        fields.append(f"{_tags(source.read.tags)} as tags")
    elif "tags" in known:
        fields.append(_field("tags"))
    values = [*RAW_COLUMNS, "raw_geom", f"{_key(source, into, contract)} as source_key", f"({into.order_by or 'row_number'}) as order_by"]
    typed = [*RAW_COLUMNS, "raw_geom", "source_key", "order_by"]
    unreadable = "concat_ws(' ', error_code, error_params)"
    errors = [("error_code is not null", error_sql("row", "readable", "SY-Q007", unreadable))]
    for column in contract.columns:
        rule = rules.get(column.name)
        if rule is None:
            typed.append(f"cast(null as {column.dtype.value}) as {column.name}")
            continue
        values.append(f"({rule.expr}) as v_{column.name}")
        typed.append(f"{_typed(source, column, rule)} as {column.name}")
        if (problem := _problem(source, column, rule)) is not None:
            errors.append(problem)
    typed.append(f"{errors_sql(errors)} as errors")
    return Mapping(contract, tuple(fields), into.where, tuple(values), tuple(typed), into.order_by)


def _with_quoted_names(into: Into) -> Into:
    """Return the target with back quotes about the names in its expressions that Spark takes only so: 编号 → `编号`."""

    def quoted(text: str | None) -> str | None:
        if text is None or text.isascii():
            return text
        try:
            tokens = sqlglot.tokenize(text, read="spark")
        except sqlglot.errors.TokenError:
            return text  # `_referenced` says what is wrong with it
        for token in reversed(tokens):
            if token.token_type is sqlglot.TokenType.VAR and not token.text.isascii():
                text = f"{text[: token.start]}`{token.text}`{text[token.end + 1 :]}"
        return text

    columns = {name: rule.model_copy(update={"expr": quoted(rule.expr)}) for name, rule in into.rules.items()}
    named = {name: quoted(getattr(into, name)) for name in ("key", "where", "order_by")}
    return into.model_copy(update={**named, "columns": columns})


def _check_targets(source: Source, contract: Contract, rules: dict[str, ColumnFrom]) -> None:
    names = [c.name for c in contract.columns]
    for name in rules:
        if name not in names:
            nearest = (difflib.get_close_matches(name, names, n=1, cutoff=0.0) or ["-"])[0]
            raise SanyuError("SY-D012", source=source.name, contract=contract.name, name=name, nearest=nearest)
    for name in contract.required:
        if name not in rules:
            raise SanyuError("SY-D011", source=source.name, contract=contract.name, name=name)


def _referenced(source: Source, texts: dict[str, str], known: tuple[str, ...]) -> list[str]:
    found: dict[str, None] = {}
    for where, text in texts.items():
        try:
            tree = sqlglot.parse_one(text, dialect="spark")
        except sqlglot.errors.ParseError as error:
            raise SanyuError("SY-D013", source=source.name, where=where, detail=str(error).splitlines()[0]) from error
        bound = {arg.name for scope in tree.find_all(exp.Lambda) for arg in scope.expressions}
        for column in tree.find_all(exp.Column):
            name = column.parts[0].name
            if name in OWN_NAMES or name in bound:
                continue
            if name not in known and not source.read.open_schema:
                nearest = (difflib.get_close_matches(name, known, n=1, cutoff=0.0) or ["-"])[0]
                raise SanyuError("SY-D010", source=source.name, where=where, name=name, nearest=nearest, columns=", ".join(known[:40]))
            found[name] = None
    return list(found)


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def _field(name: str) -> str:
    return f"nullif(trim(attributes[{sql_text(name)}]), '') as {_quoted(name)}"


def _tags(column: str) -> str:
    """Return hstore text as a map; a pair that the source cut off is left out, so the rest of the row survives."""
    text = f"coalesce(attributes[{sql_text(column)}], '')"
    return f"map_from_arrays(regexp_extract_all({text}, '{HSTORE}', 1), regexp_extract_all({text}, '{HSTORE}', 2))"


def _key(source: Source, into: Into, contract: Contract) -> str:
    if into.key:
        return f"cast(({into.key}) as string)"
    named = [name for name in contract.key if name not in ("source_name", "source_key")]
    own = [into.rules[name].expr for name in named if name in into.rules]
    if own and len(own) == len(named):
        return f"array_join(array({', '.join(f'cast(({expr}) as string)' for expr in own)}), '|')"
    if isinstance(source.read, Files) and source.read.format in OSM_FORMATS:
        return "feature_id"
    return "md5(coalesce(raw_geom, cast(to_json(attributes) as binary)))"


def _text(column: Column, rule: ColumnFrom) -> str:
    return f"nullif(trim(cast(v_{column.name} as string)), '')"


def _typed(source: Source, column: Column, rule: ColumnFrom) -> str:
    text = _coded(rule, _text(column, rule))
    match column.dtype:
        case DType.STRING:
            return text
        case DType.INTEGER | DType.LONG:
            double = f"try_cast({text} as double)"
            whole = f"coalesce(try_cast({text} as bigint), if({double} = floor({double}), cast({double} as bigint), null))"
            return f"try_cast({whole} as {column.dtype.value})"
        case DType.DOUBLE:
            number = f"try_cast({text} as double)"
            return f"if(isnan({number}) or abs({number}) = double('Infinity'), null, {number}{_factor(source, column, rule)})"
        case DType.BOOLEAN:
            yes, no = "('yes','true','t','1','y','是','有','-1')", "('no','false','f','0','n','否','无')"
            return f"case when lower({text}) in {yes} then true when lower({text}) in {no} then false end"
        case DType.DATE:
            formats = (rule.time_format,) if rule.time_format else ("", *NAIVE_FORMATS)
            return f"coalesce({', '.join(_date(text, f) for f in formats)})"
        case DType.TIMESTAMP:
            return _instant(text, rule.time_format, source.delivery.time_zone)
        case _:
            return f"cast(v_{column.name} as {column.dtype.value})"


def _coded(rule: ColumnFrom, text: str) -> str:
    if not rule.codes:
        return f"coalesce({text}, {sql_text(rule.default)})" if rule.default is not None else text
    pairs = ", ".join(f"{sql_text(k)}, {sql_text(v)}" for k, v in rule.codes.items())
    looked_up = f"try_element_at(map({pairs}), {text})"
    return f"coalesce({looked_up}, {sql_text(rule.default)})" if rule.default is not None else looked_up


def _factor(source: Source, column: Column, rule: ColumnFrom) -> str:
    unit, wanted = rule.unit, column.field.unit
    if unit is None or unit == wanted:
        return ""
    factor = UNITS.get((unit, wanted or ""))
    if factor is None:
        known = ", ".join(sorted({a for a, b in UNITS if b == wanted})) or "-"
        raise SanyuError("SY-D014", source=source.name, name=column.name, unit=unit, wanted=wanted or "-", known=known)
    return f" * {factor!r}D"


def _date(text: str, time_format: str) -> str:
    if not time_format:
        return f"try_cast({text} as date)"
    return f"cast(try_to_timestamp({text}, {sql_text(time_format)}) as date)"


def _instant(text: str, time_format: str | None, zone: str) -> str:
    """Return a UTC instant: a zone in the text is obeyed, a naive text is in the source's zone (default Beijing time, fixed +08:00)."""
    naive = [f"try_to_timestamp({text}, {sql_text(f)})" for f in ((time_format,) if time_format else NAIVE_FORMATS)]
    if not time_format:
        naive.insert(0, f"try_cast({text} as timestamp)")
    zoned = f"{text} rlike '(Z|[+-][0-9]{{2}}:?[0-9]{{2}})$' and {text} rlike 'T|:'"
    return f"if({zoned}, try_cast({text} as timestamp), to_utc_timestamp(coalesce({', '.join(naive)}), {sql_text(zone)}))"


def _problem(source: Source, column: Column, rule: ColumnFrom) -> tuple[str, str] | None:
    """Return as SQL when a value is there and did not become the column's type or code, and the error of it; None if it always does."""
    text, typed = _text(column, rule), _typed(source, column, rule)
    if rule.codes and rule.default is None:
        error = error_sql(column.name, "code", "SY-Q002", text, code_list=column.field.code_list or "codes")
    elif column.dtype in WANTED:
        wanted, wanted_zh = WANTED[column.dtype]
        error = error_sql(column.name, "type", "SY-Q001", text, wanted=wanted, wanted_zh=wanted_zh)
    else:
        return None
    return f"{text} is not null and ({typed}) is null", error
