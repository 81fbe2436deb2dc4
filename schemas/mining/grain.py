"""Grain selection (粒度选择): one row per cell size.

Source: tool `grain`. Lateness: that of the input. Left out: the counts of the cells.
"""

from schemas.fields import D, define
from schemas.mining import _cluster_fields as c
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, History, SpaceStamp

CELL_M = define("cell_m", D, "单元边长", "Side of the square cells", unit="m", minimum=0)
EMPTY_SHARE = define("empty_share", D, "空单元比例", "Share of cells without a row", minimum=0, maximum=1)
MORISITA = define("morisita", D, "森下指数", "Morisita's index: chance that two rows share a cell over that of a random pattern", minimum=0)
RELIABILITY = define(
    "reliability", D, "信度", "Split-half correlation of the cells' counts stepped up to the whole number; empty below 4 cells"
)

CONTRACT = Contract(
    name="mart.mining__grain",
    title_zh="粒度选择",
    grain="One cell size of one analysis",
    description="How far a map of counts at each cell size can be trusted",
    columns=(
        Column(field=f.TOOL_NAME, required=True),
        Column(field=f.INPUT_TABLE, required=True),
        Column(field=CELL_M, required=True),
        Column(field=c.CELL_COUNT, required=True),
        Column(field=EMPTY_SHARE, required=True),
        Column(field=c.MEAN_COUNT, required=True),
        Column(field=c.VARIANCE_MEAN_RATIO),
        Column(field=MORISITA, required=True),
        Column(field=RELIABILITY),
        Column(field=c.IS_SUPPORTED, required=True),
        Column(field=c.IS_CHOSEN, required=True),
    ),
    history=History.FACT,
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Spearman 1910; Brown 1910; Morisita 1959",
)
