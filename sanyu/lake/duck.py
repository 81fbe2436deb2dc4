"""DuckDB over a lake: extensions from the installed wheels, never from the network, and access to the lake's object store."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import duckdb

from sanyu.lake.store import LocalStore, Store
from schemas.messages import SanyuError


def connect(store: Store, database: Path | None = None) -> Any:
    """Return a connection, in memory or to a database file, that can `delta_scan` the lake; timestamps are shown in UTC."""
    config: dict[str, Any] = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}
    connection = duckdb.connect(str(database or ":memory:"), config=config)
    connection.execute("SET GLOBAL TimeZone = 'UTC'")
    load(connection, "delta")
    if not isinstance(store, LocalStore):
        load(connection, "httpfs")
        given = [f"{name} {text(value)}" for name, value in access(store).items()]
        connection.execute(f"CREATE SECRET lake (TYPE s3, {', '.join(given)})")
    return connection


def load(connection: Any, name: str) -> None:
    """Load an extension from its wheel, ready for `delta_scan`; SY-L013 where the wheel is not installed for this DuckDB."""
    connection.load_extension(str(extension(name)))
    if name == "spatial":
        # DuckDB 1.5 would read GeoParquet columns as GEOMETRY, which its Delta reader can't take for the log's binary.
        connection.execute("SET enable_geoparquet_conversion = false")


def extension(name: str) -> Path:
    """Return the file that the wheel `duckdb-extension-<name>` carries; SY-L013 where it is not installed for this DuckDB."""
    spec = importlib.util.find_spec(f"duckdb_extension_{name}")
    folder = Path(spec.origin).parent if spec and spec.origin else Path()
    path = folder / "extensions" / f"v{duckdb.__version__}" / f"{name}.duckdb_extension"
    if not path.is_file():
        raise SanyuError("SY-L013", name=name, version=duckdb.__version__)
    return path


def scan(uri: str, version: int | None = None) -> str:
    """Return the table function call for a Delta table at one version, or at its newest."""
    at = "" if version is None else f", version => {int(version)}"
    return f"delta_scan({text(uri)}{at})"


def text(value: str) -> str:
    """Return a SQL string literal."""
    return "'" + value.replace("'", "''") + "'"


def identifier(name: str) -> str:
    """Return a quoted SQL name."""
    return '"' + name.replace('"', '""') + '"'


def access(store: Store) -> dict[str, str]:
    """Return what DuckDB's S3 secret of the lake holds, by its parameters' names; empty for a lake in a folder."""
    options = store.storage_options()
    given = {
        "key_id": options.get("AWS_ACCESS_KEY_ID"),
        "secret": options.get("AWS_SECRET_ACCESS_KEY"),
        "session_token": options.get("AWS_SESSION_TOKEN"),
        "region": options.get("AWS_REGION"),
    }
    found = {name: value for name, value in given.items() if value}
    endpoint = options.get("AWS_ENDPOINT_URL")
    if endpoint:
        at = urlsplit(endpoint)
        found |= {"endpoint": at.netloc, "url_style": "path", "use_ssl": "true" if at.scheme == "https" else "false"}
    return found
