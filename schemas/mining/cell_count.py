"""Counts by cell (单元计数): how many rows of a table, or what sum of a column, lie in each cell of a square lattice.

Source: tool `cell_count`. Lateness: that of the input; a rerun replaces the analysis' rows. Left out: empty cells outside the hull of
the data's lattice extent.
"""

from schemas.fields import D, S, define
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, Geometry, GeometryKind, History, SpaceStamp

CONTRACT = Contract(
    name="mart.mining__cell_count",
    title_zh="单元计数",
    grain="One cell of one lattice",
    description="Rows and their sum in square cells of a lattice in metres, with the cells' outlines",
    columns=(
        Column(field=define("lattice_id", S, "格网单元", "Cell: width, CRS, column and row of the lattice"), required=True),
        Column(field=f.ROW_COUNT, required=True),
        Column(
            field=define("cell_sum", D, "合计", "Sum of the weight column over the cell's rows; their number without one"), required=True
        ),
    ),
    geometry=Geometry(kind=GeometryKind.POLYGON, multi=False),
    history=History.FACT,
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Lattice with its origin at 0, 0 of the metric system",
)
