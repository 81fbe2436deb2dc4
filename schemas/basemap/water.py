"""Water (水系): rivers, canals, lakes, reservoirs, ponds and the sea, as areas or, where narrow, as lines.

Source: the basemap's hydrography layer, OpenStreetMap. Lateness: yearly; banks move with the season and the map shows the mean. Left
out: pipes and drains below the ground, wells, springs, and hydraulic structures such as locks and dams.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind, Matching

CONTRACT = Contract(
    name="core.basemap__water",
    title_zh="水系",
    grain="One water body, or one stretch of a watercourse as the publisher cuts it",
    description="Standing and running water; a river may be here twice, as centre line and as area, told apart by the geometry",
    columns=(
        Column(field=f.CLASS_CODE, required=True),
        Column(field=f.NAME),
        Column(field=f.NAME_EN),
        Column(field=f.WIDTH_M, description="Mean width of a watercourse given as a line"),
        Column(field=f.IS_INTERMITTENT),
    ),
    geometry=Geometry(kind=GeometryKind.ANY),
    attribute=AttributeStamp(theme_code="water", class_code="class_code", class_list="water_kind"),
    matching=Matching(min_overlap=0.4, max_distance_m=50.0, attributes=("name",)),
    source_note="Kinds after the hydrography classes of GB/T 13923-2022",
)
