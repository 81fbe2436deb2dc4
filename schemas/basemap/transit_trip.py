"""Transit trips (公交班次): one run of a vehicle along a route, on the days of its calendar.

Source: GTFS `trips.txt`. Lateness: with each feed edition. Left out: the calendars themselves, shapes, and frequencies; a trip by
headway is one row. The stamp's place is empty: a trip is where its stops are (`core.basemap__transit_stop_time`).
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Column, Contract, SpaceStamp

CONTRACT = Contract(
    name="core.basemap__transit_trip",
    title_zh="公交班次",
    grain="One trip of a route, run on every day of its service calendar",
    description="Trips with route, service days and direction",
    columns=(
        Column(field=f.ROUTE_KEY, required=True),
        Column(field=f.SERVICE_KEY, required=True),
        Column(field=f.HEADSIGN_NAME),
        Column(field=f.DIRECTION_NUMBER),
        Column(field=f.BLOCK_KEY),
        Column(field=f.IS_WHEELCHAIR_ACCESSIBLE),
    ),
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="transit"),
    source_note="GTFS Schedule reference, trips.txt",
)
