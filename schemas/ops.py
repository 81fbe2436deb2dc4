"""Bookkeeping tables: what happened to each batch and file, and what happened to each identity.

Grain: see each contract. Rows are only ever added. `ledger` and `file` are written without Spark, so a run that fails before Spark starts
leaves its trace. Left out: logs, and anything about users.
"""

from __future__ import annotations

from schemas import stamp
from schemas.fields import D, L, S, define
from schemas.model import AttributeStamp, Check, Column, Contract, FieldDef, History, SecurityLabel, SpaceStamp
from schemas.raw import CRS, FILE_NAME

STEPS = ("land", "raw", "core", "mart", "mine", "geocode", "release", "evolve", "restore", "repair", "maintain", "gate", "publish")

RUN_ID = define("run_id", S, "运行标识", "Run that did it")
STEP = define("step", S, "步骤", "What was done", pattern=f"^({'|'.join(STEPS)})$")
TABLE_NAME = define("table_name", S, "表名", "Table that the step wrote")
ROWS_IN = define("rows_in", L, "输入行数", "Rows that the step was given", minimum=0)
ROWS_LOADED = define("rows_loaded", L, "入库行数", "Rows that brought a new version", minimum=0)
ROWS_UNCHANGED = define("rows_unchanged", L, "未变行数", "Rows that said what the table knew already", minimum=0)
ROWS_QUARANTINED = define("rows_quarantined", L, "隔离行数", "Rows that were rejected", minimum=0)
ROWS_DUPLICATE = define("rows_duplicate", L, "重复行数", "Rows that repeat another row of the batch", minimum=0)
ROWS_CLOSED = define(
    "rows_closed", L, "终止行数", "Rows of the table that ended because a full delivery lacks them; not part of `rows_in`", minimum=0
)
REASONS = define("reasons", S, "拒收原因", "Rejected rows by message code, JSON object")
DELTA_VERSION = define("delta_version", L, "表版本", "Delta version that the step committed", minimum=0)
SECONDS = define("seconds", D, "耗时", "Wall time of the step", unit="s", minimum=0)
STATUS = define("status", S, "结果", "How it ended: ok, failed, or a word of the step")
DETAIL = define("detail", S, "说明", "What else is to be known, JSON or text")

SHA256 = define("sha256", S, "校验值", "SHA-256 of the file, hexadecimal", pattern="^[0-9a-f]{64}$")
SIZE_BYTES = define("size_bytes", L, "文件大小", "Size of the file", unit="byte", minimum=0)
ROW_COUNT = define("row_count", L, "行数", "Rows read from the file", minimum=0)
REJECTED_COUNT = define("rejected_count", L, "不可读行数", "Rows that the reader could not make out", minimum=0)
PARSER = define("parser", S, "解析器", "Reader and its version")
ISOLATION = define("isolation", S, "隔离方式", "How the reader was confined")
CODE = define("code", S, "消息码", "Message code of the file's error")
MESSAGE = define("message", S, "消息", "The file's error in English")
MESSAGE_ZH = define("message_zh", S, "中文消息", "The file's error in Chinese")
ENCODING = define("encoding", S, "文字编码", "Text encoding that the file was read in: declared, set by the source, or found out")
WARNINGS = define("warnings", S, "警告", "What the reader warned of, JSON array of objects with code, message and message_zh")
COLUMNS_JSON = define("columns_json", S, "列", "Columns and types found in the file, JSON")

CONTRACT_NAME = define("contract", S, "契约", "Table whose entity it is")
LINK_KIND = define("kind", S, "关系", "same, split, merge, new or ended", pattern="^(same|split|merge|new|ended)$")
OTHER_ENTITY_ID = define("other_entity_id", S, "对方实体标识", "The other entity of a split or merge")
SCORE = define("score", D, "匹配度", "How well they match, 1 is best", minimum=0, maximum=1)
EVIDENCE = define("evidence", S, "依据", "What the match rests on")
LINKED_KEY = stamp.SOURCE_KEY.model_copy(update={"description": "Key in the source that the entity bears from this batch on"})

OWN: dict[str, FieldDef] = {f.name: f for f in list(globals().values()) if isinstance(f, FieldDef)}


def _ops(
    entity: str, title_zh: str, grain: str, *, key: tuple[str, ...], required: tuple[FieldDef, ...], optional: tuple[FieldDef, ...]
) -> Contract:
    return Contract(
        name=f"raw.ops__{entity}",
        title_zh=title_zh,
        grain=grain,
        description=f"{title_zh}: bookkeeping of the lake",
        key=key,
        columns=(*(Column(field=f, required=True) for f in required), *(Column(field=f) for f in optional)),
        history=History.APPEND,
        space=SpaceStamp(division="none"),
        attribute=AttributeStamp(theme_code="operations"),
        security_label=SecurityLabel.INTERNAL,
        source_note="Written by Sanyu",
    )


LEDGER = _ops(
    "ledger",
    "处理台账",
    "One step of one run on one table",
    key=("run_id", "step", "source_name", "batch_id", "table_name"),
    required=(RUN_ID, stamp.RECORDED_AT, STEP, stamp.SOURCE_NAME, stamp.BATCH_ID, TABLE_NAME),
    optional=(
        *(ROWS_IN, ROWS_LOADED, ROWS_UNCHANGED, ROWS_QUARANTINED, ROWS_DUPLICATE, ROWS_CLOSED),
        *(REASONS, DELTA_VERSION, SECONDS, STATUS, DETAIL),
    ),
).model_copy(
    update={
        "checks": (
            Check(
                name="balances",
                field="rows_in",
                expression=(
                    "status NOT IN ('ok', 'warning') OR step <> 'core' "
                    "OR rows_in = rows_loaded + rows_unchanged + rows_quarantined + rows_duplicate"
                ),
                message="rows in are not accounted for",
                message_zh="输入行数与去向不平",
            ),
        )
    }
)

FILE = _ops(
    "file",
    "文件台账",
    "One file of one batch in one run",
    key=("run_id", "source_name", "batch_id", "file_name"),
    required=(RUN_ID, stamp.RECORDED_AT, stamp.SOURCE_NAME, stamp.BATCH_ID, FILE_NAME),
    optional=(
        *(SHA256, SIZE_BYTES, ROW_COUNT, REJECTED_COUNT, PARSER, ISOLATION, ENCODING, CRS),
        *(STATUS, CODE, MESSAGE, MESSAGE_ZH, WARNINGS, COLUMNS_JSON),
    ),
)

BRIDGE = _ops(
    "bridge",
    "标识桥",
    "One link between a source key and an entity, or between two entities",
    key=("contract", "source_name", "source_key", "entity_id", "kind", "batch_id"),
    required=(CONTRACT_NAME, stamp.SOURCE_NAME, LINKED_KEY, stamp.ENTITY_ID, LINK_KIND, stamp.BATCH_ID, stamp.RECORDED_AT),
    optional=(OTHER_ENTITY_ID, SCORE, EVIDENCE),
)

CONTRACTS = (LEDGER, FILE, BRIDGE)
