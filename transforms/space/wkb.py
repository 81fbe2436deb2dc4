"""Points in WKB without an object for each: the places of a million rows in a few milliseconds."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats = npt.NDArray[np.float64]
_POINT = np.dtype([("order", "u1"), ("kind", "<u4"), ("x", "<f8"), ("y", "<f8")])


def point_coordinates(geometries: pa.Array | pa.ChunkedArray) -> tuple[Floats, Floats] | None:
    """Return x and y of a column of WKB if all are points in two dimensions, little-endian, and none is null; else None.

    An empty point has NaN. Shapely and all writers of this project give this form.
    """
    column = geometries.combine_chunks() if isinstance(geometries, pa.ChunkedArray) else geometries
    if isinstance(column, pa.ChunkedArray):  # no chunks at all
        return None
    if column.null_count or not len(column) or column.type not in (pa.binary(), pa.large_binary()):
        return None
    _, offsets, data = column.buffers()
    width = np.int64 if pa.types.is_large_binary(column.type) else np.int32
    ends = np.frombuffer(offsets, width, len(column) + 1, column.offset * np.dtype(width).itemsize)
    if ends[-1] - ends[0] != _POINT.itemsize * len(column) or (np.diff(ends) != _POINT.itemsize).any():
        return None
    found = np.frombuffer(data, _POINT, len(column), int(ends[0]))
    if (found["order"] != 1).any() or (found["kind"] != 1).any():
        return None
    return found["x"].copy(), found["y"].copy()
