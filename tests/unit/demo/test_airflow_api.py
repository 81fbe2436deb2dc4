"""A busy Airflow: questions are asked again, commands are sent once, the server's reason is told; SQLite's lock is waited for."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy

from demo import airflow_api
from demo.airflow import BUSY_S, LocalAirflow
from demo.airflow_api import AirflowApi
from sanyu.settings import Settings
from schemas.messages import SanyuError

LOCKED = {"detail": {"reason": "Unique constraint violation", "statement": "hidden", "orig_error": "database is locked"}}


class Busy(BaseHTTPRequestHandler):
    """Fails the first two requests of each path, with a database's reason."""

    seen: list[str]

    def answer(self, code: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(code)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def handle_any(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/auth/token":
            self.answer(201, {"access_token": "t"})
            return
        self.seen.append(self.path)
        if self.path.endswith("absent"):
            self.answer(404, {"detail": "no such DAG"})
        elif self.seen.count(self.path) <= 2:
            self.answer(500, LOCKED)
        else:
            self.answer(200, {"dag_runs": [], "total_entries": 0})

    do_GET = do_POST = handle_any  # noqa: N815

    def log_message(self, *words: object) -> None:
        """Keep the terminal clean."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[AirflowApi]:
    monkeypatch.setattr(airflow_api.time, "sleep", lambda seconds: None)
    Busy.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        yield AirflowApi(f"http://127.0.0.1:{running.server_address[1]}", "logs")
        running.shutdown()
        thread.join()


def test_a_question_is_asked_again_until_the_server_answers(server: AirflowApi) -> None:
    assert server.call("GET", "/dags")["total_entries"] == 0
    assert len(Busy.seen) == 3


def test_a_command_is_sent_once_and_its_failure_told_with_the_reason(server: AirflowApi) -> None:
    with pytest.raises(SanyuError, match=r"SY-E031.*500.*Unique constraint violation: database is locked"):
        server.call("POST", "/dags/city/dagRuns", {})
    assert len(Busy.seen) == 1


def test_a_plain_no_is_taken_at_once(server: AirflowApi) -> None:
    with pytest.raises(SanyuError, match=r"SY-E031.*no such DAG"):
        server.call("GET", "/dags/absent")
    assert len(Busy.seen) == 1


def test_connections_wait_for_the_lock_of_the_database(tmp_path: Path) -> None:
    airflow = LocalAirflow(Settings.load(lake=str(tmp_path)), tmp_path)
    engine = sqlalchemy.create_engine(airflow.environment()["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    with engine.connect() as connection:
        assert connection.execute(sqlalchemy.text("PRAGMA busy_timeout")).scalar() == BUSY_S * 1000
        assert Path(connection.engine.url.database or "").name == "airflow.db"
    engine.dispose()
