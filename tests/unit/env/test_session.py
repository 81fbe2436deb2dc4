"""The session's configuration: what goes to Spark, and that secrets don't."""

from __future__ import annotations

from pathlib import Path

import pytest

from sanyu import session
from sanyu.settings import Settings
from schemas.messages import SanyuError


@pytest.fixture(autouse=True)
def _jars(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "jar_paths", lambda folder, groups: [f"/jars/{group}.jar" for group in groups])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "who")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush-hush")


def test_local_lake_needs_no_s3() -> None:
    conf = session.spark_conf(Settings(lake="/x"))
    assert conf["spark.jars"] == "/jars/core.jar"
    assert not [key for key in conf if "s3a" in key]


def test_s3_lake_has_jars_endpoint_and_no_secret_in_the_configuration() -> None:
    conf = session.spark_conf(Settings(lake="s3a://city/lake", s3_endpoint="http://localhost:5000"))
    assert conf["spark.jars"] == "/jars/core.jar,/jars/s3.jar"
    assert conf["spark.hadoop.fs.s3a.path.style.access"] == "true"
    assert conf["spark.hadoop.fs.s3a.connection.ssl.enabled"] == "false"
    assert conf["spark.hadoop.fs.s3a.aws.credentials.provider"].endswith("SimpleAWSCredentialsProvider")
    assert "hush-hush" not in str(conf)
    assert "who" not in str(conf)


def test_profile_chooses_its_provider() -> None:
    conf = session.spark_conf(Settings(lake="s3a://city", s3_profile="city"))
    assert conf["spark.hadoop.fs.s3a.aws.credentials.provider"].endswith("ProfileCredentialsProvider")


def test_submit_arguments_carry_the_same_configuration() -> None:
    settings = Settings(lake="/x", driver_memory="2g")
    arguments = session.submit_arguments(settings)
    conf = session.spark_conf(settings)
    assert arguments["jars"] == conf.pop("spark.jars")
    assert arguments["driver_memory"] == conf.pop("spark.driver.memory")
    assert conf.pop("spark.master") == settings.spark_master
    assert arguments["conf"] == conf
    assert arguments["env_vars"]["SANYU_LAKE"] == "/x"


@pytest.mark.parametrize(
    ("said", "major"), [('openjdk version "17.0.15" 2025-04-15', 17), ('java version "1.8.0_402"', 1), ('openjdk version "21" 2023', 21)]
)
def test_java_version_is_read(tmp_path: Path, said: str, major: int) -> None:
    java = tmp_path / "java"
    java.write_text(f"#!/bin/sh\necho '{said}' >&2\n", "utf-8")
    java.chmod(0o755)
    assert session.java_version(str(java))[0] == major


def test_absent_java_names_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(SanyuError, match=r"SY-E010.*apt-get install openjdk-17"):
        session.java_version(str(tmp_path / "java"))
