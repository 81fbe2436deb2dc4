"""The DAG files as Airflow's own processor loads them: no import error, and for each chain of the city one task per step, in order."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

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
schedule = str(bag.dags["city"].schedule)
print(json.dumps({"errors": dict(bag.import_errors), "tasks": tasks, "mapped": mapped, "outlets": outlets, "schedule": schedule}))
"""


def parsed(city: str, sources: Path, tmp_path: Path) -> dict[str, Any]:
    """Return what Airflow's processor finds in our DAG files for a city."""
    own = {"AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "False", "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR"}
    sanyu = {"SANYU_CITY": city, "SANYU_SOURCES_DIR": str(sources), "SANYU_LAKE": str(tmp_path / "lake")}
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
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def test_a_wrong_definition_fails_a_task_of_its_own_and_no_import(tmp_path: Path) -> None:
    sources = tmp_path / "sources"
    shutil.copytree(ROOT / "sources" / "demo", sources)
    text = (sources / "demo_place.toml").read_text("utf-8")
    (sources / "typo.toml").write_text(text.replace("demo_place", "typo").replace("core.basemap__place", "core.basemap__plaice"), "utf-8")
    (sources / "half.toml").write_text("[source\n", "utf-8")
    for name, schedule in (("day", "@daily"), ("hour", "@hourly"), ("never", "@nevr")):
        own = text.replace("demo_place", name).replace("[[into]]", f'[delivery]\nschedule = "{schedule}"\n[[into]]', 1)
        assert schedule in own
        (sources / f"{name}.toml").write_text(own, "utf-8")
    found = parsed("demo", sources, tmp_path)
    assert found["errors"] == {}
    told = {task for task in found["tasks"]["city"] if task.startswith("definition_")}
    assert told == {"definition_typo", "definition_half", "definition_never"}
    assert {"changed", "load", "announce", "acknowledge", "complete"} <= set(found["tasks"]["city"])
    assert "chain_event_month" in found["tasks"]
    assert "hourly" in found["schedule"] or "0 * * * *" in found["schedule"]


@pytest.mark.parametrize("city", ["demo", "san-francisco"])
def test_dags_load_and_a_chain_is_its_steps_in_order(city: str, tmp_path: Path) -> None:
    found = parsed(city, ROOT / "sources" / city, tmp_path)
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
