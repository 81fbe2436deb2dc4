"""Change points (单元变点): the steps at which the level of a cell's series changes.

Source: tool `change_points` over a table of events. Left out: cells without a change.
"""

from schemas.fields import INT, D, define
from schemas.mining import _cube_fields as c
from schemas.model import AttributeStamp, Column, Contract, DType, Geometry, GeometryKind

STEP_NUMBER = define("step_number", INT, "时间步序号", "Step of the cube, from 0 at the oldest", minimum=0)
CHANGED_AT = define("changed_at", DType.TIMESTAMP, "变化时间", "Begin of the first step after the change (UTC)")
MEAN_BEFORE = define("mean_before", D, "变前均值", "Mean of the segment before the change")
MEAN_AFTER = define("mean_after", D, "变后均值", "Mean of the segment after the change")

CONTRACT = Contract(
    name="mart.mining__change_point",
    title_zh="单元变点",
    grain="One change of one cell's series",
    description="Cell, instant and levels before and after each change",
    key=("cell_id", "step_number"),
    columns=(
        Column(field=c.CELL_ID, required=True),
        Column(field=STEP_NUMBER, required=True),
        Column(field=CHANGED_AT, required=True),
        Column(field=MEAN_BEFORE, required=True),
        Column(field=MEAN_AFTER, required=True),
    ),
    geometry=Geometry(kind=GeometryKind.POLYGON, required=False, multi=False),
    attribute=AttributeStamp(theme_code="mining"),
)
