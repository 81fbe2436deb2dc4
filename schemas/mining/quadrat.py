"""Quadrat tests (样方检验): one row per analysis.

Source: tool `quadrat`. Lateness: that of the input. Left out: the counts of the cells.
"""

from schemas.fields import D, define
from schemas.mining import _cluster_fields as c
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, History, SpaceStamp

CHI2 = define("chi2", D, "卡方", "Chi-square of the cells' counts against equal ones", minimum=0)
P_CHI2 = define("p_chi2", D, "卡方显著性", "Upper tail: small where the pattern is clustered", minimum=0, maximum=1)
P_EVEN = define("p_even", D, "均匀显著性", "Lower tail: small where the pattern is more even than chance", minimum=0, maximum=1)

CONTRACT = Contract(
    name="mart.mining__quadrat",
    title_zh="样方检验",
    grain="One analysis of one table",
    description="Counts of cells against equal ones",
    columns=(
        Column(field=f.TOOL_NAME, required=True),
        Column(field=f.INPUT_TABLE, required=True),
        Column(field=c.CELL_COUNT, required=True),
        Column(field=f.ROW_COUNT, required=True),
        Column(field=c.MEAN_COUNT, required=True),
        Column(field=f.VARIANCE, required=True),
        Column(field=c.VARIANCE_MEAN_RATIO, required=True),
        Column(field=CHI2, required=True),
        Column(field=P_CHI2, required=True),
        Column(field=P_EVEN, required=True),
    ),
    history=History.FACT,
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Greig-Smith 1952; Diggle 2003",
)
