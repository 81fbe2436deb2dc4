"""From raw rows to the columns of a contract: what a source definition says, as Spark SQL text and as the way each column is read.

The mapping is planned without Spark: every expression is parsed, the raw names in it are held against the columns that the files
have, and targets against the contract, so that a wrong definition is refused before anything runs and `sanyu plan` can show the statements.
Raw fields are the original texts, trimmed, with blank as missing. Expressions give texts, and `transforms.conform.typed` makes values of
them; a value that cannot become the column's type rejects the row (SY-Q001) or, for coded columns, names the missing code (SY-Q002).
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
from transforms.conform.expressions import check_steady
from transforms.conform.times import reader
from transforms.conform.typed import Reading

RAW_COLUMNS = ("source_name", "batch_id", "file_name", "row_number", "feature_id", "attributes", "crs", "error_code", "error_params")
NOT_STAMPED = ("batch_id", "attributes", "error_code", "error_params")
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
# The first bytes of WKB, little-endian, of multi-geometries of one part without and with heights.
MULTI_HEADER_BYTES = 9
ONE_PART = tuple(f"x'01{kind.to_bytes(4, 'little').hex()}01000000'" for kind in (4, 5, 6, 1004, 1005, 1006))
HSTORE = r'"((?:[^"\\\\]|\\\\.)*)"=>"((?:[^"\\\\]|\\\\.)*)"'
NESTED = (DType.STRINGS, DType.TAGS)
VALUE = "v_"  # how the columns of expressions begin on their way, so that none is taken for a raw one


@dataclass(frozen=True)
class Mapping:
    """The planned statements of one `[[into]]`: two `selectExpr` lists applied one after the other, the row filter, and how the values of
    each filled column are read. Nested columns are read by Spark."""

    contract: Contract
    fields: tuple[str, ...]
    where: str | None
    values: tuple[str, ...]
    readings: tuple[Reading, ...]
    order_by: str | None


def plan_mapping(source: Source, into: Into, contract: Contract, known: Iterable[str]) -> Mapping:
    """Plan how raw rows become rows of the contract.

    `known` are the attribute names that the files of the batch have. Raises SY-D010 (a raw name is not in the files), SY-D011 (a required
    column is not filled), SY-D012 (no such column), SY-D013 (not an expression), SY-D014 (unit), SY-D015 (time format),
    SY-D016 and SY-D017 (what depends on the day, the session or a guess).
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
    unreadable = error_sql("row", "readable", "SY-Q007", "concat_ws(' ', error_code, error_params)")
    values = [
        *(name for name in RAW_COLUMNS if name not in NOT_STAMPED),
        "raw_geom",
        f"{_key(source, into, contract)} as source_key",
        f"({into.order_by or 'row_number'}) as order_by",
        f"{errors_sql([('error_code is not null', unreadable)])} as errors",
    ]
    readings = []
    for column in contract.columns:
        if (rule := rules.get(column.name)) is not None:
            kind = column.dtype.value if column.dtype in NESTED else "string"
            values.append(f"cast(({rule.expr}) as {kind}) as {VALUE}{column.name}")
            readings.append(_reading(source, column, rule))
    return Mapping(contract, tuple(fields), into.where, tuple(values), tuple(readings), into.order_by)


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
        check_steady(tree, source.name, where)
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
    # A multi-geometry of one part is the part, so that an export which writes the one for the other gives no new keys.
    is_one = f"substring(raw_geom, 1, {MULTI_HEADER_BYTES}) in ({', '.join(ONE_PART)})"
    part = f"if({is_one}, substring(raw_geom, {MULTI_HEADER_BYTES + 1}), raw_geom)"
    return f"md5(coalesce({part}, cast(to_json(attributes) as binary)))"


def _reading(source: Source, column: Column, rule: ColumnFrom) -> Reading:
    if rule.time_format is not None:
        try:
            reader(rule.time_format)
        except ValueError as error:
            raise SanyuError("SY-D015", source=source.name, name=column.name, format=rule.time_format, detail=str(error)) from error
    return Reading(
        name=column.name,
        dtype=column.dtype,
        codes=tuple(rule.codes.items()),
        default=rule.default,
        factor=_factor(source, column, rule) if column.dtype is DType.DOUBLE else None,
        time_format=rule.time_format,
        zone=source.delivery.time_zone,
        code_list=column.field.code_list or "codes",
    )


def _factor(source: Source, column: Column, rule: ColumnFrom) -> float | None:
    unit, wanted = rule.unit, column.field.unit
    if unit is None or unit == wanted:
        return None
    factor = UNITS.get((unit, wanted or ""))
    if factor is None:
        known = ", ".join(sorted({a for a, b in UNITS if b == wanted})) or "-"
        raise SanyuError("SY-D014", source=source.name, name=column.name, unit=unit, wanted=wanted or "-", known=known)
    return factor
