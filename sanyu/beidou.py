"""BeiDou grid location codes (北斗网格位置码, GB/T 39409-2020): `encode`, `decode` and their company, over scalars and arrays.

`encode_column` is the same as a Spark column; only that one needs Spark.
"""

from __future__ import annotations

from transforms.space.beidou import Cell, cell_size, decode, encode, encode_arrow, level_for_extent
from transforms.space.columns import beidou_code as encode_column

__all__ = ["Cell", "cell_size", "decode", "encode", "encode_arrow", "encode_column", "level_for_extent"]
