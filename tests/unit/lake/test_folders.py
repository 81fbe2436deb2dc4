"""The folders of a lake are declared once: documents, infrastructure and code name the same ones."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from jobs.gate import DOCS
from jobs.mining.since import kept_key
from sanyu.address import lakeindex
from sanyu.lake import folders, lease, runs
from sanyu.lake.read import LAYERS
from sanyu.landing.parsed import PARSED
from sanyu.serve.release import ROOT as RELEASE
from schemas.registry import contracts

PROJECT = Path(__file__).resolve().parents[3]


def test_the_architecture_page_lists_the_folders() -> None:
    assert folders.as_table() in (PROJECT / "docs/architecture.md").read_text("utf-8")


def test_terraform_is_given_the_folders() -> None:
    told = json.loads((PROJECT / "infra/terraform/modules/lake/folders.json").read_text("utf-8"))
    assert tuple(folder["name"] for folder in told) == folders.names()
    assert (
        '["'
        not in re.sub(r"#.*", "", (PROJECT / "infra/terraform/modules/lake/roles.tf").read_text("utf-8"))
        .split("locals")[1]
        .split("}\n\n")[0]
    )


def test_every_key_that_code_writes_lies_in_a_folder_that_is_declared() -> None:
    keys = [DOCS, runs.FOLDER, kept_key("a", "b"), lakeindex.ROOT, lease.FOLDER, PARSED, RELEASE, *LAYERS]
    keys += [contract.path for contract in contracts().values()]
    assert {key.split("/")[0] for key in keys} <= set(folders.names())


def test_no_literal_of_the_code_names_another_folder() -> None:
    written = re.compile(r"store\.(?:put|put_if_absent|upload|delete)\(\s*f?\"(\w+)/|\bkey, store.* = f\"(\w+)/")
    found = set()
    for package in ("sanyu", "jobs", "cli", "dags"):
        for path in (PROJECT / package).rglob("*.py"):
            found |= {first or second for first, second in written.findall(path.read_text("utf-8"))}
    assert {"landing", "chain", "runs"} <= found <= set(folders.names())


@pytest.mark.parametrize("role", ["reader", "consumer"])
def test_no_other_role_reads_deliveries_leases_or_what_an_analysis_keeps(role: folders.Role) -> None:
    assert not {"landing", "_lease", "mining"} & set(folders.readable_by(role))
