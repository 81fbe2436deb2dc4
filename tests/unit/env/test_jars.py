"""Jars: what is missing or altered is found before Spark starts."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sanyu import jars
from schemas.messages import SanyuError

GOOD = b"as resolved"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a.jar").write_bytes(GOOD)
    locked = {"core": {"a.jar": jars.file_sha256(tmp_path / "a.jar")}, "s3": {}}
    monkeypatch.setattr(jars, "locked_jars", lambda: locked)
    return tmp_path


def test_right_jars_are_returned(folder: Path) -> None:
    assert jars.jar_paths(folder, ["core", "s3"]) == [str(folder / "a.jar")]


def test_missing_jar_is_named_with_the_remedy(folder: Path) -> None:
    (folder / "a.jar").unlink()
    with pytest.raises(SanyuError, match=r"SY-E011: jar a.jar is missing.*Run 'make setup'"):
        jars.jar_paths(folder)


def test_altered_jar_is_found_after_it_was_right(folder: Path) -> None:
    jars.jar_paths(folder)
    (folder / "a.jar").write_bytes(b"as altered!")
    with pytest.raises(SanyuError, match=r"SY-E012: jar a\.jar"):
        jars.jar_paths(folder)


def test_unchanged_jar_is_hashed_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []
    real = jars.file_sha256
    monkeypatch.setattr(jars, "file_sha256", lambda path: hashed.append(path.name) or real(path))
    jars.jar_paths(folder)
    jars.jar_paths(folder)
    assert hashed == ["a.jar"]
    os.utime(folder / "a.jar", (1, 1))
    jars.jar_paths(folder)
    assert hashed == ["a.jar", "a.jar"]


def test_a_new_lock_is_not_answered_from_the_note(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    jars.jar_paths(folder)
    monkeypatch.setattr(jars, "locked_jars", lambda: {"core": {"a.jar": "0" * 64}})
    with pytest.raises(SanyuError, match="SY-E012"):
        jars.jar_paths(folder)


def test_damaged_note_only_costs_hashing(folder: Path) -> None:
    (folder / ".verified.json").write_text("{", "utf-8")
    assert jars.jar_paths(folder) == [str(folder / "a.jar")]


def test_unknown_group_names_the_known(folder: Path) -> None:
    with pytest.raises(SanyuError, match=r"SY-E014.*core, s3"):
        jars.jar_paths(folder, ["gcs"])


def test_lock_holds_every_coordinate_and_nothing_of_spark() -> None:
    for group in jars.jar_groups().values():
        names = jars.locked_jars()[group.name]
        for coordinate in group.coordinates:
            organisation, artifact, version = coordinate.split(":")
            assert f"{organisation}_{artifact}-{version}.jar" in names
    spark_jars = {path.name.rpartition("-")[0] for path in Path(jars._spark_home(), "jars").glob("*.jar")}
    locked = {name.partition("_")[2].rpartition("-")[0] for group in jars.locked_jars().values() for name in group}
    assert len(spark_jars) > 100
    # Two libraries of one name: JetBrains' and the AWS SDK's.
    assert spark_jars & locked <= {"annotations"}


def test_pins_of_jars_and_packages_agree() -> None:
    coordinates = {one.split(":")[1]: one.split(":")[2] for one in jars.jar_groups()["core"].coordinates}
    pins = (Path(__file__).parents[3] / "pyproject.toml").read_text("utf-8")
    assert f'"apache-sedona=={coordinates["sedona-spark-shaded-4.0_2.13"]}"' in pins
    assert f'"delta-spark=={coordinates["delta-spark_4.0_2.13"]}"' in pins
