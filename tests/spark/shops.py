"""A lake and a data folder of one test, with a source of shops: what tests of loading share."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

from jobs.context import Loading
from jobs.loading import load
from jobs.loading.report import SourceReport
from sanyu.lake import Lake
from sanyu.settings import Settings
from schemas.registry import contracts
from schemas.source import Source

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PLACE = "core.basemap__place"
HEAD = "编号,名称,类别,经度,纬度,楼层\n"
FIRST = [
    "1,张三面馆,餐饮,120.10,30.20,1",
    "2,第二小学,教育,120.11,30.21,1",
    "3,第三小学,教育,120.12,30.22,1",
    "4,湖滨银行,金融,120.13,30.23,1",
]


def source(**more: object) -> Source:
    definition = {
        "source": {"name": "shops", "title": "Shops", "domain": "basemap", "licence": "none", "attribution": "none"},
        "read": {"path": "*.csv", "format": "csv", "x": "经度", "y": "纬度", "crs": "EPSG:4326"},
        "delivery": {"edition_at": "2025-01-01"},
        "into": [
            {
                "contract": PLACE,
                "key": "`编号`",
                "columns": {"name": "`名称`", "class_code": {"expr": "`类别`", "codes": {"餐饮": "01", "教育": "05", "金融": "07"}}},
            }
        ],
    }
    for section, values in more.items():
        definition[section].update(values)  # type: ignore[union-attr,call-overload]
    return Source.model_validate(definition)


class City:
    """A lake and a data folder of one test."""

    def __init__(self, folder: Path, spark: SparkSession) -> None:
        self.data = folder / "data"
        self.data.mkdir()
        settings = Settings.load(lake=str(folder / "lake"))
        self.lake = Lake(settings.lake, settings)
        self.starts = 0
        self.runs = 0
        self._spark = spark

    def deliver(self, *rows: str, name: str = "shops.csv", encoding: str = "utf-8") -> None:
        (self.data / name).write_bytes((HEAD + "\n".join(rows) + "\n").encode(encoding))

    def loading(self) -> Loading:
        def session() -> SparkSession:
            self.starts += 1
            return self._spark

        self.runs += 1
        recorded = (dt.datetime(2026, 1, 1, tzinfo=dt.UTC) + dt.timedelta(days=self.runs)).isoformat()
        return Loading(self.lake, contracts(), self.data, f"run-{self.runs}", recorded, session, extent=(119.0, 29.0, 121.0, 31.0))

    def load(self, definition: Source | None = None) -> SourceReport:
        return load.run(self.loading(), definition or source())

    def names(self, **at: object) -> set[str]:
        return set(self.lake.table(PLACE).to_arrow(columns=["name"], **at).column("name").to_pylist())
