"""The DAG files as Airflow's own processor loads them: no import error, and for each chain of the city one task per step, in order."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from schemas.chain import load_chains

ROOT = Path(__file__).resolve().parents[2]
PARSE = """
import json, sys
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(sys.argv[1])
tasks = {d.dag_id: [t.task_id for t in d.topological_sort()] for d in bag.dags.values()}
print(json.dumps({"errors": dict(bag.import_errors), "tasks": tasks}))
"""


@pytest.mark.parametrize("city", ["demo", "san-francisco"])
def test_dags_load_and_a_chain_is_its_steps_in_order(city: str, tmp_path: Path) -> None:
    own = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    sanyu = {"SANYU_CITY": city, "SANYU_SOURCES_DIR": str(ROOT / "sources" / city), "SANYU_LAKE": str(tmp_path / "lake")}
    environment = {**os.environ, **own, **sanyu, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", PARSE, str(ROOT / "dags")],
        cwd=ROOT,
        env=environment,
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    assert found["errors"] == {}
    assert {"city", "release"} <= set(found["tasks"])
    assert found["tasks"]["geocode"] == ["gazetteer", "match"]
    wanted = {f"chain_{c.name}": [s.name for s in c.steps] for c in load_chains(ROOT / "chains").values() if c.city in (None, city)}
    assert wanted
    assert {name: steps for name, steps in found["tasks"].items() if name.startswith("chain_")} == wanted
