"""Raw → core against a bare Delta copy; the unchanged rerun; a 1 % change into a large table; files that a window touches.

    python -m bench.load [ROWS] [LARGE_ROWS]

Polygons are generated (quads of about 10 m in a city of 40 km × 40 km). The peer is Spark copying the same raw rows from Delta to Delta.
Spark's start is excluded; a warm-up load of 20,000 rows goes first.
"""

from __future__ import annotations

import datetime as dt
import functools
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import shapely
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from jobs.loading.entities import changed_entities
from jobs.loading.frames import Screening, Target, screen
from sanyu.lake import Lake
from sanyu.lake.commit import Account, Outcome, Write
from sanyu.lake.write import DeltaWriter
from sanyu.session import sized, spark_session
from sanyu.settings import Settings
from schemas.basemap.building import CONTRACT
from schemas.source import Source
from transforms.stamp.stamp import Delivered
from transforms.stamp.versions import Instants

EXTENT = (120.0, 30.0, 120.42, 30.36)
DDL = (
    "source_name string, batch_id string, file_name string, row_number bigint, feature_id string, attributes map<string,string>, "
    "geom binary, crs string, error_code string, error_params string"
)
SOURCE = Source.model_validate(
    {
        "source": {"name": "bench", "title": "Bench", "domain": "basemap", "licence": "none", "attribution": "none"},
        "read": {"path": "-", "crs": "EPSG:4326"},
        "delivery": {"snapshot": "partial"},
        "into": [
            {
                "contract": CONTRACT.name,
                "key": "id",
                "columns": {"class_code": "kind", "name": "name", "height_m": "height", "floors_above": "floors"},
            }
        ],
    }
)


def raw_rows(spark: SparkSession, rows: int, batch: str, *, height_shift: float = 0.0, every: int = 1) -> DataFrame:
    """Return generated raw rows; `every` takes each n-th building only, `height_shift` edits them."""

    def made(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for b in batches:
            ids = b.column(0).to_numpy()
            mixed = (ids * 2654435761) % 2**32
            lon = EXTENT[0] + 0.01 + (mixed % 65536) / 65536 * 0.4
            lat = EXTENT[1] + 0.01 + (mixed // 65536) / 65536 * 0.34
            size = 0.00004 + (ids % 7) * 0.00001
            quads = shapely.box(lon, lat, lon + size, lat + size * 0.8)
            height = np.round(3.0 + (ids % 30) * 3.0 + height_shift, 1)
            items = [
                [("id", str(i)), ("kind", "residential"), ("name", f"楼{i}"), ("height", str(h)), ("floors", str(max(1, int(h // 3))))]
                for i, h in zip(ids.tolist(), height.tolist(), strict=True)
            ]
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(["bench"] * len(ids)),
                    pa.array([batch] * len(ids)),
                    pa.array(["bench.parquet"] * len(ids)),
                    pa.array(ids + 1, pa.int64()),
                    pa.nulls(len(ids), pa.string()),
                    pa.array(items, pa.map_(pa.string(), pa.string())),
                    pa.array(shapely.to_wkb(quads, flavor="iso"), pa.binary()),
                    *(pa.nulls(len(ids), pa.string()) for _ in range(3)),
                ],
                names=[part.split()[0] for part in DDL.split(", ")],
            )

    return spark.range(0, rows, every, 8).mapInArrow(made, DDL)


def timed(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Bench:
    """A lake in a temporary folder and the loads that are measured on it."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings.load(lake=str(folder), driver_memory="5g", shuffle_partitions=8)
        self.spark = spark_session(self.settings, "sanyu bench")
        self.lake = Lake(str(folder), self.settings)
        self.writer: DeltaWriter = self.lake.writer(self.spark)
        self.deliveries = 0

    def put_raw(self, name: str, rows: DataFrame) -> str:
        uri = self.writer.uri(f"raw/basemap/{name}")
        rows.write.format("delta").mode("overwrite").save(uri)
        return uri

    def load(self, uri: str, edition: str) -> Outcome:
        """Bring a raw table into core, as `jobs.loading.load` does."""
        self.deliveries += 1
        instants = Instants(edition, dt.datetime.now(dt.UTC).isoformat())
        target = Target(SOURCE, SOURCE.into[0], CONTRACT, ("id", "kind", "name", "height", "floors"), EXTENT, ())
        raw = self.spark.read.format("delta").load(uri)
        screening: Screening = screen(raw, target, Delivered(f"b{self.deliveries}", instants))
        write = Write("bench", f"b{self.deliveries}", "bench", self.deliveries)
        try:
            counts = screening.counts()
            entities, _ = changed_entities(self.writer, CONTRACT, screening, write, instants, full=False, count=counts.good)
            account = Account("core", instants.recorded_at, counts.selected, counts.rejected, counts.duplicate)
            return self.lake.write(CONTRACT, entities, write, account, lambda: self.spark)
        finally:
            screening.release()

    def drop_core(self) -> None:
        shutil.rmtree(self.writer.uri(CONTRACT.path).removeprefix("file://"), ignore_errors=True)
        self.deliveries += 100


def main(rows: int = 1_000_000, large: int = 10_000_000) -> None:
    """Print one table of figures with their bars."""
    figures: list[tuple[str, str, str]] = []
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder))
        bench.load(bench.put_raw("warm", raw_rows(bench.spark, 20_000, "warm")), "2025-01-01T00:00:00+00:00")
        bench.drop_core()
        raw = bench.put_raw("bench", raw_rows(bench.spark, rows, "b1"))
        copy = bench.writer.uri("raw/basemap/copy")
        bare = timed(lambda: bench.spark.read.format("delta").load(raw).write.format("delta").save(copy))
        first = timed(lambda: bench.load(raw, "2026-01-01T00:00:00+00:00"))
        again = timed(lambda: bench.load(raw, "2026-02-01T00:00:00+00:00"))
        figures += [
            (f"bare Delta copy, {rows:,} rows", f"{bare:.1f} s", ""),
            ("stamp and load, raw → core", f"{first:.1f} s = {first / bare:.2f} × copy", "≤ 3.0 ×"),
            ("the same content again, not recognised by its batch", f"{again:.1f} s = {again / first:.0%} of the first", "≤ 10 %"),
        ]
        figures += _small(bench, rows)
        if large:
            figures += _large(bench, large)
        figures.append(("driver (JVM), largest resident size", f"{_peak_gib(bench.spark):.1f} GiB", "≤ 6 GiB"))
    width = max(len(name) for name, _, _ in figures)
    for name, figure, bar in figures:
        print(f"{name:<{width}}  {figure:<34}{bar}")


def _small(bench: Bench, rows: int) -> list[tuple[str, str, str]]:
    """Measure deliveries of 500 changed rows into the table, the first in this process and later ones."""
    seconds = []
    for turn in range(4):
        changed = raw_rows(bench.spark, rows, f"s{turn}", height_shift=3.0 * (turn + 1), every=rows // 500)
        delivery = functools.partial(bench.load, bench.put_raw("small", changed), f"2026-0{turn + 3}-01T00:00:00+00:00")
        with sized(bench.spark, 500):
            seconds.append(timed(delivery))
    told = ", ".join(f"{s:.1f}" for s in seconds[1:])
    return [(f"500 changed rows into {rows:,}, in a process that is warm", f"{seconds[0]:.1f} s, then {told} s", "≤ 5 s")]


def _peak_gib(spark: SparkSession) -> float:
    """Return the largest resident size that the JVM has had, as the kernel counts it."""
    assert spark._jvm is not None
    status = Path(f"/proc/{spark._jvm.java.lang.ProcessHandle.current().pid()}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 2**20


def _large(bench: Bench, rows: int) -> list[tuple[str, str, str]]:
    bench.drop_core()
    raw = bench.put_raw("large", raw_rows(bench.spark, rows, "b1"))
    full = timed(lambda: bench.load(raw, "2026-01-01T00:00:00+00:00"))
    changed = bench.put_raw("changed", raw_rows(bench.spark, rows, "b2", height_shift=1.5, every=100))
    window = (120.1, 30.1, 120.14, 30.134)
    touched, files = bench.lake.table(CONTRACT.name).bbox_files(window)
    part = timed(lambda: bench.load(changed, "2026-02-01T00:00:00+00:00"))
    found = bench.spark.read.format("delta").load(bench.writer.uri(CONTRACT.path)).where(F.col("valid_to_at").isNotNull()).count()
    assert found == rows // 100, found
    return [
        (f"full load of {rows:,} rows", f"{full:.1f} s", ""),
        ("1 % changed rows into it", f"{part:.1f} s = {part / full:.1%} of the full load", "≤ 15 %"),
        ("files that a window of 1 % of the area touches", f"{touched} of {files} = {touched / files:.1%}", "≤ 8 %"),
    ]


if __name__ == "__main__":
    main(*(int(a) for a in sys.argv[1:]))
