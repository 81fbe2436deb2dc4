"""Spark schema of a table, derived from its contract."""

from __future__ import annotations

from pyspark.sql.types import (
    ArrayType,
    BinaryType,
    BooleanType,
    DataType,
    DateType,
    DoubleType,
    IntegerType,
    LongType,
    MapType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from schemas.fields import fields_of
from schemas.model import Contract, DType, FieldDef

TYPES: dict[DType, DataType] = {
    DType.STRING: StringType(),
    DType.BOOLEAN: BooleanType(),
    DType.INTEGER: IntegerType(),
    DType.LONG: LongType(),
    DType.DOUBLE: DoubleType(),
    DType.DATE: DateType(),
    DType.TIMESTAMP: TimestampType(),
    DType.BINARY: BinaryType(),
    DType.STRINGS: ArrayType(StringType()),
    DType.TAGS: MapType(StringType(), StringType()),
    DType.BBOX: StructType([StructField(side, DoubleType()) for side in ("xmin", "ymin", "xmax", "ymax")]),
}


def spark_schema(contract: Contract) -> StructType:
    """Return the schema of the whole table, all fields nullable, each with its comment; Delta constraints enforce required values."""
    return StructType([StructField(f.name, TYPES[f.dtype], nullable=True, metadata={"comment": comment(f)}) for f in fields_of(contract)])


def comment(field: FieldDef) -> str:
    """Return the comment of a column: Chinese title, unit, description."""
    unit = f" [{field.unit}]" if field.unit and field.unit != "1" else ""
    return f"{field.title_zh}{unit}: {field.description}"
