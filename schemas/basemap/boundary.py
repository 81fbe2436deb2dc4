"""Named boundaries (界线区域): neighbourhoods, districts, zones and reserves, as delivered.

Source: planning and statistics offices, real-estate portals, OpenStreetMap. Lateness: irregular. Left out: administrative divisions
with a 12-digit code; they have a table of their own, in which places are looked up. Areas here may overlap and need not fill the city.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Check, Column, Contract, Geometry, GeometryKind, Matching, TimeStamp

CONTRACT = Contract(
    name="core.basemap__boundary",
    title_zh="界线区域",
    grain="One named area that somebody has drawn a line around",
    description="Areas with a name that are no administrative division: neighbourhoods, police and school districts, zones, reserves",
    columns=(
        Column(field=f.CLASS_CODE, required=True),
        Column(field=f.NAME, required=True),
        Column(field=f.NAME_EN),
        Column(field=f.PARENT_NAME),
        Column(field=f.VALID_FROM_ON),
        Column(field=f.VALID_TO_ON),
    ),
    geometry=Geometry(kind=GeometryKind.POLYGON),
    time=TimeStamp(valid_from="valid_from_on", valid_to="valid_to_on"),
    attribute=AttributeStamp(theme_code="boundary", class_code="class_code", class_list="boundary_kind"),
    matching=Matching(min_overlap=0.6, max_distance_m=200.0, attributes=("name", "class_code")),
    checks=(
        Check(
            name="validity_in_order",
            field="valid_to_on",
            expression="valid_to_on IS NULL OR valid_from_on IS NULL OR valid_to_on > valid_from_on",
            message="validity ends before it begins",
            message_zh="失效日期不晚于生效日期",
        ),
    ),
    source_note="Kinds are ours",
)
