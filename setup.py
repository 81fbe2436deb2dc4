"""Packages of the library, and the copies of chains, DAGs and source definitions that its wheel carries; all else is in pyproject.toml.

The demo city's generator (`demo`) is no part of the library. An editable install, as `make setup` makes one, has it nevertheless.
"""

import shutil
import sys
from pathlib import Path

from setuptools import find_namespace_packages, setup
from setuptools.command.build_py import build_py

LIBRARY = ["cli*", "jobs*", "quality*", "sanyu*", "schemas*", "transforms*"]
SHIPPED = ["chains", "dags", "sources"]  # as in sanyu/shipped.py


class BuildWithCopies(build_py):
    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for name in SHIPPED:
                target = Path(self.build_lib) / "sanyu" / "_shipped" / name
                shutil.copytree(name, target, ignore=shutil.ignore_patterns("__pycache__"), dirs_exist_ok=True)


is_editable = "editable_wheel" in sys.argv
setup(
    packages=find_namespace_packages(include=[*LIBRARY, *(["demo*", "dags"] if is_editable else [])], exclude=["*.__pycache__*"]),
    cmdclass={"build_py": BuildWithCopies},
)
