"""The Spark session: one per process, with Sedona and Delta, from local jars, without network and without a word on the console.

Under `spark-submit` (as Airflow runs us) the JVM is there before Python: what only its command line can set comes from
`submit_arguments`; everything else is the same `spark_conf`.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sanyu.jars import jar_paths
from sanyu.processes import guard, parent
from sanyu.settings import Settings
from schemas.messages import SanyuError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

EXTENSIONS = ("io.delta.sql.DeltaSparkSessionExtension", "org.apache.sedona.sql.SedonaSqlExtensions")
JAVA_MAJOR = 17
# Set where whatever started spark-submit is to take the application with it when it dies, as a scheduler's task does.
GUARDED = "_SANYU_GUARDED"
_JVM_TAG = "_SANYU_JVM_TAG"

_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
_PROJECT = Path(__file__).resolve().parent.parent
FEW_ROWS = 20_000
_INTERPRETED = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
_S3A_AUTH = "org.apache.hadoop.fs.s3a"


def jar_group_names(settings: Settings) -> tuple[str, ...]:
    """Return the jar groups that the lake needs."""
    return ("core", "s3") if settings.on_s3 else ("core",)


def spark_conf(settings: Settings) -> dict[str, str]:
    """Return the Spark configuration of these settings, complete but for paths of this process; no secrets are in it."""
    local = settings.spark_master.startswith("local")
    conf = {
        "spark.master": settings.spark_master,
        "spark.driver.memory": settings.driver_memory,
        # Checks of wide contracts are deep expressions, and Catalyst walks them recursively. The last two silence Sedona's telemetry.
        "spark.driver.extraJavaOptions": f"-Xss8m -Dlog4j2.configurationFile={(Path(__file__).parent / 'log4j2.properties').as_uri()} "
        f"-DSCARF_NO_ANALYTICS=true -DDO_NOT_TRACK=true {settings.driver_options}".rstrip(),
        "spark.jars": ",".join(jar_paths(settings.jar_folder, jar_group_names(settings))),
        "spark.sql.extensions": ",".join(EXTENSIONS),
        "spark.sql.catalog.spark_catalog": _CATALOG,
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer",
        "spark.kryo.registrator": "org.apache.sedona.core.serde.SedonaKryoRegistrator",
        "spark.executorEnv.PYTHONPATH": str(_PROJECT),
        "spark.python.daemon.module": "sanyu.workers",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.session.timeZone": "UTC",
        # A source's expressions meet dirty text: a value that cannot be computed becomes null and is reported by the checks, with its row;
        # under ANSI rules it would end the batch.
        "spark.sql.ansi.enabled": "false",
        "spark.sql.legacy.timeParserPolicy": "CORRECTED",
        "spark.sql.mapKeyDedupPolicy": "LAST_WIN",
        "spark.sql.shuffle.partitions": str(settings.shuffle_partitions),
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # What is held between two passes is read once or twice: trying out encodings costs more than it saves, and what is too big spills.
        "spark.sql.inMemoryColumnarStorage.compressed": "false",
        # About 16 MB a batch at 1 KB a geometry.
        "spark.sql.execution.arrow.maxRecordsPerBatch": "16384",
        # INT96, the default, has no statistics and is read as nanoseconds by others.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        # A table's log is read as 50 partitions and vacuum lists with 10,000 tasks by default: seconds of pure scheduling on a few cores.
        "spark.databricks.delta.snapshotPartitions": str(settings.shuffle_partitions),
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": "32",
    }
    if local:
        conf |= {"spark.driver.bindAddress": "127.0.0.1", "spark.driver.host": "127.0.0.1"}
    return conf | (_s3_conf(settings) if settings.on_s3 else {})


def submit_arguments(settings: Settings) -> dict[str, Any]:
    """Return the keyword arguments that make Airflow's `SparkSubmitOperator` start the same session as `spark_session`.

    The caller adds `application`, `application_args`, `conn_id` and `name`; the master comes from the connection.
    """
    conf = spark_conf(settings)
    del conf["spark.master"]
    return {
        "jars": conf.pop("spark.jars"),
        "driver_memory": conf.pop("spark.driver.memory"),
        "conf": conf,
        "env_vars": {"PYSPARK_PYTHON": sys.executable, "PYTHONPATH": str(_PROJECT), GUARDED: "1", **settings.variables()},
    }


def spark_session(settings: Settings | None = None, app_name: str = "sanyu") -> SparkSession:
    """Return this process' Spark session, started on the first call.

    A session that runs already is returned if it has Delta and Sedona (SY-E021 otherwise) and the S3 jars where the lake needs them
    (SY-E023). Raises SanyuError SY-E010 (Java), SY-E011/SY-E012 (jars), SY-E020 (Spark did not start).
    """
    from pyspark.sql import SparkSession

    chosen = settings or Settings.load()
    running = SparkSession.getActiveSession()
    if running is not None:
        _check_running(running, chosen)
        return running
    conf = spark_conf(chosen)
    scratch = Path(tempfile.mkdtemp(prefix="sanyu-", dir=chosen.scratch_dir))
    conf |= {"spark.app.name": app_name, "spark.local.dir": str(scratch), "spark.sql.warehouse.dir": str(scratch / "warehouse")}
    _prepare_environment(chosen)
    if "PYSPARK_GATEWAY_PORT" in os.environ:
        conf.pop("spark.master")  # spark-submit was told
        guards = [guard(os.getppid(), os.getpid(), scratch)]
        if GUARDED in os.environ:
            guards.append(guard(os.getppid(), parent(os.getppid())))
    else:
        conf["spark.driver.extraJavaOptions"] += f" -Djava.io.tmpdir={scratch}"
        # From before the JVM starts: its launcher waits for it, and an interrupt there leaves a JVM that nobody knows of.
        guards = [guard(f"{_JVM_TAG}={scratch.name}", os.getpid(), scratch)]
        os.environ[_JVM_TAG] = scratch.name
        try:
            _launch_jvm(conf, scratch / "driver.log")
        finally:
            del os.environ[_JVM_TAG]
    builder = SparkSession.builder
    for key, value in conf.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    _give_s3_keys(session, chosen)
    atexit.register(_end, session, scratch, os.getpid(), guards)
    return session


def lost_jvm() -> str | None:
    """Return why this process' Spark is of no more use (its JVM is gone, its context is stopped); None where it works or never started."""
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]
    from pyspark import SparkContext

    gateway: Any = SparkContext._gateway
    if gateway is None:
        return None
    process = getattr(gateway, "proc", None)
    if process is not None and process.poll() is not None:
        return f"exit code {process.returncode}"
    try:
        context = SparkContext._active_spark_context
        if context is not None and not context._jsc.sc().isStopped():
            return None
    except (Py4JError, OSError) as error:
        return f"no answer: {type(error).__name__}"
    return "its Spark context is stopped"


@contextlib.contextmanager
def sized(session: SparkSession, row_count: int) -> Iterator[None]:
    """Run what stands inside without generated code where the rows are few: to compile it takes longer than to interpret the plans.

    Measured on deliveries of 24 rows: a quarter of the CPU time of a load.
    """
    if row_count > FEW_ROWS:
        yield
        return
    before: dict[str, str | None] = {key: session.conf.get(key, None) for key in _INTERPRETED}
    for key, value in _INTERPRETED.items():
        session.conf.set(key, value)
    try:
        yield
    finally:
        for key, was in before.items():
            if was is None:
                session.conf.unset(key)
            else:
                session.conf.set(key, was)


def java_version(java: str | None = None) -> tuple[int, str]:
    """Return the major version and full version of the Java that Spark would use; raises SanyuError SY-E010 if there is none."""
    home = os.environ.get("JAVA_HOME")
    program = java or (str(Path(home) / "bin" / "java") if home else "java")
    try:
        done = subprocess.run([program, "-version"], capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.SubprocessError) as error:
        raise SanyuError("SY-E010", detail=f"{program}: {error}") from None
    match = re.search(r'version "((\d+)[^"]*)"', done.stderr + done.stdout)
    if match is None:
        raise SanyuError("SY-E010", detail=f"{program} says no version")
    return int(match[2]), match[1]


def _prepare_environment(settings: Settings) -> None:
    """Set what Spark and its Python workers read from the environment: our interpreter, our Spark, the loopback address, the profile."""
    import pyspark

    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = sys.executable
    os.environ["SPARK_HOME"] = str(Path(pyspark.__file__).parent)
    if settings.spark_master.startswith("local"):
        os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    if settings.s3_profile:
        os.environ["AWS_PROFILE"] = settings.s3_profile


def _launch_jvm(conf: dict[str, str], log: Path) -> None:
    """Start the JVM with its messages in a file, because some of them are written before any log level holds."""
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway

    if SparkContext._gateway is not None:
        return
    start = SparkConf(loadDefaults=False).setAll(list(conf.items()))
    with log.open("wb") as sink:
        try:
            gateway = launch_gateway(start, popen_kwargs={"stdout": sink, "stderr": sink})  # type: ignore[no-untyped-call]
        except (PySparkRuntimeError, OSError) as error:
            major, version = java_version()
            if major != JAVA_MAJOR:
                raise SanyuError("SY-E010", detail=f"found {version}") from error
            said = log.read_text("utf-8", errors="replace").strip().splitlines()
            raise SanyuError("SY-E020", reason=said[-1] if said else str(error), log=str(log)) from error
    SparkContext._ensure_initialized(gateway=gateway)


def _check_running(session: SparkSession, settings: Settings) -> None:
    found = session.conf.get("spark.sql.extensions", "") or ""
    for extension in EXTENSIONS:
        if extension not in found:
            raise SanyuError("SY-E021", key="spark.sql.extensions", actual=found, expected=extension)
    if settings.on_s3 and "hadoop-aws" not in (session.conf.get("spark.jars", "") or ""):
        raise SanyuError("SY-E023", lake=settings.lake)


def _s3_conf(settings: Settings) -> dict[str, str]:
    """Return how `s3a://` reaches the store; the keys themselves never go through a configuration, which is printed and logged."""
    conf = {"spark.hadoop.fs.s3a.endpoint.region": settings.s3_region}
    if settings.s3_endpoint:
        conf["spark.hadoop.fs.s3a.endpoint"] = settings.s3_endpoint
        conf["spark.hadoop.fs.s3a.path.style.access"] = "true"
        conf["spark.hadoop.fs.s3a.connection.ssl.enabled"] = str(settings.s3_endpoint.startswith("https")).lower()
    keys = settings.s3_keys()
    if settings.s3_profile:
        provider = "software.amazon.awssdk.auth.credentials.ProfileCredentialsProvider"
    elif keys is None:
        return conf
    else:
        provider = f"{_S3A_AUTH}.TemporaryAWSCredentialsProvider" if keys.session_token else f"{_S3A_AUTH}.SimpleAWSCredentialsProvider"
    return conf | {"spark.hadoop.fs.s3a.aws.credentials.provider": provider}


def _give_s3_keys(session: SparkSession, settings: Settings) -> None:
    """Hand the keys to Hadoop inside the JVM: on its command line or in Spark's configuration others could read them."""
    keys = settings.s3_keys() if settings.on_s3 else None
    if keys is None:
        return
    hadoop = session.sparkContext._jsc.hadoopConfiguration()
    hadoop.set("fs.s3a.access.key", keys.access_key.get_secret_value())
    hadoop.set("fs.s3a.secret.key", keys.secret_key.get_secret_value())
    if keys.session_token:
        hadoop.set("fs.s3a.session.token", keys.session_token.get_secret_value())


def _end(session: SparkSession, scratch: Path, owner: int, guards: list[subprocess.Popen[bytes]]) -> None:
    """Stop the session, remove its scratch data and dismiss the guards; a forked child must do none of it."""
    if os.getpid() != owner:
        return
    session.stop()
    shutil.rmtree(scratch, ignore_errors=True)
    for one in guards:  # a JVM that shuts down slowly after an orderly end is not to be killed
        one.kill()
        one.wait()
