"""Open and read a core table without a JVM, against plain deltalake, on a table with change feed, deletion vectors, MERGE and DELETE.

`python -m bench.read [rows]`; each measurement is a new process, so that imports and opening count.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ROOT = Path(__file__).resolve().parent.parent
NAME = "core.basemap__building"
STATISTICS = "stamp_id,valid_from_at,valid_to_at,superseded_at,cell,bbox"
WINDOW = (120.0, 30.0, 120.05, 30.05)

MEASURED = {
    "sanyu to_arrow": "n = lake().to_arrow().num_rows",
    "sanyu to_geopandas": "n = len(lake().to_geopandas())",
    "sanyu to_geopandas, window": f"n = len(lake().to_geopandas(bbox={WINDOW}))",
    "sanyu to_duckdb, count": "n = lake().to_duckdb().count('*').fetchone()[0]",
    "sanyu to_arrow, at a time": "n = lake().to_arrow(at='2025-12-31').num_rows",
    "sanyu to_arrow, version 0": "n = lake().to_arrow(version=0).num_rows",
    "import geopandas, nothing else": "import geopandas\nn = 0",
    "deltalake QueryBuilder": (
        "from deltalake import DeltaTable, QueryBuilder\n"
        "import pyarrow as pa\n"
        "q = 'SELECT * FROM t WHERE valid_to_at IS NULL AND superseded_at IS NULL'\n"
        "n = pa.table(QueryBuilder().register('t', DeltaTable(path)).execute(q).read_all()).num_rows"
    ),
    "deltalake to_pyarrow_table": "from deltalake import DeltaTable\nn = DeltaTable(path).to_pyarrow_table().num_rows",
}
PRELUDE = f"""
import json, sys, time
root, path = sys.argv[1:3]
started = time.perf_counter()
def lake():
    import sanyu
    return sanyu.open(root).table({NAME!r})
"""
END = "\nprint(json.dumps([n, time.perf_counter() - started, time.process_time()]))"


def built(spark: SparkSession, root: Path, rows: int) -> Path:
    """Write a table of square buildings on a grid from 120° E 30° N: versions 0 write, 1 constraint, 2 merge, 3 append, 4 delete."""
    path = root / "core/basemap/building"
    base = _buildings(spark, rows, "2025-01-01 00:00:00").repartitionByRange(8, "cell").sortWithinPartitions("cell")
    options = {
        "delta.enableChangeDataFeed": "true",
        "delta.enableDeletionVectors": "true",
        "delta.dataSkippingStatsColumns": STATISTICS,
    }
    base.write.format("delta").options(**options).save(str(path))
    spark.sql(f"ALTER TABLE delta.`{path}` ADD CONSTRAINT floors CHECK (floor_count >= 0)")
    edited = _buildings(spark, rows // 100, "2025-12-31 16:00:00")
    edited.createOrReplaceTempView("edited")
    spark.sql(
        f"MERGE INTO delta.`{path}` t USING edited e ON t.entity_id = e.entity_id AND t.valid_to_at IS NULL "
        "WHEN MATCHED THEN UPDATE SET valid_to_at = e.valid_from_at"
    )
    edited.write.format("delta").mode("append").save(str(path))
    spark.sql(f"DELETE FROM delta.`{path}` WHERE cell % 1000 = 7")
    return path


def _buildings(spark: SparkSession, rows: int, valid_from: str) -> DataFrame:
    x, y = "(120 + (id % 500) * 0.001D)", "(30 + floor(id / 500) * 0.001D)"
    frame = spark.range(rows).selectExpr(
        "concat('e', id) AS entity_id",
        f"concat('s', id, '{valid_from}') AS stamp_id",
        f"timestamp'{valid_from}' AS valid_from_at",
        "cast(NULL AS timestamp) AS valid_to_at",
        "timestamp'2026-06-01 00:00:00' AS recorded_at",
        "cast(NULL AS timestamp) AS superseded_at",
        "id AS cell",
        f"named_struct('xmin', {x}, 'ymin', {y}, 'xmax', {x} + 0.0005D, 'ymax', {y} + 0.0005D) AS bbox",
        "concat('楼', id) AS building_name",
        "cast(id % 40 AS int) AS floor_count",
        "map('a', cast(id AS string)) AS tags",
    )
    return frame.selectExpr("*", "ST_AsBinary(ST_PolygonFromEnvelope(bbox.xmin, bbox.ymin, bbox.xmax, bbox.ymax)) AS geom")


def main(rows: int) -> None:
    """Build the table with Spark, then measure each reader in processes of its own, twice; the better one counts."""
    from sanyu.session import spark_session
    from sanyu.settings import Settings

    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        spark = spark_session(Settings.load(lake=folder, spark_master="local[2]", driver_memory="2g"))
        path = built(spark, Path(folder), rows)
        spark.stop()
        print(f"{rows:,} rows, built in {time.perf_counter() - started:.0f} s by Spark; imports and opening count\n")
        print(f"{'reader':32}{'rows':>10}{'seconds':>10}{'CPU s':>10}")
        for name, code in MEASURED.items():
            runs = [_measured(code, folder, path) for _ in range(2)]
            best = min((r for r in runs if isinstance(r, tuple)), key=lambda r: r[1], default=None)
            print(f"{name:32}{best[0]:>10,}{best[1]:>10.2f}{best[2]:>10.2f}" if best else f"{name:32}  {runs[0]}")


def _measured(code: str, folder: str, path: Path) -> tuple[int, float, float] | str:
    command = [sys.executable, "-c", PRELUDE + code + END, folder, str(path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        return done.stderr.strip().splitlines()[-1][:110]
    rows, seconds, cpu_seconds = json.loads(done.stdout.splitlines()[-1])
    return rows, seconds, cpu_seconds


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200_000)
