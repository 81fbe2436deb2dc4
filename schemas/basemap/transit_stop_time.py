"""Transit stop times (公交到发时刻): when a trip calls at a stop.

Source: GTFS `stop_times.txt`. Lateness: with each feed edition, which replaces the source's rows as a whole. No history is kept, because
a timetable's rows before a correction are of no interest. Left out: pick-up rules and distances along the shape.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Check, Column, Contract, History, SpaceStamp

CONTRACT = Contract(
    name="core.basemap__transit_stop_time",
    title_zh="公交到发时刻",
    grain="One call of one trip at one stop",
    description="Timetable rows; times are seconds since the start of the service day and go on after midnight",
    key=("source_name", "trip_key", "stop_sequence"),
    columns=(
        Column(field=f.TRIP_KEY, required=True),
        Column(field=f.STOP_SEQUENCE, required=True),
        Column(field=f.STOP_KEY, required=True),
        Column(field=f.ARRIVAL_S),
        Column(field=f.DEPARTURE_S),
        Column(field=f.IS_TIMEPOINT),
    ),
    history=History.FACT,
    partition_by=("source_name",),
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="transit"),
    checks=(
        Check(
            name="leaves_after_arriving",
            field="departure_s",
            expression="arrival_s IS NULL OR departure_s IS NULL OR departure_s >= arrival_s",
            message="the trip leaves before it arrives",
            message_zh="发车早于到站",
        ),
    ),
    source_note="GTFS Schedule reference, stop_times.txt",
)
