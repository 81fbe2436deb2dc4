"""Small tables for tests of reading, written by delta-rs: a core table with a past, and where its rows lie is known."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pyarrow as pa
import shapely
from deltalake import write_deltalake

from sanyu.lake.store import Store

NAME = "core.basemap__building"
KEY = "core/basemap/building"

_INSTANT = pa.timestamp("us", "UTC")
_BOX = pa.struct([(n, pa.float64()) for n in ("xmin", "ymin", "xmax", "ymax")])
SCHEMA = pa.schema(
    [
        ("stamp_id", pa.string()),
        ("valid_from_at", _INSTANT),
        ("valid_to_at", _INSTANT),
        ("superseded_at", _INSTANT),
        ("bbox", _BOX),
        ("building_name", pa.string()),
        ("floor_count", pa.int32()),
        ("tags", pa.map_(pa.string(), pa.string())),
        ("geom", pa.binary()),
    ]
)


def utc(year: int, month: int = 1, day: int = 1, hour: int = 0) -> dt.datetime:
    return dt.datetime(year, month, day, hour, tzinfo=dt.UTC)


def building(stamp: str, shape: shapely.Geometry | None, floors: int | None = 3, **other: Any) -> dict[str, Any]:
    box = None if shape is None else dict(zip(("xmin", "ymin", "xmax", "ymax"), shape.bounds, strict=True))
    values = {
        "stamp_id": stamp,
        "valid_from_at": utc(2025),
        "valid_to_at": None,
        "superseded_at": None,
        "bbox": box,
        "building_name": f"{stamp}楼",
        "floor_count": floors,
        "tags": [("building", "yes")],
        "geom": None if shape is None else shapely.to_wkb(shape),
    }
    return values | other


# `old` became `new` at midnight of 2026-01-01 Beijing time; `wrong` was replaced by better knowledge; the triangle's bounds reach over a
# corner (120.18–120.20, 30.08–30.10) where the triangle itself is not.
TRIANGLE = shapely.Polygon([(120.10, 30.00), (120.20, 30.00), (120.10, 30.10)])
CHANGE = utc(2025, 12, 31, 16)
ROWS = [
    building("old", shapely.box(120.0, 30.0, 120.01, 30.01), 2, valid_to_at=CHANGE),
    building("new", shapely.box(120.0, 30.0, 120.02, 30.01), 5, valid_from_at=CHANGE),
    building("wrong", shapely.box(120.5, 30.5, 120.51, 30.51), superseded_at=utc(2025, 6)),
    building("triangle", TRIANGLE, None),
    building("point", shapely.Point(120.3, 30.3), 0),
    building("nowhere", None, 1),
]
CURRENT = {"new", "triangle", "point", "nowhere"}


def write(store: Store, rows: list[dict[str, Any]] = ROWS, key: str = KEY, **options: Any) -> None:
    data = pa.Table.from_pylist(rows, schema=SCHEMA)
    write_deltalake(store.uri(key, "s3"), data, storage_options=store.storage_options() or None, **options)
