"""Events (城市事件): complaints, alarms, breakdowns; what happened once, at a place and an instant.

Source: the registers of hotlines, grid management and dispatch centres. Lateness: hours; late reports come with later deliveries. Left out:
who reported, and the handling of the case after its report. An event holds from its instant on; a correction of its place or class is
another version of the same event.
"""

from schemas import fields as f
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind, TimeStamp

CONTRACT = Contract(
    name="core.thematic__event",
    title_zh="城市事件",
    grain="One event at one place and instant",
    description="Events with their number, instant, class and words, for mining in space and time",
    columns=(
        Column(field=f.EVENT_ID, required=True),
        Column(field=f.OCCURRED_AT, required=True),
        Column(field=f.CLASS_CODE, required=True),
        Column(field=f.KIND_NAME),
        Column(field=f.EVENT_TEXT),
    ),
    geometry=Geometry(kind=GeometryKind.POINT, multi=False),
    partition_by=("division_code", "occurred_at"),
    time=TimeStamp(valid_from="occurred_at", observed="occurred_at", code="second"),
    attribute=AttributeStamp(theme_code="event", class_code="class_code", class_list="event_kind"),
    source_note="Kinds are ours; a source maps its own words to them",
)
