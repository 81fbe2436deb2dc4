"""Parts (分区): the part of each row.

Source: tools `kmeans`, `regionalise`. Lateness: that of the input; a rerun replaces the rows. Left out: the centres of the parts.
"""

from schemas.fields import INT, D, define
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind, History, SpaceStamp

PART = define("part", INT, "分区号", "Number of the part, 0 for the largest", unit="1", minimum=0)
DISTANCE = define("distance", D, "距中心距离", "Distance from the part's centre: metres, or standard deviations of the columns", minimum=0)

CONTRACT = Contract(
    name="mart.mining__partition",
    title_zh="分区",
    grain="One row of the input in one analysis",
    description="Part of each row and its distance from the part's centre",
    columns=(Column(field=f.TOOL_NAME, required=True), Column(field=PART, required=True), Column(field=DISTANCE, required=True)),
    geometry=Geometry(kind=GeometryKind.ANY, required=False),
    history=History.FACT,
    space=SpaceStamp(division="own"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Lloyd 1982; Arthur and Vassilvitskii 2007; Assunção et al. 2006",
)
