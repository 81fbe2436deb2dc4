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
