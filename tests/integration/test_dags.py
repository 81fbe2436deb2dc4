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
from airflow.serialization.serialized_objects import DagSerialization

bag = DagBag(sys.argv[1])
tasks = {d.dag_id: [t.task_id for t in d.topological_sort()] for d in bag.dags.values()}
timetables = {n: DagSerialization.from_dict(DagSerialization.to_dict(d)).timetable for n, d in bag.dags.items()}
mapped = {}
for name, t in ((n, t) for n, t in timetables.items() if t.partitioned):
    assets = [a for _, a in t.asset_condition.iter_assets()]
    mapped[name] = [[a.name, t.get_partition_mapper(name=a.name, uri=a.uri).to_downstream("330106|2026-01-05")] for a in assets]
outlets = {t.task_id: [getattr(o, "name", "") for o in t.outlets] for t in bag.dags["city"].tasks}
print(json.dumps({"errors": dict(bag.import_errors), "tasks": tasks, "mapped": mapped, "outlets": outlets}))
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
    chains = [c for c in load_chains(ROOT / "chains").values() if c.city in (None, city)]
    wanted = {f"chain_{c.name}": ["partition"] if c.partition else [s.name for s in c.steps] for c in chains}
    assert wanted
    assert {name: steps for name, steps in found["tasks"].items() if name.startswith("chain_")} == wanted
    event = "core.thematic__event/partitions"
    if city == "demo":
        assert found["mapped"] == {"chain_event_month": [[event, "330106|2026-01"]]}
        assert found["outlets"]["announce_event"] == [event]
    else:
        assert found["mapped"] == {}, "no source of the city brings events"
