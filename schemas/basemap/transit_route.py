"""Transit routes (公交线路): the lines that riders know by a number or a name.

Source: GTFS `routes.txt`, its lines from `shapes.txt` where a feed has them. Lateness: with each feed edition. Left out: fares, and the
agency's address.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Check, Column, Contract, Geometry, GeometryKind

CONTRACT = Contract(
    name="core.basemap__transit_route",
    title_zh="公交线路",
    grain="One route of a feed",
    description="Routes of public transport with mode, operator and, where known, the line they run on",
    columns=(
        Column(field=f.CLASS_CODE, required=True),
        Column(field=f.SHORT_NAME),
        Column(field=f.NAME),
        Column(field=f.AGENCY_NAME),
        Column(field=f.COLOUR),
    ),
    geometry=Geometry(kind=GeometryKind.LINE, required=False),
    attribute=AttributeStamp(theme_code="transit", class_code="class_code", class_list="transit_mode"),
    checks=(
        Check(
            name="has_a_name",
            field="name",
            expression="name IS NOT NULL OR short_name IS NOT NULL",
            message="a route needs a long or a short name",
            message_zh="线路须有名称或简称",
        ),
    ),
    source_note="GTFS Schedule reference, routes.txt",
)
