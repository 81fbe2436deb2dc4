"""Patterns found (模式): what is worth knowing of all analyses in one table, each with its place and its evidence.

Source: every tool whose rows bear a pattern, a category or a cluster; rows that bear none are not here. Lateness: that of the input; a
rerun replaces the analysis' rows. Left out: what is not significant.
"""

from schemas.fields import D, S, define
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind, History, SpaceStamp

CONTRACT = Contract(
    name="mart.mining__pattern",
    title_zh="挖掘模式",
    grain="One pattern that one analysis found at one place",
    description="High-High, Hot, New Hot Spot, a cluster …: of what, where, how sure",
    columns=(
        Column(field=f.TOOL_NAME, required=True),
        Column(field=f.INPUT_TABLE, required=True),
        Column(field=f.VALUE_NAME),
        Column(field=f.PATTERN_NAME, required=True),
        Column(field=define("result_table", S, "结果表", "Table that holds the whole result"), required=True),
        Column(field=define("strength", D, "强度", "Score of the pattern: a z-score or statistic of the result")),
        Column(field=f.Q_VALUE),
    ),
    geometry=Geometry(kind=GeometryKind.ANY, required=False),
    history=History.FACT,
    space=SpaceStamp(division="own"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Written by Sanyu",
)
