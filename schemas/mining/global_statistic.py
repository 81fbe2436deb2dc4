"""Global statistics (全局统计量): one figure for a whole map, with its tests.

Source: tools `moran`, `geary`, `general_g`, `join_counts`. Lateness: that of the input; a rerun replaces the row. Left out: the simulated
values.
"""

from schemas.fields import INT, D, L, S, define
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, History, SpaceStamp

STATISTIC_NAME = define("statistic_name", S, "统计量名称", "moran, geary, general_g or join_counts")
NULLS = tuple(
    define(f"{figure}_{null}", D, f"{zh}（{null_zh}）", f"{meaning} under {words}")
    for null, null_zh, words in (("normal", "正态", "normality"), ("random", "随机化", "randomisation"))
    for figure, zh, meaning in (("variance", "方差", "Variance"), ("z", "得分", "Standard score"), ("p", "显著性", "Two-sided p-value"))
)
PERMUTED = (
    define("mean_permuted", D, "置换均值", "Mean over the permutations"),
    define("deviation_permuted", D, "置换标准差", "Standard deviation over the permutations", minimum=0),
    define("z_permuted", D, "置换得分", "Standard score by the permutations"),
    define("permutations", INT, "置换次数", "Number of permutations", unit="1", minimum=0),
)
WEIGHTS = (
    define("edge_count", L, "边数", "Pairs of neighbours, each direction counted", unit="1", minimum=0),
    define("island_count", L, "孤立数", "Rows without neighbours", unit="1", minimum=0),
    define("s0", D, "权重和", "Sum of the weights"),
    define("s1", D, "权重 S1", "½Σ(w_ij + w_ji)²"),
    define("s2", D, "权重 S2", "Σ(row sum + column sum)²"),
)
JOINS = (
    define("bb", D, "黑黑连接数", "Joins between two rows of value 1; join counts only", minimum=0),
    define("ww", D, "白白连接数", "Joins between two rows of value 0; join counts only", minimum=0),
    define("bw", D, "黑白连接数", "Joins between unlike rows; join counts only", minimum=0),
    define("p_permuted_bw", D, "黑白置换显著性", "Pseudo p-value of `bw`; join counts only", minimum=0, maximum=1),
    define("chi2", D, "卡方", "Chi-square of the table of joins with Yates' correction; join counts only", minimum=0),
    define("p_chi2", D, "卡方显著性", "Its p-value; join counts only", minimum=0, maximum=1),
)

CONTRACT = Contract(
    name="mart.mining__global_statistic",
    title_zh="全局空间统计",
    grain="One analysis of one column of a table",
    description="Global autocorrelation with analytic and permutation tests",
    columns=(
        Column(field=f.TOOL_NAME, required=True),
        Column(field=f.INPUT_TABLE, required=True),
        Column(field=f.VALUE_NAME, required=True),
        Column(field=STATISTIC_NAME, required=True),
        Column(field=f.STATISTIC, required=True),
        Column(field=f.EXPECTED),
        *(Column(field=field) for field in NULLS),
        Column(field=f.P_PERMUTED),
        *(Column(field=field) for field in PERMUTED),
        Column(field=f.ROW_COUNT, required=True),
        *(Column(field=field) for field in WEIGHTS),
        *(Column(field=field) for field in JOINS),
    ),
    history=History.FACT,
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Cliff and Ord 1981; Getis and Ord 1992",
)
