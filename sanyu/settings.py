"""Settings of one process: one frozen object, read once at the edge.

Later wins: defaults, then `sanyu.toml` (in the working folder, or the file that `SANYU_CONFIG` names), then `SANYU_*` variables, then
the caller's own values. Unknown keys are refused, because a mistyped key that is ignored shows only as a wrong result. Secrets are never
settings: the settings name the variable or the AWS profile that holds them.
"""

from __future__ import annotations

import difflib
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from schemas.messages import SanyuError

PREFIX = "SANYU_"
CONFIG_FILE = "sanyu.toml"
# Read by other parts before or beside the settings; a variable that is none of these and no field is a mistake.
OTHER_VARIABLES = frozenset({"SANYU_CONFIG", "SANYU_SHARED"})

_MEMORY_UNITS = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


def memory_bytes(text: str) -> int:
    """Return the bytes of a JVM size such as `3g` or `512m`; other spellings raise ValueError."""
    number, unit = text[:-1], text[-1:].lower()
    if not number.isdecimal() or unit not in _MEMORY_UNITS or int(number) == 0:
        raise ValueError("write a size as a whole number and k, m, g or t, such as 3g")
    return int(number) * _MEMORY_UNITS[unit]


def _numbers(value: Any) -> Any:
    """Accept `minx,miny,maxx,maxy` from a variable where TOML has an array."""
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


class S3Keys(BaseModel):
    """Credentials as found in the variables that the settings name; printing them shows stars."""

    model_config = ConfigDict(frozen=True)

    access_key: SecretStr
    secret_key: SecretStr
    session_token: SecretStr | None = None


class Settings(BaseModel):
    """What one process of Sanyu is told from outside.

    `lake` is a folder or `s3a://bucket/prefix`; `extent` is the city's box `(minx, miny, maxx, maxy)` in degrees, EPSG:4490; memory sizes
    are JVM sizes (`3g`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=True)

    lake: str = Field(default="./lake", min_length=1)
    city: str = "demo"
    sources_dir: str = "sources"
    contracts_dir: str | None = None
    data_root: str | None = None
    extent: Annotated[tuple[float, float, float, float] | None, BeforeValidator(_numbers)] = None
    lang: Literal["en", "zh"] | None = None

    spark_master: str = Field(default="local[*]", min_length=1)
    driver_memory: str = "3g"
    max_driver_memory: str = "6g"
    driver_options: str = ""
    shuffle_partitions: int = Field(default=4, ge=1)
    scratch_dir: str | None = None
    jar_cache: str = "~/.cache/sanyu/jars"

    s3_endpoint: str | None = None
    s3_region: str = "us-east-1"
    s3_profile: str | None = None
    s3_access_key_env: str = "AWS_ACCESS_KEY_ID"
    s3_secret_key_env: str = "AWS_SECRET_ACCESS_KEY"
    s3_session_token_env: str = "AWS_SESSION_TOKEN"

    airflow_port: int = Field(default=8080, ge=1, le=65535)

    @field_validator("driver_memory", "max_driver_memory")
    @classmethod
    def _is_memory(cls, value: str) -> str:
        memory_bytes(value)
        return value.lower()

    @field_validator("extent")
    @classmethod
    def _is_box(cls, value: tuple[float, float, float, float] | None) -> tuple[float, float, float, float] | None:
        if value is None:
            return None
        min_x, min_y, max_x, max_y = value
        if not (-180 <= min_x < max_x <= 180 and -90 <= min_y < max_y <= 90):
            raise ValueError("write it as minx, miny, maxx, maxy in degrees, longitude first")
        return value

    @field_validator("lake")
    @classmethod
    def _is_lake(cls, value: str) -> str:
        scheme, separator, rest = value.partition("://")
        if separator and (scheme not in ("s3a", "file") or not rest.strip("/")):
            raise ValueError("write a folder, or s3a://bucket/prefix")
        return value.removeprefix("file://")

    @model_validator(mode="after")
    def _fits(self) -> Settings:
        if memory_bytes(self.driver_memory) > memory_bytes(self.max_driver_memory):
            raise SanyuError("SY-E022", asked=self.driver_memory, limit=self.max_driver_memory)
        return self

    @property
    def on_s3(self) -> bool:
        """Tell whether the lake is an object store."""
        return self.lake.startswith("s3a://")

    @property
    def jar_folder(self) -> Path:
        """Return the folder that holds the jars."""
        return Path(self.jar_cache).expanduser().resolve()

    def s3_keys(self, environ: Mapping[str, str] | None = None) -> S3Keys | None:
        """Return the keys from the variables that the settings name; None where a profile or the machine's role is to be used."""
        env = os.environ if environ is None else environ
        access, secret, token = (env.get(name) for name in (self.s3_access_key_env, self.s3_secret_key_env, self.s3_session_token_env))
        if self.s3_profile or not access or not secret:
            return None
        return S3Keys(access_key=SecretStr(access), secret_key=SecretStr(secret), session_token=SecretStr(token) if token else None)

    def variables(self) -> dict[str, str]:
        """Return the `SANYU_*` variables that give a child process these settings, whatever its working folder; no secrets."""
        absolute = {"sources_dir", "contracts_dir", "data_root", "scratch_dir", "jar_cache"} | (set() if self.on_s3 else {"lake"})
        out: dict[str, str] = {}
        for key, value in self.model_dump(exclude_none=True).items():
            if key == "extent":
                out[PREFIX + key.upper()] = ",".join(repr(part) for part in value)
            else:
                out[PREFIX + key.upper()] = str(Path(value).expanduser().resolve()) if key in absolute else str(value)
        return out

    @classmethod
    def load(cls, **overrides: Any) -> Settings:
        """Read the settings of this process; overrides that are None count as not given.

        Raises SanyuError SY-E001 (unknown key), SY-E002 (bad value), SY-E003 (unreadable file); each names the file or variable.
        """
        values: dict[str, Any] = {}
        sources: dict[str, str] = {}
        for source, layer in (_file_layer(os.environ), _environment_layer(os.environ), ("the call", overrides)):
            for key, value in layer.items():
                shown = PREFIX + key.upper() if source == "the environment" else key
                if key not in cls.model_fields:
                    raise _unknown_key(shown, source, cls)
                if value is not None:
                    values[key], sources[key] = value, source
        try:
            return cls(**values)
        except ValidationError as error:
            first = error.errors()[0]
            key = str(first["loc"][0]) if first["loc"] else "settings"
            reason = first["msg"].removeprefix("Value error, ")
            raise SanyuError("SY-E002", key=key, source=sources.get(key, "the settings"), value=values.get(key), reason=reason) from None


def _file_layer(environ: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Return the settings file's name and content; no file is no settings, but a file that SANYU_CONFIG names must exist."""
    named = environ.get("SANYU_CONFIG")
    path = Path(named or CONFIG_FILE)
    if not named and not path.is_file():
        return str(path), {}
    try:
        return str(path), tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise SanyuError("SY-E003", path=str(path), reason=str(error)) from None


def _environment_layer(environ: Mapping[str, str]) -> tuple[str, dict[str, Any]]:
    """Return the values of the `SANYU_*` variables by field; an empty variable counts as not given."""
    found = {name.removeprefix(PREFIX).lower(): value for name, value in environ.items() if name.startswith(PREFIX)}
    return "the environment", {key: value for key, value in found.items() if value and PREFIX + key.upper() not in OTHER_VARIABLES}


def _unknown_key(key: str, source: str, model: type[Settings]) -> SanyuError:
    """Build the error of an unknown key, with the nearest one in the spelling of its source."""
    known = [PREFIX + name.upper() if key.startswith(PREFIX) else name for name in model.model_fields]
    nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
    return SanyuError("SY-E001", key=key, source=source, nearest=nearest, known=", ".join(known))
