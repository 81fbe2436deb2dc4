"""The folders of a lake, declared once: what each holds, who writes it, and which roles on an object store may read it.

From here come the table in `docs/architecture.md` and `infra/terraform/modules/lake/folders.json`, of which the roles and the expiry of
old versions are made. A test compares both, and what a run writes, with this list.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

Role = Literal["writer", "reader", "consumer"]


@dataclass(frozen=True)
class Folder:
    """A folder at the top of a lake. The role `writer` reads and writes all of them; `readers` are the other roles that read it."""

    name: str
    holds: str
    written_by: str
    readers: tuple[Role, ...] = ()


FOLDERS = (
    Folder("landing", "files as delivered, manifests, parsed parts", "load"),
    Folder("raw", "Delta: raw rows; ledger, files and bridge in `raw/ops`", "load, mine, marts, publish", ("reader",)),
    Folder("core", "Delta: stamped rows; change data feed and deletion vectors on", "load", ("reader",)),
    Folder("mart", "Delta: what is derived by dbt, mining and geocoding", "mine, marts, geocode", ("reader",)),
    Folder("quarantine", "Delta: rejected rows with their errors", "load", ("reader",)),
    Folder("release", "published layers, never changed after `release/current.json` names them; map", "publish", ("reader", "consumer")),
    Folder("quality", "Great Expectations Data Docs", "gate", ("reader",)),
    Folder("mining", "what an incremental analysis keeps for its next run", "mine"),
    Folder("chain", "pages of mining chains", "mine", ("reader",)),
    Folder("index", "address index by state of the gazetteer", "address build", ("reader",)),
    Folder("runs", "reports and progress of runs", "load", ("reader",)),
    Folder("_damaged", "damaged parts of tables' logs that a repair has set aside", "repair"),
    Folder("_lease", "one lease per table, with its fencing token", "every writer"),
)


def names() -> tuple[str, ...]:
    """Return the names of all folders of a lake."""
    return tuple(folder.name for folder in FOLDERS)


def readable_by(role: Role) -> tuple[str, ...]:
    """Return the folders that a role may read."""
    return tuple(folder.name for folder in FOLDERS if role == "writer" or role in folder.readers)


def as_table() -> str:
    """Return the folders as a Markdown table."""
    rows = [f"| `{folder.name}/` | {folder.holds} | {folder.written_by} |" for folder in FOLDERS]
    return "\n".join(["| folder | holds | written by |", "|---|---|---|", *rows]) + "\n"


def as_json() -> str:
    """Return the folders for Terraform."""
    return json.dumps([asdict(folder) for folder in FOLDERS], indent=2, ensure_ascii=False) + "\n"
