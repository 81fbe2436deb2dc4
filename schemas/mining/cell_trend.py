"""Trends of cells (单元趋势): Mann-Kendall test and Sen's slope of each cell's values over the steps of a cube.

Source: tool `mann_kendall` over a table of events. Left out: the values of the steps.
"""

from schemas.fields import INT, D, L, define
from schemas.mining import _cube_fields as c
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind

TREND_SCORE = define("trend_score", L, "肯德尔得分", "Mann-Kendall S: pairs of steps that rise less those that fall")
TREND_SIGN = define("trend_sign", INT, "趋势方向", "1 rising, -1 falling, 0 no trend at the level asked", minimum=-1, maximum=1)
SEN_SLOPE = define("sen_slope", D, "森斜率", "Median of all pairwise slopes, in units of the value per step")
SEN_INTERCEPT = define("sen_intercept", D, "森截距", "Median of the values less slope times median of the step numbers")

CONTRACT = Contract(
    name="mart.mining__cell_trend",
    title_zh="单元趋势",
    grain="One cell of one space-time cube",
    description="Mann-Kendall trend and Sen's slope of each cell, with its outline",
    key=("cell_id",),
    columns=(
        Column(field=c.CELL_ID, required=True),
        Column(field=c.EVENT_COUNT, required=True),
        Column(field=c.STEP_COUNT, required=True),
        Column(field=TREND_SCORE, required=True),
        Column(field=c.TREND_Z, required=True),
        Column(field=c.TREND_P, required=True),
        Column(field=c.TREND_TAU),
        Column(field=TREND_SIGN, required=True),
        Column(field=SEN_SLOPE),
        Column(field=SEN_INTERCEPT),
        Column(field=c.FROM_AT, required=True),
        Column(field=c.TO_AT, required=True),
    ),
    geometry=Geometry(kind=GeometryKind.POLYGON, required=False, multi=False),
    attribute=AttributeStamp(theme_code="mining"),
)
