"""Fixtures that all tests share: one Spark session, the real city data where they are, and a fresh place for a lake."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sanyu.session import spark_session
from sanyu.settings import Settings
from schemas.messages import SanyuError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

QUICK_JVM = "-XX:TieredStopAtLevel=1"  # tests run each plan once or twice: to optimise it takes longer than it saves
ROOT = Path(__file__).resolve().parent.parent
_MARKERS = {"spark": "spark", "integration": "server"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by their folder, so that no file can forget it."""
    for item in items:
        room = item.path.relative_to(ROOT / "tests").parts[0]
        if room in _MARKERS:
            item.add_marker(_MARKERS[room])


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Return small settings for tests, whatever the developer's own are."""
    lake = tmp_path_factory.mktemp("lake")
    return Settings.load(lake=str(lake), spark_master="local[2]", driver_memory="2g", shuffle_partitions=4, driver_options=QUICK_JVM)


@pytest.fixture(scope="session")
def spark(settings: Settings) -> SparkSession:
    """Return the one Spark session of the run; without Java or jars the tests skip, except in CI, where that is a failure."""
    try:
        return spark_session(settings, "sanyu-tests")
    except SanyuError as error:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder with the real cities' data; skip where it is not beside the project."""
    place = Path(os.environ.get("SANYU_SHARED") or ROOT.parent / "shared").resolve() / "data"
    if not place.is_dir():
        pytest.skip(f"no real city data at {place}; set SANYU_SHARED to the folder that holds data/")
    return place


@pytest.fixture
def tmp_lake(tmp_path: Path) -> Path:
    """Return an empty folder for one test's lake."""
    lake = tmp_path / "lake"
    lake.mkdir()
    return lake
