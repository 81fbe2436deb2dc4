"""Buildings (房屋建筑): the outlines of buildings on the ground, with height and storeys.

Source: the basemap's settlement layer, planning offices' footprints, OpenStreetMap. Lateness: outlines follow construction by months;
heights come from another survey and are often missing. Left out: building parts, interiors and 3D shape, and walls, fences and other
structures without a roof.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Check, Column, Contract, Geometry, GeometryKind, Matching

CONTRACT = Contract(
    name="core.basemap__building",
    title_zh="房屋建筑",
    grain="One building, as its outline on the ground",
    description="Building footprints with use, height, storeys and year of completion",
    columns=(
        Column(field=f.CLASS_CODE),
        Column(field=f.NAME),
        Column(field=f.HEIGHT_M),
        Column(field=f.FLOORS_ABOVE),
        Column(field=f.FLOORS_BELOW),
        Column(field=f.BUILT_YEAR),
        Column(field=f.ADDRESS_TEXT),
    ),
    geometry=Geometry(kind=GeometryKind.POLYGON),
    attribute=AttributeStamp(theme_code="settlement", class_code="class_code", class_list="building_use"),
    matching=Matching(min_overlap=0.5, max_distance_m=10.0),
    checks=(
        Check(
            name="height_fits_floors",
            field="height_m",
            expression=(
                "height_m IS NULL OR floors_above IS NULL OR floors_above = 0 "
                "OR height_m BETWEEN 2.0 * floors_above AND 12.0 * floors_above + 10"
            ),
            message="height and storeys don't go together: less than 2 m or more than 12 m a storey",
            message_zh="高度与层数不符：每层不足 2 米或超过 12 米",
            level="warning",
        ),
    ),
    source_note="Use after GB 50352-2019 (civil buildings) with our own list of kinds",
)
