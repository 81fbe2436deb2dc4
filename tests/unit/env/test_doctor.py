"""The doctor: each fault is found and comes with its remedy; the rest is still looked at."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from cli import doctor
from sanyu.settings import Settings


def _found(settings: Settings) -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.checks(settings)}


def test_faults_have_remedies_and_do_not_hide_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_available_memory", lambda: 1 << 30)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "no-java"))
    found = _found(Settings(lake=str(tmp_path / "lake"), jar_cache=str(tmp_path / "jars")))
    faults = {name: check for name, check in found.items() if not check.ok}
    assert {"java", "jars", "memory"} <= set(faults)
    assert all(check.remedy and check.detail.startswith("SY-E") for check in faults.values())
    assert found["python"].ok
    assert found["pins"].ok, found["pins"].detail
    assert found["pyspark"].ok


def test_a_wrong_pin_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "requirements.lock").write_text("pytest==0.1 \\\n    --hash=sha256:00\nabsent-package==1.0\n", "utf-8")
    monkeypatch.setattr(doctor, "checkout", lambda: tmp_path)
    check = _found(Settings(lake=str(tmp_path)))["pins"]
    assert not check.ok
    assert "2 of 2" in check.detail
    assert "absent-package missing ≠ 1.0" in check.detail


def test_an_unwritable_lake_is_found(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    check = _found(Settings(lake=str(tmp_path / "file")))["lake"]
    assert not check.ok
    assert str(tmp_path / "file") in check.detail


def test_findings_are_json(tmp_path: Path) -> None:
    found = doctor.checks(Settings(lake=str(tmp_path)))
    assert json.loads(json.dumps([dataclasses.asdict(check) for check in found]))[0]["name"] == "python"


def test_findings_speak_chinese(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANYU_LANG", "zh")
    check = _found(Settings(lake=str(tmp_path), jar_cache=str(tmp_path)))["jars"]
    assert check.remedy == "请运行 'make setup'"
