"""The library as others install it: a wheel outside the checkout, used from an empty folder."""

from __future__ import annotations

import json
import os
import shutil
import site
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("cli", "jobs", "quality", "sanyu", "schemas", "transforms", "demo", "chains", "dags", "sources")
FILES = ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE", "requirements.lock")


class Installed:
    """A virtual environment with the wheel alone, which sees this environment's libraries, and an empty folder to work in."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "project"
        self.venv = folder / "venv"
        self.work = folder / "empty"
        self.work.mkdir()

    def build(self) -> None:
        for name in PARTS:
            shutil.copytree(ROOT / name, self.project / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            shutil.copy(ROOT / name, self.project / name)
        uv = str(Path(sys.executable).with_name("uv"))
        wheels = self.project.parent / "wheels"
        offline = ("--offline", "--no-build-isolation", "--python", sys.executable)
        self._run([uv, "build", "--wheel", *offline, "-o", str(wheels), str(self.project)])
        self._run([sys.executable, "-m", "venv", "--without-pip", str(self.venv)])
        python = str(self.venv / "bin/python")
        self._run([uv, "pip", "install", "--offline", "--no-deps", "--python", python, *map(str, wheels.glob("*.whl"))])
        (self.packages / "libraries.pth").write_text("\n".join(site.getsitepackages()))
        shutil.rmtree(self.project)  # nothing may lean on it

    @property
    def packages(self) -> Path:
        return next((self.venv / "lib").glob("python*")) / "site-packages"

    def _run(self, command: list[str]) -> None:
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, cwd=self.work)
        assert done.returncode == 0, done.stdout + done.stderr

    def run(self, *command: str, code: int = 0, **environment: str) -> str:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("SANYU_", "PYTHON", "AIRFLOW"))}
        env = {**kept, "SANYU_LANG": "en", "PYTHONDONTWRITEBYTECODE": "1", **environment}
        done = subprocess.run(
            [str(self.venv / "bin" / command[0]), *command[1:]],
            capture_output=True, text=True, timeout=300, check=False, cwd=self.work, env=env,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installed:
    found = Installed(tmp_path_factory.mktemp("wheel"))
    found.build()
    return found


def test_the_library_is_the_wheels_own_and_has_no_demo(installed: Installed) -> None:
    program = "import sanyu, schemas, json; from importlib.util import find_spec as f\n"
    program += "print(json.dumps([sanyu.__file__, schemas.__file__, f('demo') is None]))"
    *files, no_demo = json.loads(installed.run("python", "-c", program))
    assert all(file.startswith(str(installed.packages)) for file in files)
    assert no_demo
    for package in ("cli", "jobs", "quality", "sanyu", "schemas", "transforms"):
        assert (installed.packages / package / "py.typed").is_file()


def test_chains_dags_and_cities_come_with_it(installed: Installed) -> None:
    found = json.loads(installed.run("sanyu", "where", "--json"))
    assert {name: Path(path).is_relative_to(installed.packages) for name, path in found.items()} == dict.fromkeys(found, True)
    for folder in ("chains", "dags", "sources"):
        here = {p.relative_to(ROOT / folder) for p in (ROOT / folder).rglob("*") if p.suffix in (".toml", ".py")}
        there = {p.relative_to(found[folder]) for p in Path(found[folder]).rglob("*") if p.suffix in (".toml", ".py")}
        assert there == here
    listed = installed.run("sanyu", "chain", "list")
    assert "street_life" in listed
    sources = json.loads(installed.run("sanyu", "--sources", f"{found['sources']}/demo", "sources", "--json"))
    assert "demo_place" in [source["source"] for source in sources]


def test_what_needs_the_repository_says_so(installed: Installed) -> None:
    for command in (["demo"], ["docs"]):
        assert f"SY-E050: sanyu {command[0]} needs the repository" in installed.run("sanyu", *command, code=2)


def test_a_file_is_read_by_the_confined_child(installed: Installed) -> None:
    (installed.work / "sources").mkdir()
    (installed.work / "sources/city.toml").write_text(
        'name = "c"\ntitle = "City"\ntitle_zh = "城"\nextent = [119.0, 29.0, 121.0, 31.0]\nmetric_crs = "EPSG:4549"\n'
    )
    (installed.work / "sources/shops.toml").write_text(
        '[source]\nname = "shops"\ntitle = "Shops"\ndomain = "basemap"\nlicence = "CC0-1.0"\nattribution = "none"\n'
        '[read]\npath = "*.csv"\nx = "lon"\ny = "lat"\ncrs = "EPSG:4326"\n'
        '[[into]]\ncontract = "core.basemap__place"\ncolumns = { name = "name", class_code = "\'01\'" }\n'
    )
    (installed.work / "shops.csv").write_text("id,name,lon,lat\n1,Noodles,120.1,30.2\n")
    planned = json.loads(installed.run("sanyu", "--data", ".", "plan", "shops", "--json"))
    assert [(name, rows) for name, _, _, rows in planned["files"]] == [("shops.csv", "1")]
    (installed.work / "lake").mkdir(exist_ok=True)
    assert json.loads(installed.run("sanyu", "tables", "--json")) == []


def test_the_dbt_project_and_the_jobs_are_there(installed: Installed) -> None:
    program = "from jobs.marts import PROJECT as here\n"
    program += "print(*sorted(p.relative_to(here) for p in here.rglob('*.*') if p.suffix in ('.sql', '.yml')))"
    here = ROOT / "transforms/dbt"
    want = sorted(p.relative_to(here) for p in here.rglob("*.*") if p.suffix in (".sql", ".yml"))
    assert installed.run("python", "-c", program).split() == [str(path) for path in want]
    assert "usage" in installed.run("python", "-m", "jobs", "--help").lower()


def test_the_dags_are_parsed(installed: Installed) -> None:
    found = json.loads(installed.run("sanyu", "where", "--json"))
    program = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "import dags.chains as chains, dags.wiring as wiring\nfrom pathlib import Path\n"
        "print('RESULT', 'chain_event_evolution' in vars(chains), Path(wiring.job()).is_file())"
    )
    environment = {"SANYU_SOURCES_DIR": f"{found['sources']}/demo", "AIRFLOW_HOME": str(installed.work / "airflow")}
    said = installed.run("python", "-c", program, PYTHONPATH=str(Path(found["dags"]).parent), **environment)
    assert "RESULT True True" in said
