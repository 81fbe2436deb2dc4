"""Contracts of mining results; the tables are in layer `mart`, one file per table.

Figures of a single statistic are in its contract's file; fields shared by several results are in `_shelf_fields` and `_cube_fields`.
"""

from __future__ import annotations

import importlib
from pathlib import Path

from schemas.model import Contract, FieldDef


def dictionary() -> dict[str, FieldDef]:
    """Return the fields of all contracts here by name; ValueError if one name has two types or units."""
    found: dict[str, FieldDef] = {}
    for path in sorted(Path(__file__).parent.glob("[a-z]*.py")):
        contract: Contract = importlib.import_module(f"{__name__}.{path.stem}").CONTRACT
        for column in contract.columns:
            known = found.setdefault(column.name, column.field)
            if (known.dtype, known.unit) != (column.dtype, column.field.unit):
                raise ValueError(f"{contract.name}: {column.name} has another type or unit elsewhere in {__name__}")
    return found
