"""Raw tables: rows as delivered, all with the same schema, one table per source.

Grain: one row of one file. Nothing is corrected: texts are as in the file, the geometry is in its original reference system, and rows that
the reader could not parse are included with their error. Left out: the files' bytes, which stay in the landing folder.
"""

from __future__ import annotations

from schemas import stamp
from schemas.fields import L, S, define
from schemas.model import AttributeStamp, Column, Contract, DType, FieldDef, History, SpaceStamp

FILE_NAME = define("file_name", S, "文件名", "File of the batch, relative to its landing folder")
ROW_NUMBER = define("row_number", L, "行号", "Number of the row or feature in its file or layer, from 1 on", minimum=0)
FEATURE_ID = define("feature_id", S, "要素键", "Key that the format itself gives the feature, as text")
ATTRIBUTES = define("attributes", DType.TAGS, "原属性", "The row's own fields and texts")
RAW_GEOM = stamp.GEOM.model_copy(update={"description": "Geometry as ISO WKB in the reference system `crs`, as it came"})
CRS = define("crs", S, "坐标参考系", "Reference system that the file declares; empty where it declares none")
ERROR_CODE = define("error_code", S, "错误码", "Message code, where the reader could not make the row out")
ERROR_PARAMS = define("error_params", S, "错误参数", "Parameters of the message, JSON")

COLUMNS: tuple[tuple[FieldDef, bool], ...] = (
    (stamp.SOURCE_NAME, True),
    (stamp.BATCH_ID, True),
    (FILE_NAME, True),
    (ROW_NUMBER, True),
    (FEATURE_ID, False),
    (ATTRIBUTES, False),
    (RAW_GEOM, False),
    (CRS, False),
    (ERROR_CODE, False),
    (ERROR_PARAMS, False),
)


def raw_contract(domain: str, source_name: str) -> Contract:
    """Return the contract of `raw.<domain>__<source_name>`; ValueError for a name that is not snake_case."""
    return Contract(
        name=f"raw.{domain}__{source_name}",
        title_zh=f"原始数据：{source_name}",
        grain="One row of one delivered file, as it came",
        description=f"Rows of source {source_name} before anything was corrected",
        key=("source_name", "batch_id", "file_name", "row_number"),
        columns=tuple(Column(field=field, required=required) for field, required in COLUMNS),
        history=History.APPEND,
        partition_by=("batch_id",),
        space=SpaceStamp(division="none"),
        attribute=AttributeStamp(theme_code="raw"),
        source_note="Written by the readers (sanyu.readers)",
    )
