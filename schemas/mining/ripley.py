"""Ripley's K, L and g (里普利K函数): one row per distance.

Source: tool `ripley`. Lateness: that of the input. Left out: the simulated functions.
"""

from schemas.fields import D, L, define
from schemas.mining import _cluster_fields as c
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, History, SpaceStamp

COUNTED_POINTS = define("counted_points", L, "计数点数", "Points whose neighbours were counted", unit="1", minimum=0)
K_M2 = define("k_m2", D, "K函数", "Ripley's K; empty where no point was counted", unit="m2", minimum=0)
L_M = define("l_m", D, "L函数", "Besag's L = √(K/π)", unit="m", minimum=0)
G = define("g", D, "对相关函数", "Pair correlation: pairs of the ring over those of a random pattern")
L_LOW = define("l_low", D, "包络下限", "Lower bound of L over random patterns", unit="m", minimum=0)
L_HIGH = define("l_high", D, "包络上限", "Upper bound of L over random patterns", unit="m", minimum=0)

CONTRACT = Contract(
    name="mart.mining__ripley",
    title_zh="里普利K函数",
    grain="One distance of one analysis",
    description="Pairs within a distance against random patterns",
    columns=(
        Column(field=f.TOOL_NAME, required=True),
        Column(field=f.INPUT_TABLE, required=True),
        Column(field=c.DISTANCE_M, required=True),
        Column(field=c.PAIR_COUNT, required=True),
        Column(field=COUNTED_POINTS, required=True),
        Column(field=K_M2),
        Column(field=L_M),
        Column(field=G),
        Column(field=L_LOW),
        Column(field=L_HIGH),
        Column(field=c.P_VALUE),
        Column(field=c.P_OVERALL),
    ),
    history=History.FACT,
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Ripley 1976; Besag 1977; Baddeley et al. 2014",
)
