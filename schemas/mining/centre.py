"""Centres and spread (中心与离散): one row per analysis.

Source: tool `centres`. Lateness: that of the input. Left out: the ellipse as a shape.
"""

from schemas.fields import D, define
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, History, SpaceStamp

MEAN_X_M = define("mean_x_m", D, "平均中心X", "Easting of the mean centre in the metric system of the data", unit="m")
MEAN_Y_M = define("mean_y_m", D, "平均中心Y", "Northing of the mean centre in the metric system of the data", unit="m")
MEDIAN_X_M = define("median_x_m", D, "中位中心X", "Easting of the point of least summed distance", unit="m")
MEDIAN_Y_M = define("median_y_m", D, "中位中心Y", "Northing of the point of least summed distance", unit="m")
STANDARD_DISTANCE_M = define("standard_distance_m", D, "标准距离", "Root mean squared distance from the mean centre", unit="m", minimum=0)
MAJOR_M = define("major_m", D, "长半轴", "Major semi-axis of the standard deviational ellipse", unit="m", minimum=0)
MINOR_M = define("minor_m", D, "短半轴", "Minor semi-axis of the standard deviational ellipse", unit="m", minimum=0)
AZIMUTH_DEG = define("azimuth_deg", D, "方位角", "Direction of the major axis, clockwise from north", unit="deg", minimum=0, maximum=180)
WEIGHT_SUM = define("weight_sum", D, "权重和", "Sum of the weights; the number of rows without weights", minimum=0)

CONTRACT = Contract(
    name="mart.mining__centre",
    title_zh="中心与标准差椭圆",
    grain="One analysis of one table",
    description="Mean and median centre, standard distance, deviational ellipse",
    columns=(
        Column(field=f.TOOL_NAME, required=True),
        Column(field=f.INPUT_TABLE, required=True),
        Column(field=MEAN_X_M, required=True),
        Column(field=MEAN_Y_M, required=True),
        Column(field=MEDIAN_X_M, required=True),
        Column(field=MEDIAN_Y_M, required=True),
        Column(field=STANDARD_DISTANCE_M, required=True),
        Column(field=MAJOR_M),
        Column(field=MINOR_M),
        Column(field=AZIMUTH_DEG),
        Column(field=f.ROW_COUNT, required=True),
        Column(field=WEIGHT_SUM, required=True),
    ),
    history=History.FACT,
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Yuill 1971; CrimeStat manual, chapter 4; Vardi and Zhang 2000",
)
