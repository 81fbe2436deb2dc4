"""Places (兴趣点): what people go to, as points in the thirteen trades of the technical outline.

Source: map providers, trade registers, OpenStreetMap. Lateness: shops open and close weeks before any map shows it. Left out:
addresses without a destination, transit stops, and the areas of large sites; ratings, prices and reviews.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind, Matching

CONTRACT = Contract(
    name="core.basemap__place",
    title_zh="兴趣点",
    grain="One place of interest at one location",
    description="Points of interest (POI) with trade, name and contact, one row per place and location",
    columns=(
        Column(field=f.CLASS_CODE, required=True),
        Column(field=f.KIND_NAME),
        Column(field=f.NAME),
        Column(field=f.NAME_EN),
        Column(field=f.BRAND_NAME),
        Column(field=f.ADDRESS_TEXT),
        Column(field=f.PHONE_TEXT),
        Column(field=f.OPENING_TEXT),
    ),
    geometry=Geometry(kind=GeometryKind.POINT, multi=False),
    attribute=AttributeStamp(theme_code="place_name", class_code="class_code", class_list="place_trade"),
    matching=Matching(max_distance_m=50.0, attributes=("name", "class_code")),
    source_note="Trades after the Technical outline for smart-city space-time big-data platforms (2019); their numbering is ours",
)
