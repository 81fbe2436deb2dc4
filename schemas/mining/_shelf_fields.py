"""Columns shared by the results of the tools: the analysis that found a row, and its test."""

from schemas.fields import INT, D, L, S, define

TOOL_NAME = define("tool_name", S, "工具", "Tool that found it, as `sanyu mine` calls it")
INPUT_TABLE = define("input_table", S, "输入表", "Table that was mined")
VALUE_NAME = define("value_name", S, "变量", "Column of the input that was analysed; empty where places alone were")
VALUE = define("value", D, "变量值", "Value of the analysed column in this row")
STATISTIC = define("statistic", D, "统计量", "The statistic as its page in docs/mining defines it")
EXPECTED = define("expected", D, "期望值", "Its expectation if there were no pattern")
VARIANCE = define("variance", D, "方差", "Its variance if there were no pattern", minimum=0)
Z_SCORE = define("z_score", D, "标准化得分", "(statistic - expected) / √variance; empty where it has none")
P_ANALYTIC = define("p_analytic", D, "解析显著性", "Two-sided p-value of `z_score` under the normal distribution", minimum=0, maximum=1)
P_PERMUTED = define("p_permuted", D, "置换显著性", "Pseudo p-value of the permutations; empty without them", minimum=0, maximum=1)
Q_VALUE = define("q_value", D, "校正显著性", "p-value adjusted for the number of tests (Benjamini-Hochberg)", minimum=0, maximum=1)
PATTERN_NAME = define("pattern_name", S, "模式", "What was found, in the words of the tool, e.g. High-High, Hot, New Hot Spot")
ROW_COUNT = define("row_count", L, "行数", "Rows that were analysed", minimum=0)
NEIGHBOUR_COUNT = define("neighbour_count", INT, "邻居数", "Neighbours of the row under the weights", unit="1", minimum=0)
