"""A lake on S3: Spark writes and reads Delta over `s3a://` with the locked jars, and the keys are on no command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from sanyu.jars import jar_paths
from sanyu.settings import Settings
from schemas.messages import SanyuError

PROGRAM = """
import subprocess
from sanyu.session import spark_session
from sanyu.settings import Settings

settings = Settings.load()
spark = spark_session(settings)
table = settings.lake + "/core/probe"
spark.range(7).write.format("delta").save(table)
spark.range(5).write.format("delta").mode("append").save(table)
print("ROWS", spark.read.format("delta").load(table).count())
print("SHOWN", "planted-secret" in subprocess.run(["ps", "-ww", "-e", "-o", "args"], capture_output=True, text=True, check=True).stdout)
print("CONF", "planted-secret" in str(spark.sparkContext.getConf().getAll()))
"""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "planted-key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "planted-secret")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address, port = server.get_host_and_port()
    url = f"http://{address}:{port}"
    boto3.client("s3", endpoint_url=url, region_name="us-east-1").create_bucket(Bucket="city")
    yield url
    server.stop()


def test_delta_on_s3_with_keys_from_the_environment(endpoint: str, tmp_path: Path) -> None:
    settings = Settings(lake="s3a://city/lake", s3_endpoint=endpoint, spark_master="local[2]", driver_memory="1g")
    try:
        jar_paths(settings.jar_folder, ["core", "s3"])
    except SanyuError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(f"{error} (infra/setup/setup.sh core s3)")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM, "utf-8")
    environment = {**os.environ, **settings.variables(), "PYTHONPATH": str(Path(__file__).parents[2])}
    done = subprocess.run([sys.executable, str(program)], env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert done.stdout.splitlines() == ["ROWS 12", "SHOWN False", "CONF False"], done.stderr
    assert done.stderr == ""
