"""Road segments (道路段): the lines of the road network between two crossings, or as the publisher cuts them.

Source: the basemap's transport layer, OpenStreetMap ways. Lateness: a new road is mapped weeks to months after it opens. Left out:
railways, aerialways and ferries, turn restrictions, and the areas of squares and car parks.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Check, Column, Contract, Geometry, GeometryKind, Matching

CONTRACT = Contract(
    name="core.basemap__road_segment",
    title_zh="道路段",
    grain="One segment of a road or path, as the publisher cuts it",
    description="Centre lines of roads, streets and paths with class, name and what traffic may do on them",
    columns=(
        Column(field=f.CLASS_CODE, required=True),
        Column(field=f.NAME),
        Column(field=f.NAME_EN),
        Column(field=f.ROUTE_NUMBER),
        Column(field=f.LANE_COUNT),
        Column(field=f.WIDTH_M),
        Column(field=f.MAXSPEED_KMH),
        Column(field=f.IS_ONEWAY),
        Column(field=f.SURFACE_NAME),
        Column(field=f.IS_BRIDGE),
        Column(field=f.IS_TUNNEL),
        Column(field=f.LAYER_NUMBER),
    ),
    geometry=Geometry(kind=GeometryKind.LINE),
    attribute=AttributeStamp(theme_code="transport", class_code="class_code", class_list="road_class"),
    matching=Matching(min_overlap=0.6, max_distance_m=15.0, attributes=("name",)),
    checks=(
        Check(
            name="bridge_or_tunnel",
            field="is_bridge",
            expression="NOT (coalesce(is_bridge, false) AND coalesce(is_tunnel, false))",
            message="a segment is a bridge and a tunnel at once",
            message_zh="同一路段既是桥梁又是隧道",
            level="warning",
        ),
        Check(
            name="width_fits_lanes",
            field="width_m",
            expression="width_m IS NULL OR lane_count IS NULL OR width_m >= 1.8 * lane_count",
            message="the carriageway is narrower than 1.8 m a lane",
            message_zh="路宽不足每车道 1.8 米",
            level="warning",
        ),
    ),
    source_note="Classes after CJJ 37-2012 (urban roads) and JTG B01-2014 (highways), with the OpenStreetMap tag in the list's note",
)
