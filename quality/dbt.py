"""dbt sources of the lake's tables for dbt-duckdb, with the tests that follow from the contracts.

Two forms: tables read in place by `delta_scan`, for anyone's dbt project; and the views `core.<domain>__<entity>` of the rows that are
currently valid and believed, which `jobs.marts` creates for the project in `transforms/dbt`.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import yaml

from quality.spark import comment
from schemas.codes import code_list
from schemas.fields import code_list_of, fields_of
from schemas.model import Contract, History

LIVE = "valid_to_at is null and superseded_at is null"
LOCATION = "delta_scan('{{ env_var(\"SANYU_LAKE\") }}/%s')"
VIEWS_HEAD = "# Generated from the contracts by `sanyu docs`.\n"


def dbt_sources(contracts: Iterable[Contract]) -> str:
    """Return a dbt `sources.yml`: one source per layer and domain, read in place by `delta_scan`; the lake's URL is `SANYU_LAKE`.

    Tests of entity tables cover live rows only, because history repeats keys by design.
    """
    ordered = sorted(contracts, key=lambda c: c.name)
    groups = groupby(ordered, key=lambda c: f"{c.layer}_{c.domain}")
    sources = [{"name": name, "tables": [_table(c) for c in members]} for name, members in groups]
    return _yaml({"version": 2, "sources": sources})


def dbt_views(contracts: Iterable[Contract]) -> str:
    """Return the `sources.yml` for the project's own marts: the source `core` with one view per core table and its columns described."""
    tables = [
        {
            "name": f"{c.domain}__{c.entity}",
            "description": f"{c.title_zh}. {c.grain}, valid and believed now",
            "columns": [{"name": f.name, "description": comment(f)} for f in fields_of(c)],
        }
        for c in sorted(contracts, key=lambda c: c.name)
        if c.layer == "core"
    ]
    return VIEWS_HEAD + _yaml({"version": 2, "sources": [{"name": "core", "schema": "core", "tables": tables}]})


def _yaml(document: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=140)
    return text


def _table(contract: Contract) -> dict[str, Any]:
    only_live = {"config": {"where": LIVE}} if contract.layer != "raw" and contract.history is History.ENTITY else {}
    key = " || '|' || ".join(f"cast({k} as varchar)" for k in contract.key)
    return {
        "name": contract.entity,
        "description": f"{contract.title_zh}. {contract.grain}",
        "config": {"meta": {"external_location": LOCATION % contract.path, "owner": contract.owner}},
        "data_tests": [{"unique": {"name": f"unique_{contract.domain}_{contract.entity}", "arguments": {"column_name": key}, **only_live}}],
        "columns": [_column(contract, f.name, comment(f)) for f in fields_of(contract)],
    }


def _column(contract: Contract, name: str, description: str) -> dict[str, Any]:
    tests: list[Any] = ["not_null"] if name in contract.required else []
    listed = code_list_of(contract, name)
    if listed:
        tests.append({"accepted_values": {"arguments": {"values": list(code_list(listed).codes())}}})
    return {"name": name, "description": description, **({"data_tests": tests} if tests else {})}
