"""Columns that the results of the space-time cube share: what a cell is, its period, and its trend."""

from schemas.fields import INT, D, L, S, define
from schemas.model import DType

CELL_ID = define("cell_id", S, "单元标识", "Cell of the cube: kind, size, CRS and place in the lattice, or the BeiDou, H3 or division code")
EVENT_COUNT = define("event_count", L, "事件数", "Events in the cell over the whole period", unit="1", minimum=0)
STEP_COUNT = define("step_count", INT, "时间步数", "Steps of the cube, or of it those with a value in the cell", unit="1", minimum=1)
FROM_AT = define("from_at", DType.TIMESTAMP, "时段起", "Begin of the first step (UTC)")
TO_AT = define("to_at", DType.TIMESTAMP, "时段止", "End of the last step (UTC)")
TREND_Z = define("trend_z", D, "趋势统计量", "Standardised Mann-Kendall statistic with correction for ties")
TREND_P = define("trend_p", D, "趋势显著性", "Two-sided p-value of the Mann-Kendall test", minimum=0, maximum=1)
TREND_TAU = define("trend_tau", D, "肯德尔系数", "Kendall's tau a of values and time", minimum=-1, maximum=1)
