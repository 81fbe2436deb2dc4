"""Local statistics (局部统计量): LISA, local Geary and Gi* of each place of an analysis.

Source: tools `local_moran`, `local_geary`, `local_g`. Lateness: that of the input; a rerun replaces the analysis' rows. Left out: the
simulated values of the permutations.
"""

from schemas.fields import D, S, define
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind, History, SpaceStamp

LAG = define("lag", D, "空间滞后", "Weighted sum of the neighbours' values (standardised ones for Moran and Geary)")
QUADRANT = define(
    "quadrant", S, "象限", "HH, LH, LL or HL: own value and lag above or below the mean; Moran only", pattern="^(HH|LH|LL|HL)$"
)
PATTERN = define("pattern", S, "模式", "High-High, Hot, Similar …, Not significant, or Island (no neighbours)")

CONTRACT = Contract(
    name="mart.mining__local_statistic",
    title_zh="局部空间统计",
    grain="One place in one analysis",
    description="Local statistic, its inference and what the place is called for it",
    columns=(
        Column(field=f.TOOL_NAME, required=True),
        Column(field=f.VALUE_NAME, required=True),
        Column(field=f.VALUE, required=True),
        Column(field=f.NEIGHBOUR_COUNT, required=True),
        Column(field=LAG),
        Column(field=f.STATISTIC),
        Column(field=f.EXPECTED),
        Column(field=f.VARIANCE),
        Column(field=f.Z_SCORE),
        Column(field=f.P_ANALYTIC),
        Column(field=f.P_PERMUTED),
        Column(field=f.Q_VALUE),
        Column(field=QUADRANT),
        Column(field=PATTERN, required=True),
    ),
    geometry=Geometry(kind=GeometryKind.ANY, required=False),
    history=History.FACT,
    space=SpaceStamp(division="own"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Anselin 1995; Getis and Ord 1992; Ord and Getis 1995",
)
