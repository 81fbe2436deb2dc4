"""Transit stops (公交站点): where riders board, and the stations and entrances around it.

Source: GTFS `stops.txt` or the transport office's list. Lateness: with each feed edition, weeks ahead of service. Left out: fares,
pathways and levels.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind, Matching

CONTRACT = Contract(
    name="core.basemap__transit_stop",
    title_zh="公交站点",
    grain="One stop, platform, station or entrance of a feed",
    description="Stops of buses, trains and ferries; a platform names the station that holds it",
    columns=(
        Column(field=f.NAME, required=True),
        Column(field=f.STOP_NUMBER),
        Column(field=f.STOP_KIND_CODE),
        Column(field=f.PARENT_STOP_KEY),
        Column(field=f.PLATFORM_NAME),
        Column(field=f.ZONE_NAME),
        Column(field=f.IS_WHEELCHAIR_ACCESSIBLE),
    ),
    geometry=Geometry(kind=GeometryKind.POINT, multi=False),
    attribute=AttributeStamp(theme_code="transit", class_code="stop_kind_code", class_list="stop_kind"),
    matching=Matching(max_distance_m=60.0, attributes=("name",)),
    source_note="GTFS Schedule reference, stops.txt",
)
