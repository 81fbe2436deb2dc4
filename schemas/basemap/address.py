"""Addresses (标准地址): the address of a door, building, unit or room, as one text and in its elements, with a point where known.

Source: the public-security address register, the survey office's doorplate survey, OpenStreetMap. Lateness: a doorplate is registered
within a month of being hung. Left out: post boxes and addresses of persons. Elements are filled by the source or by the address parser,
never guessed here.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Check, Column, Contract, Geometry, GeometryKind

CONTRACT = Contract(
    name="core.basemap__address",
    title_zh="标准地址",
    grain="One address at the finest element that its source gives",
    description="Standard addresses in elements from the province to the room; what geocoding looks up",
    columns=(
        Column(field=f.ADDRESS_TEXT),
        Column(field=f.PROVINCE_NAME),
        Column(field=f.CITY_NAME),
        Column(field=f.DISTRICT_NAME),
        Column(field=f.TOWNSHIP_NAME),
        Column(field=f.COMMUNITY_NAME),
        Column(field=f.ROAD_NAME),
        Column(field=f.DOOR_NUMBER),
        Column(field=f.BUILDING_NUMBER),
        Column(field=f.UNIT_NUMBER),
        Column(field=f.ROOM_NUMBER),
        Column(field=f.POSTCODE),
    ),
    geometry=Geometry(kind=GeometryKind.POINT, required=False, multi=False),
    attribute=AttributeStamp(theme_code="place_name"),
    checks=(
        Check(
            name="says_where",
            field="address_text",
            expression="address_text IS NOT NULL OR (road_name IS NOT NULL AND door_number IS NOT NULL) OR building_number IS NOT NULL",
            message="neither a whole address nor road and door number nor a building",
            message_zh="既无完整地址，也无道路与门牌号或楼栋号",
        ),
    ),
    source_note="Elements after GB/T 23705-2009 (digital city: geocoding of place names and addresses)",
)
