"""Tests of space-time interaction (时空交互检验): one row per test.

Source: tools `knox`, `mantel`, `jacquez`. Lateness: that of the input. Left out: the permuted values.
"""

from schemas.fields import D, S, define
from schemas.mining import _cluster_fields as c
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, History, SpaceStamp

STATISTIC_NAME = define("statistic_name", S, "统计量名称", "knox, mantel or jacquez")
P_POISSON = define(
    "p_poisson", D, "泊松显著性", "P(X ≥ statistic) for a Poisson variable of the expected number; Knox only", minimum=0, maximum=1
)
MEAN_PERMUTED = define("mean_permuted", D, "置换均值", "Mean over the permutations")
DEVIATION_PERMUTED = define("deviation_permuted", D, "置换标准差", "Standard deviation over the permutations", minimum=0)

CONTRACT = Contract(
    name="mart.mining__interaction",
    title_zh="时空交互检验",
    grain="One test of one table",
    description="Space-time interaction with Poisson and permutation p-values",
    columns=(
        Column(field=f.TOOL_NAME, required=True),
        Column(field=f.INPUT_TABLE, required=True),
        Column(field=STATISTIC_NAME, required=True),
        Column(field=f.STATISTIC, required=True),
        Column(field=f.EXPECTED),
        Column(field=c.NEAR_COUNT),
        Column(field=c.SOON_COUNT),
        Column(field=P_POISSON),
        Column(field=f.P_PERMUTED),
        Column(field=MEAN_PERMUTED),
        Column(field=DEVIATION_PERMUTED),
        Column(field=c.PERMUTATIONS, required=True),
        Column(field=c.SEED, required=True),
        Column(field=f.ROW_COUNT, required=True),
    ),
    history=History.FACT,
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Knox 1964; Mantel 1967; Jacquez 1996",
)
