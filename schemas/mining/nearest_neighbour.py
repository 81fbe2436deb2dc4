"""Nearest neighbour index (最近邻指数): one row per analysis.

Source: tool `nearest_neighbour`. Lateness: that of the input. Left out: the single distances.
"""

from schemas.fields import D, define
from schemas.mining import _cluster_fields as c
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, History, SpaceStamp

OBSERVED_M = define("observed_m", D, "实测平均距离", "Mean distance to the nearest other row", unit="m", minimum=0)
EXPECTED_M = define("expected_m", D, "期望平均距离", "The same for a random pattern of as many points", unit="m", minimum=0)
INDEX = define("index", D, "最近邻指数", "Observed over expected: below 1 clustered, above 1 even", minimum=0)

CONTRACT = Contract(
    name="mart.mining__nearest_neighbour",
    title_zh="最近邻指数",
    grain="One analysis of one table",
    description="Mean distance to the nearest neighbour against that of a random pattern",
    columns=(
        Column(field=f.TOOL_NAME, required=True),
        Column(field=f.INPUT_TABLE, required=True),
        Column(field=OBSERVED_M, required=True),
        Column(field=EXPECTED_M, required=True),
        Column(field=INDEX, required=True),
        Column(field=f.Z_SCORE, required=True),
        Column(field=c.P_VALUE, required=True),
        Column(field=c.AREA_M2, required=True),
        Column(field=f.ROW_COUNT, required=True),
    ),
    history=History.FACT,
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Clark and Evans 1954",
)
