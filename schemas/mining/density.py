"""Densities (核密度): one row per cell of the grid.

Source: tool `kde`. Lateness: that of the input. Left out: cells without density.
"""

from schemas.fields import INT, D, define
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, History, SpaceStamp

GRID_COLUMN = define("grid_column", INT, "列号", "Column of the cell, from the west", unit="1", minimum=0)
GRID_LINE = define("grid_line", INT, "行号", "Line of the cell, from the south", unit="1", minimum=0)
X_M = define("x_m", D, "X坐标", "Easting of the cell's centre in the metric system of the data", unit="m")
Y_M = define("y_m", D, "Y坐标", "Northing of the cell's centre in the metric system of the data", unit="m")
DENSITY_KM2 = define("density_km2", D, "密度", "Rows (or weight) per square kilometre", minimum=0)
BANDWIDTH_M = define("bandwidth_m", D, "带宽", "Bandwidth of the kernel", unit="m", minimum=0)

CONTRACT = Contract(
    name="mart.mining__density",
    title_zh="核密度",
    grain="One cell of one grid",
    description="Kernel density on a grid",
    columns=(
        Column(field=f.TOOL_NAME, required=True),
        Column(field=f.INPUT_TABLE, required=True),
        Column(field=GRID_COLUMN, required=True),
        Column(field=GRID_LINE, required=True),
        Column(field=X_M, required=True),
        Column(field=Y_M, required=True),
        Column(field=DENSITY_KM2, required=True),
        Column(field=BANDWIDTH_M, required=True),
    ),
    history=History.FACT,
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Silverman 1986",
)
