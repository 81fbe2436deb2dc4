"""What comes with Sanyu beside its code: the chains, the DAGs, the definitions of the known cities.

In a checkout these are folders beside the packages. `setup.py` puts copies of them into the wheel, below this package; where they are is
asked here and nowhere else.
"""

from __future__ import annotations

from pathlib import Path

from schemas.messages import SanyuError

FOLDERS = ("chains", "dags", "sources")
_PACKAGES = Path(__file__).resolve().parents[1]
_COPIES = Path(__file__).resolve().parent / "_shipped"


def shipped(name: str) -> Path:
    """Return one of `FOLDERS`: that of the checkout, or the wheel's copy."""
    if name not in FOLDERS:
        raise KeyError(name)
    return (checkout() or _COPIES) / name


def packages() -> Path:
    """Return the folder that holds the packages: the checkout, or where the wheel is installed."""
    return _PACKAGES


def checkout() -> Path | None:
    """Return the repository that this code is in, None where it was installed from a wheel."""
    return _PACKAGES if (_PACKAGES / "pyproject.toml").is_file() and (_PACKAGES / "schemas").is_dir() else None


def repository(command: str) -> Path:
    """Return the repository for a command that works on it; SY-E050 where there is none."""
    found = checkout()
    if found is None:
        raise SanyuError("SY-E050", command=command)
    return found
