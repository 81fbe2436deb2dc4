"""A PostgreSQL server with PostGIS for one test session: on loopback, in a temporary folder, as a user without rights, ended afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

_USER = "nobody"
PASSWORD = "a-secret-of-the-test"


@dataclass(frozen=True)
class Postgres:
    """A running server with the database `city`."""

    port: int
    programs: Path

    @property
    def url(self) -> str:
        return f"jdbc:postgresql://127.0.0.1:{self.port}/city"

    def sql(self, text: str) -> None:
        """Run statements as the owner."""
        psql = [str(self.programs / "psql"), "-h", "127.0.0.1", "-p", str(self.port), "-U", "city", "-d", "city"]
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        subprocess.run([*psql, "-v", "ON_ERROR_STOP=1", "-q"], input=text, env=environment, text=True, check=True, capture_output=True)


def programs() -> Path:
    """Return the folder of the newest server's programs; the test is skipped where there is none or PostGIS is missing."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda p: int(p.parts[4]))
    if not found or not Path("/usr/share/postgresql", found[-1].parts[4], "extension/postgis.control").is_file():
        pytest.skip("PostgreSQL with PostGIS is not installed: make system")
    return found[-1].parent


@contextmanager
def running(folder: Path) -> Iterator[Postgres]:
    """Make a cluster in the folder and keep it up meanwhile; the socket, too, is in the folder."""
    bin_ = programs()
    account = pwd.getpwnam(_USER)
    unprivileged = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if os.geteuid() == 0 else {}
    cluster, word = folder / "cluster", folder / "password"
    word.write_text(PASSWORD)
    if unprivileged:
        for path in (folder, word):
            os.chown(path, account.pw_uid, account.pw_gid)
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "cwd": folder, **unprivileged}
    auth = ["--auth=scram-sha-256", "--username=city", f"--pwfile={word}"]
    subprocess.run([bin_ / "initdb", "-D", cluster, *auth, "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"], check=True, **quiet)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder} -c fsync=off -c shared_buffers=32MB"
    control = [bin_ / "pg_ctl", "-D", cluster, "-w", "-t", "60", "-l", folder / "log"]
    subprocess.run([*control, "-o", options, "start"], check=True, **quiet)
    try:
        environment = {**os.environ, "PGPASSWORD": PASSWORD}
        subprocess.run(
            [bin_ / "createdb", "-h", "127.0.0.1", "-p", str(port), "-U", "city", "city"], env=environment, check=True, capture_output=True
        )
        server = Postgres(port, bin_)
        server.sql("create extension postgis")
        yield server
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, **quiet)
        shutil.rmtree(cluster, ignore_errors=True)
