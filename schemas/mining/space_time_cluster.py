"""Space-time clusters (时空聚集): cylinders of the scan statistic with more events than chance puts there.

Source: tool `scan_statistic` over a table of events. Left out: clusters above the p-value asked, and the simulated data sets.
"""

from schemas.fields import INT, D, L, define
from schemas.mining import _cube_fields as c
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind

CLUSTER_NUMBER = define("cluster_number", INT, "聚集序号", "Order by likelihood ratio, from 1", minimum=1)
COVERED_CELL_COUNT = define("covered_cell_count", INT, "单元数", "Cells in the cylinder's circle", unit="1", minimum=1)
RADIUS_M = define("radius_m", D, "半径", "Distance of the farthest cell's centre from the centre cell", unit="m", minimum=0)
FOUND_COUNT = define("found_count", L, "实际事件数", "Events in the cylinder", unit="1", minimum=0)
EXPECTED_COUNT = define("expected_count", D, "期望事件数", "Events that the model expects in the cylinder", unit="1", minimum=0)
LOG_LIKELIHOOD_RATIO = define("log_likelihood_ratio", D, "对数似然比", "Kulldorff's log likelihood ratio", minimum=0)
P_VALUE = define("p_value", D, "显著性", "Share of random data sets whose best cylinder is as good", minimum=0, maximum=1)

CONTRACT = Contract(
    name="mart.mining__space_time_cluster",
    title_zh="时空聚集",
    grain="One cylinder that shares no cell with a better one",
    description="Circle, period, found and expected events, likelihood ratio and p-value of each cluster",
    key=("cluster_number",),
    columns=(
        Column(field=CLUSTER_NUMBER, required=True),
        Column(field=c.CELL_ID, required=True, description="Cell at the centre of the circle"),
        Column(field=COVERED_CELL_COUNT, required=True),
        Column(field=RADIUS_M, required=True),
        Column(field=c.FROM_AT, required=True, description="Begin of the cylinder's first day (UTC)"),
        Column(field=c.TO_AT, required=True, description="End of the cylinder's last day (UTC)"),
        Column(field=FOUND_COUNT, required=True),
        Column(field=EXPECTED_COUNT, required=True),
        Column(field=LOG_LIKELIHOOD_RATIO, required=True),
        Column(field=P_VALUE, required=True),
    ),
    geometry=Geometry(kind=GeometryKind.POLYGON, required=False),
    attribute=AttributeStamp(theme_code="mining"),
)
