"""A source definition is held against the files and the contract before anything runs."""

from __future__ import annotations

import pyarrow as pa
import pytest

from schemas.messages import SanyuError
from schemas.model import AttributeStamp, Column, Contract, DType, FieldDef
from schemas.source import Source
from transforms.conform.mapping import plan_mapping
from transforms.conform.typed import read_column


def field(name: str, dtype: DType, **more: object) -> FieldDef:
    return FieldDef(name=name, dtype=dtype, title_zh="字段", description="a field", **more)  # type: ignore[arg-type]


CONTRACT = Contract(
    name="core.thematic__shop",
    title_zh="商店",
    grain="One shop",
    description="Shops",
    columns=(
        Column(field=field("name", DType.STRING), required=True),
        Column(field=field("height_m", DType.DOUBLE, unit="m")),
        Column(field=field("opened_on", DType.DATE)),
    ),
    attribute=AttributeStamp(theme_code="x"),
)


def source(columns: dict[str, object], **read: object) -> Source:
    return Source.model_validate(
        {
            "source": {"name": "shops", "title": "Shops", "domain": "thematic", "licence": "none", "attribution": "none"},
            "read": {"path": "shops.csv", **read},
            "into": [{"contract": CONTRACT.name, "columns": columns}],
        }
    )


def plan(columns: dict[str, object], known: tuple[str, ...] = ("NAME", "HGT"), **read: object):
    definition = source(columns, **read)
    return plan_mapping(definition, definition.into[0], CONTRACT, known)


def refused(columns: dict[str, object], **read: object) -> SanyuError:
    with pytest.raises(SanyuError) as caught:
        plan(columns, **read)
    return caught.value


def test_only_referenced_fields_are_read_from_the_row() -> None:
    fields = plan({"name": "upper(NAME)"}).fields
    assert [f for f in fields if "attributes[" in f] == ["nullif(trim(attributes['NAME']), '') as `NAME`"]


def test_a_name_that_is_not_in_the_files_is_refused_with_the_nearest() -> None:
    error = refused({"name": "NAMES"})
    assert error.code == "SY-D010"
    assert error.params["nearest"] == "NAME"
    assert "columns.name" in str(error)


def test_an_open_schema_takes_any_name() -> None:
    assert any("addr:street" in f for f in plan({"name": "`addr:street`"}, open_schema=True).fields)


def test_lambda_variables_are_not_taken_for_fields() -> None:
    assert plan({"name": "array_join(filter(split(NAME, ';'), x -> x <> ''), ',')"}).fields


def test_a_required_column_must_be_filled() -> None:
    error = refused({"height_m": "HGT"})
    assert (error.code, error.params["name"]) == ("SY-D011", "name")


def test_an_unknown_target_column_is_refused_with_the_nearest() -> None:
    error = refused({"name": "NAME", "heigth_m": "HGT"})
    assert (error.code, error.params["nearest"]) == ("SY-D012", "height_m")


def test_text_that_is_no_expression_is_refused() -> None:
    assert refused({"name": "NAME ||"}).code == "SY-D013"


def test_feet_become_metres() -> None:
    readings = {r.name: r for r in plan({"name": "NAME", "height_m": {"expr": "HGT", "unit": "ft"}}).readings}
    values, bad = read_column(pa.array(["10", "ten"]), readings["height_m"])
    assert (values.to_pylist(), bad.to_pylist()) == ([pytest.approx(3.048), None], [False, True])


def test_a_unit_of_another_quantity_is_refused() -> None:
    assert refused({"name": "NAME", "height_m": {"expr": "HGT", "unit": "mph"}}).code == "SY-D014"


def test_names_that_are_not_ascii_need_no_quotes_in_an_expression() -> None:
    planned = plan({"name": "upper(名称)", "height_m": "`高度` + length('楼高')"}, known=("名称", "高度"))
    assert "cast((upper(`名称`)) as string) as v_name" in planned.values
    assert "cast((`高度` + length('楼高')) as string) as v_height_m" in planned.values


@pytest.mark.parametrize(
    "expr",
    [
        *("current_date()", "now()", "current_timestamp", "unix_timestamp()", "unix_timestamp(NAME)", "rand()", "uuid()"),
        *("from_unixtime(HGT)", "timestamp_seconds(cast(HGT as bigint))", "if(HGT > 3, localtimestamp(), null)"),
    ],
)
def test_an_expression_may_not_depend_on_the_day_or_the_session(expr: str) -> None:
    error = refused({"name": "NAME", "opened_on": expr})
    assert (error.code, error.params["where"]) == ("SY-D016", "columns.opened_on")


@pytest.mark.parametrize(
    "expr",
    [
        *("to_date(NAME)", "to_timestamp(NAME)", "cast(NAME as timestamp)", "try_cast(NAME as date)", "NAME::date", "timestamp(NAME)"),
        *("year(NAME)", "hour(NAME)", "date_add(NAME, 1)", "date_format(NAME, 'yyyy')", "datediff(NAME, HGT)", "extract(year from NAME)"),
        *("NAME < date '2020-01-01'", "NAME between '2020' and to_date(HGT, 'yyyy')", "NAME + interval 1 day", "try_to_timestamp(NAME)"),
        *(
            "to_timestamp(NAME, 'HH:mm')",
            "to_date(NAME, 'yy-MM-dd')",
            "timestamp '12:30'",
            "date_part('year', NAME)",
            "date_trunc('MM', NAME)",
        ),
        *("coalesce(to_date(NAME, 'yyyy'), to_date(HGT))", "last_day(NAME)", "from_utc_timestamp(NAME, 'UTC')"),
    ],
)
def test_an_expression_may_not_let_spark_guess_a_time(expr: str) -> None:
    assert refused({"name": "NAME", "opened_on": expr}).code == "SY-D017"
    assert refused({"name": f"case when length(string({expr})) > 1 then NAME end"}).code == "SY-D017"


@pytest.mark.parametrize(
    "expr",
    [
        *(
            "NAME",
            "to_date(NAME, 'yyyy-MM-dd')",
            "year(to_date(NAME, 'dd.MM.yyyy'))",
            "try_to_timestamp(NAME, 'yyyyMMdd')",
            "make_date(NAME, 1, 1)",
        ),
        *(
            "cast(to_timestamp(NAME, 'yyyy-MM-dd') as date)",
            "to_date(NAME, 'yyyy') + interval 1 day",
            "to_date(NAME, 'yyyy') > '2020-01-01'",
        ),
        *(
            "substring(NAME, 1, 10)",
            "if(NAME = '2020-01-01', null, NAME)",
            "date '2020-01-01'",
            "coalesce(NAME, '2020')",
            "HGT in ('2020', '1')",
        ),
    ],
)
def test_times_by_a_named_format_and_plain_texts_are_taken(expr: str) -> None:
    assert plan({"name": "NAME", "opened_on": expr}).readings[-1].name == "opened_on"


@pytest.mark.parametrize("time_format", ["HH:mm", "yy/MM/dd"])
def test_a_time_format_that_can_t_tell_the_day_is_refused(time_format: str) -> None:
    error = refused({"name": "NAME", "opened_on": {"expr": "NAME", "time_format": time_format}})
    assert (error.code, error.params["name"]) == ("SY-D015", "opened_on")
