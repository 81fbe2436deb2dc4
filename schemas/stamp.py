"""The three-domain stamp (三域标识): the columns that every row of `core` carries, in their order in the table.

Order matters for Delta: statistics are kept for the leading columns, so identifiers, times, `cell` and `bbox` come first, attributes
follow, and `geom` is last.
"""

from __future__ import annotations

from schemas.model import Contract, DType, FieldDef


def _f(name: str, dtype: DType, title_zh: str, description: str, **more: str) -> FieldDef:
    return FieldDef(name=name, dtype=dtype, title_zh=title_zh, description=description, **more)  # type: ignore[arg-type]


ENTITY_ID = _f("entity_id", DType.STRING, "实体标识", "Identity of the thing, stable through time and through edits of its geometry")
STAMP_ID = _f("stamp_id", DType.STRING, "时空标识", "Identity of this version of the thing: hash of entity, start of validity and content")
SOURCE_NAME = _f("source_name", DType.STRING, "来源", "Source definition that delivered the row")
SOURCE_KEY = _f("source_key", DType.STRING, "来源键", "Key of the row in its source, as text")

VALID_FROM_AT = _f("valid_from_at", DType.TIMESTAMP, "生效时间", "Start of validity in the world (UTC instant, inclusive)")
VALID_TO_AT = _f("valid_to_at", DType.TIMESTAMP, "失效时间", "End of validity in the world (UTC instant, exclusive); empty while valid")
OBSERVED_AT = _f("observed_at", DType.TIMESTAMP, "观测时间", "Instant of the observation, where the row is one (UTC)")
RECORDED_AT = _f("recorded_at", DType.TIMESTAMP, "入库时间", "Transaction time: when the lake learned of this row (UTC)")
CLOSED_AT = _f(
    "closed_at", DType.TIMESTAMP, "终止登记时间", "Transaction time at which the lake learned of `valid_to_at`; empty while it is empty"
)
SUPERSEDED_AT = _f(
    "superseded_at", DType.TIMESTAMP, "被替时间", "Transaction time at which the row was replaced by better knowledge; empty while believed"
)
TIME_CODE = _f("time_code", DType.STRING, "时间码", "Start of validity in Beijing time at the contract's precision, e.g. 20260204")

CELL = _f("cell", DType.LONG, "布局键", "Hilbert key of the bbox centre over the fixed world extent; for file layout, not for users")
BBOX = _f("bbox", DType.BBOX, "外接矩形", "Bounds of `geom` in degrees, EPSG:4490; filter on it beside any spatial predicate")
GRID_CODE = _f("grid_code", DType.STRING, "北斗网格码", "BeiDou grid location code (GB/T 39409-2020) at `grid_level`")
GRID_LEVEL = _f(
    "grid_level", DType.INTEGER, "网格层级", "Level of `grid_code`, 1–10: the finest whose cell holds the geometry's extent", unit="1"
)
DIVISION_CODE = _f("division_code", DType.STRING, "区划代码", "Administrative division, 12 digits, valid at `valid_from_at`")

THEME_CODE = _f("theme_code", DType.STRING, "专题代码", "Theme of the table in code list `theme`")
INDUSTRY_CODE = _f("industry_code", DType.STRING, "行业代码", "Industry (GB/T 4754-2017) of the thing, where it has one")
CLASS_CODE = _f("class_code", DType.STRING, "类别代码", "Class of the thing in the contract's code list")
SECURITY_LABEL = _f(
    "security_label", DType.STRING, "密级标签", "Lowest edition that may hold the row: public, internal, restricted, secret"
)

BATCH_ID = _f("batch_id", DType.STRING, "批次", "Delivery that brought this version; joins `raw.ops__ledger`")
ROW_HASH = _f("row_hash", DType.STRING, "内容摘要", "Digest of the row's content (attributes and geometry): equal content, equal hash")
GEOM = _f("geom", DType.BINARY, "几何", "Geometry as ISO WKB, EPSG:4490, longitude before latitude")

IDENTITY = (ENTITY_ID, STAMP_ID, SOURCE_NAME, SOURCE_KEY)
TIME = (VALID_FROM_AT, VALID_TO_AT, OBSERVED_AT, RECORDED_AT, CLOSED_AT, SUPERSEDED_AT, TIME_CODE)
SPACE = (CELL, BBOX, GRID_CODE, GRID_LEVEL, DIVISION_CODE)
ATTRIBUTE = (THEME_CODE, INDUSTRY_CODE, CLASS_CODE, SECURITY_LABEL)
LINEAGE = (BATCH_ID, ROW_HASH)
STAMP = (*IDENTITY, *TIME, *SPACE, *ATTRIBUTE, *LINEAGE)

# Delta keeps min/max for these columns only, never for WKB or free text.
STATISTICS = (
    "entity_id",
    "stamp_id",
    "source_key",
    "valid_from_at",
    "valid_to_at",
    "recorded_at",
    "superseded_at",
    "cell",
    "bbox",
    "division_code",
)


def table_fields(contract: Contract) -> tuple[FieldDef, ...]:
    """Return all fields of a `core` table in table order: the stamp, the contract's own columns, `geom` last.

    A contract column with the name of a stamp column (`division_code`, `class_code`) is that stamp column, not a second one.
    """
    stamp_names = {f.name for f in STAMP}
    own = tuple(c.field for c in contract.columns if c.name not in stamp_names)
    return (*STAMP, *own, *((GEOM,) if contract.geometry else ()))
