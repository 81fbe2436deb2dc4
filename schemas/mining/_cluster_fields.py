"""Columns that the results of clusters, distribution and space-time interaction share."""

from schemas.fields import INT, B, D, L, S, define

DISTANCE_M = define("distance_m", D, "距离", "Distance up to which pairs are counted", unit="m", minimum=0)
LAG_STEP = define(
    "lag", D, "时滞", "Lag up to which pairs are counted: seconds for instants and dates, else the time column's unit", minimum=0
)
NEAR_COUNT = define("near_count", L, "空间邻近对数", "Pairs within the distance, whatever their lag", unit="1", minimum=0)
SOON_COUNT = define("soon_count", L, "时间邻近对数", "Pairs within the lag, whatever their distance", unit="1", minimum=0)
PAIR_COUNT = define("pair_count", L, "点对数", "Pairs counted, whole numbers", unit="1", minimum=0)
P_VALUE = define("p_value", D, "显著性", "Two-sided p-value", minimum=0, maximum=1)
P_OVERALL = define("p_overall", D, "总体显著性", "p-value of the test over all rows of the analysis together", minimum=0, maximum=1)
PERMUTATIONS = define("permutations", INT, "置换次数", "Number of permutations", unit="1", minimum=0)
SEED = define("seed", L, "随机种子", "Seed of the keyed permutations")
CELL_COUNT = define("cell_count", L, "单元数", "Cells of the window, empty ones included", unit="1", minimum=1)
MEAN_COUNT = define("mean_count", D, "平均数", "Rows per cell", minimum=0)
VARIANCE_MEAN_RATIO = define(
    "variance_mean_ratio", D, "方均比", "Variance over mean of the cells' counts; 1 for a random pattern", minimum=0
)
AREA_M2 = define("area_m2", D, "面积", "Area of the window", unit="m2", minimum=0)
CLUSTER_ID = define("cluster_id", S, "簇标识", "Smallest id of the cluster's core rows; empty for noise")
CLUSTER_ROLE = define("cluster_role", S, "簇内角色", "core, border or noise", pattern="^(core|border|noise)$")
IS_SUPPORTED = define("is_supported", B, "是否支持", "True where the map at this size is reliable enough")
IS_CHOSEN = define("is_chosen", B, "是否选用", "True for the finest size from which on all coarser ones are supported")
