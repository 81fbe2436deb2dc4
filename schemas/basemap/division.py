"""Administrative divisions (行政区划) of five levels, from the province to the residents' or village committee.

Source: the division codes that the civil affairs and statistics offices publish each year, polygons where the survey office gives them.
Lateness: codes change on 31 October, polygons follow months later, so a division may come without one and is then never found by
location. Left out: functional areas (development zones) that are no divisions; they are boundaries.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Check, Column, Contract, Geometry, GeometryKind, SpaceStamp, TimeStamp

CONTRACT = Contract(
    name="core.basemap__division",
    title_zh="行政区划",
    grain="One administrative division in one state of its name, parent and extent",
    description="Divisions with 12-digit codes; the dated table in which every other table's `division_code` is looked up",
    key=("division_code",),
    columns=(
        Column(field=f.DIVISION_CODE, required=True),
        Column(field=f.DIVISION_LEVEL, required=True),
        Column(field=f.PARENT_CODE),
        Column(field=f.NAME, required=True),
        Column(field=f.NAME_PINYIN),
        Column(field=f.NAME_EN),
        Column(field=f.FORMER_NAMES),
        Column(field=f.VALID_FROM_ON),
        Column(field=f.VALID_TO_ON),
    ),
    geometry=Geometry(kind=GeometryKind.POLYGON, required=False),
    time=TimeStamp(valid_from="valid_from_on", valid_to="valid_to_on"),
    space=SpaceStamp(division="own"),
    attribute=AttributeStamp(theme_code="division", class_code="division_level", class_list="division_level"),
    checks=(
        Check(
            name="level_fits_code",
            field="division_level",
            expression=(
                "division_level = CASE WHEN division_code LIKE '%0000000000' THEN 1 WHEN division_code LIKE '%00000000' THEN 2 "
                "WHEN division_code LIKE '%000000' THEN 3 WHEN division_code LIKE '%000' THEN 4 ELSE 5 END"
            ),
            message="the zeros at the end of the code say another level",
            message_zh="级别与代码末尾的零不符",
            level="warning",
        ),
        Check(
            name="parent_above",
            field="parent_code",
            expression="parent_code IS NULL OR parent_code <> division_code",
            message="a division can't be its own parent",
            message_zh="区划不能是自己的上级",
        ),
        Check(
            name="validity_in_order",
            field="valid_to_on",
            expression="valid_to_on IS NULL OR valid_from_on IS NULL OR valid_to_on > valid_from_on",
            message="validity ends before it begins",
            message_zh="失效日期不晚于生效日期",
        ),
    ),
    source_note="GB/T 2260 and GB/T 10114-2003: 6 digits to the county, 3 for the township, 3 for the community, filled with zeros",
)
