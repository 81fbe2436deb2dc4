"""Emerging hot spots (时空热点演化): the category of each cell of a space-time cube.

Source: tool `emerging_hot_spots` over a table of events. Left out: the bins (their z-scores, signs) that the category was read from; they
are in the tool's result object.
"""

from schemas.fields import INT, D, S, define
from schemas.mining import _cube_fields as c
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind

CATEGORY_NAME = define("category_name", S, "热点类别", "One of the seventeen published categories, e.g. New Hot Spot, No Pattern Detected")
HOT_STEP_COUNT = define("hot_step_count", INT, "热点步数", "Steps in which the cell is significantly hot", unit="1", minimum=0)
COLD_STEP_COUNT = define("cold_step_count", INT, "冷点步数", "Steps in which the cell is significantly cold", unit="1", minimum=0)
LAST_GI_Z = define("last_gi_z", D, "末步 Gi*", "Gi* z-score of the last step; empty where it has none")
LAST_P = define("last_p", D, "末步显著性", "Two-sided p-value of `last_gi_z`, before the false discovery rate", minimum=0, maximum=1)

CONTRACT = Contract(
    name="mart.mining__emerging_hot_spot",
    title_zh="时空热点演化",
    grain="One cell of one space-time cube",
    description="Category, significant steps and trend of each cell, with its outline",
    key=("cell_id",),
    columns=(
        Column(field=c.CELL_ID, required=True),
        Column(field=CATEGORY_NAME, required=True),
        Column(field=c.EVENT_COUNT, required=True),
        Column(field=c.STEP_COUNT, required=True),
        Column(field=HOT_STEP_COUNT, required=True),
        Column(field=COLD_STEP_COUNT, required=True),
        Column(field=LAST_GI_Z),
        Column(field=LAST_P),
        Column(field=c.TREND_Z),
        Column(field=c.TREND_P),
        Column(field=c.TREND_TAU),
        Column(field=c.FROM_AT, required=True),
        Column(field=c.TO_AT, required=True),
    ),
    geometry=Geometry(kind=GeometryKind.POLYGON, required=False, multi=False),
    attribute=AttributeStamp(theme_code="mining"),
)
