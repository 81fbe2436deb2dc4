"""How a table follows its contract: which changes are made to it when the next delivery is written, and which are refused.

| change of the contract | what happens |
|---|---|
| a column is added | the table gains it; rows from before have no value in it |
| a type is widened (integer → long, integer → double) | the table is rewritten once with the wider type |
| a column is retired | it stays in the table for the rows that have it; new rows have no value in it |
| a column is renamed | that is one column retired and another added: nothing can tell it from that |
| a type is changed otherwise, the kind of history is changed | SY-L051 before anything is written |

What was done is in the commit's metadata and in the ledger (step `evolve`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from quality.delta import table_properties
from schemas.fields import fields_of
from schemas.messages import SanyuError
from schemas.model import Contract, DType, FieldDef

# No long → double, which rounds beyond 2^53, and no date → timestamp, which would have to know a time zone.
WIDER = {(DType.INTEGER, DType.LONG), (DType.INTEGER, DType.DOUBLE)}
_PLAIN = {dtype.value: dtype for dtype in DType}


@dataclass(frozen=True)
class Evolution:
    """What must be done to a table before rows of the contract can be written to it."""

    added: tuple[FieldDef, ...] = ()
    widened: tuple[tuple[str, DType, DType], ...] = ()
    retired: tuple[str, ...] = ()
    properties: tuple[tuple[str, str], ...] = ()

    @property
    def is_needed(self) -> bool:
        return bool(self.added or self.widened or self.properties)

    def as_dict(self) -> dict[str, Any]:
        """Return what the ledger and the commit say of it."""
        found = {
            "added": [f.name for f in self.added],
            "widened": [f"{name}: {old.value} → {new.value}" for name, old, new in self.widened],
            "retired": list(self.retired),
            "contract_version": dict(self.properties).get("sanyu.contract_version"),
        }
        return {name: value for name, value in found.items() if value}


def evolution(contract: Contract, columns: Mapping[str, str], configuration: Mapping[str, str]) -> Evolution:
    """Return what brings a table (`columns`: name → type as Delta writes it in DDL) to its contract; SY-L051 for what is no rule."""
    wanted = {f.name: f for f in fields_of(contract)}
    history = configuration.get("sanyu.history", contract.history.value)
    if history != contract.history.value:
        raise _refused(contract, "history", history, contract.history.value)
    widened = []
    for name, field in wanted.items():
        have = columns.get(name)
        if have is None or have == field.dtype.value:
            continue
        old = _PLAIN.get(have)
        if old is None or (old, field.dtype) not in WIDER:
            raise _refused(contract, name, have, field.dtype.value)
        widened.append((name, old, field.dtype))
    fixed = ("delta.enableDeletionVectors", "delta.enableChangeDataFeed")  # as the table was made, and so is the digests' version
    changed = tuple((k, v) for k, v in sorted(table_properties(contract).items()) if k not in fixed and configuration.get(k) != v)
    return Evolution(
        added=tuple(f for name, f in wanted.items() if name not in columns),
        widened=tuple(widened),
        retired=tuple(name for name in columns if name not in wanted),
        properties=changed,
    )


def _refused(contract: Contract, column: str, have: str, wanted: str) -> SanyuError:
    return SanyuError("SY-L051", table=contract.name, version=contract.version, column=column, have=have, wanted=wanted)


def ddl_types(schema: Any) -> dict[str, str]:
    """Return name → DDL type of a delta-rs schema."""
    import json

    return {f["name"]: _ddl(f["type"]) for f in json.loads(schema.to_json())["fields"]}


def _ddl(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    if kind["type"] == "array":
        return f"array<{_ddl(kind['elementType'])}>"
    if kind["type"] == "map":
        return f"map<{_ddl(kind['keyType'])},{_ddl(kind['valueType'])}>"
    return "struct<" + ",".join(f"{f['name']}:{_ddl(f['type'])}" for f in kind["fields"]) + ">"
