"""Spark's Python workers find pyspark where it is installed, and no archive of Spark's on their path."""

from __future__ import annotations

import sys

import pytest

from sanyu import workers

ZIP, JAR = "/opt/spark/python/lib/pyspark.zip", "/opt/spark/jars/spark-core_2.13-4.0.4.jar"


@pytest.fixture(autouse=True)
def _path(monkeypatch: pytest.MonkeyPatch) -> None:
    given = ["/project", JAR, ZIP, "/opt/spark/python/lib/py4j-0.10.9.9-src.zip", "/user/own.zip", *sys.path]
    monkeypatch.setattr(sys, "path", given)
    monkeypatch.setattr(sys, "path_importer_cache", {**sys.path_importer_cache, ZIP: None, f"{JAR}/org": None})


def test_archives_go_and_all_else_stays() -> None:
    workers.leave_archives_out()
    assert sys.path[:2] == ["/project", "/user/own.zip"]
    assert not {ZIP, f"{JAR}/org"} & set(sys.path_importer_cache)


def test_archives_stay_where_pyspark_is_in_them_only(monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(sys.path)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    workers.leave_archives_out()
    assert sys.path == before
    assert ZIP in sys.path_importer_cache
