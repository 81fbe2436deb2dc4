"""Arrow schema of a table, derived from its contract."""

from __future__ import annotations

import pyarrow as pa

from schemas.fields import fields_of
from schemas.model import Contract, DType, FieldDef

TYPES: dict[DType, pa.DataType] = {
    DType.STRING: pa.string(),
    DType.BOOLEAN: pa.bool_(),
    DType.INTEGER: pa.int32(),
    DType.LONG: pa.int64(),
    DType.DOUBLE: pa.float64(),
    DType.DATE: pa.date32(),
    DType.TIMESTAMP: pa.timestamp("us", tz="UTC"),
    DType.BINARY: pa.binary(),
    DType.STRINGS: pa.list_(pa.string()),
    DType.TAGS: pa.map_(pa.string(), pa.string()),
    DType.BBOX: pa.struct([(side, pa.float64()) for side in ("xmin", "ymin", "xmax", "ymax")]),
}


def arrow_schema(contract: Contract) -> pa.Schema:
    """Return the schema of the whole table, all fields nullable; title, unit, description and code list are in the field metadata."""
    metadata = {"sanyu.contract": contract.name, "sanyu.contract_version": str(contract.version)}
    return pa.schema([_field(f) for f in fields_of(contract)], metadata=metadata)


def _field(field: FieldDef) -> pa.Field:
    about = {"title_zh": field.title_zh, "description": field.description, "unit": field.unit, "code_list": field.code_list}
    return pa.field(field.name, TYPES[field.dtype], metadata={k: v for k, v in about.items() if v})
