"""Settings: which source wins, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from sanyu.settings import Settings, memory_bytes
from schemas.messages import SanyuError


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("SANYU_")]:
        monkeypatch.delenv(name)


def test_later_sources_win(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("sanyu.toml").write_text('lake = "file-lake"\ncity = "file-city"\nshuffle_partitions = 8\n', "utf-8")
    monkeypatch.setenv("SANYU_CITY", "variable-city")
    monkeypatch.setenv("SANYU_SHUFFLE_PARTITIONS", "16")

    found = Settings.load(shuffle_partitions=32, data_root=None)

    assert (found.lake, found.city, found.shuffle_partitions, found.spark_master) == ("file-lake", "variable-city", 32, "local[*]")


def test_config_variable_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = tmp_path / "other.toml"
    other.write_text("extent = [120.0, 30.0, 120.5, 30.5]\n", "utf-8")
    monkeypatch.setenv("SANYU_CONFIG", str(other))

    assert Settings.load().extent == (120.0, 30.0, 120.5, 30.5)


def test_extent_in_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANYU_EXTENT", "-122.6, 37.6, -122.3, 37.9")
    assert Settings.load().extent == (-122.6, 37.6, -122.3, 37.9)


def test_unknown_key_names_file_and_nearest_key() -> None:
    Path("sanyu.toml").write_text('jar_cash = "x"\n', "utf-8")
    with pytest.raises(SanyuError, match=r"SY-E001: unknown setting 'jar_cash' in sanyu\.toml.*nearest known key is 'jar_cache'"):
        Settings.load()


def test_unknown_variable_names_the_nearest_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANYU_DRIVERMEMORY", "2g")
    with pytest.raises(SanyuError, match=r"'SANYU_DRIVERMEMORY' in the environment.*'SANYU_DRIVER_MEMORY'"):
        Settings.load()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("lake", "s3://bucket"),
        ("lake", "s3a://"),
        ("lake", ""),
        ("extent", "1,2,3"),
        ("extent", "30,120,31,121"),
        ("extent", "120,30,nan,31"),
        ("driver_memory", "3 GB"),
        ("driver_memory", "0g"),
        ("shuffle_partitions", "0"),
        ("airflow_port", "70000"),
        ("lang", "fr"),
    ],
)
def test_bad_value_names_key_and_value(key: str, value: str) -> None:
    with pytest.raises(SanyuError) as caught:
        Settings.load(**{key: value})
    assert caught.value.code == "SY-E002"
    assert (caught.value.params["key"], caught.value.params["value"]) == (key, value)


def test_driver_memory_over_the_limit_is_refused() -> None:
    with pytest.raises(SanyuError, match="SY-E022: driver memory 8g is over the limit 6g"):
        Settings.load(driver_memory="8g")


@pytest.mark.parametrize("content", [b"lake = ", b"\xff\xfe"])
def test_broken_file_is_named(content: bytes) -> None:
    Path("sanyu.toml").write_bytes(content)
    with pytest.raises(SanyuError, match=r"SY-E003: the settings file sanyu\.toml can't be read"):
        Settings.load()


def test_named_file_must_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SANYU_CONFIG", "absent.toml")
    with pytest.raises(SanyuError, match=r"SY-E003.*absent\.toml"):
        Settings.load()


def test_keys_come_from_the_named_variables_and_never_show() -> None:
    settings = Settings.load(s3_access_key_env="CITY_KEY", s3_secret_key_env="CITY_SECRET")
    keys = settings.s3_keys({"CITY_KEY": "who", "CITY_SECRET": "hush-hush"})
    assert keys is not None
    assert keys.secret_key.get_secret_value() == "hush-hush"
    assert "hush-hush" not in f"{keys!r}{keys}{settings!r}"


def test_a_profile_is_used_instead_of_keys() -> None:
    environ = {"AWS_ACCESS_KEY_ID": "who", "AWS_SECRET_ACCESS_KEY": "hush"}
    assert Settings.load(s3_profile="city").s3_keys(environ) is None
    assert Settings.load().s3_keys({}) is None


def test_variables_carry_the_settings_to_a_child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = Settings.load(lake="lake", extent="120,30,121,31", shuffle_partitions=7)
    for name, value in here.variables().items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir("/")

    there = Settings.load()

    assert there.lake == str(tmp_path / "lake")
    assert (there.extent, there.shuffle_partitions) == (here.extent, 7)


def test_memory_sizes() -> None:
    assert [memory_bytes(text) for text in ("1k", "512m", "3G")] == [1024, 512 << 20, 3 << 30]
