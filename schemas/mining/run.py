"""Runs of the mining tools (挖掘运行): the model, its parameters, inputs, results and evidence.

Source: `sanyu mine`, `sanyu chain run` and the chains' DAGs, one row per run that computed something. Lateness: none. Left out: runs that
found their result in the lake already, and failed ones, which are in the log.
"""

from schemas.fields import D, S, define
from schemas.mining import _shelf_fields as f
from schemas.model import AttributeStamp, Column, Contract, History, SpaceStamp

CONTRACT = Contract(
    name="mart.mining__run",
    title_zh="挖掘运行",
    grain="One run of one tool",
    description="Model, version, parameters, inputs with their versions, metrics, evidence and way of each run",
    columns=(
        Column(field=define("mining_run_id", S, "运行标识", "Run that did it"), required=True),
        Column(field=f.TOOL_NAME, required=True),
        Column(field=define("tool_version", S, "工具版本", "Version of the tool and of Sanyu"), required=True),
        Column(field=define("parameters", S, "参数", "Parameters as used, JSON object"), required=True),
        Column(field=define("inputs", S, "输入", "Tables read with their Delta versions and condition, JSON array"), required=True),
        Column(field=define("result_table", S, "结果表", "Table that holds the result"), required=True),
        Column(field=define("result_source", S, "结果来源", "`source_name` of the result's rows in that table"), required=True),
        Column(field=define("metrics", S, "指标", "Figures that the tool noted, JSON object"), required=True),
        Column(field=define("evidence", S, "依据", "What the result rests on, in words"), required=True),
        Column(field=define("way", S, "计算方式", "in_process or distributed", pattern="^(in_process|distributed)$"), required=True),
        Column(field=f.ROW_COUNT, required=True),
        Column(field=define("result_count", f.ROW_COUNT.dtype, "结果行数", "Rows of the result", unit="1", minimum=0), required=True),
        Column(field=define("seconds", D, "耗时", "Wall time of the tool", unit="s", minimum=0), required=True),
    ),
    history=History.FACT,
    space=SpaceStamp(division="none"),
    attribute=AttributeStamp(theme_code="mining"),
    source_note="Written by Sanyu",
)
