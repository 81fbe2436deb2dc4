"""Patterns found (模式): the noteworthy findings of all analyses in one table, each with its place and its evidence.

Source: every tool whose rows have a pattern or a category (one pattern per place), the clusters of all cluster tools and of the scan (one
pattern per cluster; its members are in the result table). Lateness: that of the input; a rerun replaces what has changed. Left out:
results that are not significant, and noise.
"""

from schemas.fields import D, L, S, define
from schemas.mining import _cluster_fields as c
from schemas.mining import _cube_fields as cube
from schemas.mining import _shelf_fields as f
from schemas.mining.density import DENSITY_KM2
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind, History, SpaceStamp

PATTERN_ID = define("pattern_id", S, "模式标识", "What bears the pattern, as the result table knows it: entity, cell or cluster")
MEMBER_COUNT = define("member_count", L, "成员数", "Members of a cluster, events of a cell or cylinder", unit="1", minimum=0)
CENTRE_LON = define(
    "centre_lon", D, "中心经度", "Mean place of a cluster's members, else middle of the bounds", unit="deg", minimum=-180, maximum=180
)
CENTRE_LAT = define(
    "centre_lat", D, "中心纬度", "Mean place of a cluster's members, else middle of the bounds", unit="deg", minimum=-90, maximum=90
)
PERIOD_FROM = "Begin of the period: first member, or first step or day (UTC)"
PERIOD_TO = "End of the period: last member, or end of the last step or day (UTC)"

CONTRACT = Contract(
    name="mart.mining__pattern",
    title_zh="挖掘模式",
    grain="One pattern that one analysis found: at one place, or of one cluster as a whole",
    description="High-High, Hot, New Hot Spot, Cluster …: of what, where, when, how large, how dense, how sure",
    key=("pattern_id",),
    columns=(
        Column(field=f.TOOL_NAME, required=True),
        Column(field=f.INPUT_TABLE, required=True),
        Column(field=f.VALUE_NAME),
        Column(field=PATTERN_ID, required=True),
        Column(field=f.PATTERN_NAME, required=True),
        Column(field=define("result_table", S, "结果表", "Table that holds the whole result"), required=True),
        Column(field=define("strength", D, "强度", "Score of the pattern: a z-score or statistic of the result")),
        Column(field=f.Q_VALUE),
        Column(field=MEMBER_COUNT),
        Column(field=c.AREA_M2, description="Area of the cluster's convex hull"),
        Column(field=DENSITY_KM2),
        Column(field=CENTRE_LON),
        Column(field=CENTRE_LAT),
        Column(field=cube.FROM_AT, description=PERIOD_FROM),
        Column(field=cube.TO_AT, description=PERIOD_TO),
    ),
    geometry=Geometry(kind=GeometryKind.ANY, required=False),
    history=History.FACT,
    space=SpaceStamp(division="own"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Written by Sanyu",
)
