"""Space-time K function (时空K函数): one row per distance and lag.

Source: tool `space_time_k`. Lateness: that of the input. Left out: the permuted counts.
"""

from schemas.fields import D, define
from schemas.mining import _cluster_fields as c
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, History, SpaceStamp

EXCESS = define("excess", D, "超出对数", "Pairs within both less the expected number")
EXCESS_SHARE = define("excess_share", D, "超出比例", "Excess over the expected number (Diggle's D0); empty where that is 0")

CONTRACT = Contract(
    name="mart.mining__space_time_k",
    title_zh="时空K函数",
    grain="One distance and lag of one analysis",
    description="Pairs near in space and time against those expected without interaction",
    columns=(
        Column(field=f.TOOL_NAME, required=True),
        Column(field=f.INPUT_TABLE, required=True),
        Column(field=c.DISTANCE_M, required=True),
        Column(field=c.LAG_STEP, required=True),
        Column(field=c.PAIR_COUNT, required=True),
        Column(field=c.NEAR_COUNT, required=True),
        Column(field=c.SOON_COUNT, required=True),
        Column(field=f.EXPECTED, required=True),
        Column(field=EXCESS, required=True),
        Column(field=EXCESS_SHARE),
        Column(field=f.P_PERMUTED),
        Column(field=c.P_OVERALL),
    ),
    history=History.FACT,
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Diggle, Chetwynd, Häggkvist and Morris 1995",
)
