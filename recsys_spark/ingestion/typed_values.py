"""Text of typed values, with one spelling for each number.

An id that is INT64 in one file and DOUBLE in the next, because a value was missing there, stays the same id.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql.types import (
    ArrayType,
    DataType,
    DecimalType,
    DoubleType,
    FloatType,
    MapType,
    StructType,
    TimestampType,
    VariantType,
)

__all__ = ["double_text", "is_nested", "typed_text"]

NESTED = (ArrayType, MapType, StructType, VariantType)


def typed_text(value: Column, data_type: DataType) -> Column:
    """Return a value as text, null for a nested one.

    Timestamps carry their zone, so that parsing need not guess it.
    """
    if isinstance(data_type, NESTED):
        return F.lit(None).cast("string")
    if isinstance(data_type, TimestampType):
        return F.date_format(value, "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX")
    if isinstance(data_type, DoubleType | FloatType):
        return double_text(value)
    if isinstance(data_type, DecimalType) and data_type.scale > 0:
        # The digits behind the point are as many as the scale: 7.500.
        return F.rtrim(F.rtrim(value.cast("string"), F.lit("0")), F.lit("."))
    return value.cast("string")


def is_nested(data_type: DataType) -> bool:
    """Return True for lists, structures and maps, which are no single value."""
    return isinstance(data_type, NESTED)


def double_text(number: Column) -> Column:
    """Return a floating-point number as text; a whole one as an integer is written."""
    whole = number.try_cast("bigint")
    return F.when(whole.cast("double") == number, whole.cast("string")).otherwise(number.cast("string"))
