"""Airflow on this machine for as long as a demo or a developer needs it: own home, SQLite, loopback only, stopped whole.

Scheduler (with its local executor), DAG processor and API server run; the triggerer does not, since no DAG of ours defers. A component
that a busy machine has killed is started again. SQLite writes to a log of its own (WAL, which Airflow sets), so readers don't wait; writers
wait for each other as long as `BUSY_S`, and clients longer than that.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from demo.airflow_api import AirflowApi, quoted
from sanyu.processes import end, free_port, start, tagged
from sanyu.settings import Settings
from sanyu.shipped import packages, shipped
from schemas.messages import SanyuError

_COMPONENTS = ("scheduler", "dag-processor", "api-server")
_HEALTHY = ("metadatabase", "scheduler", "dag_processor")
_ENDED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
_TAIL_LINES = 30
BUSY_S = 120
_MOST_RESTARTS = 3
_SERVER_REASON = re.compile(r"OperationalError|IntegrityError|database is locked|Traceback|Error:")


@dataclass(frozen=True)
class RunEvent:
    """A DAG run (`task` is None) or one of its tasks has reached a state; `seconds` since it started, where it has."""

    dag: str
    run: str
    task: str | None
    state: str
    seconds: float | None
    map_index: int = -1
    partition: str | None = None


class LocalAirflow:
    """A running Airflow as a context manager; leaving it stops every process that it started, also those of its tasks.

    `home` keeps database and logs between runs; one process at a time may run it (SY-E035). Of new DAGs only those that `only` names are
    switched on, by default all. Raises SY-E030 when it does not become healthy.
    """

    def __init__(
        self,
        settings: Settings,
        home: Path,
        dags: Path | None = None,
        *,
        only: tuple[str, ...] | None = None,
        parallelism: int = 2,
        patience_s: float = 180,
    ) -> None:
        self.settings = settings
        self.home = home.resolve()
        self.dags = (dags or shipped("dags")).resolve()
        self.port = 0
        self.healthy_after_s = 0.0
        self._only = only
        self._parallelism = parallelism
        self._patience_s = patience_s
        self._lock: IO[str] | None = None
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._old_runs: set[tuple[str, str]] = set()
        self._environment: dict[str, str] = {}
        self.restarts = 0
        self.api = AirflowApi("", "")

    @property
    def url(self) -> str:
        """Return the address of the API and the user interface."""
        return f"http://localhost:{self.port}"

    @property
    def logs(self) -> Path:
        """Return the folder of the components' and tasks' logs."""
        return self.home / "logs"

    def __enter__(self) -> Self:
        self.logs.mkdir(parents=True, exist_ok=True)
        self._take_home()
        try:
            end(str(self.home))  # what a killed run left behind
            self._start()
            self._switch_on()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.stop()

    def stop(self) -> list[int]:
        """End every process of this Airflow; return the ids of those that could not be ended."""
        left = end(str(self.home))
        for child in self._children.values():
            child.poll()
        self._children.clear()
        if self._lock is not None:
            self._lock.close()
            self._lock = None
        return left

    def processes(self) -> list[int]:
        """Return the ids of the living processes of this Airflow."""
        return tagged(str(self.home))

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None, partition_key: str | None = None) -> str:
        """Start a run of a DAG once Airflow has parsed it, and return the run's id; raises SY-E033 when it can't be loaded."""
        self.wait_for([dag_id])
        body: dict[str, Any] = {"logical_date": None, "conf": conf or {}}
        if partition_key is not None:
            body["partition_key"] = partition_key
        return str(self.api.call("POST", f"/dags/{quoted(dag_id)}/dagRuns", body)["dag_run_id"])

    def wait_for(self, dag_ids: Iterable[str], timeout_s: float = 60) -> None:
        """Return when Airflow knows the DAGs; raises SY-E033 with the import error, or after the time."""
        deadline = time.monotonic() + timeout_s
        missing = list(dag_ids)
        while missing := [dag_id for dag_id in missing if not self.api.exists(f"/dags/{quoted(dag_id)}")]:
            errors = self.api.listed("/importErrors", "import_errors")
            if errors:
                reason = f"{errors[0]['filename']}: {errors[0]['stack_trace'].strip().splitlines()[-1]}"
                raise SanyuError("SY-E033", dag=missing[0], reason=reason)
            if time.monotonic() > deadline:
                raise SanyuError("SY-E033", dag=missing[0], reason=f"no file in {self.dags} defines it")
            time.sleep(0.5)

    def follow(self, dag_ids: Iterable[str], on_event: Callable[[RunEvent], None], timeout_s: float = 1800) -> list[RunEvent]:
        """Watch until each DAG has a run since the start or the last `follow` and none is unfinished; return the runs' last events.

        `on_event` sees every change of state once. A consumer's run appears a moment after its producer's end, so all must be still for
        two looks. Raises SY-E032 with the log's tail when a task has failed for good, SY-E034 after the time.
        """
        wanted = list(dag_ids)
        told: dict[tuple[str, str, str | None, int], RunEvent] = {}
        deadline = time.monotonic() + timeout_s
        still = 0
        while still < 2:
            self._check_alive()
            runs: list[RunEvent] = []
            for event in self._look(wanted):
                key = (event.dag, event.run, event.task, event.map_index)
                if key not in told or told[key].state != event.state:
                    told[key] = event
                    on_event(event)
                if event.task is None:
                    runs.append(event)
            failed = next((run for run in runs if run.state == "failed"), None)
            if failed:
                self._forget(runs)
                raise self._failure(failed)
            quiet = {run.dag for run in runs} == set(wanted) and all(run.state in _ENDED for run in runs)
            still = still + 1 if quiet else 0
            if time.monotonic() > deadline:
                running = ", ".join(f"{run.dag} {run.state}" for run in runs if run.state not in _ENDED) or "none of " + ", ".join(wanted)
                raise SanyuError("SY-E034", seconds=round(timeout_s), running=running, log=str(self.logs))
            time.sleep(1.0)
        self._forget(runs)
        return runs

    def environment(self) -> dict[str, str]:
        """Return the environment of Airflow's components and, through them, of the tasks."""
        given = {
            "AIRFLOW_HOME": self.home,
            "AIRFLOW__CORE__DAGS_FOLDER": self.dags,
            "AIRFLOW__CORE__LOAD_EXAMPLES": False,
            "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
            # Each is an idle process of 200 MB, and a Spark driver when it works.
            "AIRFLOW__CORE__PARALLELISM": self._parallelism,
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": self._only is not None,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            "AIRFLOW__CORE__FERNET_KEY": "",
            # No password: only this machine can reach the loopback address.
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": True,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": self.port,
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__API__WORKERS": 1,
            "AIRFLOW__API__SECRET_KEY": secrets.token_urlsafe(32),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_urlsafe(32),
            # The driver's own time-out of five seconds is over while a busy machine lets the scheduler finish one transaction.
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{self.home / 'airflow.db'}?timeout={BUSY_S}",
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": self.logs,
            "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": free_port(),
            "AIRFLOW__SCHEDULER__CREATE_CRON_DATA_INTERVALS": True,
            # Tasks of a scheduler that was killed are looked for when its heartbeat is over, not five minutes later.
            "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": 30,
            "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": False,
            "AIRFLOW__WORKERS__EXECUTION_API_TIMEOUT": BUSY_S + 30,
            "AIRFLOW_CONN_SPARK_DEFAULT": json.dumps(_spark_connection(self.settings.spark_master)),
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "PYTHONPATH": packages(),
            "PYTHONWARNINGS": "ignore",
            "SPARK_LOCAL_IP": "127.0.0.1",
            **self.settings.variables(),
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTEST", "PYSPARK", "SPARK_"))}
        return kept | {name: str(value) for name, value in given.items()}

    def _take_home(self) -> None:
        self._lock = (self.home / "lock").open("w", encoding="utf-8")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.close()
            self._lock = None
            raise SanyuError("SY-E035", home=str(self.home)) from None

    def _start(self) -> None:
        """Migrate the database, start the components and wait until all are healthy."""
        began = time.monotonic()
        self.port = free_port(self.settings.airflow_port)
        self.api = AirflowApi(self.url, str(self.logs))
        self._environment = self.environment()
        program = [sys.executable, "-m", "airflow", "db", "migrate"]
        migrated = start(program, str(self.home), self._environment, self.logs / "migrate.log")
        if migrated.wait(timeout=self._patience_s):
            raise self._unhealthy("the database could not be made", "migrate")
        for component in _COMPONENTS:
            self._start_component(component)
        while (time.monotonic() - began) < self._patience_s:
            self._check_alive()
            status = self.api.healthy()
            if all(status.get(part) == "healthy" for part in _HEALTHY):
                self.healthy_after_s = time.monotonic() - began
                self._old_runs = {
                    (run["dag_id"], run["dag_run_id"]) for run in self.api.listed("/dags/~/dagRuns", "dag_runs") if run["state"] in _ENDED
                }
                return
            time.sleep(0.5)
        raise self._unhealthy(f"not healthy: {', '.join(part for part in _HEALTHY if status.get(part) != 'healthy')}", _COMPONENTS[0])

    def _switch_on(self) -> None:
        self.wait_for(self._only or ())
        for dag_id in self._only or ():
            self.api.call("PATCH", f"/dags/{quoted(dag_id)}", {"is_paused": False})

    def _start_component(self, name: str) -> None:
        command = [sys.executable, "-m", "airflow", name]
        self._children[name] = start(command, str(self.home), self._environment, self.logs / f"{name}.log")

    def _check_alive(self) -> None:
        """Start a component again that was killed; one that ended by itself, or too often, is an error."""
        for component, child in list(self._children.items()):
            code = child.poll()
            if code is None:
                continue
            if code >= 0 or self.restarts >= _MOST_RESTARTS:
                raise self._unhealthy(f"{component} ended with {code}", component)
            self.restarts += 1
            self._start_component(component)

    def _unhealthy(self, reason: str, component: str) -> SanyuError:
        return SanyuError("SY-E030", seconds=round(self._patience_s), reason=reason, log=str(self.logs / f"{component}.log"))

    def _look(self, dag_ids: list[str]) -> list[RunEvent]:
        """Return the present state of the runs since the start and of their tasks, each run before its tasks."""
        events: list[RunEvent] = []
        for dag_id in dag_ids:
            for run in self.api.listed(f"/dags/{quoted(dag_id)}/dagRuns", "dag_runs", order_by="run_after"):
                if (dag_id, run["dag_run_id"]) in self._old_runs:
                    continue
                partition = run.get("partition_key")
                events.append(RunEvent(dag_id, run["dag_run_id"], None, run["state"], run["duration"], partition=partition))
                for task in self._tasks(dag_id, run["dag_run_id"]):
                    if task["state"]:
                        place = (dag_id, run["dag_run_id"], task["task_id"])
                        events.append(RunEvent(*place, task["state"], task["duration"], task["map_index"], partition))
        return events

    def _forget(self, runs: list[RunEvent]) -> None:
        """Count these runs as old, so that the next `follow` waits for new ones."""
        self._old_runs |= {(run.dag, run.run) for run in runs if run.state in _ENDED}

    def _tasks(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        return self.api.listed(f"/dags/{quoted(dag_id)}/dagRuns/{quoted(run_id)}/taskInstances", "task_instances")

    def _failure(self, run: RunEvent) -> SanyuError:
        """Build the error of a failed run: its first failed task, with the end of that task's log."""
        failed = [task for task in self._tasks(run.dag, run.run) if task["state"] == "failed"]
        if not failed:
            return SanyuError("SY-E032", dag=run.dag, task="?", run=run.run, tail="no task failed: see the scheduler's log")
        task = min(failed, key=lambda one: one["end_date"] or "")
        path = f"/dags/{quoted(run.dag)}/dagRuns/{quoted(run.run)}/taskInstances/{quoted(task['task_id'])}/logs/{task['try_number']}"
        log = self.api.call("GET", path, full_content="true", map_index=task["map_index"])
        lines = [_log_line(entry) for entry in log["content"]][-_TAIL_LINES:]
        if any("ServerResponseError" in line or "Server error" in line for line in lines):
            lines += self._server_reasons()
        return SanyuError("SY-E032", dag=run.dag, task=task["task_id"], run=run.run, tail="\n".join(lines))

    def _server_reasons(self) -> list[str]:
        """Return what the API server's log says last of errors: its clients are told a bare code."""
        with (self.logs / "api-server.log").open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - (64 << 10)))
            text = file.read().decode("utf-8", errors="replace")
        found = dict.fromkeys(line.strip()[:300] for line in text.splitlines() if _SERVER_REASON.search(line))
        return [f"API server: {line}" for line in list(found)[-3:]]


def _log_line(entry: Any) -> str:
    """Return one entry of a task's log as text, with the exception that it may carry."""
    if not isinstance(entry, dict):
        return str(entry)
    raised = [f"{detail.get('exc_type')}: {detail.get('exc_value')}" for detail in entry.get("error_detail") or []]
    return " ".join([str(entry.get("event", "")), *raised])


def _spark_connection(master: str) -> dict[str, Any]:
    """Return the Airflow connection for a Spark master; as JSON, since Airflow can't parse `local[2]` in an URI and falls back to yarn."""
    if master.startswith("local"):
        return {"conn_type": "spark", "host": master}
    host, _, port = master.rpartition(":")
    return {"conn_type": "spark", "host": host, "port": int(port)}
