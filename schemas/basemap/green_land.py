"""Green land (绿地): parks, gardens, woods and other planted areas in and around the city.

Source: the basemap's vegetation layer, the parks office, OpenStreetMap. Lateness: yearly. Left out: single trees, street planting
narrower than the map's smallest area, and farmland.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind, Matching

CONTRACT = Contract(
    name="core.basemap__green_land",
    title_zh="绿地",
    grain="One connected green area of one kind",
    description="Parks, protective and attached green space, squares and woods",
    columns=(
        Column(field=f.CLASS_CODE, required=True),
        Column(field=f.NAME),
        Column(field=f.NAME_EN),
        Column(field=f.ADDRESS_TEXT),
    ),
    geometry=Geometry(kind=GeometryKind.POLYGON),
    attribute=AttributeStamp(theme_code="vegetation", class_code="class_code", class_list="green_kind"),
    matching=Matching(min_overlap=0.4, max_distance_m=50.0, attributes=("name",)),
    source_note="Kinds after CJJ/T 85-2017 (classification of urban green space)",
)
