"""How secret a derived row is: as its most secret input (docs/decisions/0009-one-stamp.md)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sanyu.lake import Lake
from sanyu.lake.duck import text
from schemas.model import Contract, SecurityLabel, highest

LABEL = "security_label"


def label_of(table: Any, contracts: Mapping[str, Contract], *, where: str | None = None, version: int | None = None) -> SecurityLabel:
    """Return the highest label among the current rows of a table that `where` takes, and of the table's contract.

    A row without a label is in no edition, and neither is what is made from it: it counts as secret. So does a table without labels.
    """
    told = [contracts[table.name].security_label] if table.name in contracts else []
    if LABEL not in table.columns:
        return SecurityLabel.SECRET
    found = table.to_duckdb([LABEL], where=where, version=version).distinct().fetchall()
    return highest([*told, *(SecurityLabel(value) if value else SecurityLabel.SECRET for (value,) in found)])


def label_of_tables(lake: Lake, names: Iterable[str], contracts: Mapping[str, Contract]) -> SecurityLabel:
    """Return the highest label of the current rows of tables; one that the lake lacks counts by its contract."""
    present = set(lake.names())
    return highest(
        label_of(lake.table(name), contracts) if name in present else contracts[name].security_label
        for name in names
        if name in present or name in contracts
    )


def is_labelled(lake: Lake, contract: Contract, source_name: str, label: SecurityLabel) -> bool:
    """Tell whether the rows that a source has in a table bear the label that its rows must bear now; true where there are none."""
    if contract.name not in lake.names():
        return True
    wanted = highest((label, contract.security_label))
    rows = lake.table(contract.name).to_duckdb([LABEL], where=f"source_name = {text(source_name)}").distinct().fetchall()
    return all(value == wanted for (value,) in rows)
