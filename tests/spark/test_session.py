"""The Spark session: what is registered, that it is one, quiet and private, and that untended faults are named."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sanyu.session import spark_session
from sanyu.settings import Settings
from schemas.messages import SanyuError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROOT = Path(__file__).parents[2]


def test_sedona_functions_and_transforms_work(spark: SparkSession) -> None:
    row = spark.sql("SELECT ST_AsText(ST_Transform(ST_Point(120.0, 30.0), 'EPSG:4490', 'EPSG:4549')) AS wkt").first()
    assert row is not None
    x, y = (float(part) for part in row["wkt"].removeprefix("POINT (").removesuffix(")").split())
    # EPSG:4549 is the 3° belt about 120°E: the central meridian lies at false easting 500 km.
    assert x == pytest.approx(500_000, abs=0.001)
    assert y == pytest.approx(3_320_113.4, abs=1)


def test_spatial_join_is_planned_by_sedona(spark: SparkSession) -> None:
    joined = spark.sql(
        "SELECT a.id FROM (SELECT id, ST_Point(id, id) p FROM range(10)) a"
        " JOIN (SELECT ST_PolygonFromEnvelope(id + 1.5D, 1.5D, 4.5D, 4.5D) g FROM range(1)) b ON ST_Intersects(a.p, b.g)"
    )
    assert sorted(row["id"] for row in joined.collect()) == [2, 3, 4]
    assert "BroadcastIndexJoin" in joined._jdf.queryExecution().toString()


def test_delta_merge_change_feed_and_constraint(spark: SparkSession, tmp_lake: Path) -> None:
    path = tmp_lake / "table"
    spark.sql(f"CREATE TABLE delta.`{path}` (id BIGINT, v STRING) USING delta TBLPROPERTIES ('delta.enableChangeDataFeed' = 'true')")
    spark.sql(f"ALTER TABLE delta.`{path}` ADD CONSTRAINT positive CHECK (id > 0)")
    spark.sql(f"INSERT INTO delta.`{path}` VALUES (1, 'a'), (2, 'b')")
    spark.sql(
        f"MERGE INTO delta.`{path}` t USING (SELECT 2L id, 'c' v UNION SELECT 3L, 'd') s ON t.id = s.id"
        " WHEN MATCHED THEN UPDATE SET * WHEN NOT MATCHED THEN INSERT *"
    )
    changes = spark.sql(f"SELECT _change_type, id FROM table_changes_by_path('{path}', 3) ORDER BY ALL").collect()
    assert [tuple(row) for row in changes] == [("insert", 3), ("update_postimage", 2), ("update_preimage", 2)]
    with pytest.raises(Exception, match="DELTA_VIOLATE_CONSTRAINT_WITH_VALUES"):
        spark.sql(f"INSERT INTO delta.`{path}` VALUES (-1, 'x')")


def test_arrow_workers_import_the_project(spark: SparkSession) -> None:
    def names(batches: Iterator[Any]) -> Iterator[Any]:
        import sys as worker_sys

        import pyarrow as pa

        from schemas.messages import SanyuError as Imported

        for batch in batches:
            yield pa.RecordBatch.from_pydict({"text": [f"{worker_sys.executable} {Imported.__name__}"] * batch.num_rows})

    rows = spark.range(1).mapInArrow(names, "text string").collect()
    assert [row["text"] for row in rows] == [f"{sys.executable} SanyuError"]


def test_errors_cross_from_workers_as_text(spark: SparkSession) -> None:
    def refuse(batches: Iterator[Any]) -> Iterator[Any]:
        raise SanyuError("SY-E014", group="planted", known="none")
        yield from batches

    with pytest.raises(Exception, match="SY-E014: there is no jar group 'planted'"):
        spark.range(1).mapInArrow(refuse, "id long").collect()


def test_one_session_in_utc_where_dirty_text_becomes_null(spark: SparkSession, settings: Settings) -> None:
    assert spark_session(settings) is spark
    row = spark.sql("SELECT string(timestamp '2026-01-01 00:00:00Z') t, int('x') n").first()
    assert row is not None
    assert tuple(row) == ("2026-01-01 00:00:00", None)


def test_a_lake_on_s3_is_refused_by_a_session_without_its_jars(spark: SparkSession) -> None:
    with pytest.raises(SanyuError, match="SY-E023"):
        spark_session(Settings(lake="s3a://city/lake"))


def _run(program: str, scratch: Path, settings: Settings, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **settings.variables(), "SANYU_SCRATCH_DIR": str(scratch), "SANYU_DRIVER_MEMORY": "1g", **variables}
    command = [sys.executable, "-c", program]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_a_fresh_process_is_silent_and_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    program = "from sanyu.session import spark_session; print(spark_session().sql('SELECT ST_Point(1, 2) p').count())"
    done = _run(program, tmp_path, settings)
    assert (done.stdout, done.stderr, done.returncode) == ("1\n", "", 0)
    assert list(tmp_path.iterdir()) == []


def test_a_jvm_that_dies_is_reported_with_its_log(settings: Settings, tmp_path: Path) -> None:
    program = "from sanyu.session import spark_session; spark_session()"
    done = _run(program, tmp_path, settings, SANYU_DRIVER_MEMORY="500t", SANYU_MAX_DRIVER_MEMORY="500t")
    assert done.returncode == 1
    last = done.stderr.strip().splitlines()[-1]
    assert "SY-E020: Spark did not start" in last
    assert "driver.log" in last
